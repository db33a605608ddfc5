"""The routes of the API: one for each operation, and those that stream."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.errors import AccessError, HoldfastError, NotFoundError, OverloadedError
from holdfast.operations import BY_NAME, Operation
from holdfast.server import bodies
from holdfast.server.answers import PartlyStoredError, answer, caller_of, problem
from holdfast.server.lanes import Lanes
from holdfast.server.streams import Streams
from holdfast.server.watch import Watch
from holdfast.service.call import Service
from holdfast.service.callers import Caller
from holdfast.wire.arguments import arguments
from holdfast.wire.http import RefusedError
from holdfast.wire.plain import plain

STREAMED: Mapping[str, str] = {
    "observe_many": "POST", "import": "POST", "export": "GET", "watch": "GET",
}  # fmt: skip
"""Operations that have routes of their own, with the method of each."""
Endpoint = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True)
class Api:
    """The routes over a service.

    Parameters
    ----------
    service
        Does what is asked.
    lanes
        Where it does it.
    refused
        Told the reason of each refusal.
    closing
        Whether the server is about to stop: streams end, and nothing new begins.
    most_bytes
        Of a JSON body. Lines are bounded one by one.
    room
        Where bodies are held.
    """

    service: Service
    lanes: Lanes
    refused: Callable[[str], None]
    closing: Callable[[], bool]
    most_bytes: int
    room: bodies.Room

    def routes(self) -> list[Route]:
        """All of them; what streams comes before the pattern that fits it too."""
        streams = Streams(self.service, self.lanes, self.room)
        watch = Watch(self.service, self.lanes, self.closing)
        stream = {
            "observe_many": streams.observe_many, "import": streams.import_,
            "export": streams.export, "watch": watch.watch,
        }  # fmt: skip
        base = "/v1/memories/{memory}"
        return [
            self._route("/v1/memories", self.names, "GET"),
            self._route(base, self.make, "PUT"),
            *(self._route(f"{base}/{one}", stream[one], verb) for one, verb in STREAMED.items()),
            self._route(base + "/{operation}", self.ask, "GET"),
            self._route(base + "/{operation}", self.call, "POST"),
        ]

    # ---- endpoints ---------------------------------------------------------------------------

    async def names(self, request: Request) -> Response:
        """The memories that the caller may use."""
        who = caller_of(request)
        return answer({"memories": await self.lanes.read.run(lambda: self.service.names(who))})

    async def make(self, request: Request) -> Response:
        """Make a memory, or give the one there is another budget."""
        who, memory = self._admitted(request, "govern")
        with self.room.share(who.name) as hold:
            body = await bodies.read(request, self.most_bytes, hold)
            budget = arguments(BY_NAME["resize"], bodies.arguments(request, body))["budget"]
        made = await self.lanes.slow.run(lambda: self.service.make(who, memory, budget))
        return answer({"name": memory, "budget": budget}, 201 if made else 200)

    async def ask(self, request: Request) -> Response:
        """An operation that only reads, its arguments in the query."""
        operation = self.service.operation(request.path_params["operation"])
        if operation.effect != "read" or operation.name in STREAMED:
            raise RefusedError(405, f"{operation.name} changes things; send a POST", allow="POST")
        given = bodies.asked(request)
        return await self._answer(request, operation, lambda: given)

    async def call(self, request: Request) -> Response:
        """Any operation, its arguments in a JSON object."""
        operation = self.service.operation(request.path_params["operation"])
        if operation.name in STREAMED:
            raise RefusedError(405, f"{operation.name} streams; send a GET", allow="GET")
        who, _ = self._admitted(request, operation.effect)  # before anything is read for it
        with self.room.share(who.name) as hold:
            most = bodies.most_of(self.most_bytes, operation.effect)
            body = await bodies.read(request, most, hold)
            return await self._answer(request, operation, lambda: bodies.arguments(request, body))

    async def _answer(
        self, request: Request, operation: Operation, given: Callable[[], Mapping[str, Any]]
    ) -> Response:
        who, memory = caller_of(request), request.path_params["memory"]
        # JSON is read and written on the thread, too: the loop stays free for other requests.
        return await self.lanes.run(
            operation, lambda: answer(self.service.call(who, memory, operation.name, given()))
        )

    # ---- around them -------------------------------------------------------------------------

    def _admitted(self, request: Request, effect: str) -> tuple[Caller, str]:
        """Who calls for which memory. Raises as `Service.admit`."""
        who, memory = caller_of(request), request.path_params["memory"]
        try:
            self.service.admit(who, memory, effect)
        except (AccessError, NotFoundError) as failure:
            self.refused(type(failure).__name__)
            raise
        return who, memory

    def _route(self, path: str, endpoint: Endpoint, method: str) -> Route:
        """A route whose failures are answered as problems."""

        async def answered(request: Request) -> Response:
            if self.closing():
                return problem(RefusedError(503, "this server is stopping; try again soon"))
            try:
                return await endpoint(request)
            except (RefusedError, OverloadedError) as failure:
                self.refused(type(failure).__name__)
                return problem(failure)
            except HoldfastError as failure:
                return problem(failure)
            except PartlyStoredError as failure:
                return problem(failure.why, stored=plain(failure.stored))
            except ClientDisconnect:
                return Response(status_code=499)  # nobody reads it

        answered.__name__ = endpoint.__name__
        return Route(path, answered, methods=[method])

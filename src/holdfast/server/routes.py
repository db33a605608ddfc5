"""The routes of the API: one for each operation, and those that stream."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from holdfast.errors import HoldfastError
from holdfast.operations import BY_NAME, Operation
from holdfast.server import bodies, streams
from holdfast.server.answers import (
    OverloadedError,
    PartlyStoredError,
    RefusedError,
    answer,
    caller_of,
    problem,
)
from holdfast.server.lanes import Lanes
from holdfast.service.call import Service
from holdfast.wire.arguments import arguments
from holdfast.wire.plain import plain

STREAMED = frozenset({"observe_many", "import", "export", "watch"})
"""Operations that have routes of their own."""
_T = TypeVar("_T")


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
    """

    service: Service
    lanes: Lanes
    refused: Callable[[str], None]
    closing: Callable[[], bool]
    most_bytes: int

    def routes(self) -> list[Route]:
        """All of them; what streams comes before the pattern that fits it too."""
        stream = streams.Streams(self.service, self.lanes, self.closing)
        base = "/v1/memories/{memory}"
        return [
            self._route("/v1/memories", self.names, "GET"),
            self._route(base, self.make, "PUT"),
            self._route(f"{base}/observe_many", stream.observe_many, "POST"),
            self._route(f"{base}/import", stream.import_, "POST"),
            self._route(f"{base}/export", stream.export, "GET"),
            self._route(f"{base}/watch", stream.watch, "GET"),
            self._route(base + "/{operation}", self.ask, "GET"),
            self._route(base + "/{operation}", self.call, "POST"),
        ]

    # ---- endpoints ---------------------------------------------------------------------------

    async def names(self, request: Request) -> Response:
        """The memories that the caller may use."""
        who = caller_of(request)
        return answer({"memories": await self.run("read", lambda: self.service.names(who))})

    async def make(self, request: Request) -> Response:
        """Make a memory, or give the one there is another budget."""
        who, memory = caller_of(request), request.path_params["memory"]
        given = bodies.arguments(request, await bodies.read(request, self.most_bytes))
        budget = arguments(BY_NAME["resize"], given)["budget"]
        made = await self.run("slow", lambda: self.service.make(who, memory, budget))
        return answer({"name": memory, "budget": budget}, 201 if made else 200)

    async def ask(self, request: Request) -> Response:
        """An operation that only reads, its arguments in the query."""
        operation = self.service.operation(request.path_params["operation"])
        if operation.effect != "read" or operation.name in STREAMED:
            raise RefusedError(405, f"{operation.name} changes things; send a POST", allow="POST")
        given = streams.asked(request)
        return await self._answer(request, operation, lambda: given)

    async def call(self, request: Request) -> Response:
        """Any operation, its arguments in a JSON object."""
        operation = self.service.operation(request.path_params["operation"])
        if operation.name in STREAMED:
            raise RefusedError(405, f"{operation.name} streams; send a GET", allow="GET")
        body = await bodies.read(request, self.most_bytes)
        return await self._answer(request, operation, lambda: bodies.arguments(request, body))

    async def _answer(
        self, request: Request, operation: Operation, given: Callable[[], Mapping[str, Any]]
    ) -> Response:
        who, memory = caller_of(request), request.path_params["memory"]
        # JSON is read and written on the thread, too: the loop stays free for other requests.
        return await self.lanes.of(operation.name, operation.effect).run(
            lambda: answer(self.service.call(who, memory, operation.name, given()))
        )

    # ---- around them -------------------------------------------------------------------------

    async def run(self, effect: str, function: Callable[[], _T]) -> _T:
        """Call a function on a thread of the lane for its effect."""
        return await self.lanes.of("verify" if effect == "slow" else "", effect).run(function)

    def _route(self, path: str, endpoint: streams.Endpoint, method: str) -> Route:
        """A route whose failures are answered as problems."""

        async def answered(request: Request) -> Response:
            if self.closing():
                return problem(RefusedError(503, "this server is stopping; try again soon"))
            try:
                return await endpoint(request)
            except HoldfastError as failure:
                return problem(failure)
            except PartlyStoredError as failure:
                return problem(failure.why, stored=plain(failure.stored))
            except (RefusedError, OverloadedError) as failure:
                self.refused(type(failure).__name__)
                return problem(failure)
            except ClientDisconnect:
                return Response(status_code=499)  # nobody reads it

        answered.__name__ = endpoint.__name__
        return Route(path, answered, methods=[method])

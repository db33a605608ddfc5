"""What comes or goes in pieces: many events in, all events out, changes as they happen."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from holdfast.errors import AccessError, ArgumentsError, HoldfastError, InvalidEventError
from holdfast.exchange import to_json
from holdfast.memory import Memory
from holdfast.operations import BY_NAME
from holdfast.records import BulkReceipt, Event, Record
from holdfast.seat import Seat
from holdfast.server import bodies
from holdfast.server.answers import OverloadedError, PartlyStoredError, answer, caller_of
from holdfast.server.lanes import Lane, Lanes
from holdfast.service.call import Service
from holdfast.service.callers import Caller
from holdfast.state.records import Change
from holdfast.wire.arguments import arguments
from holdfast.wire.lines import BadLine, Reader
from holdfast.wire.plain import plain

Endpoint = Callable[[Request], Awaitable[Response]]

_BATCH_BYTES = 1 << 20
_PAGE = 256
_HEARTBEAT_S = 15.0
_MOST_WATCHERS = 64
_MOST_LOADING = 16


class Streams:
    """The endpoints that stream.

    Parameters
    ----------
    service, lanes
        Do what is asked, and where.
    closing
        Whether the server is about to stop.
    """

    def __init__(self, service: Service, lanes: Lanes, closing: Callable[[], bool]) -> None:
        self._service, self._closing = service, closing
        self._slow = lanes.of("export", "read")
        self._watching = Lane("watch", _MOST_WATCHERS, 0)
        self._watchers = self._loading = 0

    # ---- in ----------------------------------------------------------------------------------

    async def observe_many(self, request: Request) -> Response:
        """Store the events of a body: lines of JSON, or one array.

        Each batch is durable before more is read, so a client can send no faster than that. A line
        that is no event ends it: what came before is stored, and the answer says how much.
        """
        caller, memory = caller_of(request), request.path_params["memory"]
        self._service.admit(caller, memory, "write")
        if self._loading >= _MOST_LOADING:
            raise OverloadedError("bulk", 5)
        self._loading += 1
        total, reader = BulkReceipt(0, 0, 0, 0, 0, 0), Reader()
        try:
            async for batch in self._batches(request):
                events, bad = [], None
                for found in reader.read(batch):
                    if isinstance(found, BadLine):
                        bad = found
                        break
                    events.append(found)
                if events:
                    total = added(total, await self._store(caller, memory, events))
                if bad is not None:
                    raise InvalidEventError(f"line {bad.number} is no event: {bad.reason}")
        except HoldfastError as failure:
            raise PartlyStoredError(failure, total) from failure
        finally:
            self._loading -= 1
        return answer(total)

    async def import_(self, request: Request) -> Response:
        """Store the events of an export, all or none."""
        caller, memory = caller_of(request), request.path_params["memory"]
        self._service.admit(caller, memory, "govern")
        text = (await bodies.read(request, bodies.LARGEST_LINE)).decode("utf-8", "surrogateescape")

        def store() -> Response:
            operation = BY_NAME["import"]
            with (
                self._service.watched(operation, memory, {}),
                self._service.enter(caller, memory, "govern") as at,
            ):
                return answer({"events": whole(at, caller).import_(text.split("\n"))})

        return await self._slow.run(store)

    async def _batches(self, request: Request) -> AsyncIterator[list[tuple[int, str]]]:
        kind = bodies.media_type(request)
        if kind != "application/json":
            async for batch in bodies.lines(request, _BATCH_BYTES):
                yield batch
            return
        found = bodies.parse(await bodies.read(request, bodies.LARGEST_LINE))
        if not isinstance(found, list):
            raise ArgumentsError("the body must be an array of events, or lines of JSON")
        for start in range(0, len(found), _PAGE):
            page = enumerate(found[start : start + _PAGE], start + 1)
            yield [(number, json.dumps(_as_event(one))) for number, one in page]

    async def _store(self, caller: Caller, memory: str, events: list[Event]) -> BulkReceipt:
        def store() -> BulkReceipt:
            operation = BY_NAME["observe_many"]
            with (
                self._service.watched(operation, memory, {}),
                self._service.enter(caller, memory, "write") as at,
            ):
                return at.observe_many(events)

        return await self._slow.run(store, patient=True)

    # ---- out ---------------------------------------------------------------------------------

    async def export(self, request: Request) -> Response:
        """All that is kept, as lines of JSON."""
        caller, memory = caller_of(request), request.path_params["memory"]
        hold = ExitStack()
        records = await self._slow.run(lambda: self._records(hold, caller, memory))
        body = self._lines(hold, records)
        return StreamingResponse(body, media_type=bodies.NDJSON[0])

    def _records(self, hold: ExitStack, caller: Caller, memory: str) -> Iterator[Record]:
        at = hold.enter_context(self._service.enter(caller, memory, "read"))
        try:
            return whole(at, caller).log()
        except BaseException:
            hold.close()
            raise

    async def _lines(self, hold: ExitStack, records: Iterator[Record]) -> AsyncIterator[bytes]:
        def page() -> bytes:
            return b"".join(
                json.dumps(to_json(record)).encode() + b"\n" for record in islice(records, _PAGE)
            )

        try:
            while text := await self._slow.run(page, patient=True):
                yield text
        finally:
            hold.close()

    async def watch(self, request: Request) -> Response:
        """Changes of state as they happen, as server-sent events.

        Goes on after the id that a browser sends when it comes back.
        """
        caller, memory = caller_of(request), request.path_params["memory"]
        given: dict[str, Any] = {
            name: values[0] if len(values) == 1 else values
            for name in request.query_params
            if (values := request.query_params.getlist(name))
        }
        last = request.headers.get("last-event-id", "")
        if last.isdecimal():
            given["after"] = last
        filled = arguments(BY_NAME["watch"], given)
        if self._watchers >= _MOST_WATCHERS:
            raise OverloadedError("watch", 5)
        hold = ExitStack()

        def begin() -> Iterator[list[Change]]:
            at = hold.enter_context(self._service.enter(caller, memory, "read"))
            try:
                return at._pages(**filled)
            except BaseException:
                hold.close()
                raise

        pages = await self._watching.run(begin)
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(
            self._events(hold, pages), headers=headers, media_type="text/event-stream"
        )

    async def _events(self, hold: ExitStack, pages: Iterator[list[Change]]) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        said = loop.time()
        self._watchers += 1
        try:
            yield b": watching\n\n"
            while not self._closing():
                page = await self._watching.run(lambda: next(pages, None))
                if page is None:
                    return
                if page:
                    yield b"".join(map(sent, page))
                    said = loop.time()
                elif loop.time() - said > _HEARTBEAT_S:
                    yield b": still here\n\n"
                    said = loop.time()
        finally:
            self._watchers -= 1
            hold.close()


def sent(change: Change) -> bytes:
    """A change as a server-sent event; its id is where to go on after it."""
    data = json.dumps(plain(change))
    return f"id: {change.seq}\nevent: change\ndata: {data}\n\n".encode()


def added(total: BulkReceipt, more: BulkReceipt) -> BulkReceipt:
    """The sum of two receipts.

    >>> added(BulkReceipt(0, 0, 0, 0, 0, 0), BulkReceipt(2, 1, 5, 6, 0, 0))
    BulkReceipt(events=2, duplicates=1, first=5, last=6, demoted=0, evicted=0)
    """
    return replace(
        total,
        events=total.events + more.events,
        duplicates=total.duplicates + more.duplicates,
        first=total.first or more.first,
        last=max(total.last, more.last),
        demoted=total.demoted + more.demoted,
        evicted=total.evicted + more.evicted,
    )


def whole(at: Memory | Seat, caller: Caller) -> Memory:
    """A memory for what concerns all of it. Raises `AccessError` for a seat."""
    if isinstance(at, Seat):
        raise AccessError(f"{caller.name} has a seat, and this is about the whole memory")
    return at


def _as_event(one: Any) -> Any:
    return {"content": one} if isinstance(one, str) else one

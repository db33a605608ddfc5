"""What comes or goes in pieces: many events in, all events out."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from holdfast.errors import AccessError, ArgumentsError, HoldfastError, InvalidEventError
from holdfast.exchange import to_json
from holdfast.memory import Memory
from holdfast.operations import BY_NAME
from holdfast.records import BulkReceipt, Event
from holdfast.seat import Seat
from holdfast.server import bodies
from holdfast.server.answers import PartlyStoredError, Stream, answer, caller_again, caller_of
from holdfast.server.lanes import Lanes, Places
from holdfast.service.call import Service
from holdfast.service.callers import Caller
from holdfast.wire.http import RefusedError
from holdfast.wire.lines import BadLine, Reader, added

Page = tuple[bytes, int | None]
"""Lines, and the number of the last event in them if there may be more."""
_BATCH_BYTES = 1 << 20
_PAGE = 1024  # events
_MOST_LOADING = 16
_MOST_LEAVING = 16


class Streams:
    """The endpoints that stream.

    Parameters
    ----------
    service, lanes
        Do what is asked, and where.
    room
        Where bodies are held.
    """

    def __init__(self, service: Service, lanes: Lanes, room: bodies.Room) -> None:
        self._service, self._lanes, self._room = service, lanes, room
        self._loading = Places("bulk", _MOST_LOADING)
        self._leaving = Places("export", _MOST_LEAVING)

    # ---- in ----------------------------------------------------------------------------------

    async def observe_many(self, request: Request) -> Response:
        """Store the events of a body: lines of JSON, or one array.

        Each batch is durable before more is read, so a client can send no faster than that. A line
        that is no event ends it: what came before is stored, and the answer says how much. If the
        engine refuses an event, some of the same batch may be stored beside what the answer says;
        to send all of it again is safe where events have keys.
        """
        caller, memory = caller_of(request), request.path_params["memory"]
        self._service.admit(caller, memory, "write")
        total = BulkReceipt(0, 0, 0, 0, 0, 0)
        with self._loading.taken(caller), self._room.share(caller.name) as hold:
            try:
                async for batch in self._batches(request, hold):
                    store = partial(self._store, await caller_again(request), memory, batch)
                    more, bad = await self._lanes.bulk.run(store, patient=True)
                    total = added(total, more)
                    if bad is not None:
                        raise InvalidEventError(f"line {bad.number} is no event: {bad.reason}")
            except PartlyStoredError as part:
                raise PartlyStoredError(part.why, added(total, part.stored)) from part.why
            except (HoldfastError, RefusedError) as failure:
                raise PartlyStoredError(failure, total) from failure
        return answer(total)

    async def import_(self, request: Request) -> Response:
        """Store the events of an export: all are checked before the first is stored."""
        caller, memory = caller_of(request), request.path_params["memory"]
        self._service.admit(caller, memory, "govern")

        def store(body: bytes) -> Response:
            operation = BY_NAME["import"]
            with (
                self._service.watched(operation, memory, {}),
                self._service.enter(caller, memory, "govern") as at,
            ):
                lines = body.decode("utf-8", "surrogateescape").split("\n")
                return answer({"events": whole(at, caller).import_(lines)})

        with self._room.share(caller.name) as hold:
            body = await bodies.read(request, bodies.LARGEST_LINE, hold)
            return await self._lanes.slow.run(partial(store, body))

    async def _batches(
        self, request: Request, hold: bodies.Hold
    ) -> AsyncIterator[list[tuple[int, Any]]]:
        if bodies.media_type(request) != "application/json":
            async for batch in bodies.lines(request, _BATCH_BYTES, hold):
                yield batch
            return
        body = await bodies.read(request, bodies.LARGEST_LINE, hold)
        found = await self._lanes.bulk.run(partial(bodies.parse, body), patient=True)
        if not isinstance(found, list):
            raise ArgumentsError("the body must be an array of events, or lines of JSON")
        for start in range(0, len(found), _PAGE):
            yield list(enumerate(found[start : start + _PAGE], start + 1))

    def _store(
        self, caller: Caller, memory: str, batch: list[tuple[int, Any]]
    ) -> tuple[BulkReceipt, BadLine | None]:
        """Store the events of a batch up to the first line that is none."""
        events, bad = events_of(batch)
        if not events:
            return BulkReceipt(0, 0, 0, 0, 0, 0), bad
        with (
            self._service.watched(BY_NAME["observe_many"], memory, {}),
            self._service.enter(caller, memory, "write") as at,
        ):
            if isinstance(at, Seat):
                return at.observe_many(events), bad
            done = [0]
            try:
                return at.observe_many(events, done.append), bad
            except HoldfastError as failure:
                stored = BulkReceipt(done[-1], 0, 0, 0, 0, 0)
                raise PartlyStoredError(failure, stored) from failure

    # ---- out ---------------------------------------------------------------------------------

    async def export(self, request: Request) -> Response:
        """All that is kept, as lines of JSON.

        Nothing is held between two pages of it: what is stored meanwhile may come at the end, and
        what is let go of before its turn does not come.
        """
        caller, memory = caller_of(request), request.path_params["memory"]
        if request.query_params:
            raise ArgumentsError("export takes no arguments here; for more, use holdfast export")
        self._service.admit(caller, memory, "read")
        if request.method == "HEAD":
            return Response(media_type=bodies.NDJSON[0])

        def begin() -> Page:
            with self._service.watched(BY_NAME["export"], memory, {}):
                return self._page(caller, memory, 0)

        with ExitStack() as place:
            place.enter_context(self._leaving.taken(caller))
            first = await self._lanes.slow.run(begin)
            lines = self._lines(request, memory, first)
            return Stream(lines, place.pop_all().close, media_type=bodies.NDJSON[0])

    async def _lines(self, request: Request, memory: str, first: Page) -> AsyncIterator[bytes]:
        text, after = first
        yield text
        while after is not None:
            page = partial(self._page, await caller_again(request), memory, after)
            text, after = await self._lanes.bulk.run(page, patient=True)
            yield text

    def _page(self, caller: Caller, memory: str, after: int) -> Page:
        text = bytearray()
        with self._service.enter(caller, memory, "read") as at:
            for n, record in enumerate(whole(at, caller).log(after), 1):
                text += json.dumps(to_json(record)).encode() + b"\n"
                if n == _PAGE or len(text) >= _BATCH_BYTES:
                    return bytes(text), record.seq
        return bytes(text), None


def events_of(batch: list[tuple[int, Any]]) -> tuple[list[Event], BadLine | None]:
    """The events of lines, or of JSON values, up to the first that is none."""
    reader, events = Reader(), []
    for number, one in batch:
        try:
            if isinstance(one, bytes):
                if one.strip():
                    # What is not UTF-8 becomes lone surrogates, which the reader refuses.
                    events.append(reader.event(one.decode("utf-8", "surrogateescape")))
            elif isinstance(one, dict | str):
                events.append(reader.build({"content": one} if isinstance(one, str) else one))
            else:
                raise ValueError("it is neither an object nor a text")
        except (TypeError, ValueError) as wrong:
            return events, BadLine(number, str(wrong))
    return events, None


def whole(at: Memory | Seat, caller: Caller) -> Memory:
    """A memory for what concerns all of it. Raises `AccessError` for a seat."""
    if isinstance(at, Seat):
        raise AccessError(f"{caller.name} has a seat, and this is about the whole memory")
    return at

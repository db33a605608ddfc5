"""What comes or goes in pieces: many events in, all events out, changes as they happen."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from holdfast.errors import (
    AccessError,
    ArgumentsError,
    ClosedError,
    HoldfastError,
    InvalidEventError,
)  # fmt: skip
from holdfast.exchange import to_json
from holdfast.memory import Memory
from holdfast.operations import BY_NAME
from holdfast.records import BulkReceipt, Event, Record
from holdfast.seat import Seat
from holdfast.server import bodies
from holdfast.server.answers import (
    OverloadedError,
    PartlyStoredError,
    RefusedError,
    answer,
    caller_of,
    described,
)  # fmt: skip
from holdfast.server.lanes import Lane, Lanes
from holdfast.service.call import Service
from holdfast.service.callers import Caller
from holdfast.state.records import Change
from holdfast.wire.arguments import PAGE, arguments
from holdfast.wire.lines import BadLine, Reader
from holdfast.wire.plain import plain

_T = TypeVar("_T")
Endpoint = Callable[[Request], Awaitable[Response]]

_BATCH_BYTES = 1 << 20
_PAGE = 256
_HEARTBEAT_S = 15.0
_MOST_WATCHERS = 64
_MOST_LOADING = 16


class Hold:
    """A memory that is held for a stream, until the last call on it has ended.

    Whoever reads the stream may go while a thread is at work on the memory, which must stay open
    until that is done.
    """

    def __init__(self) -> None:
        self._entered, self._lock = ExitStack(), threading.Lock()
        self._busy = self._over = False

    @contextmanager
    def use(self) -> Iterator[ExitStack]:
        """Give what to enter it with, for one call at a time."""
        with self._lock:
            if self._over:
                raise ClosedError("nobody reads this stream any more")
            self._busy = True
        try:
            yield self._entered
        finally:
            with self._lock:
                self._busy, over = False, self._over
            if over:
                self._entered.close()

    def release(self) -> None:
        """Give the memory back, now or when the call that runs has ended. Twice is fine."""
        with self._lock:
            self._over, idle = True, not self._busy
        if idle:
            self._entered.close()


class Held(StreamingResponse):
    """A stream that tells when it is over, however that comes about, even before it began."""

    def __init__(self, body: AsyncIterator[bytes], over: Callable[[], None], **options: Any):
        super().__init__(body, **options)
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._over()


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
        that is no event ends it: what came before is stored, and the answer says how much. If the
        engine refuses an event, some of the same batch may be stored beside what the answer says;
        to send all of it again is safe where events have keys.
        """
        caller, memory = caller_of(request), request.path_params["memory"]
        self._service.admit(caller, memory, "write")
        if self._loading >= _MOST_LOADING:
            raise OverloadedError("bulk", 5)
        self._loading += 1
        total = BulkReceipt(0, 0, 0, 0, 0, 0)
        try:
            async for batch in self._batches(request):
                store = partial(self._store, caller, memory, batch)
                more, bad = await self._slow.run(store, patient=True)
                total = added(total, more)
                if bad is not None:
                    raise InvalidEventError(f"line {bad.number} is no event: {bad.reason}")
        except PartlyStoredError as part:
            raise PartlyStoredError(part.why, added(total, part.stored)) from part.why
        except (HoldfastError, RefusedError) as failure:
            raise PartlyStoredError(failure, total) from failure
        finally:
            self._loading -= 1
        return answer(total)

    async def import_(self, request: Request) -> Response:
        """Store the events of an export, all or none."""
        caller, memory = caller_of(request), request.path_params["memory"]
        self._service.admit(caller, memory, "govern")
        body = await bodies.read(request, bodies.LARGEST_LINE)

        def store() -> Response:
            operation = BY_NAME["import"]
            with (
                self._service.watched(operation, memory, {}),
                self._service.enter(caller, memory, "govern") as at,
            ):
                lines = body.decode("utf-8", "surrogateescape").split("\n")
                return answer({"events": whole(at, caller).import_(lines)})

        return await self._slow.run(store)

    async def _batches(self, request: Request) -> AsyncIterator[list[tuple[int, Any]]]:
        if bodies.media_type(request) != "application/json":
            async for batch in bodies.lines(request, _BATCH_BYTES):
                yield batch
            return
        body = await bodies.read(request, bodies.LARGEST_LINE)
        found = await self._slow.run(partial(bodies.parse, body), patient=True)
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
        """All that is kept, as lines of JSON."""
        caller, memory = caller_of(request), request.path_params["memory"]
        if request.query_params:
            raise ArgumentsError("export takes no arguments here; for more, use holdfast export")
        self._service.admit(caller, memory, "read")
        if request.method == "HEAD":
            return Response(media_type=bodies.NDJSON[0])

        def begin(at: Memory | Seat) -> Iterator[Record]:
            return whole(at, caller).log()

        hold, records = await self._begin(self._slow, caller, memory, "export", begin)
        return Held(self._lines(hold, records), hold.release, media_type=bodies.NDJSON[0])

    async def _begin(
        self, lane: Lane, caller: Caller, memory: str, name: str, begin: Callable[..., _T]
    ) -> tuple[Hold, _T]:
        """Begin something on a memory that is held from now on."""
        hold = Hold()

        def enter() -> _T:
            with self._service.watched(BY_NAME[name], memory, {}), hold.use() as entered:
                return begin(entered.enter_context(self._service.enter(caller, memory, "read")))

        try:
            return hold, await lane.run(enter)
        except BaseException:  # who hangs up at this moment, too, holds nothing
            hold.release()
            raise

    async def _lines(self, hold: Hold, records: Iterator[Record]) -> AsyncIterator[bytes]:
        def page() -> bytes:
            with hold.use():
                some = islice(records, _PAGE)
                return b"".join(json.dumps(to_json(one)).encode() + b"\n" for one in some)

        while text := await self._slow.run(page, patient=True):
            yield text

    async def watch(self, request: Request) -> Response:
        """Changes of state as they happen, as server-sent events.

        Goes on after the id that a browser sends when it comes back.
        """
        caller, memory = caller_of(request), request.path_params["memory"]
        given: dict[str, Any] = asked(request)
        last = request.headers.get("last-event-id", "")
        if last.isascii() and last.isdigit():
            given["after"] = last
        filled = arguments(BY_NAME["watch"], given)
        most = filled.pop(PAGE, None)
        self._service.admit(caller, memory, "read")
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        if self._watchers >= _MOST_WATCHERS:
            raise OverloadedError("watch", 5)

        def begin(at: Memory | Seat) -> Iterator[list[Change]]:
            at.watch(**filled)  # says at once what may not be read
            return at._pages(**filled)

        self._watchers += 1
        try:
            hold, pages = await self._begin(self._watching, caller, memory, "watch", begin)
        except BaseException:  # it is no watcher, then
            self._watchers -= 1
            raise

        def over() -> None:
            self._watchers -= 1
            hold.release()

        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        events = self._events(hold, pages, most)
        return Held(events, over, headers=headers, media_type="text/event-stream")

    async def _events(
        self, hold: Hold, pages: Iterator[list[Change]], most: int | None
    ) -> AsyncIterator[bytes]:
        def look() -> list[Change] | None:
            with hold.use():
                return next(pages, None)

        loop = asyncio.get_running_loop()
        said, told = loop.time(), 0
        yield b": watching\n\n"
        while not self._closing() and (most is None or told < most):
            try:
                page = await self._watching.run(look)
            except HoldfastError as failure:  # a right that was withdrawn, a disk that failed
                yield b"event: problem\ndata: " + json.dumps(described(failure)).encode() + b"\n\n"
                return
            if page is None:
                return
            if page:
                yield b"".join(map(sent, page))
                said, told = loop.time(), told + len(page)
            elif loop.time() - said > _HEARTBEAT_S:
                yield b": still here\n\n"
                said = loop.time()


def asked(request: Request) -> dict[str, Any]:
    """The arguments in a query; a name that comes several times has a list of values."""
    known = request.query_params
    return {
        name: values[0] if len(values) == 1 else values
        for name in known
        if (values := known.getlist(name))
    }


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

"""Changes of a memory's state as they happen, as server-sent events."""

from __future__ import annotations

import asyncio
import json
import math
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from holdfast.errors import HoldfastError
from holdfast.operations import BY_NAME
from holdfast.server import bodies
from holdfast.server.answers import Stream, caller_again, caller_of, encoded
from holdfast.server.lanes import Lanes, Places
from holdfast.service.call import Service
from holdfast.service.callers import Caller
from holdfast.state.records import Change
from holdfast.wire.arguments import PAGE, arguments
from holdfast.wire.http import described
from holdfast.wire.plain import plain

_MOST_WATCHERS = 64
_HEARTBEAT_S = 15.0
_LOOK_S = 0.05  # between two looks at the files; what costs more is done if they have changed
_SETTLED_NS = 100_000_000  # clocks of files are coarse: within this, two writes may look like one
_PIECE = 256  # changes
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
Stamp = tuple[int, ...] | None
Found = tuple[Stamp, list[Change]]
"""What a memory's files were like before a look, and what it found."""


class Watch:
    """The endpoint that follows changes.

    Parameters
    ----------
    service, lanes
        Do what is asked, and where.
    closing
        Whether the server is about to stop.

    Notes
    -----
    Between two looks a watcher holds nothing: the memory may be closed to open another. It is
    looked into again when its files have changed, so that many watchers of memories that nobody
    uses do not open each of them over and over.
    """

    def __init__(self, service: Service, lanes: Lanes, closing: Callable[[], bool]) -> None:
        self._service, self._lane, self._closing = service, lanes.watch, closing
        self._places = Places("watch", _MOST_WATCHERS)

    async def watch(self, request: Request) -> Response:
        """Changes of state as they happen.

        Goes on after the id that a browser sends when it comes back.
        """
        caller, memory = caller_of(request), request.path_params["memory"]
        given: dict[str, Any] = bodies.asked(request)
        last = request.headers.get("last-event-id", "")
        if last.isascii() and last.isdigit():
            given["after"] = last
        filled = arguments(BY_NAME["watch"], given)
        self._service.admit(caller, memory, "read")
        if request.method == "HEAD":
            return Response(media_type="text/event-stream")
        scope, after = filled.get("scope"), filled.get("after", 0)

        def begin() -> Found:
            with self._service.watched(BY_NAME["watch"], memory, {}):
                return self._look(caller, memory, scope, after)

        with ExitStack() as place:
            place.enter_context(self._places.taken(caller))
            first = await self._lane.run(begin, patient=True)  # says what may not be read
            events = self._events(request, filled, first)
            return Stream(
                events, place.pop_all().close, headers=_HEADERS, media_type="text/event-stream"
            )

    def _look(self, caller: Caller, memory: str, scope: Any, after: int) -> Found:
        stamp = stamp_of(self._service.root.path(memory))  # before, so that nothing is missed
        with self._service.enter(caller, memory, "read") as at:
            where = {} if scope is None else {"scope": scope}
            return stamp, at.changes(**where, after=after)

    async def _events(
        self, request: Request, filled: dict[str, Any], first: Found
    ) -> AsyncIterator[bytes]:
        memory, scope, after = (
            request.path_params["memory"], filled.get("scope"), filled.get("after", 0),
        )  # fmt: skip
        left, patience_s = filled.get(PAGE, math.inf), filled.get("timeout_s")
        path, clock = self._service.root.path(memory), asyncio.get_running_loop().time
        stamp, found = first
        said = heard = clock()
        yield b": watching\n\n"
        try:
            while not self._closing():
                if found:
                    most = int(min(left, len(found)))
                    for start in range(0, most, _PIECE):
                        await caller_again(request)
                        end = min(start + _PIECE, most)
                        yield await self._lane.run(partial(sent, found, start, end), patient=True)
                    left, after = left - most, max(after, found[-1].seq)
                    found, said = [], clock()
                    heard = said
                waited_s = clock() - heard
                if left <= 0 or (patience_s is not None and waited_s >= patience_s):
                    return
                if clock() - said >= _HEARTBEAT_S:
                    await caller_again(request)
                    yield b": still here\n\n"
                    said = clock()
                await asyncio.sleep(_LOOK_S)
                if stamp is None or stamp_of(path) != stamp:
                    look = partial(self._look, caller_of(request), memory, scope, after)
                    stamp, found = await self._lane.run(look, patient=True)
        except HoldfastError as failure:  # a right that was withdrawn, a disk that failed
            yield b"event: problem\ndata: " + encoded(described(failure)) + b"\n\n"


def stamp_of(path: Path) -> Stamp:
    """What is another whenever something has been written to a memory; None if it is too new.

    To open and close a memory without writing to it changes nothing of it.
    """
    times, sizes = [], []
    for file in (path, path.with_name(f"{path.name}-wal")):
        try:
            found = os.stat(file)
        except FileNotFoundError:  # nobody has it open
            continue
        if found.st_size:
            times.append(found.st_mtime_ns)
            sizes.append(found.st_size)
    if any(abs(time.time_ns() - at) < _SETTLED_NS for at in times):
        return None
    return (*times, *sizes)


def sent(changes: Sequence[Change], start: int, end: int) -> bytes:
    """Some of the changes as server-sent events.

    The last change of an event has its number as its id: who comes back with that has seen them
    all, and who was cut off before it is sent them again.
    """
    parts = []
    for n in range(start, end):
        change = changes[n]
        whole = n + 1 == len(changes) or changes[n + 1].seq != change.seq
        id = f"id: {change.seq}\n" if whole else ""
        parts.append(f"{id}event: change\ndata: {json.dumps(plain(change))}\n\n")
    return "".join(parts).encode()

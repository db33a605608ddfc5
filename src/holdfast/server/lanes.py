"""Calls of the engine on threads, in lanes that say no early rather than answer late."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

from holdfast.errors import OverloadedError
from holdfast.operations import Operation
from holdfast.service.callers import Caller

_T = TypeVar("_T")
_PAUSE_S = 1.0  # that a refusal takes: as long as Retry-After asks, for who does not read it
_MOST_PAUSE_S = 5.0
_REFUSALS_PER_S = 250  # for more than these, refusing alone would keep the processor busy
_STREAM_ENDS_S = 5  # how soon one of the streams may have ended
_STRAINED_S = 3.0  # after a refusal: longer than it takes who was refused to come back


class Lane:
    """Threads for calls of one kind, and a bounded queue before them.

    Parameters
    ----------
    name
        What messages and metrics call it.
    threads
        Calls that run at once.
    waiting
        Calls that may wait. Another is refused with `OverloadedError`, after a pause that costs
        nothing but the connection: a client that tries again at once would otherwise take the
        processor from the calls that were accepted.

    Notes
    -----
    An accepted call waits for `waiting / threads` others at the most, so its time is bounded
    whatever is offered. A lane that has had to refuse lets only a third as many wait for the next
    few seconds: under more than it can do, a long queue makes every answer late and none more.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name = name
        self._most, self._strained = threads + waiting, threads + waiting // 3
        self._refused_at = -math.inf
        self._threads = threads
        self._inside = self._refused = 0
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"holdfast-{name}")

    @property
    def waiting(self) -> int:
        """Calls that wait now."""
        return max(0, self._inside - self._threads)

    async def run(self, function: Callable[[], _T], *, patient: bool = False) -> _T:
        """Call a function on a thread of this lane.

        Raises `OverloadedError` if the queue is full, unless `patient`: for the next piece of a
        stream, whose number is bounded elsewhere.
        """
        loop = asyncio.get_running_loop()
        calm = loop.time() - self._refused_at > _STRAINED_S
        if self._inside >= (self._most if calm else self._strained) and not patient:
            self._refused_at = loop.time()
            raise await self._refusal()
        call = loop.run_in_executor(self._pool, function)
        self._inside += 1
        # Who hangs up does not undo what runs; its place is free when it has ended.
        call.add_done_callback(self._left)
        return await asyncio.shield(call)

    async def _refusal(self) -> OverloadedError:
        """Say no, the later the more are waiting to hear it."""
        self._refused += 1
        pause_s = min(_MOST_PAUSE_S, max(_PAUSE_S, self._refused / _REFUSALS_PER_S))
        try:
            # Not all for the same time: who came together would come back together.
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
        finally:
            self._refused -= 1
        return OverloadedError(self.name, math.ceil(pause_s))

    def _left(self, call: asyncio.Future[Any]) -> None:
        self._inside -= 1
        if not call.cancelled():
            call.exception()  # seen, though whoever asked may be gone

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown()


class Places:
    """How many streams of one kind may be under way.

    Parameters
    ----------
    kind
        What messages call it.
    most
        Streams at once. One caller may have half of them, so that nobody keeps all others out.
    """

    def __init__(self, kind: str, most: int) -> None:
        self._kind, self._most, self._taken = kind, most, Counter[str]()

    @contextmanager
    def taken(self, caller: Caller) -> Iterator[None]:
        """Have a place while the block lasts. Raises `OverloadedError` if there is none."""
        held = self._taken[caller.name]
        if self._taken.total() >= self._most or held >= max(1, self._most // 2):
            raise OverloadedError(self._kind, _STREAM_ENDS_S)
        self._taken[caller.name] += 1
        try:
            yield
        finally:
            self._taken[caller.name] -= 1
            self._taken = +self._taken  # of those who have none, nothing is kept


class Lanes:
    """The lanes of a server.

    Reads keep the processor busy, and Python runs one thread at a time: two would only take it from
    each other, so there is one, unless reads wait for a model. Writes wait for the disk, and share
    one synced write when they come together, so there are many. What reads all of a memory has a
    lane of its own and keeps nobody else waiting, and so has each other kind of work:

    read, write, slow
        Operations, as `of` says.
    bulk
        The pieces of streams in and out, whose number is bounded by `Places`.
    watch
        Looks for changes.
    about
        What is asked about the server itself.
    """

    def __init__(self, reading: int = 1, waiting: int = 7) -> None:
        self.read = Lane("read", reading, waiting)
        self.write = Lane("write", 32, 8 * waiting)
        self.slow = Lane("slow", 2, waiting)
        self.bulk = Lane("bulk", 2, 0)
        self.watch = Lane("watch", 4, 0)
        self.about = Lane("about", 2, 6)
        self._all = (self.read, self.write, self.slow, self.bulk, self.watch, self.about)

    def of(self, operation: Operation) -> Lane:
        """The lane of an operation: by how its cost grows, and by its effect."""
        if operation.grows:
            return self.slow
        return self.read if operation.effect == "read" else self.write

    async def run(self, operation: Operation, function: Callable[[], _T]) -> _T:
        """Call a function that does an operation, in its lane."""
        return await self.of(operation).run(function)

    def depths(self) -> Mapping[str, int]:
        """How many calls wait, by lane."""
        return {lane.name: lane.waiting for lane in self._all}

    def close(self) -> None:
        """Wait for what runs in all of them."""
        for lane in self._all:
            lane.close()

"""Calls of the engine on threads, in lanes that say no early rather than answer late."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from holdfast.server.answers import OverloadedError

_T = TypeVar("_T")
_PAUSE_S = 0.25  # that a refusal takes, so that who does not read Retry-After cannot spin


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
    whatever is offered.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self.name = name
        self._most = threads + waiting
        self._threads = threads
        self._inside = 0
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
        if self._inside >= self._most and not patient:
            await asyncio.sleep(_PAUSE_S)
            raise OverloadedError(self.name)
        self._inside += 1
        try:
            call = asyncio.get_running_loop().run_in_executor(self._pool, function)
            # Who hangs up does not undo what runs; its place is free when it has ended.
            return await asyncio.shield(call)
        finally:
            if call.done():
                self._inside -= 1
            else:
                call.add_done_callback(lambda done: self._left())

    def _left(self) -> None:
        self._inside -= 1

    def close(self) -> None:
        """Wait for what runs."""
        self._pool.shutdown()


class Lanes:
    """The lanes of a server, by the effect of an operation.

    Reads keep the processor busy, so there are few at once. Writes wait for the disk, and share
    one synced write when they come together, so there are many. What reads all of a memory has a
    lane of its own and keeps nobody else waiting.
    """

    SLOW = frozenset(
        {
            "verify", "fidelity", "budget_for", "observe_many", "import", "export", "erase",
            "resize", "rollback", "snapshot", "diff", "forgotten",
        }
    )  # fmt: skip
    """Operations whose cost grows with what is kept."""

    def __init__(self, reading: int = 0, waiting: int = 16) -> None:
        readers = reading or max(2, os.cpu_count() or 1)
        self._read = Lane("read", readers, waiting)
        self._write = Lane("write", 32, 8 * waiting)
        self._slow = Lane("slow", 2, waiting)

    def of(self, operation: str, effect: str) -> Lane:
        """The lane of an operation."""
        if operation in self.SLOW:
            return self._slow
        return self._read if effect == "read" else self._write

    def depths(self) -> Mapping[str, int]:
        """How many calls wait, by lane."""
        return {lane.name: lane.waiting for lane in (self._read, self._write, self._slow)}

    def close(self) -> None:
        """Wait for what runs in all of them."""
        for lane in (self._read, self._write, self._slow):
            lane.close()

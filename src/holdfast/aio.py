"""AsyncMemory: the same verbs for asyncio, as a thin shell.

Store calls run on a worker thread; the read paths are the very generators `Memory` drives, with
the model asked on a thread instead of in line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from functools import partial
from itertools import islice
from typing import Any, Generic, Self, TypeVar

from holdfast.api.base import Scopes, Time
from holdfast.memory import Memory
from holdfast.records import Episode, Record
from holdfast.seat import Seat
from holdfast.state.records import Change

_PAGE = 256
_ABSENT = object()
_M = TypeVar("_M", bound=Memory | Seat)


class _Shell(Generic[_M]):
    """Every method of what it holds, awaitable; what yields is iterated asynchronously.

    What is no method, such as a name, is given as it is.
    """

    _memory: _M

    def __init__(self, memory: _M) -> None:
        self._memory = memory

    def __getattr__(self, name: str) -> Any:
        found = _ABSENT if name.startswith("_") else getattr(self._memory, name, _ABSENT)
        if found is _ABSENT:
            raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")
        return partial(asyncio.to_thread, found) if callable(found) else found

    async def log(
        self, after: int = 0, scope: Scopes | None = None, *, as_of: Time = None,
        valid_at: Time = None,
    ) -> AsyncIterator[Record]:  # fmt: skip
        """As `Memory.log`, a page of records to a thread call."""
        where = {} if scope is None else {"scope": scope}
        ask = partial(self._memory.log, after, as_of=as_of, valid_at=valid_at, **where)
        records = await asyncio.to_thread(ask)
        while page := await asyncio.to_thread(_take, records):
            for record in page:
                yield record

    async def watch(
        self, *, scope: Scopes | None = None, after: int = 0, timeout_s: float | None = None
    ) -> AsyncIterator[Change]:
        """As `Memory.watch`. A task that waits in it can be cancelled at any time.

        The loop is never blocked: a thread waits for a fifth of a second at a time, which is also
        the longest that one goes on after its task was cancelled.
        """
        where = {} if scope is None else {"scope": scope}
        ask = partial(self._memory._pages, after=after, timeout_s=timeout_s, **where)
        pages = await asyncio.to_thread(ask)
        while (page := await asyncio.to_thread(next, pages, None)) is not None:
            for change in page:
                yield change


class AsyncSeat(_Shell[Seat]):
    """A `Seat` for asyncio; `AsyncMemory.seat` makes one."""


class AsyncMemory(_Shell[Memory]):
    """A `Memory` for asyncio. Every method of `Memory` is here under its name, awaitable.

    `log` and `watch` are asynchronous iterators; `seat` gives an `AsyncSeat`.

    Examples
    --------
    >>> import asyncio, tempfile, os
    >>> async def main() -> str:
    ...     path = os.path.join(tempfile.mkdtemp(), "ana.holdfast")
    ...     async with await AsyncMemory.open(path, budget="1 MiB") as memory:
    ...         await memory.observe("The spare key is under the blue pot.")
    ...         return (await memory.recall("where is the spare key?")).items[0].text
    >>> asyncio.run(main())
    'The spare key is under the blue pot.'
    """

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *args: Any, **options: Any) -> Self:
        """As `Memory.open`."""
        return cls(await asyncio.to_thread(Memory.open, path, *args, **options))

    async def episodes(self) -> list[Episode]:
        """As `Memory.episodes`, all at once."""
        return await asyncio.to_thread(lambda: list(self._memory.episodes()))

    async def seat(self, principal: str) -> AsyncSeat:
        """As `Memory.seat`."""
        return AsyncSeat(self._memory.seat(principal))

    async def fork(self, path: str | os.PathLike[str], *, snapshot: str | None = None) -> Self:
        """As `Memory.fork`."""
        return type(self)(await asyncio.to_thread(self._memory.fork, path, snapshot=snapshot))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._memory.close)


def _take(records: Iterator[Record]) -> list[Record]:
    return list(islice(records, _PAGE))

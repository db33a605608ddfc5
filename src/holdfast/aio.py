"""AsyncMemory: the same verbs for asyncio, as a thin shell.

Store calls run on a worker thread; the read paths are the very generators `Memory` drives, with
the model asked on a thread instead of in line.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from itertools import islice
from typing import Any, Self

from holdfast.memory import Memory
from holdfast.records import Episode, Record

_PAGE = 256


class AsyncMemory:
    """A `Memory` for asyncio. Every method of `Memory` is here under its name, awaitable.

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

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    @classmethod
    async def open(cls, path: str | os.PathLike[str], *args: Any, **options: Any) -> Self:
        """As `Memory.open`."""
        return cls(await asyncio.to_thread(Memory.open, path, *args, **options))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        method = None if name.startswith("_") else getattr(self._memory, name, None)
        if not callable(method):
            raise AttributeError(f"AsyncMemory has no attribute {name!r}")
        return partial(asyncio.to_thread, method)

    async def log(self, after: int = 0, scope: str = "") -> AsyncIterator[Record]:
        """As `Memory.log`, a page of records to a thread call."""
        records = self._memory.log(after, scope)
        while page := await asyncio.to_thread(_take, records):
            for record in page:
                yield record

    async def episodes(self) -> list[Episode]:
        """As `Memory.episodes`, all at once."""
        return await asyncio.to_thread(lambda: list(self._memory.episodes()))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self._memory.close)


def _take(records: Iterator[Record]) -> list[Record]:
    return list(islice(records, _PAGE))

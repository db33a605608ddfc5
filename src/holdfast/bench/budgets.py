"""Equal budgets: how large a file must be so that so many bytes of content fit, and no more."""

from __future__ import annotations

import tempfile
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import apsw

from holdfast.stores.space import PAGE, SMALLEST_BUDGET, Space

if TYPE_CHECKING:
    from holdfast import Memory


@dataclass(frozen=True, slots=True)
class FileBudget:
    """A budget of content, and the file that has just the room for it.

    Attributes
    ----------
    payload
        Bytes of pages that may hold content.
    file
        Bytes for the file: those, its fixed structures, and what it keeps free for the next batch.
    ballast
        Bytes of pages that are filled beforehand, because even the smallest file has more room.
    """

    payload: int
    file: int
    ballast: int


def file_budget(payload: int) -> FileBudget:
    """The smallest file whose pages for content come to `payload` bytes.

    Pages for content are those that may be in use when a batch of the usual size is let in, less
    those that `make_file` uses. What the room is comes from the store's own accounting.
    """
    room = _room()
    smallest = SMALLEST_BUDGET // PAGE
    largest = smallest + 2 * payload // PAGE
    pages = bisect_left(range(smallest, largest), payload, key=lambda n: room(n * PAGE))
    budget = (smallest + pages) * PAGE
    return FileBudget(payload, budget, max(0, room(budget) - payload) // PAGE * PAGE)


def make_file(path: Path, budget: FileBudget) -> None:
    """Make a memory of that budget that holds next to nothing, ballast in place.

    It has one event of one byte, in no stream's scope: the first event of a file founds what the
    others need, and the room for that would be missing where a payload is small.
    """
    from holdfast import Memory

    with Memory.open(path, budget.file, extractor=None, durability="off") as memory:
        memory.observe("-")
    pages = budget.ballast // PAGE
    if pages > 1:
        db = apsw.Connection(str(path))
        db.execute("CREATE TABLE ballast (data)")  # its first page; the others are overflow
        db.execute("INSERT INTO ballast VALUES (zeroblob(?))", ((pages - 1) * (PAGE - 4),))
        db.close()


def bytes_in_use(memory: Memory) -> int:
    """Bytes of database pages that hold something."""
    store = memory._store
    return store.excess(store.budget) + store.capacity()


@lru_cache(maxsize=1)
def _empty_bytes() -> int:
    """What such a memory uses without ballast."""
    from holdfast import Memory

    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder) / "empty.holdfast"
        make_file(path, FileBudget(0, SMALLEST_BUDGET, 0))
        with Memory.open(path, extractor=None, durability="off") as memory:
            return bytes_in_use(memory)


def _room() -> Callable[[int], int]:
    """Bytes of content by bytes of the whole file."""
    space, empty = Space(apsw.Connection(":memory:"), Path(), 0.0), _empty_bytes()

    def room(budget: int) -> int:
        space.set_budget(budget)
        return space.room_for(space.batch_bytes()) - empty

    return room

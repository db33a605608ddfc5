"""What of each page of a SQLite file holds something, and what is left over.

SQLite never reads the bytes between the cells of a page, behind the end of an overflow chain, or on
the free list, but it leaves there what once was: rows that were deleted, and copies of rows that
moved to a neighbouring page. `slack` names those bytes.

References
----------
The SQLite database file format, https://www.sqlite.org/fileformat2.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

Read = Callable[[int], bytes]
"""The bytes of a page, by its number from 1."""
Ranges = list[tuple[int, int]]

_INDEX_INNER, _TABLE_INNER, _INDEX_LEAF, _TABLE_LEAF = 2, 5, 10, 13
_TREES = frozenset({_INDEX_INNER, _TABLE_INNER, _INDEX_LEAF, _TABLE_LEAF})


class PagesError(ValueError):
    """A page that breaks the format; `integrity_check` says more."""


def slack(read: Read, roots: list[int], n_pages: int, page: int) -> Iterator[tuple[int, Ranges]]:
    """Every page with the ranges of bytes on it that hold nothing, in no order.

    Parameters
    ----------
    roots
        The first pages of all trees, page 1 among them.
    n_pages, page
        Pages in the file, and bytes of each. There are pages of pointers, as with auto-vacuum.

    Raises
    ------
    PagesError
        If a page cannot be what the others say it is.

    Notes
    -----
    Reads each page once. A page that nothing refers to holds nothing.
    """
    seen: set[int] = set()

    def take(number: int) -> bytes:
        if not 0 < number <= n_pages or number in seen:
            raise PagesError(f"page {number} of {n_pages} is used twice or not there")
        seen.add(number)
        data = read(number)
        if len(data) != page:
            raise PagesError(f"page {number} has {len(data)} bytes")
        return data

    pending = list(dict.fromkeys(roots))
    while pending:
        number = pending.pop()
        children, chains, free = _tree_page(take(number), number, page)
        yield number, free
        pending += children
        for first, nbytes in chains:
            at = first
            while nbytes > 0:
                data = take(at)
                held = min(nbytes, page - 4)
                yield at, [(4 + held, page)] if held < page - 4 else []
                at, nbytes = int.from_bytes(data[:4]), nbytes - held
    first_page = read(1)
    trunk = int.from_bytes(first_page[32:36])
    while trunk:
        data = take(trunk)
        count = min(int.from_bytes(data[4:8]), page // 4 - 2)
        yield trunk, [(8 + 4 * count, page)]
        for i in range(count):
            leaf = int.from_bytes(data[8 + 4 * i : 12 + 4 * i])
            take(leaf)
            yield leaf, [(0, page)]
        trunk = int.from_bytes(data[:4])
    per_map = page // 5
    for number in range(2, n_pages + 1, per_map + 1):
        take(number)
        held = min(per_map, n_pages - number)
        yield number, [(5 * held, page)]
    for number in range(1, n_pages + 1):
        if number not in seen:
            yield number, [(0, page)]


def _tree_page(
    data: bytes, number: int, page: int
) -> tuple[list[int], list[tuple[int, int]], Ranges]:
    """A page of a tree: its children, its chains as (first page, bytes), and its free ranges."""
    start = 100 if number == 1 else 0
    kind = data[start]
    if kind not in _TREES:
        raise PagesError(f"page {number} is of no known kind")
    inner = kind in (_INDEX_INNER, _TABLE_INNER)
    head = start + (12 if inner else 8)
    n_cells = int.from_bytes(data[start + 3 : start + 5])
    children = [int.from_bytes(data[start + 8 : start + 12])] if inner else []
    chains: list[tuple[int, int]] = []
    held = [(0, head + 2 * n_cells)]
    try:
        for i in range(n_cells):
            at = int.from_bytes(data[head + 2 * i : head + 2 * i + 2])
            end = _cell(data, at, kind, page, children, chains)
            held.append((at, max(end, at + 4)))
        at = int.from_bytes(data[start + 1 : start + 3])
        while at:  # of a free block only where the next one is and how long this is
            held.append((at, at + 4))
            at = int.from_bytes(data[at : at + 2])
            if len(held) > page:
                raise PagesError(f"page {number} has free blocks in a circle")
    except IndexError:
        raise PagesError(f"a cell of page {number} is cut short") from None
    free, position = [], 0
    for begin, end in sorted(held):
        if begin > position:
            free.append((position, begin))
        position = max(position, end)
    if position < page:
        free.append((position, page))
    return children, chains, free


def _cell(
    data: bytes,
    at: int,
    kind: int,
    page: int,
    children: list[int],
    chains: list[tuple[int, int]],
) -> int:
    """Where a cell ends; adds its child and its chain."""
    if kind in (_INDEX_INNER, _TABLE_INNER):
        children.append(int.from_bytes(data[at : at + 4]))
        at += 4
    if kind == _TABLE_INNER:
        return _varint(data, at)[1]
    size, at = _varint(data, at)
    if kind == _TABLE_LEAF:
        at = _varint(data, at)[1]
    most = page - 35 if kind == _TABLE_LEAF else (page - 12) * 64 // 255 - 23
    if size <= most:
        return at + size
    least = (page - 12) * 32 // 255 - 23
    local = least + (size - least) % (page - 4)
    if local > most:
        local = least
    at += local
    chains.append((int.from_bytes(data[at : at + 4]), size - local))
    return at + 4


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A number of one to nine bytes, and where it ends."""
    value = 0
    for i in range(8):
        byte = data[at + i]
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at + i + 1
    return value << 8 | data[at + 8], at + 9

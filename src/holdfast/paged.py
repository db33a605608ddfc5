"""Small changes that are stored at once, in front of the pages that they are folded into.

A book that is changed a little in every transaction cannot be written whole each time, nor can each
of its pages. So a change is one small row, and the pages are brought up to date one by one, in
turn; a change that every page has taken in is deleted. What a page holds is told by the number of
the last change before it was written, so that nothing is folded into it twice.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from zlib import crc32

from holdfast.errors import CorruptStoreError
from holdfast.stores.base import Shelf, Store, Transaction

FRAME = 4120
"""Bytes of a transaction's log that a page takes."""
_FIRST = 1 << 32  # number of the first change; pages have lower ones
_CRC = struct.Struct("<I")
_UPTO = struct.Struct("<Q")
_SPARED_BYTES = 6 * 4096  # of what a store leaves free, that may be taken by what is written here
_DELETED_AT_ONCE = 4  # changes; one more comes in at most
_DELETED = 1.2  # pages that deleting a row may dirty


def cell_bytes(nbytes: int) -> int:
    """Bytes of a transaction's log that writing a small row may take."""
    return int((4 + (nbytes + 16) / 2048) * FRAME)


def room(tx: Transaction) -> int:
    """Bytes of one small row that a transaction may still take, which is perhaps making room."""
    if tx.room_for(0) + _SPARED_BYTES < 0:
        return 0
    return max(0, (tx.slack() // FRAME - 5) * 2048)


def seal(data: bytes, id: int) -> bytes:
    """A small row with a checksum over its content and its number."""
    return _CRC.pack(crc32(data, id & 0xFFFF_FFFF)) + data


def unseal(row: bytes, id: int, shelf: Shelf) -> bytes:
    """The inverse of `seal`; raises `CorruptStoreError` if either changed."""
    data = row[_CRC.size :]
    if len(row) < _CRC.size or _CRC.unpack_from(row)[0] != crc32(data, id & 0xFFFF_FFFF):
        raise CorruptStoreError(f"row {id} of shelf {shelf} fails its CRC-32; run verify")
    return data


class Paged:
    """The rows of one book: its pages, and the changes that are not in all of them yet.

    Its owner keeps in RAM what pages and changes add up to, and reads all anew if a transaction
    fails.

    Parameters
    ----------
    shelf
        Where they lie.

    Notes
    -----
    A change costs one small row, and a page for each so many bytes of changes: O(1) amortised.
    """

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf
        self.pages: dict[int, bytes] = {}
        """What was read of each page."""
        self.changes: list[tuple[int, bytes]] = []
        """What was read of the changes, in order, each with its number."""
        self._folded: dict[int, int] = {}  # by page: the last change that it holds
        self._sizes: dict[int, int] = {}  # of the changes that are stored
        self._next = _FIRST
        self._due = 0.0  # pages to be written

    @classmethod
    def read(cls, store: Store, shelf: Shelf) -> Paged:
        """What a store holds. Raises `CorruptStoreError` if it is damaged."""
        paged = cls(shelf)
        for id, row in store.cells(shelf):
            data = unseal(row, id, shelf)
            if id >= _FIRST:
                paged.changes.append((id, data))
                paged._sizes[id] = len(row)
                paged._next = id + 1
            elif len(data) < _UPTO.size:
                raise CorruptStoreError(f"page {id} of shelf {shelf} is cut short; run verify")
            else:
                (paged._folded[id],) = _UPTO.unpack_from(data)
                paged.pages[id] = data[_UPTO.size :]
                paged._next = max(paged._next, paged._folded[id] + 1)
        return paged

    @property
    def nbytes(self) -> int:
        """Bytes of the changes that are stored."""
        return sum(self._sizes.values())

    def holds(self, page: int, change: int) -> bool:
        """Whether a page has taken a change in."""
        return change <= self._folded.get(page, 0)

    def append(self, tx: Transaction, data: bytes, pages: int, most: int) -> None:
        """Store a change of a book with so many pages, which follow it at such a pace that all
        changes together take about `most` bytes at the most."""
        row = seal(data, self._next)
        tx.put_cell(self.shelf, self._next, row)
        self._sizes[self._next] = len(row)
        self._next += 1
        self._due += 2 * pages * len(row) / most

    def fold(
        self,
        tx: Transaction,
        make: Callable[[int], bytes],
        *,
        pages: int,
        size: int,
        most: int,
        batch: int,
    ) -> None:
        """Write the pages that are due, as far as the transaction has room.

        Parameters
        ----------
        make
            What a page holds by now.
        pages, size
            How many there are, and the bytes of one at the most.
        most
            As of `append`; over half of it, less room is left to others.
        batch
            Bytes of events that the transaction may still have to take.
        """
        spare = 34 * FRAME + 2 * batch
        if self.nbytes > most // 2:
            spare, self._due = 8 * FRAME, max(self._due, 1.0)
        while self._due >= 1 and tx.slack() > spare + cell_bytes(size) and room(tx) > size:
            page = min(range(pages), key=lambda n: self._folded.get(n, 0))
            if self.holds(page, self._next - 1):
                self._due = 0.0
                break
            self.put(tx, page, make(page))
            self._due -= 1
        oldest = min(self._folded.get(n, 0) for n in range(pages))
        most_gone = min(_DELETED_AT_ONCE, (tx.slack() - spare) // int(_DELETED * FRAME))
        gone = [id for id in self._sizes if id <= oldest][: max(0, most_gone)]
        tx.delete_cells(self.shelf, gone)
        for id in gone:
            del self._sizes[id]

    def put(self, tx: Transaction, page: int, data: bytes) -> None:
        """Write a page, with all changes so far."""
        tx.put_cell(self.shelf, page, self._row(page, data))
        self._folded[page] = self._next - 1

    def anew(self, pages: Mapping[int, bytes]) -> Iterator[tuple[int, bytes | None]]:
        """The rows that make these all the pages there are, and leave no change: None to delete.

        The pages come first, so that whoever stops in between has lost nothing. The owner reads
        everything anew afterwards.
        """
        yield from ((page, self._row(page, data)) for page, data in pages.items())
        yield from ((page, None) for page in sorted(self._folded.keys() - pages.keys()))
        yield from ((id, None) for id in self._sizes)

    def _row(self, page: int, data: bytes) -> bytes:
        return seal(_UPTO.pack(self._next - 1) + data, page)

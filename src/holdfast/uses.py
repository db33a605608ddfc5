"""How often each kept event was of use, when last, and how many others it stands for."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from holdfast.errors import CorruptStoreError
from holdfast.paged import Paged, room
from holdfast.stores.base import Store, Transaction

Floats = npt.NDArray[np.float64]
Seqs = npt.NDArray[np.int64]
Kept = Callable[[Seqs], npt.NDArray[np.bool_]]
"""Which of some events are kept."""

_SHARE = 128  # of a budget, one part in so many is for feedback
_MOST_CHANGES = 131_072  # bytes of what is not in the pages yet
_PAGE_BYTES, _LARGEST_PAGE = 3840, 8192
_MOST_BYTES = 8192  # of one change that tells what was merged
_USED, _MERGED = 0, 1
_CHANGE = struct.Struct("<BIq")  # kind, pages, position of the stream
_COUNT = struct.Struct("<I")
_WIDTH = 4  # columns: uses, last use, longest gap, mass


class UseColumns(NamedTuple):
    """Of some events, (n,) each: see `retention.view.View`."""

    uses: Floats
    used_at: Floats
    gap: Floats
    mass: Floats


class _Table:
    """A row of numbers for each of some events: sorted arrays, and a few newer rows before them."""

    def __init__(self) -> None:
        self._seqs: Seqs = np.zeros(0, np.int64)
        self._rows: Floats = np.zeros((0, _WIDTH))
        self._newer: dict[int, list[float]] = {}

    def row(self, seq: int) -> list[float]:
        """The row of an event, to be changed; a new one if it has none."""
        row = self._newer.get(seq)
        if row is None:
            row = self._newer[seq] = self.look(seq)
        return row

    def look(self, seq: int) -> list[float]:
        """A copy of the row of an event."""
        if seq in self._newer:
            return list(self._newer[seq])
        at = int(np.searchsorted(self._seqs, seq))
        if at < len(self._seqs) and self._seqs[at] == seq:
            found: list[float] = self._rows[at].tolist()
            return found
        return [0.0, float(seq), 0.0, 1.0]

    def arrays(self) -> tuple[Seqs, Floats]:
        """All events that have a row, ascending, and the rows."""
        if self._newer:
            self._seqs, self._rows = _merged(self._seqs, self._rows, self._newer)
            self._newer = {}
        return self._seqs, self._rows

    def part(self, page: int, pages: int) -> tuple[Seqs, Floats]:
        """As `arrays`, of the events of one page."""
        here = (self._seqs % pages == page).nonzero()[0]
        newer = {seq: row for seq, row in self._newer.items() if seq % pages == page}
        return _merged(self._seqs[here], self._rows[here], newer)

    def drop(self, seqs: Seqs) -> None:
        """Forget the rows of some events."""
        if self._newer:
            for seq in seqs.tolist():
                self._newer.pop(seq, None)
        if len(self._seqs):
            at = np.minimum(np.searchsorted(self._seqs, seqs), len(self._seqs) - 1)
            gone = at[self._seqs[at] == seqs]
            if len(gone):
                self._seqs = np.delete(self._seqs, gone)
                self._rows = np.delete(self._rows, gone, axis=0)


def _merged(seqs: Seqs, rows: Floats, newer: Mapping[int, list[float]]) -> tuple[Seqs, Floats]:
    """Rows by ascending number, with newer ones before them."""
    if not newer:
        return seqs, rows
    some = np.array(sorted(newer), np.int64)
    old = ~np.isin(seqs, some)
    both = np.concatenate([seqs[old], some])
    order = np.argsort(both, kind="stable")
    found = np.concatenate([rows[old], np.array([newer[seq] for seq in some.tolist()])])
    return both[order], found[order]


class Uses:
    """The feedback of one memory. Not safe for threads: its owner holds the writer's lock.

    Notes
    -----
    At most one part in 128 of the budget; if that is not enough, what was least of use is
    forgotten first. Only kept events count: what is evicted or erased is forgotten. A change is one
    small row; see `paged`.
    """

    def __init__(self, store: Store, paged: Paged) -> None:
        self._store, self._paged = store, paged
        self._table = _Table()
        self._pages = max(1, self._pages_bytes() // _PAGE_BYTES)
        self._owed: dict[int, list[float]] = {}  # what merging adds to events, not stored yet

    @classmethod
    def load(cls, store: Store, kept: Kept) -> Self:
        """What a store holds of events that are kept. `CorruptStoreError` if it is damaged."""
        uses = cls(store, Paged.read(store, "use"))
        try:
            uses._restore()
        except (ValueError, LookupError, struct.error, zlib.error) as error:
            raise CorruptStoreError(f"the feedback cannot be read: {error}; run verify") from None
        seqs, _ = uses._table.arrays()
        uses._table.drop(seqs[~kept(seqs)])
        return uses

    def columns(self, seqs: Seqs) -> UseColumns:
        """What is known of some events. O(n log m) for m events that were ever of use."""
        known, rows = self._table.arrays()
        found = np.zeros((_WIDTH, len(seqs)))
        found[1], found[3] = seqs, 1.0
        if len(known):
            at = np.minimum(np.searchsorted(known, seqs), len(known) - 1)
            held = (known[at] == seqs).nonzero()[0]
            found[:, held] = rows[at[held]].T
        return UseColumns(*found)

    # ---- changes ---------------------------------------------------------------------------

    def used(self, tx: Transaction, seqs: Sequence[int], now: int) -> None:
        """Some events were of use when the stream was at `now`."""
        numbers = np.array(sorted(set(seqs)), "<i8")
        if len(numbers):
            self._append(tx, _CHANGE.pack(_USED, self._pages, now) + numbers.tobytes())
            self._fold(tx)

    def merged(self, pairs: Sequence[tuple[int, int]]) -> None:
        """Each first event is merged into the second, which takes over its mass and uses.

        `write` stores it.
        """
        for one, other in pairs:
            row = self._table.look(one)
            if one in self._owed:
                _join(row, self._owed.pop(one))
            if other in self._owed:
                _join(self._owed[other], row)
            else:
                self._owed[other] = row

    def write(self, tx: Transaction) -> None:
        """Store what was merged, as the transaction has room; what is left goes with the next."""
        fits = (min(room(tx), _MOST_BYTES) - _CHANGE.size) // (8 + 8 * _WIDTH)
        some = sorted(self._owed)[: max(0, fits)]
        if some:
            seqs, rows = np.array(some, "<i8"), np.array([self._owed.pop(seq) for seq in some])
            head = _CHANGE.pack(_MERGED, self._pages, len(some))
            self._append(tx, head + seqs.tobytes() + rows.astype("<f8").tobytes())
        self._fold(tx)

    def forget(self, gone: Sequence[int]) -> None:
        """Some events are not kept any more."""
        if gone:
            self._table.drop(np.array(gone, np.int64))
            for seq in gone:
                self._owed.pop(seq, None)

    def without(self, seqs: Iterable[int]) -> Iterator[tuple[int, bytes | None]]:
        """Forget some events. The rows to write; see Paged. The owner loads everything anew."""
        self._table.drop(np.array(sorted(seqs), np.int64))
        known, _ = self._table.arrays()
        stored = len(known) or self._paged.pages or self._paged.nbytes
        return self._paged.anew(
            {page: self._page(page) for page in range(self._pages)} if stored else {}
        )

    # ---- inside ----------------------------------------------------------------------------

    def _bytes(self) -> int:
        return self._store.budget // _SHARE

    def _changes_bytes(self) -> int:
        return min(_MOST_CHANGES, self._bytes() // 4)

    def _pages_bytes(self) -> int:
        return self._bytes() - self._changes_bytes()

    def _page_bytes(self) -> int:
        return min(self._pages_bytes() // self._pages, _LARGEST_PAGE)

    def _append(self, tx: Transaction, data: bytes) -> None:
        self._paged.append(tx, data, self._pages, self._changes_bytes())
        self._take(data)

    def _fold(self, tx: Transaction) -> None:
        self._paged.fold(
            tx, self._page, pages=self._pages, size=self._page_bytes(), most=self._changes_bytes(),
            batch=self._store.batch_bytes(),
        )  # fmt: skip

    def _page(self, page: int) -> bytes:
        """A page as bytes; what there is no room for is forgotten."""
        most = self._page_bytes() - _COUNT.size - 32
        seqs, rows = self._table.arrays()
        here = (seqs % self._pages == page).nonzero()[0]
        data = _encode(seqs[here], rows[here])
        while len(data) > most and len(here):
            value = rows[here, 0] + rows[here, 3] - 1.0  # its uses, and those it stands for
            worst = np.lexsort((rows[here, 1], value))
            few = max(1, int(len(here) * (1 - 0.95 * most / len(data))))
            self._table.drop(seqs[here[worst[:few]]])
            seqs, rows = self._table.arrays()
            here = (seqs % self._pages == page).nonzero()[0]
            data = _encode(seqs[here], rows[here])
        return _COUNT.pack(self._pages) + data

    def _restore(self) -> None:
        for page, data in self._paged.pages.items():
            (self._pages,) = _COUNT.unpack_from(data)
            if page >= self._pages:
                raise ValueError(f"page {page} of {self._pages}")
            seqs, rows = _decode(data[_COUNT.size :])
            for seq, row in zip(seqs.tolist(), rows.tolist(), strict=True):
                self._table.row(seq)[:] = row
        for id, data in self._paged.changes:
            _, self._pages, _ = _CHANGE.unpack_from(data)
            self._take(data, id)

    def _take(self, data: bytes, change: int | None = None) -> None:
        """Take in a change; with its number, only what the pages do not hold yet."""

        def fresh(seq: int) -> bool:
            return change is None or not self._paged.holds(seq % self._pages, change)

        kind, _, number = _CHANGE.unpack_from(data)
        if kind == _USED:
            for seq in filter(fresh, np.frombuffer(data, "<i8", -1, _CHANGE.size).tolist()):
                row = self._table.row(seq)
                row[0] += 1.0
                row[2] = max(row[2], number - row[1])
                row[1] = max(row[1], float(number))
            return
        seqs = np.frombuffer(data, "<i8", number, _CHANGE.size).tolist()
        rows = np.frombuffer(data, "<f8", -1, _CHANGE.size + 8 * number).reshape(-1, _WIDTH)
        for seq, row in zip(seqs, rows.tolist(), strict=True):
            if fresh(seq):
                _join(self._table.row(seq), row)


def _join(row: list[float], other: list[float]) -> None:
    """Let a row stand for another one, too."""
    if other[0]:
        row[1] = max(row[1], other[1])
    row[0] += other[0]
    row[2] = max(row[2], other[2])
    row[3] += other[3]


def _encode(seqs: Seqs, rows: Floats) -> bytes:
    """Rows as compressed byte planes."""
    whole = np.stack([np.diff(seqs, prepend=0), (rows[:, 1] - seqs), rows[:, 2]]).astype("<i8")
    parts = np.stack([rows[:, 0], rows[:, 3]]).astype("<f4")
    planes = [
        part.view(np.uint8).reshape(len(part), len(seqs), part.dtype.itemsize)
        for part in (whole, parts)
    ]
    data = b"".join(plane.transpose(0, 2, 1).tobytes() for plane in planes)
    return _COUNT.pack(len(seqs)) + zlib.compress(data)


def _decode(data: bytes) -> tuple[Seqs, Floats]:
    """The inverse of `_encode`."""
    (n,) = _COUNT.unpack_from(data)
    planes = np.frombuffer(zlib.decompress(data[_COUNT.size :]), np.uint8)
    whole = planes[: 24 * n].reshape(3, 8, n).transpose(0, 2, 1).copy().view("<i8")[..., 0]
    parts = planes[24 * n :].reshape(2, 4, n).transpose(0, 2, 1).copy().view("<f4")[..., 0]
    seqs = np.cumsum(whole[0])
    return seqs, np.column_stack([parts[0], whole[1] + seqs, whole[2], parts[1]])

"""Which documents of the index are kept in the store's index segments, so that opening is quick.

A segment names each of its documents by event and tier. An event passes through each tier at most
once, so a document is current exactly if its event still is at that tier: segments never need to
be rewritten when events are demoted or evicted. One that has become mostly stale is dropped, and
what was still current in it is written again with the next. A damaged or missing segment costs
only time: its documents are derived again from the log.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from holdfast.errors import CorruptStoreError
from holdfast.recall.columns import NO_SEGMENT, Bools, Columns, Rows
from holdfast.recall.postings import Postings
from holdfast.recall.segment_codec import decode_segment, encode_segment
from holdfast.recall.segments import Segment

_SEGMENT_TERMS = 40_000  # index terms in one segment, at most about
_TERM_BYTES = 2  # bytes a term takes in one, at most about
_KEPT_FROM = 4 * 2**20
_SMALLEST_SHARE = 0.5  # of a segment that must be current for it to stay


class Shelf:
    """Bookkeeping of the persisted segments; the store holds their bytes.

    Parameters
    ----------
    segment_bytes
        Bytes one segment may take in a transaction.
    budget
        Bytes of everything. A small memory keeps no segments: it is indexed anew in a second or
        two, and the room is worth more to what is remembered.
    """

    def __init__(self, segment_bytes: int, budget: int = _KEPT_FROM) -> None:
        self.kept = budget >= _KEPT_FROM
        self.segment_bytes = min(segment_bytes, _TERM_BYTES * _SEGMENT_TERMS)
        self._loaded: list[tuple[int, Segment, npt.NDArray[np.uint64]]] = []
        self._sizes: dict[int, list[int]] = {}  # id -> [current terms, all terms]
        self.damaged: list[int] = []
        self._next_id = 1

    @property
    def _terms(self) -> int:
        return self.segment_bytes // _TERM_BYTES

    # ---- opening ---------------------------------------------------------------------------

    def load(self, segments: Iterable[tuple[int, bytes]]) -> None:
        """Decode what the store has."""
        for id, data in segments:
            self._next_id = max(self._next_id, id + 1)
            try:
                segment, keys = decode_segment(data)
            except CorruptStoreError:
                self.damaged.append(id)
            else:
                self._loaded.append((id, segment, keys))

    def place(self, columns: Columns, postings: Postings) -> Bools:
        """Give the index every document that is current; says which rows that covered, (n,)."""
        covered = np.zeros(columns.n, np.bool_)
        for id, segment, keys in self._loaded:
            seqs, tiers = (keys >> np.uint64(2)).astype(np.int64), keys & np.uint64(3)
            rows = np.minimum(columns.find_all(seqs), max(0, columns.n - 1))
            if not columns.n:
                rows = np.full(len(seqs), -1)
            else:
                current = (columns.seq[rows] == seqs) & (columns.tier[rows] == tiers)
                current &= ~covered[rows]
                rows = np.where(current, rows, -1)
            postings.load(segment, rows)
            held = rows[rows >= 0]
            covered[held] = True
            columns.segment[held] = id
            self._sizes[id] = [
                int(columns.length[held].sum()), int(segment.lengths.sum())
            ]  # fmt: skip
        self._loaded = []
        return covered

    # ---- writing ---------------------------------------------------------------------------

    def due(self, columns: Columns) -> bool:
        """Whether enough documents are in no segment to make one."""
        held = sum(size[0] for size in self._sizes.values())
        return self.kept and columns.total_length - held >= 5 * self._terms // 4

    def next_segment(
        self, columns: Columns, postings: Postings, before: int
    ) -> tuple[int, bytes, Rows] | None:
        """The oldest unshelved documents below event `before`, as a segment: id, bytes, rows."""
        rows = np.flatnonzero(
            columns.alive & (columns.segment == NO_SEGMENT) & (columns.seq < before)
        )
        rows = rows[: 1 + int(np.searchsorted(np.cumsum(columns.length[rows]), self._terms))]
        rows = rows[:16_384]
        if not len(rows):
            return None
        segment, found = postings.extract(rows)
        keys = columns.seq[found].astype(np.uint64) << np.uint64(2)
        keys |= columns.tier[found].astype(np.uint64)
        return self._next_id, encode_segment(segment, keys), found

    def stale(self) -> list[int]:
        """Segments that are mostly out of date, or damaged."""
        sparse = [id for id, (now, all_) in self._sizes.items() if now < _SMALLEST_SHARE * all_]
        return self.damaged + sparse

    # ---- what has happened -----------------------------------------------------------------

    def note(self, id: int, rows: Rows, columns: Columns) -> None:
        """A segment was written; these rows are in it."""
        terms = int(columns.length[rows].sum())
        columns.segment[rows] = id
        self._sizes[id] = [terms, terms]
        self._next_id = max(self._next_id, id + 1)

    def leave(self, rows: Rows, columns: Columns) -> None:
        """The documents of some rows are about to change or go."""
        ids = columns.segment[rows]
        for id in np.unique(ids[ids != NO_SEGMENT]).tolist():
            self._sizes[id][0] -= int(columns.length[rows[ids == id]].sum())
        columns.segment[rows] = NO_SEGMENT

    def drop(self, id: int, columns: Columns) -> None:
        """A segment was deleted from the store."""
        columns.segment[columns.segment == id] = NO_SEGMENT
        self._sizes.pop(id, None)
        if id in self.damaged:
            self.damaged.remove(id)

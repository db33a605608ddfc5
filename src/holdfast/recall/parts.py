"""What an index is made of: a small mutable tail and immutable parts, both over rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.recall.segments import Bools, Ints, Segment, from_lists

TAIL_DOCS = 1024
TOP_IMPACT = 65_535

Terms = npt.NDArray[np.uint32]


class Run(NamedTuple):
    """The postings of one query term in one part, filtered."""

    term: int  # position in the query
    docs: npt.NDArray[np.unsignedinteger[Any]]  # (n,) places in the part, distinct
    impacts: npt.NDArray[np.uint16]  # (n,)


@dataclass(frozen=True, slots=True)
class Saturation:
    """How much one more occurrence of a term still counts: BM25's k1, b and average length."""

    k1: float
    b: float
    pivot: float

    def impacts(self, tfs: npt.NDArray[Any], lengths: npt.NDArray[Any]) -> npt.NDArray[np.uint16]:
        """``tf / (tf + k1 (1 - b + b length / pivot))`` in 65,535ths, at least one of them."""
        norms = lengths * (self.k1 * self.b / self.pivot)
        norms += self.k1 * (1.0 - self.b)
        norms += tfs
        share = np.divide(tfs * float(TOP_IMPACT), norms, out=norms)
        np.rint(share, out=share)
        return np.maximum(share, 1.0, out=share).astype(np.uint16)


class Part:
    """A segment, the row of each of its documents (-1: dead), and the impacts of its postings."""

    def __init__(
        self, segment: Segment, rows: npt.NDArray[np.int32], saturation: Saturation
    ) -> None:
        self.segment = segment
        self.rows = rows
        self.dead = int(np.count_nonzero(rows < 0))
        self.top = int(rows.max(initial=-1))  # no row is higher
        self.repivot(saturation)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def live(self) -> int:
        return len(self.rows) - self.dead

    @property
    def nbytes(self) -> int:
        return self.segment.nbytes + self.rows.nbytes + self.impacts.nbytes

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        return self.segment.lengths

    def repivot(self, saturation: Saturation) -> None:
        """Compute the impacts anew."""
        segment = self.segment
        self.impacts = saturation.impacts(segment.tfs, segment.lengths[segment.docs])

    def runs(self, query: Terms, mask: Bools | None, saturation: Saturation) -> list[Run]:
        """The postings of each query term that is here, of documents in `mask` only."""
        terms, offsets = self.segment.terms, self.segment.offsets
        at = terms.searchsorted(query)
        here = (terms.take(at, mode="clip") == query).nonzero()[0]
        if not len(here):
            return []
        at = at[here]
        bounds = zip(here.tolist(), offsets[at].tolist(), offsets[at + 1].tolist(), strict=True)
        docs, impacts = self.segment.docs, self.impacts
        if mask is None:
            return [Run(t, docs[start:end], impacts[start:end]) for t, start, end in bounds]
        runs = []
        for t, start, end in bounds:
            run = docs[start:end]
            held = mask.take(run)
            runs.append(Run(t, run[held], impacts[start:end][held]))
        return runs

    def selected(self, keep: Bools) -> tuple[Segment, npt.NDArray[np.int32]]:
        """Segment and rows of the documents in `keep`."""
        if keep.all():
            return self.segment, self.rows
        return self.segment.select(keep), self.rows[keep]


class Tail:
    """The newest documents: lists that grow, at most `TAIL_DOCS` documents."""

    def __init__(self) -> None:
        self._rows = np.full(TAIL_DOCS, -1, np.int32)
        self._lengths = np.zeros(TAIL_DOCS, np.uint32)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._lists: defaultdict[int, list[int]] = defaultdict(list)  # doc << 8 | tf, by term
        self._n = self.dead = 0
        self.top = -1

    def __len__(self) -> int:
        return self._n

    @property
    def live(self) -> int:
        return self._n - self.dead

    @property
    def nbytes(self) -> int:
        return self._rows.nbytes + self._lengths.nbytes + 40 * sum(map(len, self._lists.values()))

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        return self._rows[: self._n]

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        return self._lengths[: self._n]

    def add(self, row: int, terms: Sequence[int] | Ints, length: int) -> int:
        """Append a document; returns its place."""
        if isinstance(terms, np.ndarray):
            terms = terms.tolist()
        lists, doc = self._lists, self._n
        once = doc << 8 | 1
        distinct = set(terms)
        if len(distinct) == len(terms):
            for term in terms:
                lists[term].append(once)
        else:
            counts = dict.fromkeys(distinct, 0)
            for term in terms:
                counts[term] += 1
            for term, count in counts.items():
                lists[term].append(doc << 8 | (count if count < 255 else 255))
        self._rows[doc] = row
        self._lengths[doc] = length
        self._n = doc + 1
        if row > self.top:
            self.top = row
        return doc

    def runs(self, query: Terms, mask: Bools | None, saturation: Saturation) -> list[Run]:
        """As `Part.runs`; impacts are computed on the way, for all terms at once."""
        found = [
            (t, run) for t, term in enumerate(query.tolist()) if (run := self._lists.get(term))
        ]
        if not found:
            return []
        packed = np.array([x for _, run in found for x in run], np.uint32)
        docs = (packed >> 8).astype(np.uint16)
        impacts = saturation.impacts(packed & 255, self._lengths.take(docs))
        runs, end = [], 0
        for t, run in found:
            start, end = end, end + len(run)
            here, weights = docs[start:end], impacts[start:end]
            if mask is not None:
                held = mask.take(here)
                here, weights = here[held], weights[held]
            runs.append(Run(t, here, weights))
        return runs

    def selected(self, keep: Bools) -> tuple[Segment, npt.NDArray[np.int32]]:
        """Segment and rows of the documents in `keep`, as copies."""
        segment = from_lists(self._lists, self.lengths)
        if keep.all():
            return segment, self.rows.copy()
        return segment.select(keep), self.rows[keep]


def passing(part: Part | Tail, allowed: Bools | None, upto: int | None) -> Bools | None:
    """Which documents are live, allowed and below row `upto`; None if that is all of them."""
    rows = part.rows
    mask = rows >= 0 if part.dead else None
    if upto is not None and part.top >= upto:
        below = rows < upto
        mask = below if mask is None else mask & below
    if allowed is not None:
        flags = allowed.take(rows, mode="wrap")  # -1 for dead wraps round; masked out above
        mask = flags if mask is None else mask & flags
    return mask

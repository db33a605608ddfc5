"""What an index is made of: a small mutable tail and immutable parts, both over rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.recall.segments import Bools, Ints, Segment, from_pairs

TAIL_DOCS = 1024
TAIL_TERMS = 16_384
TOP_IMPACT = 65_535

Terms = npt.NDArray[np.uint32]


class Run(NamedTuple):
    """The postings of one query term in one part."""

    term: int  # position in the query
    n: int  # how many of its documents pass the filter
    docs: npt.NDArray[np.unsignedinteger[Any]]  # places in the part, ascending
    impacts: npt.NDArray[np.uint16]


class Filter(NamedTuple):
    """Which documents of a part count."""

    n: int
    mask: Bools | None  # None: all
    sparse: bool  # few enough that lists are cut down to them before they are scored


ALL = Filter(0, None, sparse=False)


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

    def runs(self, query: Terms, filtered: Filter, saturation: Saturation) -> list[Run]:
        """The postings of each query term that is here.

        Those of documents outside the filter are left out only if it is sparse.
        """
        terms, offsets = self.segment.terms, self.segment.offsets
        at = terms.searchsorted(query)
        here = (terms.take(at, mode="clip") == query).nonzero()[0]
        at = at.take(here)
        docs, impacts = self.segment.docs, self.impacts
        bounds = zip(
            here.tolist(), offsets.take(at).tolist(), offsets.take(at + 1).tolist(), strict=True
        )
        return [_run(t, docs[start:end], impacts[start:end], filtered) for t, start, end in bounds]

    def selected(self, keep: Bools) -> tuple[Segment, npt.NDArray[np.int32]]:
        """Segment and rows of the documents in `keep`."""
        if keep.all():
            return self.segment, self.rows
        return self.segment.select(keep), self.rows[keep]


def _run(
    term: int,
    docs: npt.NDArray[np.unsignedinteger[Any]],
    impacts: npt.NDArray[np.uint16],
    filtered: Filter,
) -> Run:
    if filtered.mask is None:
        return Run(term, len(docs), docs, impacts)
    held = filtered.mask.take(docs)
    if not filtered.sparse:
        return Run(term, int(np.count_nonzero(held)), docs, impacts)
    at = held.nonzero()[0]
    return Run(term, len(at), docs.take(at), impacts.take(at))


class Tail:
    """The newest documents, unsorted: full at `TAIL_DOCS` of them or `TAIL_TERMS` terms.

    `add` only extends a list; a query turns what is new of it into an array and compares that with
    each of its terms.
    """

    def __init__(self) -> None:
        self._rows = np.full(TAIL_DOCS, -1, np.int32)
        self._lengths = np.zeros(TAIL_DOCS, np.uint32)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._terms = np.zeros(TAIL_TERMS, np.uint32)
        self._docs = np.zeros(TAIL_TERMS, np.uint16)  # which document each term is of
        self._n_terms = 0  # filled of those two
        self._fresh: list[int] = []  # terms that are not in them yet
        self._fresh_counts: list[int] = []  # how many of these each document has
        self._n = self.dead = 0
        self.top = -1

    def __len__(self) -> int:
        return self._n

    @property
    def full(self) -> bool:
        return self._n == TAIL_DOCS or self._n_terms + len(self._fresh) >= TAIL_TERMS

    @property
    def live(self) -> int:
        return self._n - self.dead

    @property
    def nbytes(self) -> int:
        arrays = (self._rows, self._lengths, self._terms, self._docs)
        return sum(array.nbytes for array in arrays) + 40 * len(self._fresh)

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        return self._rows[: self._n]

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        return self._lengths[: self._n]

    def add(self, row: int, terms: Sequence[int] | Ints, length: int) -> int:
        """Append a document; returns its place."""
        self._fresh += terms.tolist() if isinstance(terms, np.ndarray) else terms
        self._fresh_counts.append(len(terms))
        doc = self._n
        self._rows[doc] = row
        self._lengths[doc] = length
        self._n = doc + 1
        if row > self.top:
            self.top = row
        return doc

    def _settle(self) -> None:
        """Turn what is new into arrays."""
        if not self._fresh_counts:
            return
        end = self._n_terms + len(self._fresh)
        if end > len(self._terms):
            self._terms = np.concatenate([self._terms, np.zeros(end, np.uint32)])
            self._docs = np.concatenate([self._docs, np.zeros(end, np.uint16)])
        first = self._n - len(self._fresh_counts)
        self._terms[self._n_terms : end] = self._fresh
        self._docs[self._n_terms : end] = np.arange(first, self._n).repeat(self._fresh_counts)
        self._n_terms = end
        self._fresh, self._fresh_counts = [], []

    def runs(self, query: Terms, filtered: Filter, saturation: Saturation) -> list[Run]:
        """As `Part.runs`; impacts are computed on the way, for all terms at once."""
        self._settle()
        terms = self._terms[: self._n_terms]
        hits = [(terms == term).nonzero()[0] for term in query]
        found = self._docs.take(np.concatenate(hits)) if hits else self._docs[:0]
        if not len(found):
            return []
        ends = list(accumulate(map(len, hits)))
        first = np.ones(len(found), np.bool_)  # a term's later occurrences in a document follow
        np.not_equal(found[1:], found[:-1], out=first[1:])
        first[[end for end in ends if end < len(found)]] = True
        at = first.nonzero()[0]
        tfs = np.ones(len(found), np.int64)
        docs = found
        if len(at) < len(found):
            tfs = np.minimum(np.diff(at, append=len(found)), 255)
            docs = found.take(at)
            ends = at.searchsorted(ends).tolist()
        impacts = saturation.impacts(tfs, self._lengths.take(docs))
        return [
            _run(t, docs[start:end], impacts[start:end], filtered)
            for t, (start, end) in enumerate(pairwise([0, *ends]))
            if end > start
        ]

    def selected(self, keep: Bools) -> tuple[Segment, npt.NDArray[np.int32]]:
        """Segment and rows of the documents in `keep`, as copies."""
        self._settle()
        segment = from_pairs(
            self._terms[: self._n_terms], self._docs[: self._n_terms], self.lengths.copy()
        )
        if keep.all():
            return segment, self.rows.copy()
        return segment.select(keep), self.rows[keep]


def passing(part: Part | Tail, allowed: Bools | None, upto: int | None) -> Filter:
    """Which documents are live, allowed and below row `upto`."""
    rows = part.rows
    mask = rows >= 0 if part.dead else None
    if upto is not None and part.top >= upto:
        below = rows < upto
        mask = below if mask is None else mask & below
    if allowed is not None:
        flags = allowed.take(rows, mode="wrap")  # -1 for dead wraps round; masked out above
        mask = flags if mask is None else mask & flags
    if mask is None:
        return Filter(len(rows), None, sparse=False)
    n = int(np.count_nonzero(mask))
    return Filter(n, mask if n < len(rows) else None, sparse=4 * n < len(rows))

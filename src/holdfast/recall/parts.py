"""What an index is made of: a small mutable tail and immutable parts, both over rows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, chain, pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.recall.segments import Bools, Ints, Segment, from_pairs

TAIL_DOCS = 1024
TAIL_TERMS = 16_384
TOP_IMPACT = 65_535
_CHUNK = 16_384  # impacts computed at a time, so that what is in between stays in cache

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
        np.divide(tfs * float(TOP_IMPACT), norms, out=norms)
        np.rint(norms, out=norms)
        return np.maximum(norms, 1.0, out=norms).astype(np.uint16)


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
        docs, tfs, lengths = self.segment.docs, self.segment.tfs, self.segment.lengths
        self.impacts = np.empty(len(docs), np.uint16)
        for start in range(0, len(docs), _CHUNK):
            end = start + _CHUNK
            self.impacts[start:end] = saturation.impacts(
                tfs[start:end], lengths.take(docs[start:end])
            )

    def runs(self, query: Terms, filtered: Filter, saturation: Saturation) -> list[Run]:
        """The postings of each query term that is here.

        Those of documents outside the filter are left out only if it is sparse.
        """
        terms, offsets = self.segment.terms, self.segment.offsets
        if not len(terms):
            return []
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
    """The newest documents: full at `TAIL_DOCS` of them or `TAIL_TERMS` terms.

    `add` only extends a list. What is new of it is sorted into lists by term when a query comes, so
    that a bulk load never pays for them.
    """

    def __init__(self) -> None:
        self._rows = np.full(TAIL_DOCS, -1, np.int32)
        self._lengths = np.zeros(TAIL_DOCS, np.uint32)
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._terms: list[int] = []  # of all documents, one after the other
        self._counts: list[int] = []  # how many of them each document has
        self._lists: defaultdict[int, list[int]] = defaultdict(list)  # documents by term
        self._listed = self._listed_terms = 0  # documents, and terms, that are in the lists
        self._n = self.dead = 0
        self.top = -1

    def __len__(self) -> int:
        return self._n

    @property
    def full(self) -> bool:
        return self._n == TAIL_DOCS or len(self._terms) >= TAIL_TERMS

    @property
    def live(self) -> int:
        return self._n - self.dead

    @property
    def nbytes(self) -> int:
        lists = 40 * len(self._terms) + 200 * len(self._lists)  # about what Python takes
        return self._rows.nbytes + self._lengths.nbytes + lists

    @property
    def rows(self) -> npt.NDArray[np.int32]:
        return self._rows[: self._n]

    @property
    def lengths(self) -> npt.NDArray[np.uint32]:
        return self._lengths[: self._n]

    def add(self, row: int, terms: Sequence[int] | Ints, length: int) -> int:
        """Append a document; returns its place."""
        self._terms += terms.tolist() if isinstance(terms, np.ndarray) else terms
        self._counts.append(len(terms))
        doc = self._n
        self._rows[doc] = row
        self._lengths[doc] = length
        self._n = doc + 1
        if row > self.top:
            self.top = row
        return doc

    def _sort_in(self) -> None:
        """Bring the lists up to date. A document stands in one as often as it holds the term."""
        lists, at = self._lists, self._listed_terms
        for doc in range(self._listed, self._n):
            end = at + self._counts[doc]
            for term in self._terms[at:end]:
                lists[term].append(doc)
            at = end
        self._listed, self._listed_terms = self._n, at

    def runs(self, query: Terms, filtered: Filter, saturation: Saturation) -> list[Run]:
        """As `Part.runs`; impacts are computed on the way, for all terms at once."""
        if self._listed < self._n:
            self._sort_in()
        hits = [self._lists.get(term, ()) for term in query.tolist()]
        found = np.array(list(chain.from_iterable(hits)), np.uint16)
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
            tfs = np.full(len(at), len(found))
            tfs[:-1] = at[1:]
            tfs -= at
            np.minimum(tfs, 255, out=tfs)
            docs = found.take(at)
            ends = at.searchsorted(ends).tolist()
        impacts = saturation.impacts(tfs, self._lengths.take(docs))
        return [
            _run(t, docs[start:end], impacts[start:end], filtered)
            for t, (start, end) in enumerate(pairwise([0, *ends]))
            if end > start
        ]

    def held(self, terms: Terms, gone: Bools) -> Bools:
        """Whether each term is in a document of a row that is not `gone`; flags by row."""
        if self._listed < self._n:
            self._sort_in()
        lists = [self._lists.get(term, ()) for term in terms.tolist()]
        lengths = np.array([len(docs) for docs in lists], np.int64)
        here = lengths.nonzero()[0]
        held = np.zeros(len(terms), np.bool_)
        if len(here):
            alive = ~gone[self.rows[np.array(list(chain.from_iterable(lists)))]]
            firsts = np.cumsum(lengths[here]) - lengths[here]
            held[here] = np.logical_or.reduceat(alive, firsts)
        return held

    def selected(self, keep: Bools) -> tuple[Segment, npt.NDArray[np.int32]]:
        """Segment and rows of the documents in `keep`, as copies."""
        docs = np.arange(self._n, dtype=np.uint16).repeat(self._counts)
        segment = from_pairs(np.array(self._terms, np.uint32), docs, self.lengths.copy())
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

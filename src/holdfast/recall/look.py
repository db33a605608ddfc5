"""A close look at a query's candidates: what signals may see, worked out at most once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.recall.columns import Bools, Columns, Rows
from holdfast.recall.postings import Match, Postings
from holdfast.recall.query import Query
from holdfast.recall.vectors import Vectors

Floats = npt.NDArray[np.float64]

_TERMS = 64  # of a query, that are told apart


class Index(NamedTuple):
    """Everything in RAM that a query is held against."""

    columns: Columns
    postings: Postings
    vectors: Vectors | None = None


@dataclass(frozen=True)
class Look:
    """The candidates of one query, n of them, and what is known of each.

    Attributes
    ----------
    rows
        The candidates' rows in `columns`, (n,), ascending.
    match
        BM25 of every visible event, and which of the query's terms it holds.
    visible
        Which rows the query may see; None for all.
    scoped
        Whether a scope bounds what it may see.
    vector, vectors
        The query's vector and the index to hold it against, where there is an embedder.
    """

    query: Query
    columns: Columns
    match: Match
    rows: Rows
    visible: Bools | None
    scoped: bool = False
    vector: npt.NDArray[np.float32] | None = None
    vectors: Vectors | None = None

    @cached_property
    def idf(self) -> Floats:
        """Of the query's first 64 terms, (terms,)."""
        return self.match.idf[:_TERMS]

    @cached_property
    def mass(self) -> float:
        """All of the query's idf: what a candidate that holds every term would have."""
        return float(self.idf.sum())

    @cached_property
    def held(self) -> Floats:
        """1 where a candidate holds a term, (n, terms)."""
        return self._spread[: len(self.rows)]

    @cached_property
    def held_mass(self) -> Floats:
        """idf of the terms that each candidate holds, (n,)."""
        return np.asarray(self.held @ self.idf)

    @cached_property
    def around_mass(self) -> Floats:
        """idf of the terms that only a candidate's neighbours hold, (n,)."""
        return np.asarray(self._spread[len(self.rows) :] @ self.idf) - self.held_mass

    @cached_property
    def lengths(self) -> Floats:
        """Index terms of each candidate, (n,)."""
        return self.columns.length[self.rows].astype(np.float64)

    def flagged(self, flag: int) -> Floats:
        """1 for the candidates that have a flag, (n,)."""
        return ((self._flags & flag) > 0).astype(np.float64)

    @cached_property
    def speakers(self) -> Floats | None:
        """1 where the query names the speaker, (n,); None if it names no candidate's."""
        named = self.columns.spoken_by(self.query.words)
        if named is None:
            return None
        theirs: Floats = named[self.columns.who[self.rows]]
        return theirs if theirs.any() else None  # who speaks out of sight leaves no trace

    @cached_property
    def _flags(self) -> npt.NDArray[np.uint8]:
        flags: npt.NDArray[np.uint8] = self.columns.flags[self.rows]
        return flags

    @cached_property
    def _spread(self) -> Floats:
        """`held`, and below it the same of each candidate with its neighbours, (2 n, terms)."""
        before, after = self.columns.before, self.columns.after
        rows = self.rows
        first = before[rows]
        second = np.where(first >= 0, before[first], -1)
        window = np.concatenate([rows, first, second, after[rows]])
        bits = self.match.bits(window).reshape(4, len(rows))
        both = np.concatenate([bits[0], np.bitwise_or.reduce(bits, axis=0)])
        return spread(both, len(self.idf))


def spread(bits: npt.NDArray[np.uint64], n_terms: int) -> Floats:
    """Bits as a matrix, (n, terms)."""
    shifts = np.arange(n_terms, dtype=np.uint64)
    return ((bits[:, None] >> shifts) & np.uint64(1)).astype(np.float64)

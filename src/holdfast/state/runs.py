"""Postings of the belief index: which rows hold a term, and how heavily."""

from __future__ import annotations

from array import array
from collections.abc import Mapping
from math import log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Rows = npt.NDArray[np.uint32]
Flags = npt.NDArray[np.bool_]

NOWHERE: tuple[Rows, Floats] = np.zeros(0, np.uint32), np.zeros(0, np.float32)


class Run:
    """The rows that hold one term, and the term's weighted frequency in each. Append-only."""

    __slots__ = ("_rows", "_weights")

    def __init__(self) -> None:
        self._rows = array("I")
        self._weights = array("f")

    def add(self, row: int, weight: float) -> None:
        self._rows.append(row)
        self._weights.append(weight)

    def among(self, seen: Flags) -> tuple[Rows, Floats]:
        """Those rows that are seen, and their weights; copies, so that the run can grow."""
        rows = np.frombuffer(self._rows, np.uint32)
        kept = seen[rows]
        return rows[kept], np.frombuffer(self._weights, np.float32)[kept]


class Found(NamedTuple):
    """A term of the query, its idf, and how heavily each of some rows holds it.

    `rows` of None are all rows.
    """

    term: int
    idf: float
    rows: Rows | None
    weights: Floats

    def everywhere(self, n_rows: int) -> Floats:
        """How heavily each row holds it."""
        if self.rows is None:
            return self.weights
        every = np.zeros(n_rows, np.float32)
        every[self.rows] = self.weights
        return every


def add(runs: dict[int, Run], row: int, weights: Mapping[int, float]) -> None:
    """Give a row to the runs of its terms."""
    for term, weight in weights.items():
        if term not in runs:
            runs[term] = Run()
        runs[term].add(row, weight)


def idf_of(n: int, df: int) -> float:
    """The idf of a term that `df` of `n` beliefs hold; above 0."""
    return log(1 + (n - df + 0.5) / (df + 0.5))

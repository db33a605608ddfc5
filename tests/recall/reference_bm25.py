"""The definition that `holdfast.recall.postings` is held against: BM25 over a dictionary."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence


class ReferenceBM25:
    """Every document is its term counts and its length; nothing is ever prepared."""

    def __init__(self, k1: float = 1.2, b: float = 0.75, pivot: float = 24.0) -> None:
        self.k1, self.b, self.pivot = k1, b, pivot
        self.docs: dict[int, tuple[Counter[int], int]] = {}

    def add(self, row: int, terms: Sequence[int], length: int) -> None:
        self.docs[row] = Counter(terms), length

    def remove(self, rows: Sequence[int]) -> None:
        for row in rows:
            self.docs.pop(row, None)

    def rekey(self, new_row: Sequence[int]) -> None:
        self.docs = {new_row[row]: doc for row, doc in self.docs.items() if new_row[row] >= 0}

    def df(self, term: int, passes: Callable[[int], bool] = lambda row: True) -> int:
        return sum(passes(row) and term in counts for row, (counts, _) in self.docs.items())

    def scores(
        self,
        terms: Sequence[int],
        passes: Callable[[int], bool] = lambda row: True,
        weights: Sequence[float] | None = None,
    ) -> dict[int, float]:
        """The score of every document that passes."""
        rows = [row for row in self.docs if passes(row)]
        scores = dict.fromkeys(rows, 0.0)
        for i, term in enumerate(terms):
            df = self.df(term, passes)
            idf = math.log(1 + (len(rows) - df + 0.5) / (df + 0.5))
            for row in rows:
                counts, length = self.docs[row]
                tf = min(counts[term], 255)
                norm = self.k1 * (1 - self.b + self.b * length / self.pivot)
                scores[row] += (weights[i] if weights else 1.0) * idf * tf / (tf + norm)
        return scores

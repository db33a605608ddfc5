"""The baselines that need a model: nearest turns by cosine, and their fusion with BM25."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from holdfast.bench.baselines import PlainBM25, Turns
from holdfast.bench.protocol import Setup
from holdfast.records import Event
from holdfast.registry import resolve

DEFAULT_EMBEDDER = "minilm"
RRF_K = 60
_Unit = TypeVar("_Unit")


class Dense(Turns):
    """Exact cosine of whole turns ("speaker: text") with the question; a session is its best turn.

    This is what a vector store returns at its defaults for the same vectors: chroma, LangGraph's
    store, llama-index and mem0 (`infer=False`) all rank by that cosine and nothing else.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        given = setup.embedder or DEFAULT_EMBEDDER
        self._embedder: Any = resolve("embedder", given) if isinstance(given, str) else given
        self._vectors = np.empty((0, self._embedder.dimensions), np.float32)  # (turns, dimensions)

    def observe_many(self, events: Sequence[Event]) -> None:
        super().observe_many(events)
        made = self._embedder.embed([said(event.speaker, event.text) for event in events])
        self._vectors = np.concatenate([self._vectors, made])

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        cosine = self._cosine(query)[:before]
        order = np.lexsort((-np.arange(len(cosine)), -cosine))  # ties go to the newer turn
        return [int(n) for n in order[:limit]]

    def confidence(self, query: str) -> float:
        """The cosine of the nearest turn."""
        return float(self._cosine(query).max(initial=-1.0))

    def _cosine(self, query: str) -> Any:
        return self._vectors @ self._embedder.embed([query])[0]


class Hybrid(Turns):
    """BM25 and `Dense`, fused by reciprocal rank: the sum of 1 / (60 + rank), weights equal.

    It is what LanceDB's hybrid search does unless told otherwise. Both lists are taken whole.

    References
    ----------
    Cormack, Clarke and Büttcher, Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank
    Learning Methods, doi:10.1145/1571941.1572114
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._parts = (PlainBM25(setup), Dense(setup))

    def observe_many(self, events: Sequence[Event]) -> None:
        super().observe_many(events)
        for part in self._parts:
            part.observe_many(events)

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        everything = len(self.scopes)
        return fuse([part.rank(query, everything, before) for part in self._parts])[:limit]

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        everything = len(self.scopes)
        return fuse([part.rank_scopes(query, everything) for part in self._parts])[:limit]


def fuse(rankings: Sequence[Sequence[_Unit]], k: int = RRF_K) -> list[_Unit]:
    """One ranking out of several by reciprocal rank; ties go to the first list's order.

    Examples
    --------
    >>> fuse([["a", "b"], ["b", "c"]])
    ['b', 'a', 'c']
    """
    scores: dict[_Unit, float] = {}
    for ranking in rankings:
        for rank, unit in enumerate(ranking, 1):
            scores[unit] = scores.get(unit, 0.0) + 1 / (k + rank)
    return sorted(scores, key=lambda unit: -scores[unit])


def said(speaker: str | None, text: str) -> str:
    """A turn as it is embedded by systems that keep no speaker beside the text."""
    return f"{speaker}: {text}" if speaker else text

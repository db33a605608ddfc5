"""Every system that can be measured, by name; and Holdfast behind the protocol of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from holdfast.bench.baselines import NoMemory, PlainBM25, Recency, WholeHistory
from holdfast.bench.dense import Dense, Hybrid
from holdfast.bench.protocol import Factory, Returned, Setup
from holdfast.errors import ModelError
from holdfast.records import Context, Event

if TYPE_CHECKING:
    from holdfast import Memory

CONFIDENCE_TOKENS = 1_000
SETTLE_S = 3_600.0


class HoldfastSystem:
    """A Memory in a file of its own, at its defaults but for the budget and the embedder."""

    ranks = True
    scope_depth = 300  # turns ranked to name sessions: enough for ten even in one long chat

    def __init__(self, setup: Setup) -> None:
        from holdfast import Memory

        self.memory: Memory = Memory.open(
            setup.path, budget=setup.budget_bytes, embedder=setup.embedder, **setup.options
        )
        self._settles = setup.embedder is not None  # vectors are made off the write path
        self.degraded = 0  # answers that went without a vector, because it came too late
        self._scopes: list[str] = []
        self._texts: list[str] = []

    def observe_many(self, events: Sequence[Event]) -> None:
        self._scopes.extend(event.scope for event in events)
        self._texts.extend(event.text for event in events)
        self.memory.observe_many(events)
        if self._settles and not self.memory.settle(timeout_s=SETTLE_S):
            raise ModelError(f"the vectors of {len(events)} events were not made in {SETTLE_S:g} s")

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        bound = None if before is None else before + 1
        return [hit.seq - 1 for hit in self.memory.rank(query, limit=limit, before=bound)]

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        return [hit.scope for hit in self.memory.rank_scopes(query, limit=limit)]

    def context(self, query: str, tokens: int) -> Returned:
        return self._returned(self.memory.recall(query, tokens=tokens))

    def _returned(self, answer: Context) -> Returned:
        self.degraded += answer.degraded or answer.partial
        whole = [item for item in answer.items if item.text == self._texts[item.seq - 1]]
        return Returned(frozenset(item.seq - 1 for item in whole), answer.tokens, answer.text)

    def confidence(self, query: str) -> float:
        """What its context says of itself; the score of the best event where it says nothing."""
        answer = self.memory.recall(query, tokens=CONFIDENCE_TOKENS)
        said: float | None = getattr(answer, "confidence", None)
        if said is not None:
            return said
        return next((hit.score for hit in self.memory.rank(query, limit=1)), 0.0)

    def bytes_used(self) -> int:
        return self.memory.usage().disk

    def close(self) -> None:
        self.memory.close()


class ContinuedHoldfast(HoldfastSystem):
    """Holdfast told at each recall what the one before it gave, so that it can continue that."""

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._last: Context | None = None

    def context(self, query: str, tokens: int) -> Returned:
        self._last = self.memory.recall(query, tokens=tokens, previous=self._last)
        return self._returned(self._last)


SYSTEMS: Mapping[str, Factory] = MappingProxyType(
    {
        "holdfast": HoldfastSystem,
        "bm25": PlainBM25,
        "dense": Dense,
        "hybrid": Hybrid,
        "recency": Recency,
        "none": NoMemory,
        "whole": WholeHistory,
    }
)
DEFAULT_SYSTEMS = ("holdfast", "bm25", "recency", "none", "whole")

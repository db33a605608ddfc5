"""What is measured, behind one tiny protocol: Holdfast, a plain reference, and the two limits.

A system is fed events in stream order and names what it finds by position, 0-based, in the order
it was fed. It never sees a question before it is asked, nor anything that counts as right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from holdfast.bench.bm25 import BM25
from holdfast.bench.datasets import Unit
from holdfast.bench.scorers import distinct
from holdfast.derive.tokens import count_tokens
from holdfast.records import Event, Tier

if TYPE_CHECKING:
    from holdfast import Memory


@dataclass(frozen=True, slots=True)
class Setup:
    """What a system may know before its stream begins: where to write, and how it is run."""

    path: Path
    unit: Unit = "turn"
    budget_bytes: int = 1 << 30
    embedder: Any = None
    index_speaker: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)  # passed to Memory.open


@dataclass(frozen=True, slots=True)
class Returned:
    """What a token-bounded answer holds: the turns that are in it from first byte to last."""

    whole: frozenset[int]
    tokens: int


class System(Protocol):
    """One memory under test. `before` hides events from that position on.

    `ranks` is False where an order would mean nothing, so that no metric is read off it.
    """

    ranks: bool

    def observe_many(self, events: Sequence[Event]) -> None: ...

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]: ...

    def rank_scopes(self, query: str, limit: int) -> list[str]: ...

    def context(self, query: str, tokens: int) -> Returned: ...

    def bytes_used(self) -> int: ...

    def close(self) -> None: ...


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
        self._scopes: list[str] = []
        self._sizes: list[int] = []

    def observe_many(self, events: Sequence[Event]) -> None:
        self._scopes.extend(event.scope for event in events)
        self._sizes.extend(len(event.text.encode()) for event in events)
        self.memory.observe_many(events)
        if self._settles:
            self.memory.settle()

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        bound = None if before is None else before + 1
        return [hit.seq - 1 for hit in self.memory.rank(query, limit=limit, before=bound)]

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        found = self.rank(query, max(limit, self.scope_depth))
        return distinct(self._scopes[position] for position in found)[:limit]

    def context(self, query: str, tokens: int) -> Returned:
        answer = self.memory.recall(query, tokens=tokens)
        whole = frozenset(
            item.seq - 1
            for item in answer.items
            if item.tier == Tier.VERBATIM and item.span == (0, self._sizes[item.seq - 1])
        )
        return Returned(whole, answer.tokens)

    def bytes_used(self) -> int:
        return self.memory.usage().disk

    def close(self) -> None:
        self.memory.close()


class PlainBM25:
    """Textbook BM25 over whole turns, in RAM, unbounded; the reference in every table.

    At session granularity a unit is a session's whole text, as in the published reference. Its
    context is the best turns in order of rank, each taken whole if it still fits.
    """

    ranks = True

    def __init__(self, setup: Setup) -> None:
        self._speaker, self._by_scope = setup.index_speaker, setup.unit == "session"
        self._turns, self._sessions = BM25(), BM25()
        self._scopes: dict[str, int] = {}
        self._costs: list[int] = []

    def observe_many(self, events: Sequence[Event]) -> None:
        for event in events:
            text = f"{event.speaker} {event.text}" if self._speaker else event.text
            self._turns.add(text)
            self._costs.append(count_tokens(f"{event.speaker}: {event.text}\n"))
            if self._by_scope:
                known = self._scopes.get(event.scope)
                self._scopes[event.scope] = self._sessions.add(text, known)

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        if before is None:
            return self._turns.rank(query, limit)
        found = self._turns.rank(query, len(self._turns))
        return [position for position in found if position < before][:limit]

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        names = list(self._scopes)
        return [names[position] for position in self._sessions.rank(query, limit)]

    def context(self, query: str, tokens: int) -> Returned:
        return _fill(self._turns.rank(query, 1_000), self._costs, tokens)

    def bytes_used(self) -> int:
        return 0  # nothing on disk; RAM is not charged

    def close(self) -> None:
        return None


class _Turns:
    """The plumbing of systems that ignore the question."""

    ranks = True

    def __init__(self, setup: Setup) -> None:
        del setup
        self._scopes: list[str] = []
        self._costs: list[int] = []

    def observe_many(self, events: Sequence[Event]) -> None:
        self._scopes.extend(event.scope for event in events)
        self._costs.extend(count_tokens(f"{event.speaker}: {event.text}\n") for event in events)

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        del query
        newest = len(self._scopes) if before is None else min(before, len(self._scopes))
        return list(range(newest - 1, max(-1, newest - 1 - limit), -1))

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        return distinct(self._scopes[n] for n in self.rank(query, len(self._scopes)))[:limit]

    def context(self, query: str, tokens: int) -> Returned:
        raise NotImplementedError

    def bytes_used(self) -> int:
        return 0

    def close(self) -> None:
        return None


class NoMemory(_Turns):
    """Returns nothing: what a model without any memory has to go on."""

    ranks = True

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        return []

    def context(self, query: str, tokens: int) -> Returned:
        return Returned(frozenset(), 0)


class Recency(_Turns):
    """The newest turns, whatever is asked: a sliding window of the same token budget."""

    ranks = True

    def context(self, query: str, tokens: int) -> Returned:
        newest = range(len(self._costs) - 1, -1, -1)
        taken, used = 0, 0
        while taken < len(newest) and used + self._costs[newest[taken]] <= tokens:
            used += self._costs[newest[taken]]
            taken += 1
        return Returned(frozenset(newest[:taken]), used)


class WholeHistory(_Turns):
    """Every turn, at whatever it costs: `tokens` is ignored, and its row shows the price."""

    ranks = False

    def context(self, query: str, tokens: int) -> Returned:
        return Returned(frozenset(range(len(self._costs))), sum(self._costs))


def _fill(order: Sequence[int], costs: Sequence[int], tokens: int) -> Returned:
    """Whole turns in this order, skipping what no longer fits."""
    used, taken = 0, set()
    for position in order:
        if used + costs[position] <= tokens:
            used += costs[position]
            taken.add(position)
    return Returned(frozenset(taken), used)


Factory = Callable[[Setup], System]
SYSTEMS: Mapping[str, Factory] = MappingProxyType(
    {
        "holdfast": HoldfastSystem,
        "bm25": PlainBM25,
        "recency": Recency,
        "none": NoMemory,
        "whole": WholeHistory,
    }
)
DEFAULT_SYSTEMS = ("holdfast", "bm25", "recency", "none", "whole")

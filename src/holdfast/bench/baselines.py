"""What every recall table carries beside Holdfast and needs no model: BM25, and the two limits."""

from __future__ import annotations

from collections.abc import Sequence

from holdfast.bench.bm25 import BM25
from holdfast.bench.protocol import Returned, Setup
from holdfast.bench.scorers import distinct
from holdfast.derive.tokens import count_tokens
from holdfast.records import Event

FILL_FROM = 1_000  # turns in order of rank that a context is filled from


class Turns:
    """The plumbing of a system that keeps whole turns in RAM, unbounded.

    A context is the best turns in order of rank, each taken whole if it still fits.
    """

    ranks = True

    def __init__(self, setup: Setup) -> None:
        del setup
        self.scopes: list[str] = []
        self.lines: list[str] = []
        self.costs: list[int] = []

    def observe_many(self, events: Sequence[Event]) -> None:
        lines = [f"{event.speaker}: {event.text}\n" for event in events]
        self.scopes.extend(event.scope for event in events)
        self.lines.extend(lines)
        self.costs.extend(map(count_tokens, lines))

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        raise NotImplementedError

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        """Sessions in the order of their best turn."""
        return distinct(self.scopes[n] for n in self.rank(query, len(self.scopes)))[:limit]

    def context(self, query: str, tokens: int) -> Returned:
        return self._answer(fill(self.rank(query, FILL_FROM), self.costs, tokens))

    def bytes_used(self) -> int:
        return 0  # nothing on disk; RAM is not charged

    def close(self) -> None:
        return None

    def _answer(self, taken: Sequence[int]) -> Returned:
        text = "".join([self.lines[n] for n in taken])
        return Returned(frozenset(taken), sum(self.costs[n] for n in taken), text)


class PlainBM25(Turns):
    """Textbook BM25 over whole turns; the reference in every table.

    At session granularity a unit is a session's whole text, as in the published reference.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(setup)
        self._speaker, self._by_scope = setup.index_speaker, setup.unit == "session"
        self._turns, self._sessions = BM25(), BM25()
        self._known: dict[str, int] = {}

    def observe_many(self, events: Sequence[Event]) -> None:
        super().observe_many(events)
        for event in events:
            text = f"{event.speaker} {event.text}" if self._speaker else event.text
            self._turns.add(text)
            if self._by_scope:
                known = self._known.get(event.scope)
                self._known[event.scope] = self._sessions.add(text, known)

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        if before is None:
            return self._turns.rank(query, limit)
        found = self._turns.rank(query, len(self._turns))
        return [position for position in found if position < before][:limit]

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        names = list(self._known)
        return [names[position] for position in self._sessions.rank(query, limit)]

    def confidence(self, query: str) -> float:
        """The score of the best turn."""
        return max(self._turns.scores(query).values(), default=0.0)


class NoMemory(Turns):
    """Returns nothing: what a model without any memory has to go on."""

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        return []


class Recency(Turns):
    """The newest turns, whatever is asked: a sliding window of the same token budget."""

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        del query
        newest = len(self.scopes) if before is None else min(before, len(self.scopes))
        return list(range(newest - 1, max(-1, newest - 1 - limit), -1))

    def context(self, query: str, tokens: int) -> Returned:
        first, left = len(self.costs), tokens
        while first and self.costs[first - 1] <= left:
            first -= 1
            left -= self.costs[first]
        return self._answer(range(first, len(self.costs)))


class WholeHistory(Recency):
    """Every turn, at whatever it costs: `tokens` is ignored, and its row shows the price."""

    ranks = False

    def context(self, query: str, tokens: int) -> Returned:
        return self._answer(range(len(self.costs)))


def fill(order: Sequence[int], costs: Sequence[int], tokens: int) -> list[int]:
    """Whole turns in this order within a budget, skipping what no longer fits.

    Examples
    --------
    >>> fill([2, 0, 1], [4, 3, 5], 9)
    [2, 0]
    """
    taken = []
    for position in order:
        if costs[position] <= tokens:
            tokens -= costs[position]
            taken.append(position)
    return taken

"""Between extraction with a model and the memory it works for: what one asks of the other."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from holdfast.state.records import Claim


@dataclass(frozen=True, slots=True)
class Pending:
    """An event whose claims no model has looked for yet. `text` is the whole of its content."""

    seq: int
    text: str
    speaker: str | None = None
    role: str | None = None
    at: float = 0.0
    scope: str = ""


@dataclass(frozen=True, slots=True)
class Extracted:
    """What came of one event: its claims, or why it was passed over.

    A claim is known by ``(seq, n)``, its place in `claims`; `by` names the model.
    """

    seq: int
    claims: tuple[Claim, ...] = ()
    skipped: str | None = None
    by: str = ""


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent on one day in UTC, ``"2026-03-01"``, or is to be added to it."""

    day: str
    calls: int = 0
    tokens: int = 0
    cost: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(
            self.day,
            self.calls + other.calls,
            self.tokens + other.tokens,
            self.cost + other.cost,
        )


class Desk(Protocol):
    """What `ModelExtractor` needs of a memory. Errors of the store pass through it."""

    def pending(self, limit: int) -> Sequence[Pending]:
        """Up to so many events after the durable cursor, oldest first.

        Only text whose every byte is kept: spans count in it. Events beyond the cursor that are
        settled already may be left out or be there.
        """
        ...

    def settle(self, results: Sequence[Extracted], upto: int, spent: Spent) -> None:
        """Commit claims, move the cursor and add to the day's spending, all or nothing.

        Idempotent for claims: an event that was settled before keeps its first result, whatever
        comes later. The cursor becomes the larger of itself and `upto`; results may be of events
        beyond it, and may come out of order. An event that was erased meanwhile is passed over;
        so is a claim that the memory does not accept, for one raising would hold up the stream.
        """
        ...

    def spent_on(self, day: str) -> Spent:
        """What `settle` was told of that day."""
        ...


@dataclass
class ListDesk:
    """A desk in memory, for tests and for trying a model out.

    Parameters
    ----------
    events
        What is pending, in order of `seq`; may be added to.

    Examples
    --------
    >>> desk = ListDesk([Pending(1, "I moved to Porto"), Pending(2, "It rains")])
    >>> desk.settle([Extracted(1)], 1, Spent("2026-03-01", calls=1))
    >>> [event.seq for event in desk.pending(9)]
    [2]
    """

    events: Iterable[Pending] = ()
    cursor: int = field(default=0, init=False)
    settled: dict[int, Extracted] = field(default_factory=dict, init=False)
    spent: dict[str, Spent] = field(default_factory=dict, init=False)

    def __post_init__(self) -> None:
        self.events = list(self.events)
        self._lock = threading.Lock()

    @property
    def claims(self) -> dict[tuple[int, int], Claim]:
        """Every claim under its event's number and its place there."""
        found = sorted(self.settled.items())
        return {(seq, n): claim for seq, of in found for n, claim in enumerate(of.claims)}

    def pending(self, limit: int) -> Sequence[Pending]:
        """See `Desk.pending`. Settled events beyond the cursor are there."""
        with self._lock:
            return [event for event in self.events if event.seq > self.cursor][:limit]

    def settle(self, results: Sequence[Extracted], upto: int, spent: Spent) -> None:
        """See `Desk.settle`."""
        with self._lock:
            for result in results:
                self.settled.setdefault(result.seq, result)
            self.cursor = max(self.cursor, upto)
            self.spent[spent.day] = self.spent.get(spent.day, Spent(spent.day)) + spent

    def spent_on(self, day: str) -> Spent:
        """See `Desk.spent_on`."""
        with self._lock:
            return self.spent.get(day, Spent(day))

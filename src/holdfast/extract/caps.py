"""What extraction with a model may spend, and on what it was spent."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from holdfast.extract.desk import Pending, Spent
from holdfast.models.chat import Usage


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that may be spent, in the currency of the prices and in tokens; None: no limit.

    Parameters
    ----------
    per_event, per_event_tokens
        On one event, repeated questions included. An event that could cost more is passed over.
    per_day, per_day_tokens
        On a day in UTC. What could cost more waits for the next; an event that even a whole day
        could not pay for is passed over.

    Raises
    ------
    ValueError
        If a cap is negative or no number.

    Notes
    -----
    Checked before a call, for the most it can use, with a token for every byte. Instructions and
    schema are about 3,000 bytes and the answer 600 tokens by default, so with caps below that,
    nothing is asked at all. What is charged is what the endpoint reports, most often far less.
    """

    per_event: float | None = None
    per_day: float | None = None
    per_event_tokens: int | None = None
    per_day_tokens: int | None = None

    def __post_init__(self) -> None:
        for cap in (self.per_event, self.per_day, self.per_event_tokens, self.per_day_tokens):
            if cap is not None and not (math.isfinite(cap) and cap >= 0):
                raise ValueError(f"a cap is a number that is not negative, found {cap}")

    def event_allows(self, tokens: float, cost: float) -> bool:
        """Whether so much may be spent on one event."""
        return _within(cost, self.per_event) and _within(tokens, self.per_event_tokens)

    def day_allows(self, tokens: float, cost: float) -> bool:
        """Whether so much may be spent on one day."""
        return _within(cost, self.per_day) and _within(tokens, self.per_day_tokens)


def _within(amount: float, cap: float | None) -> bool:
    return cap is None or amount <= cap


class Meter:
    """Holds calls to their caps before they are made, and shares out what they cost.

    Parameters
    ----------
    caps
        The limits.
    bound
        The most that one request about these events can use.

    Notes
    -----
    A call's cost is shared among its events as their bounds alone would be. Together those are
    more than the bound of the call, so no share exceeds what the event was checked for.
    """

    def __init__(self, caps: Caps, bound: Callable[[Sequence[Pending]], Usage]) -> None:
        self._caps, self._bound = caps, bound
        self._charged: dict[int, tuple[float, float]] = {}  # tokens and cost of unsettled events

    def affordable(self, event: Pending) -> bool:
        """Whether one more question about it alone stays within its cap, and within a day's."""
        tokens, cost = self._charged.get(event.seq, (0.0, 0.0))
        most = self._bound([event])
        return self._caps.event_allows(
            tokens + most.tokens, cost + most.cost
        ) and self._caps.day_allows(most.tokens, most.cost)

    def fits(self, batch: Sequence[Pending], before: Spent) -> bool:
        """Whether the day, which has seen `before`, has room for a question about these."""
        most = self._bound(batch)
        return self._caps.day_allows(before.tokens + most.tokens, before.cost + most.cost)

    def charge(self, batch: Sequence[Pending], spent: Spent) -> None:
        """Note what a question about these cost."""
        alone = [self._bound([event]) for event in batch]
        all_tokens, all_cost = sum(u.tokens for u in alone), sum(u.cost for u in alone)
        for event, most in zip(batch, alone, strict=True):
            old = self._charged.get(event.seq, (0.0, 0.0))
            self._charged[event.seq] = (
                old[0] + (spent.tokens * most.tokens / all_tokens if all_tokens else 0.0),
                old[1] + (spent.cost * most.cost / all_cost if all_cost else 0.0),
            )

    def forget(self, seq: int) -> None:
        """An event is settled."""
        self._charged.pop(seq, None)

"""How far extraction with a model has come, and what it spent: small values in a memory's file."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass
from operator import add

from holdfast.errors import CorruptStoreError
from holdfast.extract.desk import Spent

_DAYS = 32  # of spending that are remembered
_MOST_AHEAD = 512  # events beyond the cursor of which is remembered that they are settled


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a desk has come. It is kept in the memory's file.

    Every event up to `upto` is settled or was no text, and so is each of `ahead`. Of those,
    `events` were answered for and `skipped` given up; `gone` ones were lost from the memory before
    their answer came. `claims` were recorded; `refused` broke a rule of the memory, or quoted what
    their event does not say.
    """

    upto: int = 0
    ahead: tuple[int, ...] = ()
    events: int = 0
    claims: int = 0
    refused: int = 0
    skipped: int = 0
    gone: int = 0

    @property
    def _counts(self) -> tuple[int, int, int, int, int]:
        return self.events, self.claims, self.refused, self.skipped, self.gone

    def has(self, seq: int) -> bool:
        """Whether an event is settled."""
        return seq <= self.upto or seq in self.ahead

    def __add__(self, other: Progress) -> Progress:
        """Both together, if they are of different events."""
        upto = max(self.upto, other.upto)
        ahead = sorted(seq for seq in {*self.ahead, *other.ahead} if seq > upto)
        return Progress(upto, tuple(ahead[:_MOST_AHEAD]), *map(add, self._counts, other._counts))

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps([self.upto, self.ahead, self._counts], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """The inverse of `to_json`; raises `CorruptStoreError` if it cannot be read."""
        try:
            upto, ahead, counts = json.loads(text)
            return cls(upto, tuple(ahead), *counts)
        except (ValueError, TypeError) as error:
            raise _unreadable("how far extraction has come", error) from None


@dataclass(frozen=True, slots=True)
class Spending:
    """What was spent on each of the newest days, in order."""

    days: tuple[Spent, ...] = ()

    def on(self, day: str) -> Spent:
        """What was spent on a day, as far as it is remembered."""
        return next((one for one in self.days if one.day == day), Spent(day))

    def __add__(self, spent: Spent) -> Spending:
        others = [one for one in self.days if one.day != spent.day]
        days = sorted([*others, self.on(spent.day) + spent], key=lambda one: one.day)
        return Spending(tuple(days[-_DAYS:]))

    def to_json(self) -> str:
        """As it is stored."""
        return json.dumps([astuple(one) for one in self.days], separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Spending:
        """The inverse of `to_json`; raises `CorruptStoreError` if it cannot be read."""
        try:
            return cls(tuple(Spent(*one) for one in json.loads(text)))
        except (ValueError, TypeError) as error:
            raise _unreadable("what extraction spent", error) from None


def _unreadable(what: str, error: Exception) -> CorruptStoreError:
    return CorruptStoreError(f"{what} cannot be read: {error}; run verify")

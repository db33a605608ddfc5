"""How far extraction with a model has come, as one small value that a memory keeps."""

from __future__ import annotations

import json
from dataclasses import astuple, dataclass, replace
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
    their event does not say. Only the newest days are in `spent`.
    """

    upto: int = 0
    ahead: tuple[int, ...] = ()
    events: int = 0
    claims: int = 0
    refused: int = 0
    skipped: int = 0
    gone: int = 0
    spent: tuple[Spent, ...] = ()

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
        days: dict[str, Spent] = {}
        for one in (*self.spent, *other.spent):
            days[one.day] = days.get(one.day, Spent(one.day)) + one
        counts = map(add, self._counts, other._counts)
        newest = tuple(days[day] for day in sorted(days)[-_DAYS:])
        return replace(Progress(upto, tuple(ahead[:_MOST_AHEAD]), *counts), spent=newest)

    def to_json(self) -> str:
        """As it is stored."""
        line = [self.upto, self.ahead, self._counts, [astuple(one) for one in self.spent]]
        return json.dumps(line, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Progress:
        """The inverse of `to_json`; raises `CorruptStoreError` if it cannot be read."""
        try:
            upto, ahead, counts, spent = json.loads(text)
            return replace(cls(upto, tuple(ahead), *counts), spent=tuple(Spent(*s) for s in spent))
        except (ValueError, TypeError) as error:
            raise CorruptStoreError(
                f"how far extraction has come cannot be read: {error}; run verify"
            ) from None

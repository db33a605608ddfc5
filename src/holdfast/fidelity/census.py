"""What is kept of everything ever observed, counted: by stretch of the stream and by tier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.fidelity.report import Estimate, Shares
from holdfast.fidelity.tally import Tally
from holdfast.fidelity.worth import worths
from holdfast.recall.columns import Columns
from holdfast.records import KINDS, Tier

Ints = npt.NDArray[np.int64]

_STATE = KINDS.index("state")


@dataclass(frozen=True, slots=True)
class Census:
    """Events and their worth in each stretch of the stream, by tier, what is lost included.

    `worth` and `events` are (stretches, tiers); `length` is how many numbers a stretch spans and
    `last` the newest event there may be.
    """

    since: int
    length: int
    last: int
    worth: Ints
    events: Ints

    @classmethod
    def of(cls, columns: Columns, tally: Tally, last: int) -> Census:
        """Compare what is kept with what there was. O(events kept), some nanoseconds each."""
        kept = columns.alive & (columns.kind != _STATE) & (columns.seq >= tally.since)
        rows = np.flatnonzero(kept)
        worth, events = tally.worth(), tally.events()
        place = tally.places(columns.seq[rows])
        inside = place < len(worth)  # what another thread is storing is not counted yet
        rows, place = rows[inside], place[inside]
        cell = place * len(Tier) + columns.tier[rows]
        size = len(worth) * len(Tier)
        by_tier = [
            np.bincount(cell, weights=weights, minlength=size).reshape(-1, len(Tier)).astype(int)
            for weights in (worths(columns, rows), np.ones(len(rows)))
        ]
        for table, total in zip(by_tier, (worth, events), strict=True):
            table[:, Tier.EVICTED] = np.maximum(0, total - table.sum(axis=1))
        return cls(tally.since, tally.length, last, *by_tier)

    def quantiles(self, n: int) -> list[tuple[int, int]]:
        """Runs of stretches with about as many events each: first, and one past the last."""
        total = np.cumsum(self.events.sum(axis=1))
        if not len(total) or not total[-1]:
            return []
        marks = total[-1] * np.arange(1, n) / n
        edges = np.unique(np.concatenate([[0], np.searchsorted(total, marks) + 1, [len(total)]]))
        return list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))

    def part(self, run: tuple[int, int]) -> Census:
        """The census of a run of stretches."""
        inside = slice(*run)
        first, last = self.span(run)
        return Census(first, self.length, last, self.worth[inside], self.events[inside])

    def span(self, run: tuple[int, int]) -> tuple[int, int]:
        """The first and the last number of a run of stretches."""
        first, last = (self.since + place * self.length for place in run)
        return first, min(last - 1, self.last)


def shares_of(by_tier: Ints) -> Shares:
    """Counts by tier as shares."""
    total = int(by_tier.sum())
    return Shares(*(Estimate.exact(float(n) / total if total else 0.0) for n in by_tier))

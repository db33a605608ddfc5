"""A policy that knows what will be asked: what no policy without that knowledge can expect."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from holdfast.bench.pooled import Asked, Pool
from holdfast.retention.base import ScoredPolicy
from holdfast.retention.view import View

_BESIDE = 0.1


@dataclass(frozen=True, eq=False)
class Oracle(ScoredPolicy):
    """Keep the evidence of questions that are still to be asked, the most of it per byte.

    An event is worth, for every such question that rests on it, one over the events that question
    rests on: its share of the question's coverage. Where sessions are ranked, the other turns of a
    right one help to find it: together they are worth a tenth. The worth per byte decides.
    Everything else goes first, oldest first.

    Parameters
    ----------
    due
        (turns + 1,) what each turn of the pool is worth now; the last entry is for anything else.
    places
        Which turn an event is, by its sequence number.

    Notes
    -----
    The lab keeps both up to date while it feeds and asks, so this is no pure policy. It evicts
    outright, and it maximises evidence kept, not what recall finds: a policy that keeps gists or
    traces of more evidence can be above it where the evidence alone is over the budget.
    """

    due: npt.NDArray[np.float64]
    places: dict[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, pool: Pool) -> Oracle:
        """One that knows every question of a pool."""
        oracle = cls(np.zeros(len(pool.turns) + 1))
        for one in pool.asked:
            oracle._weigh(one, 1.0)
        return oracle

    def answered(self, one: Asked) -> None:
        """A question has been asked: what it rested on is worth that much less."""
        self._weigh(one, -1.0)

    def _weigh(self, one: Asked, sign: float) -> None:
        for places, worth in ((one.evidence, 1.0), (one.beside, _BESIDE)):
            for place in places:
                self.due[place] += sign * worth / len(places)

    def score(self, view: View) -> npt.NDArray[np.float64]:
        other = len(self.due) - 1
        worth = self.due[[self.places.get(seq, other) for seq in view.position.tolist()]]
        age = (view.position - view.now).astype(np.float64)  # below 0: after all that is worth any
        return np.asarray(np.where(worth > 1e-9, worth / np.maximum(view.costs(), 1.0), age))

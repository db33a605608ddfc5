"""What a retention policy sees and what it answers: arrays in, arrays out, no storage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Tiers = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """Columns over the entries of a bounded memory, oldest first, all of length n.

    The substrate may be a chat log, a KV cache or a stream of frames: a policy cannot tell.

    Attributes
    ----------
    position
        (n,) place in the stream, ascending.
    now
        The position the next entry will get.
    cost
        (n, tiers) bytes the entry takes at each tier, not increasing along a row; the last
        column (evicted) is 0.
    tier
        (n,) present tier. A plan may move an entry down (to a larger number), never up.
    surprise
        (n,) bits per term against the stream so far; 0 where unknown.
    uses
        (n,) how often recall used the entry, as far as feedback events say.
    pinned
        (n,) must keep its tier.
    group
        (n,) scope, head or track the entry belongs to.
    """

    position: Ints
    now: int
    cost: Floats
    tier: Tiers
    surprise: Floats
    uses: Floats
    pinned: Bools
    group: Ints

    def spent(self, tier: Tiers | None = None) -> float:
        """Total bytes at the given tiers, by default at the present ones."""
        chosen = self.tier if tier is None else tier
        return float(self.cost[np.arange(len(chosen)), chosen].sum())


class Policy(ABC):
    """Decides what each entry keeps.

    `plan(view, limit)` returns the new tier of each entry, (n,) uint8, such that
    ``view.spent(plan) <= limit``, no entry rises and no pinned entry moves. It raises
    `BudgetError` if the pinned entries alone are over the limit. It is pure and deterministic.
    """

    @abstractmethod
    def plan(self, view: View, limit: float) -> Tiers:
        """The tier each entry should have so that all of them cost at most `limit` bytes."""

"""What a retention policy sees and what it answers: arrays in, arrays out, no storage."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.errors import BudgetError
from holdfast.retention.select import cheapest

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Tiers = npt.NDArray[np.uint8]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class View:
    """Columns over the entries of a bounded memory, oldest first, all of length n.

    The substrate may be a chat log, a KV cache or a stream of frames: a policy cannot tell, and
    reads the number of tiers off `cost`. It never changes these arrays.

    Attributes
    ----------
    position
        (n,) place in the stream, ascending.
    now
        The position the next entry will get.
    cost
        (n, tiers) bytes the entry takes at each tier, not increasing along a row; the last
        column (evicted) is 0. Above the present tier it is what the entry took there, or the
        best guess of it: that is how a policy knows how large it was.
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

    def __len__(self) -> int:
        return len(self.position)

    @property
    def evicted(self) -> int:
        """The last tier, at which nothing is kept."""
        return int(self.cost.shape[1]) - 1

    @property
    def age(self) -> Ints:
        """(n,) positions since the entry was new; 1 for the newest there can be."""
        return np.maximum(self.now - self.position, 1)

    def spent(self, tier: Tiers | None = None) -> float:
        """Total bytes at the given tiers, by default at the present ones."""
        return float(self.costs(tier).sum())

    def costs(self, tier: Tiers | None = None) -> Floats:
        """(n,) bytes of each entry at the given tiers, by default at the present ones."""
        chosen = self.tier if tier is None else tier
        return np.asarray(self.cost.ravel()[np.arange(len(self)) * self.cost.shape[1] + chosen])

    def at(self, rows: Ints | slice) -> View:
        """The same columns over some of the entries, in ascending order."""
        return View(
            position=self.position[rows],
            now=self.now,
            cost=self.cost[rows],
            tier=self.tier[rows],
            surprise=self.surprise[rows],
            uses=self.uses[rows],
            pinned=self.pinned[rows],
            group=self.group[rows],
        )


class Policy(ABC):
    """Decides what each entry keeps.

    `plan(view, limit)` returns the new tier of each entry, (n,) uint8, such that
    ``view.spent(plan) <= limit`` (to the rounding of a float sum), no entry rises and no pinned
    entry moves; within the limit nothing moves at all. It raises `BudgetError` if the pinned
    entries alone are over the limit. It is pure and deterministic.
    `holdfast.checks.check_policy` tests all of this.
    """

    @abstractmethod
    def plan(self, view: View, limit: float) -> Tiers:
        """The tier each entry should have so that all of them cost at most `limit` bytes."""


@dataclass(frozen=True)
class Steps:
    """Moves a policy is willing to make, each at a price; all arrays of length m.

    An entry may have several steps, each starting where its last one ends. They must be listed
    in that order, with prices that do not fall.

    Attributes
    ----------
    row
        (m,) which entry moves.
    to
        (m,) the tier it moves to.
    freed
        (m,) bytes that frees.
    price
        (m,) what it costs; the cheapest steps are taken first, equal ones in listed order.
    """

    row: Ints
    to: Tiers
    freed: Floats
    price: Floats


class SteppedPolicy(Policy):
    """A policy that lists steps with prices; this base takes the cheapest until the limit holds.

    Notes
    -----
    A lower limit takes a longer run of the same steps, so it never keeps an entry at a higher
    tier. O(n) expected: the cut is found by selection, not by sorting.
    """

    @abstractmethod
    def steps(self, view: View) -> Steps:
        """Every step that may be taken; together they evict all entries that are not pinned."""

    def plan(self, view: View, limit: float) -> Tiers:
        plan = view.tier.copy()
        need = must_free(view, limit)
        if need > 0:
            steps = self.steps(view)
            taken, last = cheapest(steps.price, steps.freed, need)
            np.maximum.at(plan, steps.row[taken], steps.to[taken])
            self.settle(view, limit, plan, int(steps.row[last]))
        return plan

    def settle(self, view: View, limit: float, plan: Tiers, row: int) -> None:
        """Improve `plan` in place at the entry whose step was the last one taken."""


class ScoredPolicy(SteppedPolicy):
    """A policy that is one number per entry: the lowest is evicted first, the oldest of equals.

    It evicts outright. A policy that lowers entries tier by tier must also say when the lower
    tiers have to go, or they fill the budget: see `DemotionLadder`.
    """

    @abstractmethod
    def score(self, view: View) -> Floats:
        """(n,) how much each entry is worth keeping."""

    def steps(self, view: View) -> Steps:
        freed = view.costs()
        row = np.flatnonzero(~view.pinned & (freed > 0))
        to = np.full(len(row), view.evicted, np.uint8)
        return Steps(row, to, freed[row], self.score(view)[row])


def must_free(view: View, limit: float) -> float:
    """Bytes over the limit; zero or less if nothing needs to move.

    Raises
    ------
    BudgetError
        If the pinned entries alone are over the limit.
    """
    costs = view.costs()
    over = float(costs.sum()) - limit
    if over > 0 and (held := float(costs[view.pinned].sum())) > limit:
        raise BudgetError(
            f"{int(view.pinned.sum())} pinned items need {held:g} bytes but the budget is "
            f"{limit:g}; raise the budget or unpin one"
        )
    return over

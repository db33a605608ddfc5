"""How large a memory must be to keep so much of its past."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.errors import ArgumentsError, BudgetError
from holdfast.fidelity.census import Census
from holdfast.fidelity.probes import Sampled
from holdfast.fidelity.wilson import wilson
from holdfast.fidelity.worth import HEAVIEST, worths
from holdfast.mirror import Mirror
from holdfast.records import Tier
from holdfast.retain import view_of
from holdfast.retention.base import Policy
from holdfast.retention.view import View
from holdfast.stores.base import Store

Floats = npt.NDArray[np.float64]

_SMALLER = tuple(n / 20 for n in range(1, 21))  # of the bytes kept now
_LARGER = 24  # steps from there to keeping everything whole
_AT_ONCE = 32_768  # entries that a policy sees together
_STEP = 64 * 1024  # budgets are told in steps of so many bytes
_LARGEST = 1 << 50


@dataclass(frozen=True, slots=True)
class Advice:
    """The smallest budget that would have kept so much of what was observed so far.

    Attributes
    ----------
    fidelity
        What was asked for.
    tier
        The lowest tier that counts as kept.
    budget, low, high
        Bytes for the file, and the 95 % interval; `high` is what keeps everything where the probes
        cannot tell it from less.
    present_budget, present_fidelity
        What there is now.
    whole
        The budget that would have kept everything whole, about.
    enough
        Whether the present budget is enough; nothing larger is needed then.
    curve
        Budgets, ascending, with the share kept at each.
    """

    fidelity: float
    tier: Tier
    budget: int
    low: int
    high: int
    present_budget: int
    present_fidelity: float
    whole: int
    enough: bool
    curve: tuple[tuple[int, float], ...]


class _Point(NamedTuple):
    """Bytes that a policy may spend, and what share of all worth that keeps, with its interval."""

    spent: float
    share: float
    low: float
    high: float


def advise(
    mirror: Mirror, store: Store, policy: Policy, fidelity: float, tier: Tier = Tier.GIST
) -> Advice:
    """Read the smallest sufficient budget off a curve of budgets and what each would keep.

    Raises
    ------
    ValueError
        If `fidelity` is not between 0 and 1, or `tier` is EVICTED.

    Notes
    -----
    Below the present size the policy itself plans what it would let go of what is kept now, at a
    series of limits: those points are exact but for one thing, that a smaller memory would have had
    to decide earlier. Above it, the policy plans for a stand-in of the whole stream: each probe for
    as many events of its size, surprise and place as it was drawn from. The part of the curve from
    there to keeping everything is stretched to begin where the memory is now. Its interval is that
    of a share of as many probes.

    It is about the stream so far: the longer a stream, the more it takes to keep the same share. A
    policy that needs vectors has none of what is gone; then the share is taken to rise evenly with
    the logarithm of the bytes. O(events kept), about a second for 100,000.
    """
    if not 0.0 < fidelity <= 1.0 or tier == Tier.EVICTED:
        raise ArgumentsError(
            f"a share of {fidelity} at tier {tier.name.lower()} cannot be asked for"
        )
    sampled = mirror.probes.now()
    with mirror.lock:
        here = _Here(mirror, policy, sampled, tier)
    points = [*here.smaller(), *here.larger()]
    files = _Files(store, here.spent)
    budgets = [(files.budget(point.spent), point) for point in points]
    now, whole = here.share, files.budget(here.whole)

    def least(read: Sequence[float]) -> int:
        """The smallest budget whose share, by one reading, is enough."""
        return next((b for (b, _), s in zip(budgets, read, strict=True) if s >= fidelity), whole)

    return Advice(
        fidelity=fidelity,
        tier=tier,
        budget=least([point.share for point in points]),
        low=least([point.high for point in points]),
        high=least([point.low for point in points]),
        present_budget=store.budget,
        present_fidelity=now,
        whole=whole,
        enough=now >= fidelity,
        curve=tuple((budget, point.share) for budget, point in budgets),
    )


class _Here:
    """What a memory keeps now, and how it would be with another limit."""

    def __init__(self, mirror: Mirror, policy: Policy, sampled: Sampled, tier: Tier) -> None:
        self._policy, self._sampled, self._tier = policy, sampled, tier
        self._now, columns = mirror.next_seq, mirror.columns
        rows = np.flatnonzero(columns.alive)
        self._parts = max(1, -(-len(rows) // _AT_ONCE))
        self._rows = rows[:: self._parts]
        self._view = view_of(mirror, self._rows, policy.needs)
        self._worth = worths(columns, self._rows).astype(np.float64)
        self._worth[columns.seq[self._rows] < sampled.tally.since] = 0.0
        census = Census.of(columns, sampled.tally, mirror.next_seq - 1)
        total = float(census.worth.sum())
        by_tier = census.worth.sum(axis=0)
        self.share = float(by_tier[: tier + 1].sum()) / total if total else 1.0
        self.spent = float(self._view.spent()) * self._parts
        self._whole_costs = self._costs_of_probes(columns.size[self._rows].astype(np.float64))
        chances = [min(1.0, sampled.below * one.worth / HEAVIEST) for one in sampled.probes]
        self._stand_for = 1.0 / np.array(chances) if chances else np.zeros(0)
        lost = np.array([columns.find(one.seq) is None for one in sampled.probes], np.bool_)
        kept_whole = float(self._view.cost[:, 0].sum()) * self._parts
        # What a unit of worth costs: by the probes of what is gone, else by what is kept.
        stands = self._stand_for * np.array([one.worth for one in sampled.probes], np.float64)
        if lost.any():
            price = float((self._stand_for * self._whole_costs[:, 0])[lost].sum())
            price /= float(stands[lost].sum())
        else:
            price = kept_whole / max(1.0, float(self._worth.sum()) * self._parts)
        self.whole = kept_whole + price * float(by_tier[Tier.EVICTED])

    def _costs_of_probes(self, size: Floats) -> Floats:
        """(probes, tiers) about what an event of each one's size costs at each tier.

        `size` is (rows,) that of what is kept.
        """
        order = np.argsort(size, kind="stable")
        wanted = np.array([one.size for one in self._sampled.probes], np.float64)
        if not len(size):
            return np.zeros((len(wanted), len(Tier)))
        columns = [np.interp(wanted, size[order], column[order]) for column in self._view.cost.T]
        # Beyond the largest kept event, costs go on in proportion.
        beyond = np.maximum(1.0, wanted / max(1.0, float(size.max())))[:, None]
        return np.column_stack(columns) * beyond

    def smaller(self) -> Iterator[_Point]:
        """Points from a twentieth of what is kept now up to all of it."""
        total = (self._kept(self._view.tier) / self.share if self.share else 0.0) or 1.0
        for part in _SMALLER:
            limit = part * float(self._view.spent())
            if part == 1.0:
                share = self.share
            else:
                try:
                    plan = self._policy.plan(self._view, limit)
                except BudgetError:
                    continue  # what is pinned is over it
                share = self._kept(plan.tier) / total
            yield _Point(limit * self._parts, share, share, share)

    def _kept(self, tier: npt.NDArray[np.uint8]) -> float:
        return float(self._worth[tier <= self._tier].sum())

    def larger(self) -> Iterator[_Point]:
        """Points from there to keeping everything whole."""
        if self.whole <= self.spent:
            return
        steps = np.geomspace(max(self.spent, 1.0), self.whole, _LARGER + 1)
        rise = self._rise(steps)
        n = len(self._sampled.probes)
        for spent, part in zip(steps[1:], rise[1:], strict=True):
            share = self.share + (1.0 - self.share) * float(part)
            yield _Point(float(spent), share, *wilson(share * n, n))

    def _rise(self, steps: Floats) -> Floats:
        """How far the share has risen from its present value (0) to 1 at each of some sizes."""
        if "vector" in self._policy.needs or not len(self._stand_for):
            return np.linspace(0.0, 1.0, len(steps))
        view, worth = self._stand_in()
        full, shares = float(view.spent()), []
        for part in steps / self.whole:
            tier = self._policy.plan(view, part * full).tier
            shares.append(float(worth[tier <= self._tier].sum() / worth.sum()))
        curve = np.maximum.accumulate(np.array(shares))
        rise: Floats = (curve - curve[0]) / max(1e-9, 1.0 - float(curve[0]))
        rise[-1] = 1.0
        return rise

    def _stand_in(self) -> tuple[View, Floats]:
        """The whole stream as the probes tell it, and the worth of each entry.

        Each probe is there for as many events as it was drawn from, thinned to a number to plan at
        once.
        """
        probes = sorted(range(len(self._stand_for)), key=lambda i: self._sampled.probes[i].seq)
        stand_for = self._stand_for[probes]
        thinned = max(1.0, float(stand_for.sum()) / _AT_ONCE)
        times = np.maximum(1, np.rint(stand_for / thinned)).astype(int)
        which = np.repeat(np.array(probes), times)
        chosen = [self._sampled.probes[i] for i in which.tolist()]
        view = View.of(
            self._whole_costs[which],
            position=np.array([one.seq for one in chosen]),
            now=self._now,
            surprise=np.array([one.surprise for one in chosen]),
        )
        return view, np.array([float(one.worth) for one in chosen])


class _Files:
    """From bytes that a policy spends to bytes of a file."""

    def __init__(self, store: Store, spent: float) -> None:
        self._store = store
        self._used = store.excess(store.budget) + store.capacity()
        self._spent = spent
        usage = store.usage()
        content = usage.log + usage.index + usage.vectors
        # Pages are not full, and rows have heads: what is spent takes so much more of a file.
        self._ratio = max(1.0, content / spent) if spent else 1.0
        self._headroom = store.batch_bytes() + 16 * 4096

    def budget(self, spent: float) -> int:
        """The smallest budget whose database has the room."""
        need = self._used + self._ratio * (spent - self._spent) + self._headroom
        low, high = 1, 1
        while self._room(high * _STEP) < need and high * _STEP < _LARGEST:
            low, high = high, 2 * high
        while low < high:
            middle = (low + high) // 2
            if self._room(middle * _STEP) < need:
                low = middle + 1
            else:
                high = middle
        return high * _STEP

    def _room(self, budget: int) -> int:
        """Bytes that the database may have within a budget."""
        return self._used - self._store.excess(budget)

"""The contract every retention policy keeps, as a suite anyone can run on theirs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from holdfast.errors import BudgetError
from holdfast.retention.base import Policy
from holdfast.retention.view import Plan, View

Floats = np.ndarray[Any, np.dtype[np.float64]]
Rows = np.ndarray[Any, np.dtype[np.int64]]

_SIZES = (0, 1, 2, 7, 60, 700)
_ROUNDING = 1e-9  # share by which a sum of floats may miss a limit


def check_policy(policy: Policy, *, seed: int = 0) -> None:
    """Run the whole contract on seeded random views with 2, 3 and 4 tiers, and on edge cases.

    Parameters
    ----------
    policy
        The one to judge. It plans some four thousand times, for at most 700 entries.
    seed
        Another seed draws other views.

    Raises
    ------
    AssertionError
        With the view, the limit and what was found, at the first rule broken.

    Notes
    -----
    Views are read-only: a policy that writes to its input fails with NumPy's own `ValueError`.
    One whose `batched` is true is also given two streams at once.
    """
    for number, view in enumerate(sample_views(seed)):
        name = f"{policy!r}, view {number} of seed {seed}"
        cases = [Case(policy, view, limit, name) for limit in _limits(view)]
        for case in cases:
            for check in CHECKS:
                check(case)
        check_batch(cases[len(cases) // 2])


@dataclass(frozen=True)
class Case:
    """One question to a policy."""

    policy: Policy
    view: View
    limit: float
    name: str

    @property
    def held(self) -> float:
        """Bytes of the pinned entries."""
        return float(self.view.held())

    @property
    def possible(self) -> bool:
        return self.held <= self.limit or self.view.spent() <= self.limit

    @cached_property
    def answer(self) -> Plan:
        """What it says; only to be asked for where a plan is `possible`."""
        return self.policy.plan(self.view, self.limit)

    def expect(self, kept: bool, found: str) -> None:
        """Raise if a rule is not kept."""
        if not kept:
            n, tiers = self.view.cost.shape
            raise AssertionError(
                f"{self.name} ({n} entries, {tiers} tiers, {self.view.spent():g} bytes, limit "
                f"{self.limit:g}): {found}"
            )


def check_refusal(case: Case) -> None:
    """`BudgetError` if the pinned entries alone are over the limit, and only then."""
    try:
        _ = case.answer
    except BudgetError:
        case.expect(not case.possible, f"refused, but pinned entries need only {case.held:g}")
    else:
        case.expect(case.possible, f"no BudgetError, but pinned entries need {case.held:g}")


def check_shape(case: Case) -> None:
    """One uint8 tier per entry, each a tier there is, in an array of its own."""
    if not case.possible:
        return
    plan, view = case.answer.tier, case.view
    case.expect(isinstance(plan, np.ndarray), f"the plan is a {type(plan).__name__}, want an array")
    case.expect(plan.dtype == np.uint8, f"the plan is {plan.dtype}, want uint8")
    case.expect(plan.shape == (len(view),), f"the plan has shape {plan.shape}, want ({len(view)},)")
    case.expect(bool((plan <= view.evicted).all()), f"a tier is below {view.evicted}, the last")
    case.expect(not np.shares_memory(plan, view.tier), "the plan is the view's own tier column")


def check_limit(case: Case) -> None:
    """What the plan keeps costs at most the limit."""
    if case.possible:
        spent = float(case.view.spent(case.answer.tier))
        case.expect(spent <= case.limit + _ROUNDING * spent, f"the plan costs {spent:g}")


def check_moves(case: Case) -> None:
    """No entry rises, no pinned entry moves, and within the limit none does."""
    if not case.possible:
        return
    plan, view = case.answer.tier, case.view
    case.expect(bool((plan >= view.tier).all()), "an entry rises")
    case.expect(bool((plan == view.tier)[view.pinned].all()), "a pinned entry moves")
    if view.spent() <= case.limit:
        case.expect(bool((plan == view.tier).all()), "an entry moves though all of them fit")


def check_account(case: Case) -> None:
    """Kept, merged and evicted entries are all there were, and their mass is kept or counted."""
    if not case.possible:
        return
    plan, view = case.answer, case.view
    out, into = plan.tier == view.evicted, _into(plan)
    merged = into >= 0
    case.expect(into.shape == (len(view),), f"`into` has shape {into.shape}")
    case.expect(bool((into < len(view)).all()), "an entry is merged into one there is not")
    case.expect(bool(out[merged].all()), "an entry that is kept is merged into another")
    case.expect(not out[into[merged]].any(), "an entry is merged into one that is evicted")
    case.expect(bool((view.tier[merged] < view.evicted).all()), "what was gone is merged")
    same = bool((view.scope[merged] == view.scope[into[merged]]).all())
    case.expect(same, "an entry is merged into one of another scope")
    mass = np.where(out, 0.0, view.mass)
    np.add.at(mass, into[merged], view.mass[merged])
    lost = float(view.mass[out & ~merged].sum())
    case.expect(np.isclose(mass.sum() + lost, view.mass.sum()), "mass is neither kept nor counted")


def check_repeat(case: Case) -> None:
    """The same question has the same answer, and a plan carried out needs no other."""
    if not case.possible:
        return
    plan, again = case.answer, case.policy.plan(case.view, case.limit)
    same = np.array_equal(plan.tier, again.tier) and np.array_equal(_into(plan), _into(again))
    case.expect(same, "asked again, the plan is another")
    done = _change(case.view, tier=plan.tier)
    if done.spent() <= case.limit:
        more = case.policy.plan(done, case.limit).tier
        case.expect(np.array_equal(plan.tier, more), "carried out, it goes on")


def check_batch(case: Case) -> None:
    """Each row of a batch is planned as if it were alone, if the policy takes batches at all."""
    if not case.possible or not case.policy.batched:
        return
    other = _reversed(case.view)
    limits = np.array([case.limit, (case.limit + float(other.spent())) / 2])
    rows = [case.answer, case.policy.plan(other, limits[1])]
    both = {
        field.name: np.stack([getattr(case.view, field.name), getattr(other, field.name)])
        for field in fields(View)
        if isinstance(getattr(other, field.name), np.ndarray)
    }
    plan = case.policy.plan(_change(case.view, **both), limits)
    for row, alone in enumerate(rows):
        same = np.array_equal(plan.tier[row], alone.tier)
        same &= np.array_equal(_into(plan)[row], _into(alone))
        case.expect(same, f"row {row} of a batch is not planned as it is alone")


CHECKS: tuple[Callable[[Case], None], ...] = (
    check_refusal,
    check_shape,
    check_limit,
    check_moves,
    check_account,
    check_repeat,
)


def sample_views(seed: int = 0) -> Iterator[View]:
    """Read-only views to judge a policy on: random ones, and the edges of what may come."""
    for tiers in (2, 3, 4):
        for n in _SIZES:
            rng = np.random.default_rng((seed, tiers, n))
            view = random_view(rng, n, tiers)
            none, all_ = np.zeros(n, np.bool_), np.ones(n, np.bool_)
            flat = np.full(n, 5.0)
            yield view
            yield _change(view, pinned=none)
            yield _change(view, pinned=all_)
            yield _change(view, tier=np.zeros(n, np.uint8))
            yield _change(view, tier=np.full(n, tiers - 1, np.uint8))
            yield _change(view, surprise=flat * 0, uses=flat * 0, cost=_table(flat, tiers))
            yield _change(view, cost=view.cost * 1e-3, pinned=none)  # sums that round
            yield _change(view, cost=np.repeat(_table(flat, 2), [tiers - 1, 1], axis=1))
            yield _change(view, scope=np.zeros(n, np.int64))


def random_view(rng: np.random.Generator, n: int, tiers: int) -> View:
    """A view as a stream might leave it: gaps, mixed tiers, skewed sizes, a few pinned entries."""
    position = (np.cumsum(rng.integers(1, 4, n)) - 1).astype(np.int64)
    now = int(position[-1]) + 1 if n else 0
    uses = rng.poisson(0.2, n).astype(np.float64)
    after = rng.random(n) * (now - position) * (uses > 0)
    view = View(
        position=position,
        now=now,
        cost=_table(np.floor(rng.lognormal(4, 1.5, n)), tiers),
        tier=rng.integers(0, tiers, n).astype(np.uint8),
        surprise=rng.gamma(4.0, 2.0, n) * (rng.random(n) < 0.9),
        salience=rng.gamma(2.0, 0.5, n) + 0.01,
        uses=uses,
        used_at=np.floor(position + after),
        gap=np.floor(after / np.maximum(uses, 1.0)),
        pinned=rng.random(n) < 0.1,
        cited=rng.random(n) < 0.1,
        trust=rng.integers(0, 4, n).astype(np.float64),
        mass=1.0 + rng.poisson(0.1, n),
        scope=rng.integers(0, 4, n),
        vector=rng.choice([-1.0, 1.0], (n, 16)),
    )
    return _change(view)


def _into(plan: Plan) -> Rows:
    """What is merged into what, in full."""
    nothing = np.full(plan.tier.shape, -1)
    return nothing if plan.into is None else np.asarray(plan.into)


def _reversed(view: View) -> View:
    """Another stream of the same entries: the last comes first."""
    turned = {
        field.name: column[::-1]
        for field in fields(View)
        if isinstance(column := getattr(view, field.name), np.ndarray)
    }
    after = np.minimum((view.used_at - view.position)[::-1], view.now - view.position)
    return _change(view, **turned | {"position": view.position, "used_at": view.position + after})


def _table(full: Floats, tiers: int) -> Floats:
    shares = [*(0.4**tier for tier in range(tiers - 1)), 0.0]
    return np.asarray(np.floor(full[:, None] * np.array(shares)))


def _limits(view: View) -> list[float]:
    spent, held = float(view.spent()), float(view.held())
    between = [held + share * (spent - held) for share in (0.1, 0.5, 0.9)]
    return [0.0, held / 2, held, *between, spent, 2 * spent + 1]


def _change(view: View, **columns: object) -> View:
    """A read-only view with some columns replaced."""
    values = {field.name: getattr(view, field.name) for field in fields(View)} | columns
    for name, value in values.items():
        if isinstance(value, np.ndarray):
            values[name] = value.copy()
            values[name].flags.writeable = False
    return View(**values)

"""Views and limits for property tests, and the plain form of what policies do fast."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from holdfast.checks.policy import random_view
from holdfast.retention.base import Policy, Steps
from holdfast.retention.view import Plan, View


def views(max_size: int = 40, tiers: tuple[int, ...] = (2, 3, 4)) -> st.SearchStrategy[View]:
    return st.builds(
        lambda seed, n, t: random_view(np.random.default_rng(seed), n, t),
        st.integers(0, 2**32 - 1),
        st.integers(1, max_size),
        st.sampled_from(tiers),
    )


def shares() -> st.SearchStrategy[float]:
    """How much of what may be freed a limit leaves."""
    return st.floats(0.0, 1.0)


def limit_of(view: View, share: float) -> float:
    held = float(view.costs()[view.pinned].sum())
    return float(np.ceil(held + share * (view.spent() - held)))


def movable(view: View) -> np.ndarray:
    """Which entries a policy may do something about."""
    return ~view.pinned & (view.costs() > 0)


def outcome(policy: Policy, view: View, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Which movable entries a plan leaves as they are, and which it lowers."""
    moved = policy.plan(view, limit_of(view, share)).tier != view.tier
    free = movable(view)
    return free & ~moved, free & moved


def merges(plan: Plan) -> np.ndarray:
    """What each entry is merged into, -1 where it is not."""
    return np.full(plan.tier.shape, -1) if plan.into is None else np.asarray(plan.into)


def take_in_order(view: View, steps: Steps, limit: float) -> np.ndarray:
    """The tiers after one step at a time, cheapest first, until the limit holds."""
    tier = view.tier.copy()
    every = [
        (np.float32(price), entry, k)
        for entry, prices in enumerate(steps.price)
        for k, price in enumerate(prices)
        if price < np.inf
    ]
    for _, entry, k in sorted(every):
        if view.spent(tier) <= limit:
            break
        tier[entry] = steps.to[entry, k]
    return tier

"""Views and limits for property tests, and the plain form of what policies do fast."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from holdfast.checks.policy import random_view
from holdfast.retention.base import Steps, View


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


def take_in_order(view: View, steps: Steps, limit: float) -> np.ndarray:
    """One step at a time, cheapest first, until the limit holds."""
    plan = view.tier.copy()
    for step in sorted(range(len(steps.price)), key=lambda i: (steps.price[i], i)):
        if view.spent(plan) <= limit:
            break
        plan[steps.row[step]] = steps.to[step]
    return plan

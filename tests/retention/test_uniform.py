from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checks.policy import random_view
from holdfast.retention.uniform import RandomEviction
from holdfast.retention.view import View

from policy_views import limit_of, shares, views


@given(views(), st.integers(0, 2**64), shares(), shares())
def test_two_plans_leave_what_one_would(view: View, seed: int, one: float, two: float) -> None:
    policy = RandomEviction(seed)
    high, low = sorted((limit_of(view, one), limit_of(view, two)), reverse=True)
    between = replace(view, tier=policy.plan(view, high).tier, now=view.now + 100)
    assert np.array_equal(policy.plan(between, low).tier, policy.plan(view, low).tier)


@given(views(), st.integers(0, 2**32))
def test_a_draw_depends_on_seed_and_position_alone(view: View, seed: int) -> None:
    rows = np.arange(0, len(view), 2)
    draws = RandomEviction(seed).score(view)
    assert np.array_equal(RandomEviction(seed).score(view.at(rows)), draws[rows])
    assert not np.array_equal(RandomEviction(seed + 1).score(view), draws)


def test_draws_are_uniform() -> None:
    view = random_view(np.random.default_rng(0), 20_000, 2)
    draws = RandomEviction(3).score(view)
    counts = np.histogram(draws, bins=20, range=(0, 1))[0]
    assert counts.sum() == len(view)
    # Chi-squared with 19 degrees of freedom exceeds 43.8 once in a thousand; the draw is fixed.
    assert ((counts - 1000.0) ** 2 / 1000.0).sum() < 43.8
    assert abs(np.corrcoef(draws, view.position)[0, 1]) < 0.02

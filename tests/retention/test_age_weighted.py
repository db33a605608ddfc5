from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.age_weighted import AgeWeighted
from holdfast.retention.view import View

from policy_views import limit_of, shares, views


@given(views(), st.integers(0, 2**32 - 1), shares())
def test_a_use_makes_nothing_young_again(view: View, seed: int, share: float) -> None:
    when = np.random.default_rng(seed).uniform(view.position, view.now)
    policy, limit = AgeWeighted(), limit_of(view, share)
    other = policy.plan(replace(view, used_at=when), limit)
    assert np.array_equal(policy.plan(view, limit).tier, other.tier)


@given(views(), st.floats(1.0, 1000.0))
def test_worth_is_use_times_age(view: View, half_life: float) -> None:
    policy = AgeWeighted(half_life)
    unused = policy.score(replace(view, uses=np.zeros(len(view))))
    assert policy.score(view) == pytest.approx(unused * (1.0 + view.uses))
    later = policy.score(replace(view, now=view.now + half_life))
    assert later == pytest.approx(policy.score(view) / 2.0)

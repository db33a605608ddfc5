from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.diversity import Diversity
from holdfast.retention.view import View

from policy_views import outcome, shares, views


@given(views(), shares())
def test_what_goes_points_more_along_the_mean_than_what_stays(view: View, share: float) -> None:
    kept, gone = outcome(Diversity(), view, share)
    mean = view.vector[view.tier < view.evicted].sum(axis=0)
    along = view.vector @ mean
    assert along[gone].min(initial=np.inf) >= along[kept].max(initial=-np.inf)


@given(st.integers(0, 2**32 - 1), st.integers(3, 40))
def test_what_is_unlike_the_crowd_is_last_to_go(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    crowd = np.array([1.0, 0.0, 0.0]) + 0.1 * rng.normal(size=(n, 3))
    lone = int(rng.integers(n))
    crowd[lone] = [0.0, -1.0, 0.0]
    view = View.of(size=np.ones(n), vector=crowd)
    assert Diversity().plan(view, 1).tier.tolist() == [int(i != lone) for i in range(n)]

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.rate_distortion import RateDistortion
from holdfast.retention.view import View

from policy_views import limit_of, movable, shares, views

POLICIES = st.builds(
    RateDistortion,
    distortion=st.sampled_from([(0.0, 0.5, 0.9), (0.0, 0.1), (0.0, 0.6, 0.7), (0.0,)]),
    half_life=st.sampled_from([8.0, 1024.0]),
)


def prices(policy: RateDistortion, view: View, tier: np.ndarray) -> list[tuple[float, float]]:
    """For each movable entry, the prices per byte at which its tier is the best it could be at."""
    lost = 1.0 - np.array(policy.worth(view.evicted))
    worth = policy.utility(view)
    bounds = []
    for i in np.flatnonzero(movable(view)):
        low, high = 0.0, np.inf
        for other in range(view.tier[i], view.evicted + 1):
            saved = view.cost[i, tier[i]] - view.cost[i, other]
            more = worth[i] * (lost[other] - lost[tier[i]])
            if saved > 0:
                high = min(high, more / saved)
            elif saved < 0:
                low = max(low, more / saved)
        bounds.append((low, high))
    return bounds


@given(POLICIES, views(), shares())
def test_one_price_per_byte_explains_every_tier_but_the_last_one_moved(
    policy: RateDistortion, view: View, share: float
) -> None:
    bounds = prices(policy, view, policy.plan(view, limit_of(view, share)).tier)
    spared = [bounds[:i] + bounds[i + 1 :] for i in range(len(bounds))]
    assert any(
        max((low for low, _ in some), default=0.0)
        <= min((high for _, high in some), default=np.inf) * (1 + 1e-6)
        for some in [bounds, *spared]
    )


@given(POLICIES, st.lists(st.integers(0, 9), min_size=2, max_size=30), shares())
def test_of_entries_alike_the_more_used_is_never_coarser(
    policy: RateDistortion, uses: list[int], share: float
) -> None:
    n = len(uses)
    view = View.of(np.tile([100.0, 40.0, 9.0, 0.0], (n, 1)), uses=np.array(uses, np.float64))
    tier = policy.plan(view, limit_of(view, share)).tier
    # What is newer is fresher, which decides between equals.
    order = np.lexsort((view.position, view.uses))
    assert (np.diff(tier[order].astype(int)) <= 0).all()


@given(st.integers(1, 30), st.floats(0.0, 1.0))
def test_what_is_about_equal_is_all_made_coarse_before_any_is_evicted(n: int, spare: float) -> None:
    view = View.of(np.tile([100.0, 10.0, 0.0], (n, 1)))
    tier = RateDistortion().plan(view, n * (10.0 + 90.0 * spare)).tier
    assert (tier < 2).all()
    assert (RateDistortion().plan(view, 10.0 * n - 1.0).tier >= 1).all()


@pytest.mark.parametrize("distortion", [(), (0.1, 0.5), (0.0, 0.5, 0.5), (0.0, 1.0), (0.0, -0.1)])
def test_distortion_must_rise(distortion: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="distortion must rise"):
        RateDistortion(distortion)

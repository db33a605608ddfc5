from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checks.policy import random_view
from holdfast.retention.ladder import DemotionLadder
from holdfast.retention.view import View

from policy_views import limit_of, shares, take_in_order, views

LADDERS = st.builds(
    DemotionLadder,
    values=st.sampled_from([(1.0, 0.5, 0.1), (1.0, 0.9, 0.05), (1.0, 0.2, 0.19), (1.0,)]),
    surprise=st.sampled_from([0.0, 1.0, 3.0]),
    size=st.sampled_from([0.0, 0.5, 1.0]),
    decay=st.sampled_from([0.0, 0.3, 1.0]),
)


def value(ladder: DemotionLadder, view: View, tier: np.ndarray) -> float:
    return float((ladder.utility(view) * np.array(ladder.worth(view.evicted))[tier]).sum())


@given(LADDERS, views(), shares(), shares())
def test_a_lower_limit_keeps_nothing_higher(
    ladder: DemotionLadder, view: View, one: float, two: float
) -> None:
    low, high = sorted((limit_of(view, one), limit_of(view, two)))
    assert (ladder.plan(view, low).tier >= ladder.plan(view, high).tier).all()


@given(LADDERS, views(max_size=6), shares())
def test_value_is_within_one_step_of_the_best(
    ladder: DemotionLadder, view: View, share: float
) -> None:
    limit = limit_of(view, share)
    choices = [
        [t] if pinned else range(t, view.evicted + 1)
        for t, pinned in zip(view.tier.tolist(), view.pinned.tolist(), strict=True)
    ]
    plans = (np.array(plan, np.uint8) for plan in product(*choices))
    best = max(value(ladder, view, plan) for plan in plans if view.spent(plan) <= limit)
    steps = ladder.steps(view)
    there = steps.price < np.inf
    largest = float((steps.price[there] * steps.freed[there]).max(initial=0.0))
    kept = value(ladder, view, ladder.plan(view, limit).tier)
    assert kept >= best - largest - 1e-6 * best  # prices are compared in single precision


@given(LADDERS, views(), shares())
def test_same_steps_as_taking_them_one_by_one(
    ladder: DemotionLadder, view: View, share: float
) -> None:
    limit = limit_of(view, share)
    tier, plain = ladder.plan(view, limit).tier, take_in_order(view, ladder.steps(view), limit)
    assert (tier <= plain).all()
    assert (tier != plain).sum() <= 1  # the last step may stop at a higher tier that fits


@given(LADDERS, views())
def test_an_entry_walks_down_in_order_and_to_the_end(ladder: DemotionLadder, view: View) -> None:
    steps = ladder.steps(view)
    costs = view.costs()
    for entry in range(len(view)):
        there = steps.price[entry] < np.inf
        to, price = steps.to[entry, there].astype(int), steps.price[entry, there]
        if view.pinned[entry] or not costs[entry]:
            assert not there.any()
            continue
        assert (np.diff([int(view.tier[entry]), *to]) > 0).all()
        assert (np.diff(price) >= 0).all()
        assert view.cost[entry, to[-1]] == 0
        assert steps.freed[entry, there].sum() == costs[entry]


def test_a_bad_bargain_is_skipped() -> None:
    view = replace(
        random_view(np.random.default_rng(0), 1, 4),
        cost=np.array([[100.0, 90.0, 20.0, 0.0]]),  # the second tier gives up half for a tenth
        tier=np.zeros(1, np.uint8),
        pinned=np.zeros(1, np.bool_),
    )
    ladder = DemotionLadder(values=(1.0, 0.5, 0.4))
    steps = ladder.steps(view)
    assert steps.to[steps.price < np.inf].tolist() == [2, 3]
    # ... unless it is where the limit falls
    assert ladder.plan(view, 95.0).tier.tolist() == [1]


@given(views(tiers=(4,)), st.sampled_from([2, 10, 1000]), shares())
def test_the_age_scale_does_not_matter(view: View, factor: int, share: float) -> None:
    now = int(view.position[-1]) + 1
    near = replace(view, now=now, position=now - (now - view.position))
    far = replace(view, now=now, position=now - (now - view.position) * factor)
    ladder = DemotionLadder(decay=1.0)
    ratio = ladder.utility(near) / ladder.utility(far)
    assert ratio == pytest.approx(np.full(len(view), float(factor)))


@given(views(), st.integers(0, 39))
def test_use_and_surprise_raise_worth(view: View, row: int) -> None:
    row %= len(view)
    ladder, bump = DemotionLadder(), np.eye(1, len(view), row)[0]
    before = ladder.utility(view)
    for raised in (
        replace(view, uses=view.uses + bump),
        replace(view, surprise=view.surprise + bump),
    ):
        gain = ladder.utility(raised) - before
        assert gain[row] > 0
        assert np.count_nonzero(gain) == 1


@pytest.mark.parametrize("values", [(), (1.0, 1.0), (0.5, 0.6), (1.0, 0.0), (1.0, -0.1)])
def test_values_must_fall(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="values must fall"):
        DemotionLadder(values=values)

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.demand import Demand
from holdfast.retention.view import View

from policy_views import limit_of, shares, views

POLICIES = st.builds(
    Demand,
    values=st.sampled_from([(1.0, 0.5, 0.1), (1.0, 0.9, 0.05), (1.0, 0.2, 0.19), (1.0,)]),
    decay=st.sampled_from([0.0, 0.25, 1.0]),
)


@given(POLICIES, views(), shares())
def test_of_entries_alike_but_for_salience_the_more_salient_stay_higher(
    policy: Demand, view: View, share: float
) -> None:
    n = len(view)
    same = view.at(np.zeros(n, np.int64))
    same = replace(same, salience=view.salience, pinned=np.zeros(n, np.bool_))
    tier = policy.plan(same, limit_of(same, share)).tier.astype(int)
    order = np.argsort(same.salience, kind="stable")
    settled = np.diff(tier[order]) <= 0  # more salient: at the same tier or a higher one
    assert (~settled).sum() <= 1, "only the last step taken may stop at a higher tier that fits"


@given(POLICIES, views(max_size=6), shares())
def test_demand_met_is_within_one_step_of_the_best(
    policy: Demand, view: View, share: float
) -> None:
    limit = limit_of(view, share)
    steps = policy.steps(view)
    met = list(policy.values[: view.evicted])
    while len(met) < view.evicted:
        met.append(met[-1] / 2)
    met.append(0.0)

    def value(plan: np.ndarray) -> float:
        return float((policy.utility(view) * np.array(met)[plan]).sum())

    choices = [
        [t] if pinned else range(t, view.evicted + 1)
        for t, pinned in zip(view.tier.tolist(), view.pinned.tolist(), strict=True)
    ]
    plans = (np.array(plan, np.uint8) for plan in product(*choices))
    best = max(value(plan) for plan in plans if view.spent(plan) <= limit)
    finite = np.isfinite(steps.price)
    largest = float((steps.price[finite] * steps.freed[finite]).max(initial=0.0))
    assert value(policy.plan(view, limit).tier) >= best - largest * (1 + 1e-6) - 1e-6 * best


@given(views(), st.sampled_from([0.5, 3.0, 1000.0]), shares())
def test_the_scale_of_salience_does_not_matter(view: View, factor: float, share: float) -> None:
    limit = limit_of(view, share)
    louder = replace(view, salience=view.salience * 2.0 ** round(np.log2(factor)))
    assert np.array_equal(Demand().plan(view, limit).tier, Demand().plan(louder, limit).tier)


@pytest.mark.parametrize("values", [(), (1.0, 1.0), (0.5, 0.6), (1.0, 0.0), (1.0, -0.1)])
def test_values_must_fall(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="values must fall"):
        Demand(values=values)

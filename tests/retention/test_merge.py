from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checks.policy import random_view
from holdfast.retention.ladder import DemotionLadder
from holdfast.retention.merge import EvictThenMerge
from holdfast.retention.oldest import Oldest
from holdfast.retention.view import View

from policy_views import limit_of, merges, shares

POLICIES = st.builds(
    EvictThenMerge,
    policy=st.sampled_from([Oldest(), DemotionLadder()]),
    threshold=st.sampled_from([-1.0, 0.0, 0.5, 0.9]),
    block=st.sampled_from([3, 16, 512]),
)


@given(POLICIES, st.integers(0, 2**32 - 1), st.integers(1, 60), shares())
def test_each_loser_goes_to_the_entry_kept_in_its_scope_and_block_that_is_most_like_it(
    policy: EvictThenMerge, seed: int, n: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    base = random_view(rng, n, 3)
    view = View.of(
        base.cost, tier=base.tier, pinned=base.pinned, scope=base.scope,
        vector=rng.normal(size=(n, 4)),
    )  # fmt: skip
    limit = limit_of(view, share)
    plan, inner = policy.plan(view, limit), policy.policy.plan(view, limit)
    assert np.array_equal(plan.tier, inner.tier)  # who goes is the other policy's choice
    like = view.directions() @ view.directions().T
    block = np.arange(n) // policy.block
    goes = (plan.tier == view.evicted) & (view.tier < view.evicted)
    for entry, into in enumerate(merges(plan)):
        may = (
            (plan.tier < view.evicted) & (view.scope == view.scope[entry]) & (block == block[entry])
        )
        best = like[entry, may].max(initial=-np.inf)
        if not goes[entry] or best < policy.threshold - 1e-6:
            assert into == -1
        elif best > policy.threshold + 1e-6:
            assert may[into]
            assert like[entry, into] == pytest.approx(best)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(2, 9))
def test_of_copies_one_is_left_that_stands_for_all(seed: int, n: int, times: int) -> None:
    rng = np.random.default_rng(seed)
    # The newest n are one of each, so that whatever is evicted has its like among what is kept.
    which = np.array([*rng.integers(0, n, n * (times - 1)), *range(n)])
    mass = 1.0 + rng.random(len(which))
    view = View.of(size=np.ones(len(which)), vector=np.eye(n)[which], mass=mass)
    plan = EvictThenMerge(Oldest()).plan(view, n)
    into = merges(plan)
    total = np.bincount(np.where(into >= 0, into, np.arange(len(into))), mass, len(into))
    assert total[plan.tier == 0] == pytest.approx(np.bincount(which, mass, n))


def test_block_is_checked() -> None:
    with pytest.raises(ValueError, match="block is 0; it must be at least 1"):
        EvictThenMerge(block=0)

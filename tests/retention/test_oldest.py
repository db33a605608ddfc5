from __future__ import annotations

import numpy as np
from hypothesis import given

from holdfast.retention.base import View
from holdfast.retention.oldest import Oldest

from policy_views import limit_of, shares, take_in_order, views


@given(views(), shares())
def test_what_is_left_runs_unbroken_up_to_now(view: View, share: float) -> None:
    plan = Oldest().plan(view, limit_of(view, share))
    movable = ~view.pinned & (view.costs() > 0)
    kept = (plan == view.tier)[movable]
    assert not kept.any() or kept[np.argmax(kept) :].all()


@given(views(), shares())
def test_no_more_goes_than_must(view: View, share: float) -> None:
    limit = limit_of(view, share)
    policy = Oldest()
    assert np.array_equal(policy.plan(view, limit), take_in_order(view, policy.steps(view), limit))

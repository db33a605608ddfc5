from __future__ import annotations

import numpy as np
from hypothesis import given

from holdfast.retention.oldest import Oldest
from holdfast.retention.view import View

from policy_views import limit_of, outcome, shares, take_in_order, views


@given(views(), shares())
def test_what_is_left_runs_unbroken_up_to_now(view: View, share: float) -> None:
    kept, gone = outcome(Oldest(), view, share)
    assert max(np.flatnonzero(gone), default=-1) < min(np.flatnonzero(kept), default=len(view))


@given(views(), shares())
def test_no_more_goes_than_must(view: View, share: float) -> None:
    limit, policy = limit_of(view, share), Oldest()
    plain = take_in_order(view, policy.steps(view), limit)
    assert np.array_equal(policy.plan(view, limit).tier, plain)

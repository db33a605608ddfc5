from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.lru import LeastRecentlyUsed
from holdfast.retention.oldest import Oldest
from holdfast.retention.view import View

from policy_views import limit_of, outcome, shares, views


@given(views(), shares())
def test_what_goes_was_used_no_later_than_what_stays(view: View, share: float) -> None:
    kept, gone = outcome(LeastRecentlyUsed(), view, share)
    assert view.used_at[gone].max(initial=-1) <= view.used_at[kept].min(initial=view.now)


@given(views(), st.integers(0, 39), shares())
def test_using_an_entry_saves_it_until_nothing_else_is_left(
    view: View, entry: int, share: float
) -> None:
    entry %= len(view)
    used = replace(view, used_at=np.where(np.arange(len(view)) == entry, view.now, view.used_at))
    kept, gone = outcome(LeastRecentlyUsed(), used, share)
    assert not gone[entry] or not kept.any()


@given(views(), shares())
def test_without_feedback_it_is_the_oldest(view: View, share: float) -> None:
    unused, limit = replace(view, used_at=view.position * 1.0), limit_of(view, share)
    plan, oldest = LeastRecentlyUsed().plan(unused, limit), Oldest().plan(unused, limit)
    assert np.array_equal(plan.tier, oldest.tier)

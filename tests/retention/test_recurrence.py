from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.lru import LeastRecentlyUsed
from holdfast.retention.recurrence import RecurrenceGap
from holdfast.retention.view import View

from policy_views import outcome, shares, views


@given(views(), st.integers(0, 10), shares())
def test_none_goes_within_its_own_gap_while_one_overdue_stays(
    view: View, lag: int, share: float
) -> None:
    kept, gone = outcome(RecurrenceGap(lag), view, share)
    watched = view.age <= lag
    overdue = view.idle > view.gap
    assert not (gone & ~watched & ~overdue).any() or not (kept & ~watched & overdue).any()


@given(views(), st.integers(1, 30), shares())
def test_the_newest_are_watched_until_nothing_older_is_left(
    view: View, lag: int, share: float
) -> None:
    kept, gone = outcome(RecurrenceGap(lag), view, share)
    watched = view.age <= lag
    assert not (gone & watched).any() or not (kept & ~watched).any()


@given(st.integers(3, 30), st.integers(4, 12))
def test_what_returns_outlives_a_silence_within_its_period_that_recency_does_not_bear(
    period: int, room: int
) -> None:
    n = 3 * period
    position = np.arange(n, dtype=np.float64)
    view = View.of(
        size=np.ones(n),
        position=position,
        used_at=np.where(position == 0, n - period + 1.0, position),
        uses=(position == 0) * 2.0,
        gap=np.where(position == 0, float(period), 0.0),
    )
    assert RecurrenceGap(lag=room - 1).plan(view, room).tier[0] == 0
    if period > room + 1:
        assert LeastRecentlyUsed().plan(view, room).tier[0] == 1

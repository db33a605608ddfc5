from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.sink_window import SinkWindow
from holdfast.retention.view import View

from policy_views import limit_of, shares, views


@given(views(), st.integers(0, 6), shares())
def test_first_entries_survive_the_middle(view: View, n_sink: int, share: float) -> None:
    gone = SinkWindow(n_sink).plan(view, limit_of(view, share)).tier != view.tier
    middle = ~view.pinned & (view.costs() > 0)
    middle[:n_sink] = False
    if gone[:n_sink].any():
        assert gone[middle].all()
    kept = ~gone[middle]
    assert not kept.any() or kept[np.argmax(kept) :].all()


@given(views(), shares())
def test_sinks_give_way_from_the_last(view: View, share: float) -> None:
    tier = SinkWindow(len(view)).plan(view, limit_of(view, share)).tier
    gone = (tier != view.tier)[~view.pinned & (view.costs() > 0)]
    assert not gone.any() or gone[np.argmax(gone) :].all()

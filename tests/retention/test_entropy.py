from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.entropy import Entropy
from holdfast.retention.view import View

from policy_views import outcome, shares, views


@given(views(), st.floats(0.5, 1000.0), st.integers(0, 500))
def test_a_score_fades_by_the_same_share_with_every_step(
    view: View, half_life: float, n: int
) -> None:
    policy = Entropy(half_life, n_sink=0)
    later = policy.score(replace(view, now=view.now + n))
    assert later == pytest.approx(policy.score(view) * 0.5 ** (n / half_life))
    assert later == pytest.approx(view.surprise * 0.5 ** ((view.age + n) / half_life))


@given(views(), st.integers(0, 5), shares())
def test_what_stays_surprised_more_and_sinks_go_last(view: View, n_sink: int, share: float) -> None:
    kept, gone = outcome(Entropy(n_sink=n_sink), view, share)
    rest = np.arange(len(view)) >= n_sink
    least = view.surprise[kept & rest].min(initial=np.inf)
    assert view.surprise[gone & rest].max(initial=0.0) <= least
    if gone[:n_sink].any():
        assert not kept[rest].any()
        assert max(np.flatnonzero(kept), default=-1) < min(np.flatnonzero(gone[:n_sink]))


@given(st.integers(2, 300), st.floats(1.01, 20.0))
def test_an_early_surprise_outlives_ordinary_entries_until_it_has_faded(
    n: int, times: float
) -> None:
    view = View.of(size=np.ones(n), surprise=np.where(np.arange(n) == 0, times, 1.0))
    for half_life, stays in ((float("inf"), True), (1e-3, False)):
        first = Entropy(half_life, n_sink=0).plan(view, 1.0).tier[0]
        assert (first == 0) == stays

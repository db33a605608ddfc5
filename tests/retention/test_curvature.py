from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.curvature import Curvature, trailing_mean
from holdfast.retention.view import View

from policy_views import limit_of, movable, shares, views


def path(stretches: list[int], pace: float, dimensions: int = 24) -> tuple[np.ndarray, list[int]]:
    """A walk on the sphere along arcs, each square to the one before, and where it has turned."""
    at, ahead = np.eye(dimensions)[0], np.eye(dimensions)[1]
    points, bends = [at], []
    for arc, length in enumerate(stretches):
        if arc:
            ahead = np.eye(dimensions)[arc + 1]
            bends.append(len(points))
        for _ in range(length):
            at, ahead = (
                np.cos(pace) * at + np.sin(pace) * ahead,
                np.cos(pace) * ahead - np.sin(pace) * at,
            )
            points.append(at)
    return np.array(points), bends


ARCS = st.lists(st.integers(9, 20), min_size=2, max_size=12)


@given(ARCS, st.floats(0.01, 0.3))
def test_the_clear_ones_are_the_bends_whatever_the_pace(arcs: list[int], pace: float) -> None:
    points, bends = path(arcs, pace)
    view = View.of(size=np.ones(len(points)), vector=points)
    policy = Curvature(window=1000)
    assert np.flatnonzero(policy.score(view) == 2).tolist() == bends
    kept = policy.plan(view, len(bends)).tier == 0
    assert np.flatnonzero(kept).tolist() == bends


@given(ARCS, st.floats(0.01, 0.05), st.floats(5.0, 10.0))
def test_the_threshold_follows_the_pace(arcs: list[int], slow: float, times: float) -> None:
    points, bends = path(arcs, slow)
    faster, more = path(arcs, slow * times)
    # Quick and then slow: long after the change, small bends are bends again.
    vector = np.vstack([faster, points])
    score = Curvature(window=30).score(View.of(size=np.ones(len(vector)), vector=vector))
    later = [bend + len(faster) for bend in bends if bend > 30]
    assert (score[later] == 2).all()
    assert (score[[bend for bend in more if bend > 3]] == 2).all()


@given(views(), shares())
def test_smooth_ones_go_first_then_blurred_ones_coarsen_then_go(view: View, share: float) -> None:
    policy = Curvature()
    level, tier = policy.score(view), policy.plan(view, limit_of(view, share)).tier
    free, moved = movable(view), tier != view.tier
    out = view.costs(tier) == 0
    smooth, blurred, clear = (free & (level == n) for n in (0, 1, 2))
    if (moved & (blurred | clear)).any():
        assert out[smooth].all()
    if (moved & clear).any():
        assert out[blurred].all()
    if ((tier == view.evicted) & blurred & (view.tier < view.evicted - 1)).any():
        coarse = view.cost[:, view.evicted - 1]
        could = blurred & (view.tier < view.evicted - 1) & (coarse > 0) & (coarse < view.costs())
        assert moved[could].all()
    for some in (smooth, clear & (view.tier == view.evicted - 1)):
        gone, kept = np.flatnonzero(some & out), np.flatnonzero(some & ~out)
        assert max(gone, default=-1) < min(kept, default=len(view))


@given(st.lists(st.integers(-9, 9), min_size=1, max_size=30), st.integers(1, 12))
def test_trailing_mean(values: list[int], window: int) -> None:
    plain = [np.mean(values[max(0, i + 1 - window) : i + 1]) for i in range(len(values))]
    assert trailing_mean(np.array(values, np.float64), window) == pytest.approx(plain)


def test_a_path_that_stands_still_has_no_bends() -> None:
    view = View.of(size=np.ones(50), vector=np.ones((50, 3)))
    assert not Curvature().score(view).any()


def test_options_are_checked() -> None:
    for wrong in ({"window": 0}, {"clear": -1.0}):
        with pytest.raises(ValueError, match="must be at least 1, and clear"):
            Curvature(**wrong)

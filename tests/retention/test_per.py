from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.merge import EvictThenMerge
from holdfast.retention.oldest import Oldest
from holdfast.retention.per import PerGroup, fill
from holdfast.retention.view import View

from policy_views import limit_of, merges, shares, views

BOUNDS = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=8)


@given(BOUNDS, shares(), shares(), st.booleans())
def test_fill(bounds: list[tuple[int, int]], one: float, two: float, by_size: bool) -> None:
    floor = np.array([a for a, _ in bounds], float)
    full = floor + [b for _, b in bounds]
    weight = full if by_size else np.ones(len(full))
    low, high = sorted(float(floor.sum() + s * (full - floor).sum()) for s in (one, two))
    less, more = (
        np.array(fill(list(floor), list(full), list(weight), total)) for total in (low, high)
    )
    for parts, total in ((less, low), (more, high)):
        assert (floor <= parts).all()
        assert (parts <= full).all()
        assert parts.sum() == pytest.approx(total)
    assert (less <= more).all()


@given(views(), shares())
def test_a_quiet_group_is_untouched_by_a_loud_one(view: View, share: float) -> None:
    limit = limit_of(view, share)
    tier = PerGroup(Oldest(), share="equal").plan(view, limit).tier
    groups = np.unique(view.scope)
    held = float(view.costs()[view.pinned].sum())
    for group in groups:
        mine = view.scope == group
        if view.costs()[mine].sum() <= (limit - held) / len(groups):
            assert np.array_equal(tier[mine], view.tier[mine])


@given(views(), shares())
def test_each_group_is_planned_as_if_alone(view: View, share: float) -> None:
    policy = EvictThenMerge(Oldest(), threshold=0.2)
    plan = PerGroup(policy).plan(view, limit_of(view, share))
    for group in np.unique(view.scope):
        rows = np.flatnonzero(view.scope == group)
        part = view.at(rows)
        alone = policy.plan(part, part.spent(plan.tier[rows]))
        assert np.array_equal(plan.tier[rows], alone.tier)
        mine = merges(alone)
        assert np.array_equal(merges(plan)[rows], np.where(mine >= 0, rows[mine], -1))


def test_share_is_checked() -> None:
    with pytest.raises(ValueError, match="must be 'size' or 'equal'"):
        PerGroup(share="fair")  # type: ignore[arg-type]

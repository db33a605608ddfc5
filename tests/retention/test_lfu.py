from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.lfu import LeastFrequentlyUsed
from holdfast.retention.view import View

from policy_views import limit_of, outcome, shares, views

HALF_LIVES = st.sampled_from([4.0, 16.0, 64.0])  # powers of two, by which doubles scale exactly


@given(views(), HALF_LIVES, st.integers(1, 9), shares())
def test_time_alone_changes_no_order(view: View, half_life: float, n: int, share: float) -> None:
    policy, limit = LeastFrequentlyUsed(half_life), limit_of(view, share)
    later = replace(view, now=view.now + n * half_life)
    assert np.array_equal(policy.plan(view, limit).tier, policy.plan(later, limit).tier)


@given(views(), HALF_LIVES)
def test_twice_the_uses_are_worth_one_half_life(view: View, half_life: float) -> None:
    policy = LeastFrequentlyUsed(half_life)
    often = replace(view, uses=2.0 * view.uses + 1.0, now=view.now + half_life)
    assert policy.score(often) == pytest.approx(policy.score(view))


@given(views(), HALF_LIVES, st.integers(0, 2**32 - 1))
def test_it_fades_from_the_last_use_on_however_old_it_is(
    view: View, half_life: float, seed: int
) -> None:
    when = np.random.default_rng(seed).integers(view.position, view.now)
    score = LeastFrequentlyUsed(half_life).score(replace(view, used_at=when * 1.0))
    assert score == pytest.approx((1.0 + view.uses) * 0.5 ** ((view.now - when) / half_life))


@given(views(), shares())
def test_without_fading_it_counts_uses_and_keeps_the_newer_of_equals(
    view: View, share: float
) -> None:
    kept, gone = outcome(LeastFrequentlyUsed(float("inf")), view, share)
    stays = [(view.uses[i], view.position[i]) for i in np.flatnonzero(kept)]
    goes = [(view.uses[i], view.position[i]) for i in np.flatnonzero(gone)]
    assert max(goes, default=(-1, 0)) < min(stays, default=(np.inf, 0))


def test_half_life_is_checked() -> None:
    with pytest.raises(ValueError, match="half_life is 0; it must be above 0"):
        LeastFrequentlyUsed(0.0)

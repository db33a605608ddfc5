from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checks.policy import random_view
from holdfast.retention.coreset import RiskCoreset
from holdfast.retention.view import View

from policy_views import outcome, shares, views

POLICIES = st.builds(RiskCoreset, margin=st.sampled_from([0.25, 1.0, 3.0]))


def stream(seed: int, n: int) -> View:
    """Entries of one size, as they come."""
    view = random_view(np.random.default_rng(seed), n, 2)
    return View.of(size=np.ones(n), surprise=view.surprise, trust=view.trust)


def ranked(policy: RiskCoreset, view: View, room: int) -> list[int]:
    """The positions that a plan keeps, in the policy's order."""
    kept = policy.plan(view, room).tier == 0
    order = np.argsort(-policy.score(view), kind="stable")
    return [int(view.position[i]) for i in order if kept[i]]


@given(POLICIES, st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 10))
def test_newcomers_leave_the_prefix_of_no_lower_level_as_it_was(
    policy: RiskCoreset, seed: int, n: int, room: int
) -> None:
    after = stream(seed, n)
    half = n // 2
    before = after.at(np.arange(half))
    before = replace(before, now=half)
    level = policy.level(after)
    highest = level[half:].max()
    old = ranked(policy, before, room)
    prefix = [position for position in old if level[position] >= highest]
    assert ranked(policy, after, room)[: len(prefix)] == prefix
    if len(prefix) == room:
        assert ranked(policy, after, room) == old


@given(POLICIES, views(), shares())
def test_of_two_levels_the_lower_goes_first_and_within_one_the_newer(
    policy: RiskCoreset, view: View, share: float
) -> None:
    kept, gone = outcome(policy, view, share)
    level = policy.level(view)
    stays = [(level[i], -i) for i in np.flatnonzero(kept)]
    goes = [(level[i], -i) for i in np.flatnonzero(gone)]
    assert max(goes, default=(-1, 0)) < min(stays, default=(np.inf, 0))


@given(views())
def test_distrust_and_surprise_are_risk(view: View) -> None:
    policy = RiskCoreset(margin=0.01)
    level = policy.level(view)
    assert (level[view.trust == 3] == 0).all()
    wary = replace(view, trust=np.maximum(view.trust - 1.0, 0.0))
    assert (policy.level(wary) >= level).all()
    assert (policy.level(replace(view, surprise=2.0 * view.surprise)) >= level).all()


def test_margin_is_checked() -> None:
    with pytest.raises(ValueError, match="margin is 0; it must be above 0"):
        RiskCoreset(margin=0.0)

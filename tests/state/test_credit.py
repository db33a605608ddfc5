"""Reuse credit: bounded, quick to fall, as quick to be earned again, and never one's own doing."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.state.credit import ENOUGH, WINDOW, Credit

What = Literal["promote", "use", "spoil", "own", "own spoil", "other"]
acts = st.lists(
    st.tuples(
        st.sampled_from(("promote", "use", "spoil", "own", "own spoil", "other")),
        st.integers(0, 40),
        st.sampled_from(("ana", "cy", "dee")),
    ),
    max_size=120,
)


def played(story: list[tuple[What, int, str]], *, own: bool = True) -> Credit:
    """What comes of promotions by Bo and of what others, or he himself, make of them."""
    credit, n = Credit(), 0
    for what, which, who in story:
        belief = f"b{max(0, n - 1 - which)}.0"
        match what:
            case "promote":
                credit.promoted(f"b{n}.0", "bo")
                n += 1
            case "use":
                credit.used(belief, who)
            case "spoil":
                credit.used(belief, who, helpful=False)
            case "own" | "own spoil" if own:
                credit.used(belief, "bo", helpful=what == "own")
            case "other":
                credit.promoted(f"x{which}.0", who)
                credit.used(f"x{which}.0", "bo")
    return credit


@given(acts)
def test_a_weight_stays_within_its_bounds(story: list[tuple[What, int, str]]) -> None:
    assert 0.1 <= played(story).weight("bo") <= 1.0


@given(acts)
def test_what_a_source_says_of_its_own_counts_nothing(story: list[tuple[What, int, str]]) -> None:
    with_own, without = played(story), played(story, own=False)
    assert with_own.weight("bo") == without.weight("bo")
    assert with_own.canonical() == without.canonical()


@given(acts)
def test_sixteen_promotions_that_nobody_wants_are_enough_to_lose_it(
    story: list[tuple[What, int, str]],
) -> None:
    credit = played(story)
    for n in range(WINDOW):
        credit.promoted(f"bad{n}.0", "bo")
        credit.used(f"bad{n}.0", "bo")
    assert credit.weight("bo") < ENOUGH


@given(acts)
def test_sixteen_good_ones_are_enough_to_regain_it(story: list[tuple[What, int, str]]) -> None:
    credit = played(story)
    for n in range(WINDOW):
        credit.promoted(f"good{n}.0", "bo")
        credit.used(f"good{n}.0", "ana")
    assert credit.weight("bo") == pytest.approx(17 / 18)


@given(acts, st.sampled_from(("ana", "cy")))
def test_a_use_never_lowers_and_a_complaint_never_raises_it(
    story: list[tuple[What, int, str]], who: str
) -> None:
    for helpful in (True, False):
        for which in range(8):
            credit = played(story)
            held = [one for one in credit._by if credit._by[one][0] == "bo"]
            if which >= len(held):
                continue
            unjudged = not (credit._by[held[which]][1].used_by or credit._by[held[which]][1].spoilt)
            before = credit.weight("bo")
            credit.used(held[which], who, helpful)
            if helpful and unjudged:
                assert credit.weight("bo") >= before
            if not helpful:
                assert credit.weight("bo") <= before


def test_a_newcomer_may_promote_and_is_given_time() -> None:
    credit = Credit()
    assert credit.weight("bo") == 0.5 > ENOUGH
    for n in range(4):  # nobody can have used them yet
        credit.promoted(f"b{n}.0", "bo")
        assert credit.weight("bo") == 0.5


def test_one_record_says_nothing_of_another_source() -> None:
    credit = Credit()
    for n in range(WINDOW):
        credit.promoted(f"b{n}.0", "bo")
    assert credit.weight("bo") == 0.1
    assert credit.weight("ana") == 0.5


def test_only_the_window_is_remembered() -> None:
    credit = Credit()
    for n in range(5 * WINDOW):
        credit.promoted(f"b{n}.0", "bo")
    assert len(credit._by) == WINDOW
    credit.used("b0.0", "ana")  # long forgotten
    assert credit.weight("bo") == 0.1

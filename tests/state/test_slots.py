"""Which claims compete, and names without what does not tell them apart."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import InvalidClaimError
from holdfast.state.admit import admit
from holdfast.state.predicates import PREDICATES, predicate
from holdfast.state.records import Claim
from holdfast.state.slots import Slot, plain, rival_of, slot_of

texts = st.text(max_size=12) | st.sampled_from(
    ["The Blue  Pot.", "the", "a an", "\ud800", "a\udfff", "Straße", "ﬁne", "  “x” ", "İ", "\x1f"]
)


@given(texts)
def test_a_plain_name_is_plain(text: str) -> None:
    once = plain(text)
    assert "\x1f" not in once or not text.strip()
    assert plain(f"  {text}\n") == once
    assert once or not text.strip()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("The Blue  Pot.", "blue pot"), ("my Flat", "our flat"), ("STRASSE", "straße"),
        ("“Ana”", "ana"), ("ﬁne", "fine"), ("Ana\tLima", "ana lima"),
    ],
)  # fmt: skip
def test_names_that_are_one(one: str, other: str) -> None:
    assert plain(one) == plain(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("Ana", "Anna"), ("theatre", "atre"), ("the", "a"), ("café", "cafe"), ("1.5", "15")],
)
def test_names_that_are_two(one: str, other: str) -> None:
    assert plain(one) != plain(other)


slots = st.builds(
    Slot, st.text(max_size=6) | st.just("a\x1fb"), texts.map(plain),
    st.text(st.characters(exclude_characters="\x1f"), max_size=6), texts.map(plain),
).filter(lambda slot: all("\x1f" not in part for part in slot[1:]))  # fmt: skip


@given(slots)
def test_a_slot_is_its_key(slot: Slot) -> None:
    assert Slot.of(slot.key) == slot


@given(texts.filter(str.strip), texts.filter(str.strip), st.sampled_from(sorted(PREDICATES)))
def test_of_many_values_each_has_a_slot(one: str, other: str, name: str) -> None:
    assert predicate(name).many
    first, second = (slot_of(Claim("Ana", name, value), "s") for value in (one, other))
    assert (first == second) == (plain(one) == plain(other))
    assert first.scope == "s"


@given(texts.filter(str.strip), texts.filter(str.strip))
def test_of_one_value_all_share_a_slot_and_contradict(one: str, other: str) -> None:
    claims = [Claim("The Ana", "lives_in", value) for value in (one, other)]
    first, second = (slot_of(claim, "") for claim in claims)
    assert first == second == Slot("", "ana", "lives_in")
    a, b = (rival_of(claim, first) for claim in claims)
    assert (a == b) == (plain(one) == plain(other))


def test_whoever_states_it_says_whether_there_may_be_many() -> None:
    assert slot_of(Claim("Ana", "likes", "tea", many=False), "").value == ""
    assert slot_of(Claim("Ana", "lives_in", "Porto", many=True), "").value == "porto"
    assert slot_of(Claim("Ana", "always", "x"), "") == slot_of(Claim("ana", "never", "X."), "")
    assert slot_of(Claim("Ana", "likes", "x"), "") != slot_of(Claim("Ana", "always", "x"), "")


def test_a_predicate_cannot_pass_for_a_part_of_a_slot() -> None:
    with pytest.raises(InvalidClaimError, match="U\\+001F"):
        admit(Claim("Ana", "lives\x1fin", "Porto"))

"""Cues: each bit by its words, and never more than the words say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.codec import BYTES, DATED, PINNED
from holdfast.derive.cues import FIGURE, FIRST_PERSON, NAMED, PREFERENCE, QUESTION, cues

ALL = QUESTION | FIRST_PERSON | FIGURE | NAMED | PREFERENCE


def _cues(text: str) -> int:
    return cues(text, text.split())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 0),
        ("the kelp is green", 0),
        # a question by its last mark
        ("is there kelp?", QUESTION),
        ('they said "is there kelp?"  ', QUESTION),
        ("**is there kelp?**", QUESTION),
        ("海藻はありますか？", QUESTION),
        ("هل هناك عشب؟", QUESTION),
        ("is there kelp? yes.", 0),
        # the speaker, by pronouns alone
        ("we planted kelp", FIRST_PERSON),
        ("that is (mine).", FIRST_PERSON),
        ("I’ll plant kelp", FIRST_PERSON),
        ("they planted kelp in the mine.", FIRST_PERSON),
        ("the usb cable and the mist", 0),
        # a number, in digits or in words
        ("kelp x3", FIGURE),
        ("kelp in ٣ pots", FIGURE),
        ("Twice the kelp", FIGURE),
        ("someone is done", 0),
        # a name where no sentence begins
        ("kelp from Lisbon", NAMED),
        ("kelp. Lisbon", 0),
        ("Lisbon", 0),
        ("so am I", FIRST_PERSON),
        # what is liked, by its speaker only
        ("i love kelp", FIRST_PERSON | PREFERENCE),
        ("I don’t eat kelp", FIRST_PERSON | PREFERENCE),
        ("my allergy, sadly", FIRST_PERSON | PREFERENCE),
        ("they love kelp", 0),
        ("i planted kelp", FIRST_PERSON),
        ("Would my friend Ana like two?", ALL),
    ],
)
def test_each_cue_by_its_words(text: str, found: int) -> None:
    assert _cues(text) == found


def test_the_bits_are_apart_from_each_other_and_from_those_of_the_record() -> None:
    bits = [BYTES, PINNED, DATED, QUESTION, FIRST_PERSON, FIGURE, NAMED, PREFERENCE]
    assert sum(bits) == 255
    assert all(bit.bit_count() == 1 for bit in bits)


@given(st.text())
def test_any_text_has_cues(text: str) -> None:
    found = _cues(text)
    assert found & ~ALL == 0
    assert not found & PREFERENCE or found & FIRST_PERSON
    assert not any(c.isdecimal() for c in text) or found & FIGURE


words = st.sampled_from(["i", "my", "love", "never", "two", "kelp", "Ana", "7", "rock?", "don't"])


@given(st.lists(words, max_size=6), st.lists(words, max_size=6))
def test_cues_of_words_do_not_depend_on_their_order_or_number(
    left: list[str], right: list[str]
) -> None:
    of_words = FIRST_PERSON | FIGURE | PREFERENCE
    both = _cues(" ".join(left + right)) & of_words
    assert both == _cues(" ".join(right + left + left)) & of_words
    assert both & ~PREFERENCE == (_cues(" ".join(left)) | _cues(" ".join(right))) & (
        FIRST_PERSON | FIGURE
    )

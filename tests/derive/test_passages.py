"""Passages: few, whole, and in order, whatever the text."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from holdfast.derive.passages import MOST, TARGET, embeddable, passages
from holdfast.derive.sentences import sentences

WORDS = st.sampled_from(["kelp", "Dr. Li", "3.50", "yes!", "\n", "…", "海藻。", "?", " ", "a" * 90])
TEXTS = st.one_of(
    st.text(max_size=400), st.lists(WORDS, max_size=200).map(" ".join), st.just("so. " * 600)
)


@given(TEXTS, st.integers(1, 6), st.integers(1, 300))
@example("x" * 5000, 4, 160)
@example(" \n\t", 4, 160)
def test_every_sentence_lies_in_one_of_a_few_passages(text: str, most: int, target: int) -> None:
    found = passages(text, most, target)
    assert len(found) <= most
    assert bool(found) == bool(text.strip())
    units = sentences(text)
    starts, ends = {start for start, _ in units}, {end for _, end in units}
    assert all(start in starts and end in ends for start, end in found)
    assert all(end <= later for (_, end), (later, _) in pairwise(found))
    for start, end in units:
        assert sum(first <= start and end <= last for first, last in found) == 1


@given(st.lists(st.integers(1, 100), min_size=1, max_size=40))
def test_sentences_are_taken_as_long_as_they_fit(lengths: list[int]) -> None:
    text = " ".join("K" + "x" * length + "." for length in lengths)
    limit = 1.15 * max(TARGET, len(text) / MOST)
    greedy = [(0, 0)]
    for start, end in sentences(text):
        if greedy[-1][1] and end - greedy[-1][0] > limit:
            greedy.append((start, end))
        else:
            greedy[-1] = (greedy[-1][0], end)
    found = passages(text)
    assert found == greedy if len(greedy) <= MOST else 1 < len(found) <= MOST


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([60, 60], 1), ([100, 100], 2), ([95, 95, 95, 95], 4), ([159], 1), ([400] * 4, 4)],
)
def test_sentences_are_joined_up_to_the_target(sizes: list[int], expected: int) -> None:
    text = " ".join("W" + "o" * (size - 2) + "." for size in sizes)
    assert len(passages(text)) == expected


def test_a_long_text_is_cut_into_parts_of_about_its_share() -> None:
    text = "It rained on the kelp again. " * 200
    lengths = [end - start for start, end in passages(text)]
    assert len(lengths) == MOST
    assert max(lengths) <= 1.15 * len(text) / MOST
    assert min(lengths) >= 0.5 * len(text) / MOST


def test_what_is_embedded_names_the_speaker_before_each_passage() -> None:
    text = "I moved to Oslo last spring. " * 12
    parts = embeddable("Ana", text)
    assert len(parts) > 1
    assert all(part.startswith("Ana: I moved") for part in parts)
    assert [f"Ana: {part}" for part in embeddable(None, text)] == parts


@pytest.mark.parametrize("text", ["", " \n", "."])
def test_there_is_always_something_to_embed(text: str) -> None:
    assert len(embeddable(None, text)) == 1
    assert embeddable(None, text)[0]
    assert embeddable("Ana", text)[0].startswith("Ana: ")

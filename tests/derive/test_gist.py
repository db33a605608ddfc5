"""Sentences, gists and key terms."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.gist import gist, key_terms
from holdfast.derive.sentences import LONGEST, sentences
from holdfast.derive.terms import hash_term

prose = st.lists(
    st.sampled_from(
        ["We", "flew", "to Lisbon", "on 7 May", "Dr. Li", "ok", "reservation", "x" * 300, "我们去",
         ".", "!", "?", ",", "\n", "。", "…", "the", "and", "e.g.", "@kai", "\u3000", "\ud800"]
    ),
    max_size=60,
).map(" ".join)  # fmt: skip
texts = st.one_of(prose, st.text(st.characters(codec=None), max_size=400))


def _check_order(text: str, spans: Sequence[tuple[int, int]]) -> None:
    last = 0
    for start, end in spans:
        assert last <= start < end <= len(text)
        last = end


@given(texts)
def test_sentences_cover_everything_but_space(text: str) -> None:
    spans = sentences(text)
    _check_order(text, spans)
    covered = {i for start, end in spans for i in range(start, end)}
    assert all(i in covered or text[i].isspace() for i in range(len(text)))
    for start, end in spans:
        assert end - start <= LONGEST
        assert text[start:end] == text[start:end].strip()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi there! How are you? Fine.", ["Hi there!", "How are you?", "Fine."]),
        ("Dr. Li met Mr. Bo, e.g. in St. Ives.", ["Dr. Li met Mr. Bo, e.g. in St. Ives."]),
        ("It was 3.5 km. We walked.", ["It was 3.5 km.", "We walked."]),
        ("He sat. Then he left.", ["He sat.", "Then he left."]),
        ("On Sat. 5 May. Yes.", ["On Sat. 5 May.", "Yes."]),
        ("So do I. Really.", ["So do I.", "Really."]),
        ("J. S. Bach wrote it.", ["J. S. Bach wrote it."]),
        ("one\ntwo\r\n\n  three ", ["one", "two", "three"]),
        ("今天很好。我们去吧！好", ["今天很好。", "我们去吧！", "好"]),
        ('She said "Go." Then left...', ['She said "Go."', "Then left..."]),
        (" \n ", []),
    ],
)
def test_sentences(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences(text)] == expected


def test_long_sentences_are_cut_at_clauses_then_spaces() -> None:
    clause = "word " * 20 + "end, "
    for start, end in sentences(clause * 9):
        assert (clause * 9)[start:end].endswith("end,")
    assert all(end - start == 239 for start, end in sentences("wordy " * 80))


@given(texts, st.floats(0, 1))
def test_gist_is_ordered_within_its_share_and_never_empty(text: str, share: float) -> None:
    spans = gist(text, share)
    _check_order(text, spans)
    assert bool(spans) == bool(text)
    assert sum(end - start for start, end in spans) <= max(share * len(text), 24)
    assert all(b[0] - a[1] > 1 for a, b in pairwise(spans))


@given(texts.filter(str.strip))
def test_a_full_share_keeps_every_word(text: str) -> None:
    (span,) = gist(text, 1.0)
    assert text[slice(*span)] == text.strip()


def test_gist_prefers_names_numbers_and_times() -> None:
    text = (
        "Oh well, that was really something, wasn't it? "
        "We meet Ana at the Lisbon station on 7 May at 9:40. "
        "I am not sure what else there is to say about all this."
    )
    (span,) = gist(text, 0.35)
    assert text[slice(*span)] == "We meet Ana at the Lisbon station on 7 May at 9:40."


def test_gist_follows_the_weights() -> None:
    text = "The quokka ate berries slowly. The committee discussed infrastructure."
    quokka = hash_term("", "quokka")
    (span,) = gist(text, 0.45, weight=lambda term: 9.0 if term == quokka else 0.1)
    assert text[slice(*span)] == "The quokka ate berries slowly."


def test_gist_of_one_long_sentence_is_a_run_of_words() -> None:
    text = "so we thought that it might be that the Kilimanjaro expedition permits came through"
    (span,) = gist(text, 0.4)
    assert "Kilimanjaro expedition" in text[slice(*span)]
    assert f" {text} ".count(f" {text[slice(*span)]} ") == 1  # cut between words


def test_key_terms_names_and_numbers_first() -> None:
    text = "Well, I told Ana that the rehearsal in Porto moved to 7:30, and the rehearsal hall too"
    assert key_terms(text, 5) == ["Ana", "Porto", "7:30", "rehearsal", "moved"]
    assert key_terms("", 5) == []
    assert key_terms("it is what it is") == []


@given(texts, st.integers(1, 9))
def test_key_terms_are_as_written(text: str, n: int) -> None:
    found = key_terms(text, n)
    assert len(found) <= n
    assert len(set(found)) == len(found)
    assert all(word in text and len(word) <= 40 for word in found)


def test_key_terms_follow_the_weights() -> None:
    rare = hash_term("", "berri")
    text = "the quokka ate berries during infrastructure meetings"
    assert key_terms(text, 1, weight=lambda term: float(term == rare)) == ["berries"]

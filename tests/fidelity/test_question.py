"""Questions made without a model: their answer is in the event and not in the question."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from holdfast.codec import content_bytes, digest
from holdfast.derive.terms import terms
from holdfast.fidelity.question import ANSWER_BYTES, QUERY_BYTES, ask

WORDS = ("Ana", "Lisbon", "rehearsal", "7:30", "the", "on", "violin", "田中さん", "déjà")
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=300).map(" ".join)
texts = st.text(min_size=1, max_size=2000) | sentences


@given(texts, st.none() | st.text(max_size=40), st.floats(0, 1, exclude_max=True))
def test_the_answer_is_a_run_of_the_events_bytes(
    text: str, speaker: str | None, drawn: float
) -> None:
    content = content_bytes(text)
    found = ask(content, speaker, drawn)
    assert 0 <= found.start <= found.end <= len(content)
    assert found.end - found.start <= ANSWER_BYTES
    assert found.answer == digest(content[found.start : found.end])
    assert len(content_bytes(found.query)) <= QUERY_BYTES


@given(
    st.lists(st.sampled_from(["Lisbon", "rehearsal", "violin", "harbour", "9:40"]), min_size=2),
    st.floats(0, 1, exclude_max=True),
)
def test_a_question_does_not_give_its_answer_away(words: list[str], drawn: float) -> None:
    text = " ".join(words)
    found = ask(text.encode(), "Ana", drawn)
    answer = text.encode()[found.start : found.end].decode()
    assert not set(terms(answer)) & set(terms(found.query))


def test_a_short_event_is_asked_for_by_who_said_it() -> None:
    assert ask(b"ok, thanks!", "Bo", 0.5).query == "Bo"
    assert ask(b"Lisbon!", "Bo", 0.5).query == "Bo"
    assert ask(b"Lisbon!", None, 0.5).query == ""


def test_different_parts_of_a_long_event_are_asked_about() -> None:
    text = " ".join(f"word{n} filler{n}" for n in range(4000)).encode()
    found = {ask(text, None, n / 50).start // 8000 for n in range(50)}
    assert len(found) >= 8


def test_what_was_cut_inside_a_character_is_still_text() -> None:
    text = "é田🎻 ".encode() * 500
    for n in range(40):
        found = ask(text, None, n / 40)
        assert text[found.start : found.end].decode()

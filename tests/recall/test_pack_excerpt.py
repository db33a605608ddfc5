"""Excerpts: exact sentences of what is too long, flagged, and no more than there is room for."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Context, Event, Memory
from holdfast.derive.sentences import sentences
from holdfast.derive.terms import terms
from holdfast.derive.tokens import count_tokens
from holdfast.recall.excerpt import excerpt
from holdfast.recall.pack import Packer, Part
from holdfast.records import Hit, Quote

from worlds import opened

FILLER = "The harbour was quiet that day. "
ANSWER = "The spare key lies under the blue pot."
pieces = st.sampled_from([
    "Kelp grows. ", "A key! ", "Where is the pot?\n", "東京駅です。", "no end ", "🐙 ", "x" * 300,
    "Dr. Li paid 3.50. ", "\ud800", "\n\n", "key pot ", "e\u0301 ",
])  # fmt: skip
texts = st.lists(pieces, min_size=1, max_size=30).map("".join)


def words(text: str) -> int:
    return len(text.split())


@settings(max_examples=200)
@given(texts, st.integers(0, 80), st.sampled_from([count_tokens, len, words]))
def test_spans_are_whole_sentences_within_the_room(text: str, room: int, count) -> None:  # type: ignore[no-untyped-def]
    spans, cut = excerpt(text, terms("key pot"), room, count)
    assert sum(count(text[a:b]) for a, b in spans) <= room
    assert all(0 <= a < b <= len(text) for a, b in spans)
    assert all(left[1] < right[0] for left, right in pairwise(spans))
    whole = sentences(text, longest=len(text))
    starts, ends = {a for a, _ in whole}, {b for _, b in whole}
    if not cut:
        assert all(a in starts and b in ends for a, b in spans)
    elif spans:
        ((start, end),) = spans
        assert any(a <= start and end <= b for a, b in whole)
        assert min(count(text[a:b]) for a, b in whole if a <= start < b) > room


def test_the_sentence_that_answers_is_found_wherever_it_stands() -> None:
    for n in (0, 7, 30):
        text = FILLER * n + ANSWER + " " + FILLER * (30 - n)
        spans, cut = excerpt(text, terms("where is the key?"), 30, count_tokens)
        assert not cut
        assert ANSWER in text[spans[0][0] : spans[0][1]]


def test_a_rare_term_counts_for_more_than_one_that_every_sentence_has() -> None:
    text = "Pots came. Pots and a key. " + "Pots went. " * 9
    ((start, end),), _ = excerpt(text, terms("pots key"), 8, count_tokens)
    assert text[start:end] == "Pots and a key."


def test_without_a_term_of_the_query_it_begins_where_the_text_does() -> None:
    spans, _ = excerpt("One came. Two sat. Three left.", terms("zebra"), 7, count_tokens)
    assert spans[0][0] == 0


def test_of_a_very_long_text_only_the_beginning_is_read() -> None:
    text = FILLER * 3000 + ANSWER
    spans, cut = excerpt(text, terms("key"), 50, count_tokens)
    assert not cut
    assert spans[-1][1] < 32_768
    assert text[: spans[-1][1]].endswith(".")


def _recalled(text: str, tokens: int, others: int = 40) -> tuple[Memory, Context, int]:
    with opened() as memory:
        for i in range(others):
            memory.observe(f"unrelated matter {i} " + f"padding{i} " * 40, scope="other")
        seq = memory.observe(Event(text, speaker="Ana")).seq
        context = memory.recall("where is the spare key?", tokens=tokens)
        reason = memory.why_not(seq, "where is the spare key?", tokens=tokens)
    assert context.tokens == count_tokens(context.text) <= tokens
    assert ("is in the context" in reason) == (seq in {item.seq for item in context.items})
    return memory, context, seq


@pytest.mark.parametrize("tokens", [90, 120, 200, 400, 1000])
def test_an_event_too_long_for_the_context_is_shown_in_part_and_says_so(tokens: int) -> None:
    text = "Grüße! " + FILLER * 80 + ANSWER + " " + FILLER * 80
    _, context, seq = _recalled(text, tokens)
    (item,) = [item for item in context.items if item.seq == seq]
    content = text.encode()
    assert item.excerpt
    assert not item.cut
    assert ANSWER in item.text
    assert item.text == " … ".join(quote.text for quote in item.quotes)
    assert [content[q.start : q.end].decode() for q in item.quotes] == [
        quote.text for quote in item.quotes
    ]
    assert item.span == (item.quotes[0].start, item.quotes[-1].end)
    assert item.citation == f"e{seq}[{','.join(f'{q.start}:{q.end}' for q in item.quotes)}]"
    assert f"[e{seq} Ana, excerpt] " in context.text


def test_where_the_whole_fits_and_is_worth_it_there_is_no_excerpt() -> None:
    text = FILLER * 60 + ANSWER
    _, context, seq = _recalled(text, 1000)
    (item,) = [item for item in context.items if item.seq == seq]
    assert item.text == text
    assert item.quotes == ()


def test_a_sentence_longer_than_the_room_is_cut_and_says_so() -> None:
    text = "the key, " + "the tide and the kelp, " * 400 + "and the end"
    _, context, seq = _recalled(text, 110)
    (item,) = [item for item in context.items if item.seq == seq]
    assert item.cut
    assert text.startswith(item.text)
    assert item.text.endswith(",")
    assert f"[e{seq} Ana, cut excerpt] " in context.text


def test_the_whole_takes_the_place_of_its_excerpt() -> None:
    text = FILLER * 20
    with opened() as memory:
        row = memory._mirror.row(memory.observe(text).seq)
    assert row is not None
    hit = Hit(1, 1.0, {})
    packer = Packer(1000, count_tokens)
    assert packer.offer(row, hit, "match", False, Part((Quote(0, 31, text[:31]),), cut=False))
    assert not packer.settled(1)
    assert packer.finish("q").items[0].excerpt
    assert packer.offer(row, hit, "match", False)
    assert packer.settled(1)
    context = packer.finish("q")
    assert [item.text for item in context.items] == [text]
    assert context.tokens == count_tokens(context.text) == 1000 - packer.left


@settings(max_examples=40)
@given(
    st.lists(texts, min_size=1, max_size=5),
    st.sampled_from([count_tokens, len, words, lambda text: len(text) // 4]),
    st.integers(0, 400),
)
def test_no_counter_is_ever_exceeded_and_every_text_is_from_its_event(
    said: list[str],
    counter,  # type: ignore[no-untyped-def]
    tokens: int,
) -> None:
    with opened(counter=counter) as memory:
        memory.observe_many([Event("key " + text, speaker="Ana") for text in said])
        context = memory.recall("key pot", tokens=tokens)
        contents = [
            memory.get(seq).text.encode("utf-8", "surrogatepass") for seq in range(1, len(said) + 1)
        ]
    assert context.tokens == (counter(context.text) if context.text else 0) <= tokens
    for item in context.items:
        content = contents[item.seq - 1]
        quotes = item.quotes or (Quote(*item.span, item.text),)
        assert item.text == " … ".join(quote.text for quote in quotes)
        for quote in quotes:
            shown = content[quote.start : quote.end].decode("utf-8", "surrogatepass")
            assert shown == quote.text
        assert item.excerpt == (sum(q.end - q.start for q in quotes) < len(content))

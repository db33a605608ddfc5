"""The way down the tiers: exact quotes, key terms, the digest of the whole at every step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event, Tier
from holdfast.codec import Row, content_bytes, digest, to_record, to_row
from holdfast.derive.tokens import count_tokens
from holdfast.lower import index_terms, row_terms, text_of, to_tier

from worlds import T0

sentences = st.sampled_from([
    "The contract with Müller ends on 3 May 2024.", "It rained.", "Ana owes Bo 42 euros!",
    "東京駅で会いましょう。", "พบกันที่สถานี", "🐙 loves 🦀.", "Где ключ?",
    "\ud800 broken", "ok", "\n\n",
])  # fmt: skip
texts = st.lists(sentences | st.text(max_size=30), min_size=1, max_size=40).map(" ".join)


def _row(event: Event) -> Row:
    content = content_bytes(event.content)
    terms = index_terms(event.speaker, event.text)
    return to_row(
        event, content, seq=3, at=T0, recorded_at=T0, episode=1, tokens=count_tokens(event.text),
        length=len(terms), surprise=1.0, cues=0,
    )  # fmt: skip


@settings(max_examples=150)
@given(texts, st.none() | st.just("Ana Müller"))
def test_a_gist_quotes_exactly_and_a_trace_names_terms_of_the_text(
    text: str, speaker: str | None
) -> None:
    whole = _row(Event(text, speaker=speaker, metadata={"a": 1}, pinned=False))
    content = content_bytes(text)
    gist, gist_terms = to_tier(whole, Tier.GIST)
    record = to_record(gist)
    assert record.tier == Tier.GIST
    assert (record.size, record.digest) == (len(content), digest(content))
    ends = [0, *[quote.end for quote in record.quotes]]
    for quote, earlier in zip(record.quotes, ends, strict=False):
        assert content[quote.start : quote.end] == content_bytes(quote.text)
        assert earlier <= quote.start < quote.end
    assert sum(q.end - q.start for q in record.quotes) <= len(content)

    trace, trace_terms = to_tier(gist, Tier.TRACE)
    direct, _ = to_tier(whole, Tier.TRACE)
    for lowered in (trace, direct):
        left = to_record(lowered)
        assert left.tier == Tier.TRACE
        assert (left.size, left.digest) == (len(content), digest(content))
        assert left.event.speaker == speaker
        assert "\n" not in "".join(left.terms)
    for row, terms in ((gist, gist_terms), (trace, trace_terms)):
        assert row.length == len(terms)
        assert row.tokens == count_tokens(to_record(row).text)
        assert sorted(row_terms(row)) == sorted(terms), "reopening would index other terms"


def test_a_trace_carries_the_key_terms() -> None:
    text = "The contract with Schmidt about the Lisbon warehouse ends in May. " + "So it is. " * 30
    trace = to_record(to_tier(_row(Event(text)), Tier.TRACE)[0])
    words = {word.casefold() for word in trace.terms}
    assert {"schmidt", "lisbon"} <= words
    assert "so" not in words
    assert not trace.event.content
    assert not trace.quotes


def test_a_gist_keeps_what_tells_and_drops_what_does_not() -> None:
    fact = "The safe in Lisbon opens with 4417."
    text = "Well, I do not know, really. " * 20 + fact + " And so on and so forth it went. " * 20
    gist = to_record(to_tier(_row(Event(text)), Tier.GIST)[0])
    assert fact in gist.text
    assert len(content_bytes(gist.text)) < len(text) / 2


@pytest.mark.parametrize("tier", [Tier.GIST, Tier.TRACE])
@pytest.mark.parametrize("content", [b"\0\xff" * 500, "é" * 50_000, "x", "\n", "🐙" * 9])
def test_anything_can_be_lowered(tier: Tier, content: str | bytes) -> None:
    event = Event(content, speaker="Ana")
    row, terms = to_tier(_row(event), tier)
    record = to_record(row)
    assert record.tier == tier
    assert record.digest == digest(content_bytes(content))
    assert record.size == len(content_bytes(content))
    assert set(terms) >= set(index_terms("Ana", "")), "the speaker was forgotten"
    if isinstance(content, bytes):
        assert text_of(row) == ""
        assert isinstance(record.event.content, bytes)


def test_metadata_goes_with_the_whole() -> None:
    event = Event("The safe opens with 4417. " * 20, metadata={"a": [1]}, key="k", parents=(1, 2))
    whole = to_record(_row(event))
    gist = to_record(to_tier(_row(event), Tier.GIST)[0])
    assert (whole.event.metadata, whole.event.key, whole.event.parents) == ({"a": [1]}, "k", (1, 2))
    assert (gist.event.metadata, gist.event.key, gist.event.parents) == ({}, None, ())
    assert text_of(_row(event)) == event.content

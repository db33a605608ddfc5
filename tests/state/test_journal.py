"""Whatever is journaled comes back as it was; whatever was damaged says so."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import CorruptStoreError
from holdfast.state.journal import (
    MOST_PER_EVENT,
    Entry,
    bind,
    claim_from,
    claim_to,
    decode,
    encode,
    statement,
)
from holdfast.state.records import BELIEF_KINDS, STANCES, Claim, Evidence

texts = st.text(max_size=20) | st.sampled_from(
    ["\ud800", "\ud83d\ude00", "a\udfffb", "\x00", '"\\', "\u2028", "日本", "é" * 3000]
)
times = st.none() | st.floats(-2.5e11, 2.5e11) | st.integers(-(10**11), 10**11)
pieces = st.builds(
    Evidence, st.integers(0, 2**40), st.integers(0, 2**40), st.integers(0, 2**40), texts,
    st.binary(min_size=8, max_size=8),
)  # fmt: skip
claims = st.builds(
    Claim, texts, texts, texts, st.sampled_from(BELIEF_KINDS), st.none() | texts,
    st.sampled_from(STANCES), st.booleans(), st.none() | st.booleans(),
    st.lists(pieces, max_size=3).map(tuple), st.none() | texts,
    st.lists(texts, max_size=3).map(tuple),
    st.floats(0, 1) | st.sampled_from([5e-324, 1 - 2**-53, 0.1 + 0.2]), times, times,
)  # fmt: skip
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | texts
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
entries = st.builds(
    Entry, st.integers(1, 2**40), st.integers(0, MOST_PER_EVENT - 1),
    st.floats(-2.5e11, 2.5e11), st.floats(0, 2.5e11), texts, st.integers(0, 3), texts, texts,
    st.dictionaries(texts, json_values, max_size=4), texts, texts,
    st.lists(texts, max_size=3).map(tuple),
)  # fmt: skip


@given(claims)
def test_a_claim_comes_back(claim: Claim) -> None:
    back = claim_from(claim_to(claim))
    assert back == claim
    assert repr(back) == repr(claim), "a number changed its type"


@given(entries)
def test_an_entry_comes_back(entry: Entry) -> None:
    back = decode(entry.id, encode(entry))
    assert back == entry
    assert encode(back) == encode(entry)


@given(claims, st.integers(1, 2**40))
def test_a_claim_in_an_entry_comes_back_as_a_statement(claim: Claim, seq: int) -> None:
    entry = Entry(seq, 7, 1.5, 2.5, "ana", 2, "s", "claim", claim_to(claim), "add", f"b{seq}.7")
    said = statement(decode(entry.id, encode(entry)))
    assert said.claim == claim
    assert (said.id, said.observed_at, said.recorded_at) == (f"b{seq}.7", 1.5, 2.5)
    begins = 1.5 if claim.valid_from is None else claim.valid_from
    assert said.valid_from == begins


@given(entries, st.data())
def test_damage_is_noticed(entry: Entry, data: st.DataObject) -> None:
    whole = encode(entry)
    at = data.draw(st.integers(0, len(whole) - 1))
    flip = data.draw(st.integers(1, 255))
    broken = bytes([*whole[:at], whole[at] ^ flip, *whole[at + 1 :]])
    with pytest.raises(CorruptStoreError, match=f"entry {entry.seq}.{entry.n} of the journal"):
        decode(entry.id, broken)
    with pytest.raises(CorruptStoreError):
        decode(entry.id, whole[:at])
    with pytest.raises(CorruptStoreError):
        decode(entry.id + 1, whole)  # in the place of another


def test_what_json_cannot_hold_is_refused() -> None:
    entry = Entry(1, 0, 0.0, 0.0, "", 2, "", "document", {"b": math.nan})
    with pytest.raises(ValueError, match="JSON"):
        encode(entry)


@given(texts.filter(bool))
def test_evidence_is_tied_to_the_event_at_hand(text: str) -> None:
    content = text.encode("utf-8", "surrogatepass")
    bare = bind(Claim("a", "b", "c"), 9, content, b"d" * 8)
    (piece,) = bare.evidence
    assert (piece.seq, piece.start, piece.end, piece.quote) == (9, 0, len(content), text)
    other = Evidence(3, 1, 2, "x", b"other   ")
    mixed = replace(bare, evidence=(Evidence(0, 0, 1, "y"), other))
    assert bind(mixed, 9, content, b"d" * 8).evidence == (
        Evidence(9, 0, 1, "y", b"d" * 8),
        other,
    )


def test_entries_of_one_event_are_in_order() -> None:
    ids = [
        Entry(seq, n, 0.0, 0.0, "", 2, "", "use", {}).id
        for seq in (1, 2, 3)
        for n in (0, 1, MOST_PER_EVENT - 1)
    ]
    assert ids == sorted(ids)
    assert len(set(ids)) == 9

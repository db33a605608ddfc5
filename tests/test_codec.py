"""Rows survive every form they are stored in, and damage is noticed."""

import contextlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.codec import (
    Block,
    BlockCodec,
    Row,
    Who,
    content_bytes,
    decode_tail,
    digest,
    encode_tail,
    pack_block,
    to_gist,
    to_record,
    to_row,
    to_trace,
    unpack_block,
)
from holdfast.errors import CorruptStoreError
from holdfast.records import KINDS, Event, Tier

texts = st.text(st.characters(exclude_categories=()), min_size=1, max_size=60)
labels = st.none() | st.text(max_size=12)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def rows(draw: st.DrawFn, seq: int | None = None) -> Row:
    event = Event(
        content=draw(texts | st.binary(min_size=1, max_size=60)),
        speaker=draw(labels),
        role=draw(labels),
        channel=draw(labels),
        kind=draw(st.sampled_from(KINDS)),
        scope=draw(st.text(max_size=10)),
        metadata=draw(st.dictionaries(st.text(max_size=5), json_values, max_size=2)),
        key=draw(labels),
        parents=tuple(draw(st.lists(st.integers(1, 10**9), max_size=3))),
        pinned=draw(st.booleans()),
    )
    return to_row(
        event,
        content_bytes(event.content),
        seq=draw(st.integers(1, 2**40)) if seq is None else seq,
        at=draw(st.integers(-(10**12), 10**15)) / 1000,
        recorded_at=draw(st.integers(0, 10**12)) / 1000,
        episode=draw(st.integers(0, 2**31)),
        tokens=draw(st.integers(0, 2**24)),
        length=draw(st.integers(0, 2**24)),
        surprise=float(draw(st.integers(0, 100))) / 4,
        cues=draw(st.sampled_from([0, 4, 8, 252])),
    )


@st.composite
def runs(draw: st.DrawFn) -> list[Row]:
    seqs = sorted(draw(st.sets(st.integers(1, 2**40), min_size=1, max_size=12)))
    return [draw(rows(seq)) for seq in seqs]


@given(rows())
def test_a_tail_row_comes_back_as_it_was(row: Row) -> None:
    assert decode_tail(encode_tail(row)) == row


@given(rows(), st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_in_the_tail_is_noticed(row: Row, where: int, flip: int) -> None:
    data = bytearray(encode_tail(row))
    data[where % len(data)] ^= flip
    with contextlib.suppress(CorruptStoreError):
        assert decode_tail(bytes(data)) == row, "a damaged row was read as another"


@given(runs())
def test_a_block_comes_back_as_it_was(run: list[Row]) -> None:
    assert unpack_block(pack_block(Block.of(run))).rows() == run
    codec = BlockCodec()
    block = codec.decode(codec.encode(Block.of(run)))
    assert block.rows() == run
    for i, row in enumerate(run):
        assert block.find(row.seq) == i
    assert block.find(run[-1].seq + 1) is None


@settings(max_examples=30)
@given(runs(), st.integers(0, 10_000), st.integers(1, 255))
def test_a_flipped_byte_in_a_block_is_noticed(run: list[Row], where: int, flip: int) -> None:
    codec = BlockCodec()
    data = bytearray(codec.encode(Block.of(run)))
    data[where % len(data)] ^= flip
    with contextlib.suppress(CorruptStoreError):
        assert codec.decode(bytes(data)).rows() == run


@given(rows())
def test_a_record_says_what_the_event_said(row: Row) -> None:
    record = to_record(row)
    content = content_bytes(record.event.content)
    assert (record.tier, record.size) == (Tier.VERBATIM, len(content))
    assert record.digest == digest(content)
    assert row.body.startswith(content)
    assert (record.event.speaker, record.event.scope) == (row.who.speaker, row.who.scope)


@given(texts, st.data())
def test_lower_tiers_quote_exactly_and_remember_the_digest(text: str, data: st.DataObject) -> None:
    content = content_bytes(text)
    row = to_row(
        Event(text), content, seq=1, at=0, recorded_at=0, episode=0, tokens=1, length=1,
        surprise=0, cues=0,
    )  # fmt: skip
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), min_size=2, max_size=6)))
    spans = [
        (len(content_bytes(text[:a])), len(content_bytes(text[:b])))
        for a, b in zip(cuts[::2], cuts[1::2], strict=False)
    ]
    gist = to_gist(row, spans, length=1, tokens=1)
    record = to_record(gist)
    assert record.tier == Tier.GIST
    assert record.digest == digest(content)
    assert record.size == len(content)
    for quote in record.quotes:
        assert content[quote.start : quote.end] == content_bytes(quote.text)
    for source in (row, gist):
        trace = to_record(to_trace(source, ["blue", "pot"], length=2, tokens=2))
        assert (trace.tier, trace.terms) == (Tier.TRACE, ("blue", "pot"))
        assert (trace.digest, trace.size) == (digest(content), len(content))
        assert trace.event.content == ""


def _talk(n: int) -> list[Row]:
    rng = random.Random(3)
    words = ["".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=30)) for _ in range(300)]
    return [
        Row(i, i, i, 9, 9, 9, 0, 1.0, 0, 0, 0, 0, Who("Ana", None, None, "s"),
            " ".join(rng.choices(words, k=4)).encode())
        for i in range(1, n + 1)
    ]  # fmt: skip


def test_a_dictionary_is_kept_only_if_it_pays_and_old_blocks_still_read() -> None:
    talk = _talk(6000)
    blocks = [Block.of(talk[i : i + 60]) for i in range(0, 6000, 60)]
    plain = BlockCodec()
    dictionary = plain.train(blocks)
    assert dictionary is not None
    trained = BlockCodec([dictionary])
    assert len(trained.encode(blocks[1])) < len(plain.encode(blocks[1]))
    assert trained.decode(plain.encode(blocks[2])).rows() == blocks[2].rows()
    assert trained.decode(trained.encode(blocks[2])).rows() == blocks[2].rows()
    with pytest.raises(CorruptStoreError):
        plain.decode(trained.encode(blocks[2]))
    rng = random.Random(1)
    noise = [[Row(1, 1, 1, 9, 9, 9, 0, 1.0, 0, 0, 1, 0, Who(None, None, None, ""),
                  rng.randbytes(16_000))] for _ in range(40)]  # fmt: skip
    assert plain.train([Block.of(rows) for rows in noise]) is None

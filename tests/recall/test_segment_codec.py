"""Segments survive the trip to bytes, damaged bytes are refused, and merging keeps everything."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import CorruptStoreError
from holdfast.recall.postings import Postings
from holdfast.recall.segment_codec import decode_segment, encode_segment
from holdfast.recall.segments import MAX_DOCS, Segment, from_pairs, merge

documents = st.lists(
    st.tuples(st.lists(st.integers(0, 2**32 - 1), max_size=8), st.integers(0, 2**32 - 1)),
    max_size=20,
)


def segment_of(docs: list[tuple[list[int], int]]) -> Segment:
    return from_pairs(
        np.array([term for terms, _ in docs for term in terms], np.uint32),
        np.repeat(np.arange(len(docs)), [len(terms) for terms, _ in docs]).astype(np.uint16),
        np.array([length for _, length in docs], np.uint32),
    )


def assert_same(one: Segment, other: Segment) -> None:
    for name in ("terms", "offsets", "docs", "tfs", "lengths"):
        a, b = getattr(one, name), getattr(other, name)
        assert a.dtype == b.dtype
        assert a.tolist() == b.tolist()


@given(docs=documents, seed=st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_decoding_inverts_encoding(docs, seed) -> None:
    segment = segment_of([(terms * (1 + seed % 3), length) for terms, length in docs])
    keys = np.random.default_rng(seed).integers(0, 2**64, len(docs), np.uint64)
    decoded, read = decode_segment(encode_segment(segment, keys))
    assert_same(decoded, segment)
    assert read.tolist() == keys.tolist()


@given(docs=documents, cuts=st.lists(st.integers(0, 20), max_size=4))
@settings(max_examples=150, deadline=None)
def test_merging_equals_building_at_once(docs, cuts) -> None:
    ends = [0, *sorted(min(cut, len(docs)) for cut in cuts), len(docs)]
    pieces = [segment_of(docs[a:b]) for a, b in pairwise(ends)]
    assert_same(merge(pieces), segment_of(docs))


@given(docs=documents, seed=st.integers(0, 2**32))
@settings(max_examples=100, deadline=None)
def test_selecting_equals_building_what_is_kept(docs, seed) -> None:
    keep = np.random.default_rng(seed).random(len(docs)) < 0.5
    kept = [doc for doc, flag in zip(docs, keep, strict=True) if flag]
    assert_same(segment_of(docs).select(keep), segment_of(kept))


def zipf_segment(n: int) -> Segment:
    rng = np.random.default_rng(5)
    terms = rng.zipf(1.3, 10 * n).astype(np.uint32) * np.uint32(2654435761)
    docs = np.repeat(np.arange(n), 10).astype(np.uint16)
    return from_pairs(terms, docs, np.full(n, 10, np.uint32))


def test_an_encoded_document_of_ten_terms_takes_little() -> None:
    segment = zipf_segment(16_384)
    keys = np.arange(16_384, dtype=np.uint64) * np.uint64(4)
    data = encode_segment(segment, keys)
    assert len(data) < 13 * 16_384
    decoded, read = decode_segment(data)
    assert_same(decoded, segment)
    assert (read == keys).all()


def test_every_flipped_bit_and_every_cut_is_noticed() -> None:
    segment = zipf_segment(20)
    data = encode_segment(segment, np.arange(20, dtype=np.uint64))
    for i in range(len(data)):
        for bit in range(8):
            broken = bytearray(data)
            broken[i] ^= 1 << bit
            with pytest.raises(CorruptStoreError):
                decode_segment(bytes(broken))
        with pytest.raises(CorruptStoreError):
            decode_segment(data[:i])


def test_a_full_segment_and_one_too_many() -> None:
    full = zipf_segment(MAX_DOCS)
    none = segment_of([])
    assert_same(merge([full, none]), full)
    with pytest.raises(ValueError, match="65537 documents do not fit"):
        merge([full, zipf_segment(1)])


def test_keys_must_be_as_many_as_documents() -> None:
    with pytest.raises(ValueError, match="2 keys were given for 1"):
        encode_segment(zipf_segment(1), np.zeros(2, np.uint64))


def test_a_loaded_index_answers_as_the_one_it_was_taken_from() -> None:
    rng = np.random.default_rng(2)
    index = Postings()
    for row in range(5_000):
        index.add(row, rng.integers(0, 400, 10), 10)
    index.remove(range(0, 5_000, 7))
    loaded = Postings()
    for start in range(0, 5_000, 1_500):
        segment, rows = index.extract(np.arange(start, min(5_000, start + 1_500)))
        again, keys = decode_segment(encode_segment(segment, rows.astype(np.uint64)))
        loaded.load(again, keys.astype(np.int64))
    assert (loaded.n_docs, loaded.total_length) == (index.n_docs, index.total_length)
    for query in ([3, 5, 8], [399, 0]):
        a, b = index.match(query, 100), loaded.match(query, 100)
        assert a.rows.tolist() == b.rows.tolist()
        assert a.scores.tolist() == b.scores.tolist()

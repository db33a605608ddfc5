"""The lexical index against its plain reference, whatever happened to it before."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from holdfast.recall.postings import Match, Postings
from holdfast.recall.segments import Segment

from reference_bm25 import ReferenceBM25

TERMS = 12
Doc = tuple[list[int], int]

terms = st.integers(0, TERMS - 1).map(lambda i: i * 350_000_000 + 7)  # spread over uint32
doc = st.tuples(st.lists(terms, max_size=9), st.integers(0, 60))
queries = st.lists(terms, min_size=1, max_size=6)


def tolerance(idf: np.ndarray, weights: list[float] | None = None) -> float:
    """What rounding may add up to: half a 65,535th of each weight x idf (one, for the
    least impacts), and half a millionth of their sum for each weight."""
    real = idf * (1.0 if weights is None else np.array(weights))
    return float(real.sum()) * (1.0 / 65_535 + len(idf) * 5e-7) + 1e-6


def check(match: Match, expected: dict[int, float], near: float, limit: int) -> None:
    """The match has the right scores, in the right order, and misses nothing."""
    n_rows = max(expected, default=0) + 2
    scores = match.score_of(np.arange(-1, n_rows))
    assert scores[0] == 0.0
    for row in range(n_rows):
        assert scores[row + 1] == pytest.approx(expected.get(row, 0.0), abs=near)
    rows = match.rows.tolist()
    assert match.scores.tolist() == scores[match.rows + 1].tolist()
    assert all(expected[row] > 0 for row in rows)
    assert len(rows) == min(limit, sum(score > 0 for score in expected.values()))
    key = list(zip((-match.scores).tolist(), (-match.rows).tolist(), strict=True))
    assert key == sorted(key)
    left_out = [scores[row + 1] for row in expected if row not in rows]
    assert not rows or not left_out or max(left_out) <= match.scores[-1]
    assert match.n == len(expected)
    values = np.array([expected[row] for row in expected] or [0.0])
    assert match.mean == pytest.approx(values.mean(), abs=near)
    assert match.std == pytest.approx(values.std(), abs=2 * near)


def built(docs: dict[int, Doc], **options: float) -> Postings:
    index = Postings(**options)
    for row, (words, length) in docs.items():
        index.add(row, words, length)
    return index


def same_answers(one: Postings, other: Postings, query: list[int]) -> None:
    """Both indexes give identical answers, to the last bit."""
    a, b = one.match(query, 50), other.match(query, 50)
    assert a.rows.tolist() == b.rows.tolist()
    assert a.scores.tolist() == b.scores.tolist()
    assert a.idf.tolist() == b.idf.tolist()
    assert (a.mean, a.std) == pytest.approx((b.mean, b.std), rel=1e-9)


class PostingsMachine(RuleBasedStateMachine):
    """Anything in any order; the index always agrees with the reference."""

    @initialize(pivot=st.sampled_from([1.0, 10.0, 24.0]))
    def start(self, pivot: float) -> None:
        self.index, self.reference = Postings(pivot=pivot), ReferenceBM25(pivot=pivot)
        self.next_row = 0

    @rule(docs=st.lists(doc, min_size=1, max_size=30), seal=st.booleans())
    def add(self, docs: list[Doc], seal: bool) -> None:
        for words, length in docs:
            self.index.add(self.next_row, words, length)
            self.reference.add(self.next_row, words, length)
            self.next_row += 1
        if seal:
            self.index.seal()

    @rule(place=st.floats(0, 1), new=doc)
    def replace(self, place: float, new: Doc) -> None:
        row = int(place * self.next_row)
        self.index.add(row, *new)
        self.reference.add(row, *new)
        self.next_row = max(self.next_row, row + 1)

    @rule(places=st.lists(st.floats(0, 1), max_size=12))
    def remove(self, places: list[float]) -> None:
        rows = [int(place * self.next_row) for place in places]
        self.index.remove(rows)
        self.reference.remove(rows)

    @rule(keep=st.integers(1, 5))
    def compact(self, keep: int) -> None:
        moved, n = [], 0
        for row in range(self.next_row):
            kept = row in self.reference.docs and row % 7 < keep + 2
            moved.append(n if kept else -1)
            n += kept
        self.index.rekey(np.array(moved, np.int64))
        self.reference.rekey(moved)
        self.next_row = n

    @rule(pivot=st.sampled_from([2.0, 24.0, 100.0]))
    def repivot(self, pivot: float) -> None:
        self.index.repivot(pivot)
        self.reference.pivot = pivot

    @rule(places=st.lists(st.floats(0, 1), min_size=1, max_size=40))
    def reload(self, places: list[float]) -> None:
        rows = np.array([int(place * self.next_row) for place in places], np.int64)
        segment, held = self.index.extract(rows)
        assert set(held.tolist()) == set(rows.tolist()) & set(self.reference.docs)
        held[::5] = -1
        self.index.load(segment, held)

    @rule(
        query=queries,
        limit=st.sampled_from([0, 1, 5, 1000]),
        flags=st.one_of(st.none(), st.integers(1, 9)),
        share=st.one_of(st.none(), st.floats(0, 1.1)),
        weigh=st.booleans(),
    )
    def match(
        self, query: list[int], limit: int, flags: int | None, share: float | None, weigh: bool
    ) -> None:
        n = self.next_row
        allowed = None if flags is None else np.arange(n + 3) * 2654435761 % 10 < flags
        upto = None if share is None else int(share * n)
        weights = [0.0 if i == 1 else 0.5 + i for i in range(len(query))] if weigh else None

        def passes(row: int) -> bool:
            return (allowed is None or bool(allowed[row])) and (upto is None or row < upto)

        found = self.index.match(query, limit, allowed=allowed, upto=upto, weights=weights)
        expected = self.reference.scores(query, passes, weights)
        check(found, expected, tolerance(found.idf, weights), limit)
        bits = found.bits(np.arange(-1, n + 5)).tolist()
        for row in range(-1, n + 5):
            held = self.reference.docs[row][0] if row in expected else {}
            assert bits[row + 1] == sum(1 << t for t, term in enumerate(query) if term in held)

    @invariant()
    def statistics_agree(self) -> None:
        if not hasattr(self, "index"):
            return
        docs = self.reference.docs
        assert self.index.n_docs == len(self.index) == len(docs)
        assert self.index.total_length == sum(length for _, length in docs.values())
        asked = [i * 350_000_000 + 7 for i in range(TERMS)]
        assert self.index.df(asked).tolist() == [self.reference.df(term) for term in asked]


TestPostingsMachine = PostingsMachine.TestCase
TestPostingsMachine.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)


@given(
    docs=st.dictionaries(st.integers(0, 80), doc, max_size=40),
    order=st.randoms(use_true_random=False),
    query=queries,
)
@settings(max_examples=100, deadline=None)
def test_scores_do_not_depend_on_history(docs, order, query) -> None:
    straight = built(docs)
    winding = Postings()
    rows = list(docs)
    order.shuffle(rows)
    for i, row in enumerate(rows):
        winding.add(row, [7, 7, 9], 3)
        winding.add(100 + row, [row + 1], 1)
        if i % 3 == 0:
            winding.seal()
        winding.remove([100 + row])
        winding.add(row, *docs[row])
        if i % 4 == 0:
            winding.seal()
    same_answers(straight, winding, query)
    straight.repivot(7.0)
    same_answers(straight, built(docs, pivot=7.0), query)


@given(
    docs=st.dictionaries(st.integers(0, 80), doc, max_size=40),
    allowed=st.sets(st.integers(0, 80)),
    upto=st.integers(0, 90),
    query=queries,
    seal=st.booleans(),
)
@settings(max_examples=100, deadline=None)
def test_a_filter_equals_an_index_of_what_it_lets_through(docs, allowed, upto, query, seal) -> None:
    index = built(docs)
    if seal:
        index.seal()
    flags = np.array([row in allowed for row in range(81)])
    within = built({row: d for row, d in docs.items() if row in allowed and row < upto})
    a, b = index.match(query, 20, allowed=flags, upto=upto), within.match(query, 20)
    assert a.rows.tolist() == b.rows.tolist()
    assert a.scores.tolist() == b.scores.tolist()
    assert (a.n, a.idf.tolist()) == (b.n, b.idf.tolist())
    assert (a.mean, a.std) == pytest.approx((b.mean, b.std), rel=1e-9)
    every = np.arange(90)
    assert a.bits(every).tolist() == b.bits(every).tolist()


def zipf_docs(n: int, seed: int = 1) -> dict[int, Doc]:
    rng = np.random.default_rng(seed)
    words = (rng.zipf(1.3, size=(n, 10)) % 5000).astype(np.int64)
    return {row: (list(map(int, words[row])), 10) for row in range(n)}


@pytest.mark.parametrize("limit", [1, 50, 700])
def test_top_rows_are_exact_in_an_index_of_many_parts(limit: int) -> None:
    docs = zipf_docs(15_000)
    index, reference = built(docs, pivot=10.0), ReferenceBM25(pivot=10.0)
    gone = set(range(0, 15_000, 9)) | set(range(2_000, 3_000))
    index.remove(sorted(gone))
    reference.docs = {}
    for row, d in docs.items():
        if row not in gone:
            reference.add(row, *d)
    for query in ([1, 2, 3, 17], [40, 41, 42], [4999, 1], [1]):
        found = index.match(query, limit)
        check(found, reference.scores(query), tolerance(found.idf), limit)


def test_ties_go_to_the_newer_row() -> None:
    index = built({row: ([5], 4) for row in range(9000)})
    index.add(17, [5, 5], 4)
    assert index.match([5], 3).rows.tolist() == [17, 8999, 8998]
    assert index.match([5], 2, upto=4000).rows.tolist() == [17, 3999]


@pytest.mark.parametrize("n_terms", [16, 17, 64, 70])
def test_long_queries_keep_scores_and_bits(n_terms: int) -> None:
    docs = {row: ([t for t in range(n_terms) if (row >> t % 7) & 1], 20) for row in range(128)}
    reference = ReferenceBM25()
    for row, d in docs.items():
        reference.add(row, *d)
    query = list(range(n_terms))
    found = built(docs).match(query, 1000)
    check(found, reference.scores(query), tolerance(found.idf), 1000)
    assert found.bits(np.arange(128)).tolist() == [
        sum(1 << t for t in docs[row][0] if t < 64) for row in range(128)
    ]


@pytest.mark.parametrize("length", [1, 500, 4_000_000_000])
def test_saturating_frequencies_and_lengths(length: int) -> None:
    index, reference = Postings(pivot=1.0), ReferenceBM25(pivot=1.0)
    for row, count in enumerate([1, 254, 255, 256, 15_000]):
        for each in (index, reference):
            each.add(row, [3] * count + [4], length)
    assert index.tail_size == 5
    found = index.match([3, 4], 9)
    check(found, reference.scores([3, 4]), tolerance(found.idf), 9)
    index.seal()
    assert index.match([3, 4], 9).scores.tolist() == found.scores.tolist()


def test_nothing_to_find() -> None:
    index = Postings()
    for found in (index.match([], 5), index.match([1], 5), built({3: ([2], 1)}).match([1], 5)):
        assert found.rows.tolist() == found.scores.tolist() == []
        assert (found.mean, found.std) == (0.0, 0.0)
        assert found.bits(np.array([-1, 0, 3, 9999])).tolist() == [0, 0, 0, 0]
    assert index.mean_length == 0.0
    assert built({0: ([1], 3), 5: ([1], 4)}).mean_length == 3.5


def test_removed_documents_free_their_bytes() -> None:
    docs = zipf_docs(12_000)
    index = built(docs)
    full = index.nbytes
    index.remove(range(11_000))
    index.seal()
    assert index.nbytes < 0.2 * full
    index.rekey(np.where(np.arange(12_000) < 11_000, -1, np.arange(12_000) - 11_000))
    same_answers(index, built({row: docs[row + 11_000] for row in range(1_000)}), [1, 2, 30])
    index.remove(range(1_000))
    assert index.nbytes < 20_000


def test_memory_is_five_bytes_a_posting_and_twelve_a_row() -> None:
    docs = {row: (list(range(row, row + 20)), 20) for row in range(8192)}
    index = built(docs)
    assert index.tail_size * 20 <= 16_384
    index.seal()
    postings, rows, distinct = 20 * 8192, 8192, 8192 + 20
    assert index.nbytes < 5 * postings + 14 * rows + 8 * 2 * distinct + 32_768


def test_long_documents_fill_the_tail_and_their_parts_stay_few() -> None:
    rng = np.random.default_rng(3)
    index = Postings()
    for row in range(300):
        index.add(row, rng.integers(0, 2**32, 2_000), 2_000)
    assert index.tail_size < 10
    assert index.df(rng.integers(0, 2**32, 4)).tolist() == [0, 0, 0, 0]
    index.seal()
    assert index.nbytes < 300 * 2_000 * 14  # every term is new: 8 bytes for it, 5 for its posting


def test_missing_terms_are_counted() -> None:
    index = built({0: ([1, 2, 2], 3), 1: ([9], 1)})
    for _ in range(2):
        assert index.missing(0, [1, 2]) == 0
        assert index.missing(0, np.array([1, 2, 9], np.uint32)) == 1
        assert index.missing(7, [1, 2]) == 2
        index.seal()


def test_counts_are_exact_beside_a_part_without_terms() -> None:
    index = built({0: ([], 0), 1: ([], 0)})
    index.seal()
    for row, words in ((2, [7, 9]), (3, [7])):
        index.add(row, words, len(words))
    index.seal()
    none = np.array([], np.int64)
    assert index.counts(np.array([5, 7, 9], np.uint32), none).tolist() == [0, 2, 1]
    assert index.counts(np.array([7], np.uint32), np.array([3])).tolist() == [1]


def test_bad_arguments_are_named() -> None:
    index = built({5: ([1], 1)})
    with pytest.raises(ValueError, match="row 5 may be held"):
        index.match([1], 1, allowed=np.ones(5, np.bool_))
    with pytest.raises(ValueError, match="row 5 may be held"):
        index.rekey(np.zeros(5, np.int64))
    with pytest.raises(ValueError, match="finite weights"):
        index.match([1], 1, weights=[-1.0])
    with pytest.raises(ValueError, match="finite weights"):
        index.match([1], 1, weights=[1.0, 2.0])
    with pytest.raises(ValueError, match="pivot"):
        Postings(pivot=0.0)
    segment, _ = index.extract(np.array([5]))
    assert isinstance(segment, Segment)
    with pytest.raises(ValueError, match="2 rows were given for 1 documents"):
        index.load(segment, np.array([1, 2]))


def test_a_match_does_not_answer_for_another_state() -> None:
    index = built({0: ([1], 1)})
    found = index.match([1], 1)
    index.add(1, [1], 1)
    with pytest.raises(AssertionError, match="changed since"):
        found.bits(np.array([0]))


def test_many_parts_may_become_sparse_in_one_removal() -> None:
    rng = np.random.default_rng(3)
    index = Postings()
    for row in range(30_000):
        index.add(row, [row % 997, 5000 + row % 13], 2)
    held = set(range(30_000))
    for _ in range(12):
        gone = rng.choice(sorted(held), len(held) // 4, replace=False).tolist()
        index.remove(gone)
        held -= set(gone)
        assert index.n_docs == len(held)
    for term in (3, 500, 5000, 5012):
        expected = [r for r in held if term in (r % 997, 5000 + r % 13)]
        assert sorted(index.match([term], limit=30_000).rows.tolist()) == sorted(expected)

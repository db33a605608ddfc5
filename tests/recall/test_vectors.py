"""The int8 index against float32 brute force, and against a dictionary."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from holdfast.errors import MissingExtraError
from holdfast.recall.codes import decode, encode, from_bytes, to_bytes
from holdfast.recall.vectors import Vectors

Floats = npt.NDArray[np.float32]

try:
    Vectors(1, "simsimd")
    ENGINES = ["numpy", "simsimd"]
except MissingExtraError:
    ENGINES = ["numpy"]


def unit(values: npt.ArrayLike) -> Floats:
    array = np.asarray(values, dtype=np.float32)
    return array / np.linalg.norm(array, axis=-1, keepdims=True)


def clustered(rng: np.random.Generator, count: int, dimensions: int) -> Floats:
    """Unit vectors around a few dozen centres, spread in the few directions that vary.

    Real embeddings are like that. Noise spread evenly over hundreds of directions makes all
    neighbours of a centre tie within a thousandth, and then their order says nothing.
    """
    fixed = np.random.default_rng(dimensions)  # queries and documents share their world
    centres = fixed.standard_normal((40, dimensions))
    directions = fixed.standard_normal((12, dimensions)) / np.sqrt(12)
    noise = rng.standard_normal((count, 12)) @ directions
    return unit(centres[rng.integers(40, size=count)] + noise)


def brute(vectors: Floats, query: Floats, limit: int) -> list[int]:
    cosines = vectors @ query
    return sorted(range(len(vectors)), key=lambda row: (-cosines[row], -row))[:limit]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("dimensions", [64, 384, 1536])
def test_agrees_with_float32_brute_force(engine: str, dimensions: int) -> None:
    rng = np.random.default_rng(1)
    vectors = clustered(rng, 3000, dimensions)
    index = Vectors(dimensions, engine)  # type: ignore[arg-type]
    index.add(np.arange(3000), vectors)
    found = 0
    queries = clustered(rng, 40, dimensions)
    for query in queries:
        rows, cosines = index.search(query, limit=10)
        found += len(set(rows.tolist()) & set(brute(vectors, query, 10)))
        assert np.abs(cosines - vectors[rows] @ query).max() <= 0.01
        assert (np.diff(cosines) <= 0).all()
    assert found / (10 * len(queries)) >= 0.99


@pytest.mark.parametrize("engine", ENGINES)
def test_what_it_misses_among_near_ties_is_hardly_farther(engine: str) -> None:
    """Noise in every direction: neighbours tie, and int8 may swap them, but not for far ones."""
    rng = np.random.default_rng(7)
    vectors = unit(rng.standard_normal((3000, 384)))
    index = Vectors(384, engine)  # type: ignore[arg-type]
    index.add(np.arange(3000), vectors)
    for query in unit(rng.standard_normal((40, 384))):
        rows, _ = index.search(query, limit=10)
        tenth = np.sort(vectors @ query)[-10]
        assert (vectors[rows] @ query).min() >= tenth - 0.004


@pytest.mark.skipif("simsimd" not in ENGINES, reason="simsimd is not installed")
@pytest.mark.parametrize("dimensions", [3, 384, 1024, 1025, 4096])
def test_engines_agree_to_the_last_bit(dimensions: int) -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(-127, 128, (700, dimensions), dtype=np.int8)
    codes[0] = 127  # the largest product there is: rounding would show here
    query = np.ones(dimensions, dtype=np.float32)
    answers = []
    for engine in ENGINES:
        index = Vectors(dimensions, engine)  # type: ignore[arg-type]
        index.add_codes(np.arange(700), codes, np.full(700, 1e-3))
        answers.append(index.search(query, limit=700))
    for left, right in zip(*answers, strict=True):
        assert np.array_equal(left, right)


ROWS = st.integers(0, 40)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.dictionaries(ROWS, st.integers(1, 4), max_size=12)),
        st.tuples(st.just("remove"), st.dictionaries(st.integers(-2, 60), st.none(), max_size=12)),
        st.tuples(st.just("rekey"), st.dictionaries(ROWS, st.none(), max_size=20)),
    ),
    max_size=25,
)


@given(STEPS, st.integers(0, 2**32 - 1), st.integers(-1, 45), st.integers(0, 45))
@example([("add", {0: 4, 1: 1, 2: 4}), ("remove", {0: None}), ("add", {2: 1})], 0, 2, 45)
@settings(max_examples=100, deadline=None)
def test_behaves_as_a_dictionary_of_lists(
    steps: list[tuple[str, dict[int, int]]], seed: int, limit: int, upto: int
) -> None:
    """Few and small integers for codes, so that cosines tie and every sum is exact."""
    rng = np.random.default_rng(seed)
    index, model = Vectors(8), dict[int, npt.NDArray[np.int8]]()
    for verb, chosen in steps:
        rows = list(chosen)
        rng.shuffle(rows)
        if verb == "add":
            counts = [chosen[row] for row in rows]
            codes = rng.integers(-1, 2, (sum(counts), 8), dtype=np.int8)
            index.add_codes(rows, codes, np.full(len(codes), 0.5), counts)
            model.update(zip(rows, np.split(codes, np.cumsum(counts)[:-1]), strict=bool(rows)))
        elif verb == "remove":
            index.remove(rows)
            model = {row: codes for row, codes in model.items() if row not in chosen}
        else:  # drop the chosen rows and close the gaps, as compaction does
            kept = [row not in chosen for row in range(61)]
            new_row = np.where(kept, np.cumsum(kept) - 1, -1)
            index.rekey(new_row)
            model = {int(new_row[row]): c for row, c in model.items() if row not in chosen}
        assert len(index) == len(model)
        assert index.rows.tolist() == sorted(model)
        assert index.holds(range(-1, 61)).tolist() == [row in model for row in range(-1, 61)]
    query = np.array([1, -1, 1, 1, 0, 0, 0, 1], dtype=np.float32)
    codes, (scale,) = encode(query)
    best = {
        r: np.float32((own @ codes[0].astype(int)).max() * scale * 0.5) for r, own in model.items()
    }
    allowed = rng.random(int(rng.integers(0, 60))) < 0.7
    for mask, end in ((None, None), (allowed, None), (None, upto), (allowed, upto)):
        seen = [
            row
            for row in sorted(best, key=lambda row: (-best[row], -row))
            if (mask is None or (row < len(mask) and mask[row])) and (end is None or row < end)
        ][: max(0, limit)]
        rows, cosines = index.search(query, limit, allowed=mask, upto=end)
        assert rows.tolist() == seen
        assert cosines.tolist() == [best[row] for row in seen]
    wanted = np.array([*model, -1, 99])
    expected = [*best.values(), np.nan, np.nan]
    assert np.array_equal(index.cosine_of(query, wanted), expected, equal_nan=True)


@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 400),
    st.integers(0, 450),
    st.integers(0, 60),
    st.floats(0, 1),
)
@settings(max_examples=60, deadline=None)
def test_filters_are_filters(seed: int, count: int, upto: int, limit: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    index = Vectors(16)
    index.add(rng.permutation(count), unit(rng.standard_normal((count, 16))))
    query = unit(rng.standard_normal(16))
    allowed = rng.random(int(rng.integers(0, count + 20))) < share
    everything, cosines = index.search(query, limit=count)
    keep = [
        place
        for place, row in enumerate(everything.tolist())
        if row < upto and row < len(allowed) and allowed[row]
    ][:limit]
    rows, found = index.search(query, limit, allowed=allowed, upto=upto)
    assert rows.tolist() == everything[keep].tolist()
    assert found.tolist() == cosines[keep].tolist()


def test_equal_vectors_come_newest_first_and_are_cut_at_the_limit() -> None:
    index = Vectors(4)
    index.add([3, 9, 1, 5], np.tile(unit([1.0, 1.0, 0.0, 0.0]), (4, 1)))
    rows, cosines = index.search(unit([1.0, 0.0, 0.0, 0.0]), limit=3)
    assert rows.tolist() == [9, 5, 3]
    assert len(set(cosines.tolist())) == 1


def test_a_row_is_as_near_as_its_nearest_vector() -> None:
    index = Vectors(2)
    index.add([4, 6, 5], [[1, 0], [0, 1], [0.6, 0.8], [-1, 0], [0.8, 0.6]], counts=[2, 1, 2])
    rows, cosines = index.search(np.array([1.0, 0.0]), limit=2)
    assert rows.tolist() == [4, 5]
    assert cosines.tolist() == pytest.approx([1.0, 0.8], abs=0.01)
    assert index.cosine_of([0.0, 1.0], [6, 4, 5]).tolist() == pytest.approx([0.8, 1, 0.6], abs=0.01)


def test_one_row_of_many_vectors_leaves_room_for_others() -> None:
    """The nearest vectors all belong to one row; the limit counts rows."""
    index = Vectors(2)
    index.add([0, 1, 2], [*np.tile([1.0, 0.0], (4, 1)), [0, 1], [0, -1]], [4, 1, 1])
    assert index.search(np.array([1.0, 0.0]), limit=2)[0].tolist() == [0, 2]


def test_a_row_without_a_vector_has_no_cosine() -> None:
    index = Vectors(2)
    index.add([4], [[0.0, 1.0]])
    cosines = index.cosine_of(np.array([0.0, 1.0]), [4, 0, 99, -1])
    assert cosines[0] == pytest.approx(1.0, abs=1e-3)
    assert np.isnan(cosines[1:]).all()
    assert index.holds([4, 0, 99, -1]).tolist() == [True, False, False, False]


def test_an_empty_index_answers_with_nothing() -> None:
    index = Vectors(3)
    index.add([], [])
    index.remove([1, 2])
    index.rekey([])
    rows, cosines = index.search(np.array([1.0, 0.0, 0.0]), limit=5)
    assert (rows.tolist(), cosines.tolist(), len(index)) == ([], [], 0)


def test_memory_is_given_back_after_mass_removal() -> None:
    index = Vectors(32)
    index.add(np.arange(20_000), np.ones((20_000, 32)))
    full = index.nbytes
    index.remove(np.arange(19_900))
    assert len(index) == 100
    assert index.nbytes < full / 5
    assert index.search(np.ones(32), limit=200)[0].tolist() == list(range(19_999, 19_899, -1))


@given(st.integers(0, 2**32 - 1), st.integers(1, 400), st.floats(1e-30, 1e30))
@settings(max_examples=50, deadline=None)
def test_codes_are_close_and_survive_storage(seed: int, dimensions: int, size: float) -> None:
    vector = np.random.default_rng(seed).standard_normal(dimensions).astype(np.float32)
    vector *= np.float32(size)
    codes, scales = encode(vector)
    assert np.abs(decode(codes, scales)[0] - vector).max() <= scales[0] * 0.5001
    stored = to_bytes(codes, scales)
    assert len(stored) == dimensions + 4
    again, scale, counts = from_bytes([stored], dimensions)
    assert again.tolist() == codes.tolist()
    assert (scale.tolist(), counts.tolist()) == (scales.tolist(), [1])


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 4), max_size=30), st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_stored_vectors_are_read_as_they_were(seed: int, counts: list[int], width: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((sum(counts), width))
    codes, scales = encode(vectors)
    ends = np.cumsum([0, *counts]).tolist()
    stored = [to_bytes(codes[a:b], scales[a:b]) for a, b in pairwise(ends)]
    # A vector by itself is stored as it is among others: its scale, then its codes.
    assert stored == [
        b"".join(scales[i].tobytes() + codes[i].tobytes() for i in range(a, b))
        for a, b in pairwise(ends)
    ]
    found, found_scales, found_counts = from_bytes(stored, width)
    assert np.array_equal(found, codes)
    assert np.array_equal(found_scales, scales)
    assert found_counts.tolist() == counts


@pytest.mark.parametrize("broken", [b"", b"1234", b"1234567"])
def test_stored_vectors_of_another_width_are_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="other sizes among 2"):
        from_bytes([b"123456", broken], dimensions=2)


def test_a_zero_vector_is_near_nothing() -> None:
    index = Vectors(3)
    index.add([0, 1], [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    rows, cosines = index.search(np.array([0.0, 0.0, 1.0]), limit=2)
    assert rows.tolist() == [1, 0]
    assert cosines[1] == 0.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda index: index.add([0, 0], np.ones((2, 3))), "different from each other"),
        (lambda index: index.add([-1], np.ones((1, 3))), "not negative"),
        (lambda index: index.add([0], np.ones((1, 4))), "need"),
        (lambda index: index.add([0], [[1.0, np.nan, 0.0]]), "not finite"),
        (lambda index: index.search(np.ones(4), limit=1), "query has shape"),
        (lambda index: index.rekey([0]), "only 1 rows"),
        (lambda index: index.rekey([0] * 8), "same row"),
        (lambda index: index.add([0, 1], np.ones((2, 3)), [1]), "each needs one"),
        (lambda index: index.add([0, 1], np.ones((2, 3)), [2, 0]), "of at least 1"),
        (lambda index: index.add([0, 2], np.ones((2, 3)), [2, 1]), "need"),
        (lambda index: Vectors(0), "at least 1 dimension"),
    ],
)
def test_misuse_is_refused_and_changes_nothing(call: object, message: str) -> None:
    index = Vectors(3)
    index.add([2, 7], np.eye(3)[:2])
    with pytest.raises(ValueError, match=message):
        call(index)  # type: ignore[operator]
    assert index.rows.tolist() == [2, 7]
    assert index.search(np.eye(3)[0], limit=1)[0].tolist() == [2]

"""The int8 index against float32 brute force, and against a dictionary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.errors import MissingExtraError
from holdfast.recall.codes import decode, encode, from_bytes, from_bytes_many, to_bytes
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


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("add"), st.sets(st.integers(0, 40), max_size=12)),
            st.tuples(st.just("remove"), st.sets(st.integers(-2, 60), max_size=12)),
            st.tuples(st.just("rekey"), st.sets(st.integers(0, 40), max_size=20)),
        ),
        max_size=25,
    ),
    st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_behaves_as_a_dictionary_of_vectors(steps: list[tuple[str, set[int]]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    index, model = Vectors(8), dict[int, Floats]()
    for verb, chosen in steps:
        rows = list(chosen)
        rng.shuffle(rows)
        if verb == "add":
            vectors = unit(rng.standard_normal((len(rows), 8)))
            index.add(rows, vectors)
            model.update(zip(rows, vectors, strict=True))
        elif verb == "remove":
            index.remove(rows)
            model = {row: vector for row, vector in model.items() if row not in chosen}
        else:  # drop the chosen rows and close the gaps, as compaction does
            kept = [row not in chosen for row in range(61)]
            new_row = np.where(kept, np.cumsum(kept) - 1, -1)
            index.rekey(new_row)
            model = {int(new_row[row]): v for row, v in model.items() if row not in chosen}
        assert len(index) == len(model)
        assert index.rows.tolist() == sorted(model)
    query = unit(rng.standard_normal(8))
    rows, cosines = index.search(query, limit=1000)
    assert sorted(rows.tolist()) == sorted(model)
    for row, cosine in zip(rows.tolist(), cosines, strict=True):
        assert abs(model[row] @ query - cosine) <= 0.02  # 8 dimensions: coarse codes
    assert np.array_equal(index.cosine_of(query, rows), cosines)


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


def test_a_row_without_a_vector_has_no_cosine() -> None:
    index = Vectors(2)
    index.add([4], [[0.0, 1.0]])
    cosines = index.cosine_of(np.array([0.0, 1.0]), [4, 0, 99, -1])
    assert cosines[0] == pytest.approx(1.0, abs=1e-3)
    assert np.isnan(cosines[1:]).all()
    assert index.holds([4, 0, 99, -1]).tolist() == [True, False, False, False]
    assert index.vectors_of([4])[0].tolist() == pytest.approx([0.0, 1.0])


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
    stored = to_bytes(codes[0], float(scales[0]))
    assert len(stored) == dimensions + 4
    again, scale = from_bytes(stored)
    assert again.tolist() == codes[0].tolist()
    assert scale == scales[0]


@given(st.integers(0, 2**32 - 1), st.integers(0, 30), st.integers(1, 50))
@settings(max_examples=30, deadline=None)
def test_many_stored_vectors_are_read_as_one_by_one(seed: int, count: int, width: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((count, width))
    stored = [to_bytes(c, float(s)) for c, s in zip(*encode(vectors), strict=True)] if count else []
    codes, scales = from_bytes_many(stored)
    assert len(codes) == len(scales) == count
    for place, one in enumerate(stored):
        want, scale = from_bytes(one)
        assert codes[place].tolist() == want.tolist()
        assert scales[place] == scale


def test_stored_vectors_of_two_widths_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in width"):
        from_bytes_many([b"123456", b"1234567"])


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
        (lambda index: from_bytes(b"1234"), "at least 5 bytes"),
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

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.coverage import Coverage
from holdfast.retention.view import View

SEEDS = st.integers(0, 2**32 - 1)


def directions(seed: int, n: int, d: int = 6) -> np.ndarray:
    vector = np.random.default_rng(seed).normal(size=(n, d))
    return vector / np.linalg.norm(vector, axis=1, keepdims=True)


def apart(vector: np.ndarray) -> np.ndarray:
    """Cosine distances, an entry's to itself infinite."""
    return 1.0 - vector @ vector.T + np.diag(np.full(len(vector), np.inf))


@given(SEEDS, st.integers(2, 60), st.data())
def test_what_goes_is_as_near_to_what_stays_as_any_two_of_that_are(
    seed: int, n: int, data: st.DataObject
) -> None:
    room = data.draw(st.integers(1, n - 1))
    vector = directions(seed, n)
    kept = Coverage().plan(View.of(size=np.ones(n), vector=vector), room).tier == 0
    assert kept.sum() == room
    distance = apart(vector)
    cover = distance[np.ix_(~kept, kept)].min(axis=1).max()
    assert cover <= distance[np.ix_(kept, kept)].min() + 1e-6


@given(SEEDS, st.integers(1, 30), st.integers(1, 30))
def test_copies_go_before_anything_that_is_like_nothing_else_and_the_newest_stays(
    seed: int, distinct: int, copies: int
) -> None:
    rng = np.random.default_rng(seed)
    which = rng.permutation([*range(distinct), *rng.integers(0, distinct, copies)])
    view = View.of(size=np.ones(len(which)), vector=directions(seed, distinct)[which])
    kept = Coverage().plan(view, distinct).tier == 0
    newest = [int(np.flatnonzero(which == one)[-1]) for one in range(distinct)]
    assert np.flatnonzero(kept).tolist() == sorted(newest)


@given(SEEDS, st.integers(1, 20))
def test_a_copy_of_what_is_pinned_goes_first(seed: int, n: int) -> None:
    vector = directions(seed, n + 2)
    vector[1] = vector[0]
    pinned = np.arange(n + 2) == 0
    view = View.of(size=np.ones(n + 2), vector=vector, pinned=pinned)
    assert Coverage().plan(view, n + 1).tier.tolist() == [0, 1, *[0] * n]


@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.99), (0.05, 0.85)])
def test_copies_far_apart_in_a_large_memory_mostly_meet(noise: float, least: float) -> None:
    rng = np.random.default_rng(5)
    distinct, d = 2000, 32
    which = rng.permutation(np.repeat(np.arange(distinct), 2))
    vector = directions(5, distinct, d)[which]
    vector += noise / np.sqrt(d) * rng.normal(size=vector.shape)
    view = View.of(size=np.ones(len(which)), vector=vector)
    kept = Coverage(block=128).plan(view, distinct).tier == 0
    # Eviction that is blind to what entries are leaves three of four distinct ones.
    assert len(set(which[kept])) / distinct > least


def test_block_is_checked() -> None:
    with pytest.raises(ValueError, match="block is 0; it must be at least 1"):
        Coverage(block=0)

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.kmeans import kmeans

DRAWS = (st.integers(0, 2**32 - 1), st.integers(1, 80), st.integers(1, 12), st.integers(0, 50))


def naive(points: np.ndarray, k: int, seed: int, rounds: int) -> tuple[np.ndarray, np.ndarray]:
    """Lloyd's algorithm with every distance in one table."""
    n = len(points)
    k = min(k, n)
    centres = points[[(i * n // k + seed) % n for i in range(k)]]
    for _ in range(rounds):
        labels = ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
        centres = np.array(
            [
                points[labels == i].mean(axis=0) if (labels == i).any() else centres[i]
                for i in range(k)
            ]
        )
    return centres, ((points[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)


@given(*DRAWS, st.integers(1, 90))
def test_tiles_give_what_the_whole_table_gives(
    seed: int, n: int, k: int, shift: int, block: int
) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 3))
    found = kmeans(points, k, seed=shift, block=block, rounds=5)
    centres, labels = naive(points, k, shift, 5)
    assert found.labels.tolist() == labels.tolist()
    assert found.centres == pytest.approx(centres)
    assert found.counts.tolist() == np.bincount(labels, minlength=min(k, n)).tolist()


@given(st.integers(1, 20), st.integers(2, 9))
def test_a_centre_that_nothing_is_near_to_stays_where_it_is(n: int, k: int) -> None:
    found = kmeans(np.full((n, 2), 3.0), k)
    assert (found.centres == 3.0).all()
    assert found.counts.tolist() == [n, *[0] * (min(k, n) - 1)]


@given(*DRAWS)
def test_more_rounds_bring_the_points_nearer_to_their_centres(
    seed: int, n: int, k: int, shift: int
) -> None:
    points = np.random.default_rng(seed).normal(size=(n, 3))
    spreads = []
    for rounds in range(4):
        found = kmeans(points, k, seed=shift, rounds=rounds)
        spreads.append(((points - found.centres[found.labels]) ** 2).sum())
    assert (np.diff(spreads) <= 1e-9).all()


@given(*DRAWS)
def test_rows_of_a_batch_are_clustered_each_for_itself(
    seed: int, n: int, k: int, shift: int
) -> None:
    points = np.random.default_rng(seed).normal(size=(3, n, 4))
    together = kmeans(points, k, seed=shift)
    for row in range(3):
        alone = kmeans(points[row], k, seed=shift)
        assert together.labels[row].tolist() == alone.labels.tolist()
        assert together.centres[row] == pytest.approx(alone.centres)

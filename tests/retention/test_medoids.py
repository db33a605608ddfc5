from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.checks.policy import random_view
from holdfast.retention.kmeans import kmeans
from holdfast.retention.medoids import Medoids
from holdfast.retention.view import View

from policy_views import limit_of, merges, shares


def groups(seed: int, sizes: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Entries in so many tight bunches, one after the other, and which bunch each is of."""
    rng = np.random.default_rng(seed)
    which = np.repeat(np.arange(len(sizes)), sizes)
    return np.eye(len(sizes) + 2)[which] + 0.02 * rng.normal(
        size=(len(which), len(sizes) + 2)
    ), which


@given(st.integers(0, 2**32 - 1), st.integers(1, 8), st.integers(1, 9))
def test_one_of_each_bunch_is_left_and_stands_for_all_of_it(seed: int, n: int, size: int) -> None:
    vector, which = groups(seed, [size] * n)
    view = View.of(size=np.ones(len(which)), vector=vector)
    plan = Medoids(clusters=n).plan(view, n)
    kept = np.flatnonzero(plan.tier == 0)
    assert which[kept].tolist() == list(range(n))
    into = merges(plan)
    mass = np.bincount(np.where(into >= 0, into, np.arange(len(into))), view.mass, len(into))
    assert mass[kept].tolist() == [size] * n


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.integers(1, 9), shares())
def test_what_is_merged_goes_to_the_entry_nearest_to_the_centre_of_both(
    seed: int, n: int, clusters: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    base = random_view(rng, n, 3)
    view = View.of(base.cost, pinned=base.pinned, scope=base.scope, vector=rng.normal(size=(n, 5)))
    plan = Medoids(clusters).plan(view, limit_of(view, share))
    into, at = merges(plan), view.directions()
    found = kmeans(at, clusters)
    away = ((at - found.centres[found.labels]) ** 2).sum(axis=1).astype(np.float32)
    medoid = np.zeros(n, np.bool_)
    for label in np.unique(found.labels):
        mine = np.flatnonzero(found.labels == label)
        medoid[mine[np.argmin(away[mine])]] = True
    merged = np.flatnonzero(into >= 0)
    assert medoid[into[merged]].all()
    assert (found.labels[into[merged]] == found.labels[merged]).all()
    # Of what is no medoid, the nearest to a centre goes first.
    free = ~view.pinned & (view.costs() > 0)
    kept, gone = (free & ~medoid & (plan.tier == to) for to in (0, 2))
    assert away[gone].max(initial=0.0) <= away[kept].min(initial=np.inf)
    assert not (free & medoid & (plan.tier == 2)).any() or not kept.any()


def test_clusters_are_checked() -> None:
    with pytest.raises(ValueError, match="clusters is 0; it must be at least 1"):
        Medoids(clusters=0)

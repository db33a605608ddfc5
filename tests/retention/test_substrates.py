"""One policy object, two substrates: a log of events, and a bounded array of vectors."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from holdfast.registry import RETENTION, resolve
from holdfast.retention.base import Policy
from holdfast.retention.view import View

from policy_views import merges
from worlds import TINY, large_events, opened


@dataclass
class Vectors:
    """The latest vectors and what a policy keeps of the rest, within a budget of bytes.

    Whole ones are doubles, coarse ones half precision. A merged vector becomes the mean of both,
    weighted by how many each stands for.
    """

    policy: Policy
    budget: int
    d: int
    seen: int = 0
    lost: float = 0.0
    at: np.ndarray = field(init=False)
    position: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    tier: np.ndarray = field(default_factory=lambda: np.zeros(0, np.uint8))
    mass: np.ndarray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        self.at = np.zeros((0, self.d))

    def add(self, vector: np.ndarray) -> None:
        self.at = np.vstack([self.at, vector])
        self.position = np.append(self.position, self.seen)
        self.tier = np.append(self.tier, np.uint8(0))
        self.mass = np.append(self.mass, 1.0)
        self.seen += 1
        if self.bytes() > self.budget:
            self._make_room()

    def bytes(self) -> float:
        return float(self._view().spent())

    def _view(self) -> View:
        cost = np.tile([8.0 * self.d, 2.0 * self.d, 0.0], (len(self.at), 1))
        return View.of(
            cost, now=self.seen, position=self.position, tier=self.tier, mass=self.mass,
            vector=self.at, surprise=np.abs(self.at).max(axis=1),
        )  # fmt: skip

    def _make_room(self) -> None:
        plan = self.policy.plan(self._view(), 0.75 * self.budget)
        into = merges(plan)
        for loser in np.flatnonzero(into >= 0):
            both = self.mass[[into[loser], loser]]
            self.at[into[loser]] = np.average(self.at[[into[loser], loser]], axis=0, weights=both)
            self.mass[into[loser]] = both.sum()
        kept = plan.tier < 2
        self.lost += float(self.mass[~kept & (into < 0)].sum())
        coarse = plan.tier == 1
        self.at[coarse] = self.at[coarse].astype(np.float16)
        self.at, self.position = self.at[kept], self.position[kept]
        self.tier, self.mass = plan.tier[kept], self.mass[kept]


QUICK = ("coverage", "gate", "ladder", "merge")


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in sorted(RETENTION)
    ],
)
def test_the_same_policy_object_bounds_a_log_and_an_array(spec: str) -> None:
    policy = resolve("retention", spec)
    before = repr(policy)

    store, rng = Vectors(policy, budget=64 * 100, d=8), np.random.default_rng(1)
    for n in range(400):
        store.add(np.eye(8)[n % 5] + 0.1 * rng.normal(size=8))
        assert store.bytes() <= store.budget
        assert store.mass.sum() + store.lost == pytest.approx(store.seen)
        assert (np.diff(store.position) > 0).all()
    assert 0 < len(store.at) < 400

    past = large_events(160)
    with opened(TINY, retention=policy) as memory:
        for start in range(0, len(past), 8):
            memory.observe_many(past[start : start + 8])
            usage = memory.usage()
            assert usage.disk <= usage.budget
        assert sum(usage.events.values()) == len(past)
        assert usage.events["verbatim"] < len(past)
        assert memory.verify().ok
    assert repr(policy) == before


def test_what_is_like_what_is_kept_lives_on_in_it_on_an_array_too() -> None:
    kinds = np.random.default_rng(3).integers(0, 5, 600)
    merging, evicting = (
        Vectors(resolve("retention", spec), budget=64 * 50, d=8)
        for spec in ("merge:threshold=0.9", "entropy")
    )
    for kind in kinds:
        for store in (merging, evicting):
            store.add(np.eye(8)[kind])
    assert merging.lost == 0
    assert merging.mass.sum() == 600
    stands_for = [float(merging.mass[merging.at[:, kind] > 0.5].sum()) for kind in range(5)]
    assert stands_for == [float((kinds == kind).sum()) for kind in range(5)]
    assert evicting.lost > 400

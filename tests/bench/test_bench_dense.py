"""Baselines with a model: against plain references, and the cache that spares the model work."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.bench.baselines import fill
from holdfast.bench.dense import Dense, Hybrid, fuse
from holdfast.bench.protocol import Setup
from holdfast.bench.vectors import CachedEmbedder
from holdfast.models.base import Vectors
from holdfast.records import Event


class Letters:
    """Counts letters; remembers what it was asked."""

    name, dimensions = "letters", 26

    def __init__(self) -> None:
        self.asked: list[str] = []

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked += texts
        made = np.zeros((len(texts), 26), np.float32)
        for row, text in zip(made, texts, strict=True):
            for letter in text.lower():
                if "a" <= letter <= "z":
                    row[ord(letter) - 97] += 1
            row[0] += not row.any()
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made


EVENTS = [
    Event("zzz", speaker="Q", scope="session/1"),
    Event("kk", speaker="K", scope="session/2"),
    Event("zk", speaker="Z", scope="session/1"),
]


def test_dense_is_the_cosine_of_speaker_and_text(tmp_path: Path) -> None:
    system = Dense(Setup(tmp_path, embedder=Letters()))
    system.observe_many(EVENTS[:1])
    system.observe_many(EVENTS[1:])
    assert system.rank("z", 3) == [0, 2, 1]
    assert system.rank("k", 3) == [1, 2, 0]  # the speaker's letter counts
    assert system.rank("z", 3, before=1) == [0]
    assert system.rank_scopes("k", 5) == ["session/2", "session/1"]
    assert system.confidence("z") == pytest.approx(3 / np.sqrt(10))
    found = system.context("k", 1_000)
    assert (found.whole, found.text) == ({0, 1, 2}, "K: kk\nZ: zk\nQ: zzz\n")


def test_ties_go_to_the_newer_turn(tmp_path: Path) -> None:
    system = Dense(Setup(tmp_path, embedder=Letters()))
    system.observe_many([Event("a"), Event("b"), Event("a")])
    assert system.rank("a", 2) == [2, 0]


def test_hybrid_takes_what_both_like(tmp_path: Path) -> None:
    system = Hybrid(Setup(tmp_path, embedder=Letters()))
    texts = ["kites kites", "zzzz zebra", "zebra"]
    system.observe_many([Event(text, scope=f"session/{n}") for n, text in enumerate(texts)])
    assert system.rank("zebra", 3)[0] == 2
    assert set(system.rank("zebra", 3)) == {0, 1, 2}  # the dense list has everything
    assert system.rank_scopes("zebra", 1) == ["session/2"]


RANKINGS = st.lists(st.lists(st.integers(0, 8), unique=True), min_size=1, max_size=3)


@given(RANKINGS)
def test_fusion_against_its_definition(rankings: list[list[int]]) -> None:
    def score(unit: int) -> float:
        return sum(1 / (61 + r.index(unit)) for r in rankings if unit in r)

    found = fuse(rankings)
    assert sorted(found) == sorted({unit for ranking in rankings for unit in ranking})
    scores = [score(unit) for unit in found]
    assert scores == sorted(scores, reverse=True)


@given(st.lists(st.integers(1, 9), max_size=8), st.integers(0, 30))
def test_a_context_is_filled_greedily(costs: list[int], tokens: int) -> None:
    taken = fill(range(len(costs)), costs, tokens)
    for n in range(len(costs)):
        room = tokens - sum(costs[m] for m in taken if m < n)
        assert (n in taken) == (costs[n] <= room)


def test_a_vector_is_made_once(tmp_path: Path) -> None:
    model = Letters()
    cache = CachedEmbedder(tmp_path, model)
    expected = Letters().embed(["abba", "zoo"])
    assert cache.embed(["abba", "zoo", "abba"]).tolist() == expected[[0, 1, 0]].tolist()
    assert model.asked == ["abba", "zoo"]
    again = CachedEmbedder(tmp_path, model)
    again.warm(["zoo", "new", "new"])
    assert model.asked == ["abba", "zoo", "new"]
    assert again.embed(["zoo"]).tolist() == expected[[1]].tolist()


def test_a_torn_cache_loses_only_its_end(tmp_path: Path) -> None:
    CachedEmbedder(tmp_path, Letters()).embed(["one", "two"])
    (rows,) = tmp_path.glob("*.f32")
    rows.write_bytes(rows.read_bytes()[:-3])
    model = Letters()
    cache = CachedEmbedder(tmp_path, model)
    assert cache.embed(["two", "one"]).tolist() == Letters().embed(["two", "one"]).tolist()
    assert model.asked == ["two"]


def test_another_model_has_another_cache(tmp_path: Path) -> None:
    class Other(Letters):
        name = "other"

    CachedEmbedder(tmp_path, Letters()).embed(["one"])
    other = Other()
    CachedEmbedder(tmp_path, other).embed(["one"])
    assert other.asked == ["one"]

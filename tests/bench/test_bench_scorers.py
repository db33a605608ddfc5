"""Metrics: worked examples, and a naive reference written from the definitions."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.bench import scorers

UNITS = st.sampled_from("abcdefghijklmnop")
RANKINGS = st.lists(UNITS, unique=True, max_size=16)
GOLD = st.frozensets(UNITS, min_size=1, max_size=6)


def test_worked_example() -> None:
    found = scorers.score(list("xaybzc"), {"a", "b", "q"}, fresh={"b"}, stale={"a"})
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)
    assert found["any@1"] == 0
    assert found["any@5"] == 1
    assert found["all@5"] == found["all@10"] == 0
    assert found["coverage@5"] == pytest.approx(2 / 3)
    assert found["ndcg@10"] == pytest.approx((1 / math.log2(3) + 1 / math.log2(5)) / ideal)
    assert found["mrr"] == 0.5
    assert found["fresh_before_stale"] == 0
    assert found["stale@5"] == 1


def test_ranks_one_and_two_weigh_differently() -> None:
    first, second = (scorers.ndcg_at(list(order), {"a"}, 10) for order in ("ax", "xa"))
    assert first == 1
    assert second == pytest.approx(1 / math.log2(3))


def test_the_ideal_holds_no_more_than_k_units() -> None:
    assert scorers.ndcg_at(list("ab"), set("abcdef"), 2) == 1


def test_change_metrics_need_both_sides() -> None:
    assert "fresh_before_stale" not in scorers.score(["a"], {"a"}, fresh={"a"})
    assert "stale@5" not in scorers.score(["a"], {"a"}, stale={"a"})


def test_neither_in_the_list_is_not_fresh_first() -> None:
    assert scorers.fresh_first(["x"], {"new"}, {"old"}) == 0
    assert scorers.fresh_first(["x", "new"], {"new"}, {"old"}) == 1


@given(RANKINGS, GOLD, st.integers(1, 12))
def test_against_a_naive_reference(ranking: list[str], gold: frozenset[str], k: int) -> None:
    hits = [n + 1 for n in range(len(ranking)) if ranking[n] in gold]
    top = [rank for rank in hits if rank <= k]
    assert scorers.any_at(ranking, gold, k) == (1.0 if top else 0.0)
    assert scorers.all_at(ranking, gold, k) == (1.0 if len(top) == len(gold) else 0.0)
    assert scorers.coverage_at(ranking, gold, k) == len(top) / len(gold)
    assert scorers.reciprocal_rank(ranking, gold) == (1 / hits[0] if hits else 0.0)
    gains = sum(1 / math.log2(rank + 1) for rank in top)
    best = sum(1 / math.log2(rank + 1) for rank in range(1, min(k, len(gold)) + 1))
    assert scorers.ndcg_at(ranking, gold, k) == pytest.approx(gains / best)


@given(RANKINGS, GOLD)
def test_metrics_lie_between_zero_and_one_in_order(
    ranking: list[str], gold: frozenset[str]
) -> None:
    found = scorers.score(ranking, gold)
    assert all(0 <= value <= 1 for value in found.values())
    for k in scorers.CUTS:
        assert found[f"all@{k}"] <= found[f"coverage@{k}"] <= found[f"any@{k}"]


@given(RANKINGS, GOLD)
def test_gold_first_is_perfect(ranking: list[str], gold: frozenset[str]) -> None:
    best = sorted(gold) + [unit for unit in ranking if unit not in gold]
    found = scorers.score(best, gold)
    assert found["ndcg@10"] == pytest.approx(1)
    assert found["all@10"] == found["mrr"] == 1


def test_a_twin_counts_once_and_moves_nothing() -> None:
    merged = scorers.merge_equal(["b", "x", "a", "b2"], {"b": "a", "b2": "a"})
    assert merged == ["a", "x", "a", "b2"]
    assert scorers.coverage_at(merged, {"a"}, 1) == 1


def test_sessions_rank_by_their_best_turn() -> None:
    assert scorers.distinct(["s2", "s1", "s2", "s3", "s1"]) == ["s2", "s1", "s3"]


def test_mean_is_over_the_rows_that_have_the_metric() -> None:
    assert scorers.mean([{"a": 1.0, "b": 0.0}, {"a": 0.0}]) == {"a": 0.5, "b": 0.0}
    assert scorers.mean([]) == {}


VALUES = st.lists(st.lists(st.sampled_from([0.0, 0.5, 1.0]), max_size=5), min_size=1, max_size=6)


@given(VALUES)
def test_an_interval_stays_within_the_values(groups: list[list[float]]) -> None:
    low, high = scorers.bootstrap(groups, draws=50)
    flat = [value for group in groups for value in group]
    if not flat:
        assert math.isnan(low)
        assert math.isnan(high)
    else:
        assert min(flat) - 1e-9 <= low <= high <= max(flat) + 1e-9


def test_intervals_repeat_and_narrow_with_more_streams() -> None:
    few = scorers.bootstrap([[0.0], [1.0]] * 3)
    many = scorers.bootstrap([[0.0], [1.0]] * 300)
    assert few == scorers.bootstrap([[0.0], [1.0]] * 3)
    assert few[0] < many[0] < 0.5 < many[1] < few[1]


def test_one_stream_draws_single_values() -> None:
    low, high = scorers.bootstrap([[0.0, 1.0] * 50])
    assert 0.3 < low < 0.5 < high < 0.7

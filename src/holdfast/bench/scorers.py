"""Every retrieval metric, defined once.

G is the set of right units of one granularity; a ranking lists distinct units, best first. What a
metric does not say is not in it: see each docstring.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

CUTS = (1, 5, 10)


def any_at(ranking: Sequence[str], gold: Collection[str], k: int) -> float:
    """1 if any right unit is among the first k. Flatters questions with many.

    Examples
    --------
    >>> any_at(["x", "a", "b"], {"a", "b"}, 2)
    1.0
    """
    return float(any(unit in gold for unit in ranking[:k]))


def all_at(ranking: Sequence[str], gold: Collection[str], k: int) -> float:
    """1 if every right unit is among the first k; impossible where there are more than k.

    Examples
    --------
    >>> all_at(["x", "a", "b"], {"a", "b"}, 2)
    0.0
    """
    return float(set(gold) <= set(ranking[:k]))


def coverage_at(ranking: Sequence[str], gold: Collection[str], k: int) -> float:
    """Share of the right units that are among the first k.

    Examples
    --------
    >>> coverage_at(["x", "a", "b"], {"a", "b"}, 2)
    0.5
    """
    return len(set(ranking[:k]) & set(gold)) / len(gold)


def ndcg_at(ranking: Sequence[str], gold: Collection[str], k: int) -> float:
    """Discounted gain over the best possible: gain 1 per right unit, divided by log2(rank + 1).

    The ideal puts min(k, |G|) right units first.

    Examples
    --------
    >>> round(ndcg_at(["x", "a", "b"], {"a", "b"}, 10), 4)
    0.6934
    """
    gained = sum(1 / math.log2(n + 2) for n, unit in enumerate(ranking[:k]) if unit in gold)
    return gained / sum(1 / math.log2(n + 2) for n in range(min(k, len(gold))))


def reciprocal_rank(ranking: Sequence[str], gold: Collection[str]) -> float:
    """1 / rank of the first right unit; 0 if it is not in the list.

    Examples
    --------
    >>> reciprocal_rank(["x", "a", "b"], {"a", "b"})
    0.5
    """
    return next((1 / n for n, unit in enumerate(ranking, 1) if unit in gold), 0.0)


def fresh_first(ranking: Sequence[str], fresh: Collection[str], stale: Collection[str]) -> float:
    """1 if the best fresh unit comes before the best stale one; 0 if neither is in the list.

    Examples
    --------
    >>> fresh_first(["x", "old", "new"], {"new"}, {"old"})
    0.0
    """
    return float(next((unit in fresh for unit in ranking if unit in fresh or unit in stale), False))


def merge_equal(ranking: Iterable[str], equal: Mapping[str, str]) -> list[str]:
    """The ranking with each gold unit's twins counted as that unit; the first one counts.

    Later copies keep their place under their own id, so nothing below them moves up.
    """
    seen: set[str] = set()
    merged: list[str] = []
    for unit in ranking:
        named = equal.get(unit, unit)
        merged.append(unit if named in seen else named)
        seen.add(named)
    return merged


def distinct(units: Iterable[str]) -> list[str]:
    """Units in the order of their first appearance: sessions in the order of their best turn."""
    return list(dict.fromkeys(units))


def score(
    ranking: Sequence[str],
    gold: Collection[str],
    fresh: Collection[str] = (),
    stale: Collection[str] = (),
) -> dict[str, float]:
    """Every metric of one question. `fresh_before_stale` and `stale@k` only where both exist."""
    found: dict[str, float] = {}
    for k in CUTS:
        found[f"any@{k}"] = any_at(ranking, gold, k)
        found[f"all@{k}"] = all_at(ranking, gold, k)
        found[f"coverage@{k}"] = coverage_at(ranking, gold, k)
    found["ndcg@10"] = ndcg_at(ranking, gold, 10)
    found["mrr"] = reciprocal_rank(ranking, gold)
    if fresh and stale:
        found["fresh_before_stale"] = fresh_first(ranking, fresh, stale)
        found["stale@5"] = any_at(ranking, stale, 5)
        found["stale@10"] = any_at(ranking, stale, 10)
    return found


def mean(rows: Iterable[Mapping[str, float]]) -> dict[str, float]:
    """The mean of each metric over the rows that have it."""
    values: dict[str, list[float]] = {}
    for row in rows:
        for metric, value in row.items():
            values.setdefault(metric, []).append(value)
    return {metric: sum(found) / len(found) for metric, found in values.items()}


def bootstrap(
    groups: Sequence[Sequence[float]], *, draws: int = 2_000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """An interval for the mean of all values, drawing whole groups (streams) with replacement.

    Questions about one stream stand or fall together, so streams are what is drawn. With fewer
    than two streams, single values are drawn instead: the interval then says nothing about other
    streams.

    Examples
    --------
    >>> bootstrap([[1.0, 1.0], [1.0]])
    (1.0, 1.0)
    """
    filled = [group for group in groups if group]
    if len(filled) == 1:
        filled = [[value] for value in filled[0]]
    if not filled:
        return math.nan, math.nan
    sums = np.array([sum(group) for group in filled])
    counts = np.array([len(group) for group in filled])
    drawn = np.random.default_rng(seed).integers(0, len(filled), (draws, len(filled)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)

"""Cutting a column of scores off at the best few, against sorting it."""

from __future__ import annotations

import numpy as np
import pytest

from holdfast.recall.match import scan


@pytest.mark.parametrize("limit", [0, 1, 50, 1024, 20_000])
@pytest.mark.parametrize("n", [1, 700, 32_768, 100_000, 131_072])
@pytest.mark.parametrize("distinct", [3, 1 << 30])
def test_nothing_among_the_best_is_cut_off(n: int, limit: int, distinct: int) -> None:
    rng = np.random.default_rng(n + limit)
    scores = rng.integers(1, distinct, n) * (rng.random(n) < 0.3)
    totals = (scores << 16 | rng.integers(0, 1 << 16, n)).astype(np.float64)
    slots, total, squares = scan(totals, limit)
    assert (np.diff(slots) > 0).all()
    best = np.sort(scores)[::-1][:limit]
    least = max(1, int(best.min(initial=distinct)))
    wanted = np.flatnonzero(scores >= least) if limit else np.zeros(0, np.int64)
    assert set(wanted.tolist()) <= set(slots.tolist())
    assert len(slots) == 0 or scores[slots].min() > 0
    assert len(slots) <= len(wanted) + limit // 2 + 64 or len(slots) == np.count_nonzero(scores)
    assert total == pytest.approx(float(totals.sum()))
    assert squares == pytest.approx(float((totals**2).sum()))

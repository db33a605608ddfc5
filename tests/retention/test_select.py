from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.select import cheapest

DRAWS = {
    "uniform": lambda rng, n: rng.random(n),
    "skewed": lambda rng, n: rng.pareto(0.3, n),
    "few values": lambda rng, n: rng.integers(0, 3, n).astype(float),
    "all equal": lambda rng, n: np.zeros(n),
    "ascending": lambda rng, n: np.arange(n, dtype=float),
    "mostly one": lambda rng, n: np.where(rng.random(n) < 0.999, 1.0, rng.random(n)),
    "hidden from a strided sample": lambda rng, n: np.where(np.arange(n) % 7, rng.random(n), 5.0),
    "infinite": lambda rng, n: np.where(rng.random(n) < 0.5, np.inf, rng.normal(size=n)),
}


@pytest.mark.parametrize("draw", DRAWS)
@given(
    seed=st.integers(0, 1000),
    n=st.sampled_from([1, 5, 100, 9_000, 30_000]),
    share=st.sampled_from([0.0, 1e-4, 0.2, 0.5, 0.999, 1.0, 1.5]),
)
def test_same_run_as_sorting_everything(draw: str, seed: int, n: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    price, freed = DRAWS[draw](rng, n), rng.integers(1, 1000, n).astype(float)
    need = float(np.floor(share * freed.sum()))
    order = np.argsort(price, kind="stable")
    count = min(int(np.searchsorted(np.cumsum(freed[order]), need)) + 1, n) if need > 0 else 0
    count = min(count, int((price < np.inf).sum()))  # what has no price is never taken

    taken, last = cheapest(price, freed, need)

    assert np.array_equal(np.flatnonzero(taken), np.sort(order[:count]))
    assert last == (order[count - 1] if count else -1)


@given(seed=st.integers(0, 1000), n=st.integers(1, 60), rows=st.integers(1, 4))
def test_rows_of_a_batch_are_taken_each_for_itself(seed: int, n: int, rows: int) -> None:
    rng = np.random.default_rng(seed)
    price, freed = rng.integers(0, 9, (rows, n)) / 4.0, rng.integers(1, 9, (rows, n)) * 1.0
    need = rng.random(rows) * freed.sum(axis=1)
    taken, last = cheapest(price, freed, need)
    for row in range(rows):
        alone, end = cheapest(price[row], freed[row], need[row])
        assert np.array_equal(taken[row], alone)
        assert last[row] == end

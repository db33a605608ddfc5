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

    taken, last = cheapest(price, freed, need)

    assert np.array_equal(np.sort(taken), np.sort(order[:count]))
    assert last == (order[count - 1] if count else -1)

"""Wilson's interval: its defining equation, and values worked out elsewhere."""

from __future__ import annotations

from math import sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.fidelity.report import Estimate
from holdfast.fidelity.wilson import wilson

Z = 1.959963984540054


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_each_bound_is_a_share_that_the_sample_is_just_z_deviations_from(
    pair: tuple[int, int],
) -> None:
    hits, n = pair
    share = hits / n
    low, high = wilson(hits, n)
    assert 0.0 <= low <= share <= high <= 1.0
    for bound in (low, high):
        if 0.0 < bound < 1.0:
            deviation = sqrt(bound * (1 - bound) / n)
            assert abs(share - bound) == pytest.approx(Z * deviation, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("hits", "n", "low", "high"),
    [
        (0, 10, 0.0, 0.2775),
        (10, 10, 0.7225, 1.0),
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
    ],
)
def test_published_values(hits: int, n: int, low: float, high: float) -> None:
    """The last two are Newcombe's, Two-sided confidence intervals, doi:10.1002/(SICI)1097-0258."""
    found = wilson(hits, n)
    assert found == pytest.approx((low, high), abs=5e-5)


@given(st.integers(0, 400), st.integers(1, 400), st.sampled_from([0.8, 0.95, 0.99]))
def test_it_is_what_scipy_says(hits: int, n: int, level: float) -> None:
    stats = pytest.importorskip("scipy.stats", reason="scipy is not installed")
    hits = min(hits, n)
    found = stats.binomtest(hits, n).proportion_ci(level, method="wilson")
    assert wilson(hits, n, level) == pytest.approx((found.low, found.high), abs=1e-9)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    """Over every outcome of 40 trials, by the binomial probabilities themselves."""
    n, p = 40, 0.3
    chance = [(1 - p) ** n]
    for k in range(n):
        chance.append(chance[-1] * (n - k) / (k + 1) * p / (1 - p))
    covered = sum(c for k, c in enumerate(chance) if wilson(k, n)[0] <= p <= wilson(k, n)[1])
    assert 0.92 < covered < 0.98


def test_without_trials_nothing_is_known() -> None:
    assert wilson(0, 0) == (0.0, 1.0)
    assert Estimate.of(0, 0) == Estimate(0.0, 0.0, 1.0, 0)

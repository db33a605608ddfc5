from __future__ import annotations

import numpy as np

from holdfast.bench.salience import SIGNS, Sample, fit, kept, report


def planted(rng: np.random.Generator, weights: np.ndarray, n: int = 6000) -> Sample:
    signs = rng.integers(0, 2, (n, len(SIGNS))).astype(float)
    asked = rng.poisson(np.exp(signs @ weights - 3.0)).astype(float)
    return Sample(signs, rng.lognormal(5.0, 1.0, n), asked)


def test_a_fit_finds_the_weights_that_made_the_questions() -> None:
    rng = np.random.default_rng(3)
    weights = rng.normal(0.0, 0.8, len(SIGNS))
    found = fit([planted(rng, weights) for _ in range(4)])
    assert np.corrcoef(found, weights)[0, 1] > 0.97
    assert np.abs(found - weights).max() < 0.35


def test_what_is_asked_for_stays_and_sets_are_held_out() -> None:
    rng = np.random.default_rng(4)
    weights = rng.normal(0.0, 0.8, len(SIGNS))
    samples = {name: planted(rng, weights) for name in "abc"}
    rows = report(samples)["kept"]
    for name in "abc":
        for share in ("0.25", "0.125", "0.0625"):
            row = rows[name][share]
            assert row["at random"] < row["held out"] <= row["in the fit"] + 0.03
            assert kept(samples[name], samples[name].asked, float(share)) >= row["in the fit"]

"""What cells of the retention lab amount to: shares of the unbounded value, areas, intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.bench.retention import BUDGETED, COVERAGE, UNBOUNDED, WHOLE

Cell = Mapping[str, Any]
Floats = npt.NDArray[np.float64]
KEPT = (COVERAGE, WHOLE, BUDGETED)
_DRAWS = 2_000
_LEVEL = 0.95


class Interval(NamedTuple):
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float


def summary(cells: Sequence[Cell], fractions: Sequence[Fraction], default: str) -> dict[str, Any]:
    """Every figure of a grid of cells, as plain JSON.

    Notes
    -----
    ``kept``: a metric at a fraction over the same metric with no bound, mean over sets. ``areas``:
    the area under the curve of kept ``coverage@10`` over the logarithm of the fraction, by
    trapezoids, over its width; 1 is a memory that loses nothing at any budget. ``differences``: the
    default's area less another's. A set counts at a fraction only if every policy could be measured
    there. Intervals are from 2,000 draws of streams with replacement, within each set; the same
    streams for every policy, so that differences are paired. Where a set has one stream, its
    questions are drawn instead (``single``): that says nothing about other streams.
    """
    names = list(dict.fromkeys(cell["set"] for cell in cells))
    policies = list(dict.fromkeys(c["policy"] for c in cells if c["policy"] != UNBOUNDED))
    by_key = {(c["set"], c["policy"], c["fraction"]): c for c in cells if "refused" not in c}
    measured = {
        name: [
            fraction
            for fraction in sorted(fractions)
            if all((name, policy, float(fraction)) in by_key for policy in policies)
        ]
        for name in names
    }
    ratios: dict[str, dict[tuple[str, str, Fraction], Floats]] = {}
    for metric in KEPT:
        ratios[metric] = {}
        for name in names:
            base = by_key[name, UNBOUNDED, None]
            if not base["metrics"].get(metric):
                continue  # not a metric of this set, or nothing is found even without a bound
            weights = _weights(_groups(base))
            for policy in policies:
                for fraction in measured[name]:
                    cell = by_key[name, policy, float(fraction)]
                    ratio = _sums(weights, cell, metric) / _sums(weights, base, metric)
                    ratios[metric][name, policy, fraction] = ratio
    areas = {policy: _areas(ratios[COVERAGE], policy, measured) for policy in policies}
    means = {policy: _mean(list(areas[policy].values())) for policy in policies}
    ranked = sorted(policies, key=lambda policy: -means[policy][0])
    return {
        "policies": ranked,
        "areas": {policy: _interval(means[policy]) for policy in ranked},
        "areas_by_set": {
            policy: {name: _interval(area) for name, area in areas[policy].items()}
            for policy in ranked
        },
        "differences": {
            policy: _interval(means[default] - means[policy])
            for policy in ranked
            if policy != default
        },
        "kept": {
            metric: {policy: _kept(ratios[metric], policy, fractions) for policy in ranked}
            for metric in KEPT
        },
        "kept_by_set": {
            name: {
                policy: {
                    str(fraction): round(float(ratios[COVERAGE][name, policy, fraction][0]), 4)
                    for fraction in measured[name]
                    if (name, policy, fraction) in ratios[COVERAGE]
                }
                for policy in ranked
            }
            for name in names
        },
        "single": [name for name in names if by_key[name, UNBOUNDED, None]["streams"] == 1],
        "not_measured": {
            name: [str(fraction) for fraction in fractions if fraction not in measured[name]]
            for name in names
        },
        "cpu_us_per_event": {policy: _cpu(by_key, policy) for policy in ranked},
        "violations": sum(cell["watch"]["violations"] for cell in by_key.values()),
    }


def _groups(cell: Cell) -> list[int]:
    """What each question is drawn with: its stream, or itself where there is one stream."""
    streams: list[int] = cell["stream_of"]
    return list(range(len(streams))) if len(set(streams)) == 1 else streams


def _weights(groups: Sequence[int]) -> Floats:
    """(draws + 1, questions) how often each question counts; the first row is all of them once."""
    of = np.unique(groups, return_inverse=True)[1]
    count = int(of.max()) + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), _DRAWS)
    return np.vstack([np.ones(count), drawn])[:, of]


def _sums(weights: Floats, cell: Cell, metric: str) -> Floats:
    """(draws + 1,) the sum of a metric over the questions drawn; never 0, to be divided by."""
    values = np.array([value or 0.0 for value in cell["values"][metric]])
    return np.asarray(np.maximum(weights @ values, 1e-9))


def _areas(
    ratios: Mapping[tuple[str, str, Fraction], Floats],
    policy: str,
    measured: Mapping[str, Sequence[Fraction]],
) -> dict[str, Floats]:
    """(draws + 1,) the area under a policy's curve, by set."""
    found = {}
    for name, fractions in measured.items():
        curve = [ratios[key] for f in fractions if (key := (name, policy, f)) in ratios]
        if len(curve) == 1:
            found[name] = curve[0]
        elif curve:
            x = np.log2([float(fraction) for fraction in fractions])
            found[name] = np.trapezoid(curve, x, axis=0) / (x[-1] - x[0])
    return found


def _kept(
    ratios: Mapping[tuple[str, str, Fraction], Floats], policy: str, fractions: Sequence[Fraction]
) -> dict[str, Interval | None]:
    """What a policy keeps at each fraction, mean over the sets that have it."""
    found: dict[str, Interval | None] = {}
    for fraction in fractions:
        here = [ratio for (_, p, f), ratio in ratios.items() if (p, f) == (policy, fraction)]
        found[str(fraction)] = _interval(_mean(here))
    return found


def _mean(found: Sequence[Floats]) -> Floats:
    """(draws + 1,) the mean over sets; NaN where nothing was measured."""
    return np.mean(found, axis=0) if found else np.full(_DRAWS + 1, np.nan)


def _interval(draws: Floats) -> Interval | None:
    if np.isnan(draws[0]):
        return None
    low, high = np.quantile(draws[1:], [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2])
    return Interval(round(float(draws[0]), 4), round(float(low), 4), round(float(high), 4))


def _cpu(cells: Mapping[tuple[str, str, float | None], Cell], policy: str) -> float:
    """Microseconds of writing per event, mean over sets of the mean over budgets."""
    by_set: dict[str, list[float]] = {}
    for (name, p, _), cell in cells.items():
        if p == policy:
            by_set.setdefault(name, []).append(cell["cpu_us_per_event"])
    means = [sum(found) / len(found) for found in by_set.values()]
    return round(sum(means) / len(means), 1) if means else 0.0

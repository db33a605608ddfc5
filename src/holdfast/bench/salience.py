"""Fit what `holdfast.salience` counts: which events were asked for, told from plain signs.

``python -m holdfast.bench.salience DATA`` prints the weights and how well they choose, in the fit
and with each set held out of it.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.bench.datasets import load
from holdfast.bench.pooled import Pool, event_of, pooled
from holdfast.salience import SIGNS, signs

Floats = npt.NDArray[np.float64]

SETS: Mapping[str, int | None] = {
    "locomo": None, "longmemeval_oracle_user": None, "beam_100k": 5, "beam_500k": 3, "realmem": 3,
    "irc_ubuntu": 20,
}  # fmt: skip
SHARES = (1 / 4, 1 / 8, 1 / 16)
_ASKED_LATE = ("irc_ubuntu", 0.85)  # its questions are about the end of each stream alone
_TOTAL = 300.0  # every set counts as so many questions
_RIDGE = 1.0
_PACKED, _HEAD = 0.31, 12.0  # about what a byte and an event take on disk


@dataclass(frozen=True, slots=True)
class Sample:
    """The events of a set: their signs, sizes in bytes, and how often each was asked for."""

    signs: Floats  # (n, signs)
    size: Floats  # (n,)
    asked: Floats  # (n,) shares of questions
    late: bool = False  # only a part of the stream is asked about

    @classmethod
    def of(cls, pool: Pool) -> Sample:
        """Feed a pool to a memory with room for all and read its columns."""
        from holdfast import Memory

        with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
            path = Path(folder) / "bench.holdfast"
            with Memory.open(path, "1 GiB", extractor=None, durability="off") as memory:
                memory.observe_many([event_of(turn) for turn in pool.turns])
                rows = np.arange(len(pool.turns))
                found = signs(memory._mirror, rows)
                size = memory._mirror.columns.size[rows].astype(np.float64)
        asked = np.zeros(len(rows))
        for one in pool.asked:
            asked[list(one.evidence)] += 1.0 / max(1, len(one.evidence))
        if pool.name != _ASKED_LATE[0]:
            return cls(found, size, asked)
        end = int(_ASKED_LATE[1] * len(rows))
        return cls(found[end:], size[end:], asked[end:], late=True)


def fit(samples: Sequence[Sample]) -> Floats:
    """(signs,) weights of a Poisson regression with an intercept for each set.

    Every set counts alike. Newton's method on a log-likelihood with a ridge on the weights.
    """
    x = np.vstack([one.signs for one in samples])
    y = np.concatenate([one.asked * _TOTAL / one.asked.sum() for one in samples])
    which = np.repeat(np.arange(len(samples)), [len(one.size) for one in samples])
    k = x.shape[1]
    design = np.hstack([x, np.eye(len(samples))[which]])
    ridge = np.append(np.full(k, _RIDGE), np.full(len(samples), 1e-6))
    weights = np.append(np.zeros(k), np.full(len(samples), -3.0))
    for _ in range(60):
        expected = np.exp(np.clip(design @ weights, -20.0, 6.0))
        slope = design.T @ (y - expected) - ridge * weights
        curve = (design * expected[:, None]).T @ design + np.diag(ridge)
        weights += np.clip(np.linalg.solve(curve, slope), -1.0, 1.0)
    return np.asarray(weights[:k])


def kept(sample: Sample, score: Floats, share: float) -> float:
    """Share of what was asked for that stays, if the best by score per byte do within a budget."""
    cost = _PACKED * sample.size + _HEAD
    order = np.argsort(-score / cost, kind="stable")
    within = order[np.cumsum(cost[order]) <= share * sample.size.sum()]
    return float(sample.asked[within].sum() / sample.asked.sum())


def report(samples: Mapping[str, Sample]) -> dict[str, Any]:
    """The weights, and what they keep of each set that is asked about throughout."""
    weights = fit(list(samples.values()))
    rows: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    for name, sample in samples.items():
        if sample.late:
            continue
        others = fit([one for other, one in samples.items() if other != name])
        cost = _PACKED * sample.size + _HEAD
        chance = rng.random(len(cost)) * cost
        rows[name] = {
            f"{share:g}": {
                "in the fit": round(kept(sample, np.exp(sample.signs @ weights), share), 3),
                "held out": round(kept(sample, np.exp(sample.signs @ others), share), 3),
                "at random": round(kept(sample, chance, share), 3),
            }
            for share in SHARES
        }
    return {"weights": dict(zip(SIGNS, np.round(weights, 3).tolist(), strict=True)), "kept": rows}


def main(folder: str) -> None:
    """Fit on every set that is there and print what was found."""
    root = Path(folder)
    found = {
        name: Sample.of(pooled(load(root / name), streams))
        for name, streams in SETS.items()
        if (root / name).is_dir()
    }
    print(json.dumps(report(found), indent=1))


if __name__ == "__main__":
    main(sys.argv[1])

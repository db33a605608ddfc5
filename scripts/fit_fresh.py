"""Fit src/holdfast/recall/fresh.json on the sets in a folder. Needs scipy (`--group fit`).

    python scripts/fit_fresh.py --data ../shared/data [--cache /tmp/fit] [--write]

Prints, for each set, what the step changes: in the fit, with its streams held out, and with the
set held out. A pair of hits, the older one ranked higher, is a case for moving the newer one up if
the one is marked stale and the other fresh, or if only the newer is evidence; it is a case against
if only the older is. Each case weighs what it does to the reciprocal rank.
"""

from __future__ import annotations

import argparse
import json
import pickle
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from holdfast import Memory
from holdfast.bench import scorers
from holdfast.bench.datasets import Dataset, Query, Unit, to_event
from holdfast.bench.sets import open_set
from holdfast.read import terms_of, told
from holdfast.recall import fresh
from holdfast.recall.fuse import candidates, score, score_scopes
from holdfast.recall.present import Asked, asked
from holdfast.recall.query import parse
from holdfast.recall.weights import Weights

Floats = npt.NDArray[np.float64]
Key = tuple[str, Unit]

MODEL = Path(__file__).parent.parent / "src/holdfast/recall/fresh.json"
LISTED = 50  # of each ranking
FOLDS = 5
STRENGTH = {"events": 0.15, "scopes": 0.003}
SHARES: Mapping[Key, float] = {
    ("longmemeval_oracle_user", "turn"): 1.5,
    ("beam_100k", "turn"): 1.0,
    ("beam_500k", "turn"): 1.5,
    ("beam_1m", "turn"): 0.5,
    ("locomo", "turn"): 2.0,
    ("longmemeval_oracle_user", "session"): 1.5,
    ("memorycode", "session"): 1.0,
    ("locomo", "session"): 2.0,
    ("realmem", "session"): 0.3,
}
AGAINST, FOR = 10.0, 3.0  # what cases that no value changed in weigh, against those where one did
BESIDE = 0.02  # and a case of a piece of evidence that is not the first
BARS = {
    "events": {"now value": -1.0, "value": -1.25, "past value": 0.0, "now": -0.5},
    "scopes": {"now value": 0.0, "value": 0.5, "past value": 0.5, "now": -0.5},
}
"""Log odds from which on each kind of question is reordered; other kinds never are."""


@dataclass(frozen=True)
class Sample:
    """One question: its ranking as it was, and the features of every pair that could swap."""

    query: Query
    kind: str | None
    counts: bool
    scores: list[float]
    seqs: list[int]
    ranking: list[str]
    pairs: dict[tuple[int, int], list[float]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--write", action="store_true")
    args = parser.parse_args()
    found: dict[str, Any] = {}
    for of, unit in (("events", "turn"), ("scopes", "session")):
        keys = [key for key in SHARES if key[1] == unit]
        sets = {key: kept for key in keys if (kept := _samples(args, key))}
        fitted = partial(fit, strength=STRENGTH[of])
        found[of] = {
            "weights": _named(fitted(sets)),
            "bars": BARS[of],
            "report": _report(sets, fitted, of),
        }
    if args.write:
        MODEL.write_text(json.dumps(found, indent=1) + "\n")


def _named(weights: Floats) -> dict[str, float]:
    return {n: float(f"{w:.4g}") for n, w in zip(fresh.NAMES, weights, strict=True)}


def _samples(args: argparse.Namespace, key: Key) -> list[Sample]:
    kept = args.cache / f"fresh-{key[0]}-{key[1]}.pickle" if args.cache else None
    if kept is not None and kept.is_file():
        return pickle.loads(kept.read_bytes())  # type: ignore[no-any-return]
    there = open_set(args.data, key[0])
    found = [] if there is None else collect(there.data, key[1])
    if kept is not None:
        kept.write_bytes(pickle.dumps(found))
    return found


def collect(data: Dataset, unit: Unit) -> list[Sample]:
    """Every question of a set, asked at its place in the stream."""
    found = []
    for stream, turns in data.streams.items():
        queries = [query for query in data.queries[stream] if query.targets(unit).gold]
        with (
            tempfile.TemporaryDirectory(prefix="holdfast-fit-") as folder,
            Memory.open(Path(folder) / "fit.holdfast", budget="1 GiB") as memory,
        ):
            fed = 0
            for query in queries:
                end = len(turns) if query.at is None else query.at
                memory.observe_many([to_event(turn) for turn in turns[fed:end]])
                fed = max(fed, end)
                found.append(_sample(memory, data, query, unit))
    return found


def _sample(memory: Memory, data: Dataset, query: Query, unit: Unit) -> Sample:
    mirror = memory._mirror  # the fit looks at what recall looks at
    now = float(mirror.columns.at[-1]) if len(mirror.columns) else 0.0
    look = candidates(mirror.index, parse(query.text, now))
    question = asked(look.query, look.match.idf.tolist(), anyone=unit == "session")
    tell = partial(told, mirror)
    weights = Weights.default()
    if unit == "turn":
        hits = score(look, weights, LISTED, explain=False).hits
        turns = data.streams[query.stream]
        ranking = [turns[hit.seq - 1].id for hit in hits]
        scores = [hit.score for hit in hits]
        seqs = [[hit.seq] for hit in hits]
    else:
        look_up = partial(mirror.postings.match, limit=0, allowed=look.visible)
        scopes = score_scopes(look, weights, LISTED, look_up, partial(terms_of, mirror))
        ranking = [hit.scope.removeprefix("session/") for hit in scopes]
        scores = [hit.score for hit in scopes]
        seqs = [list(hit.seqs) for hit in scopes]
    kind = "" if question is None else question.kind
    depth = fresh.depth(kind)
    placed = _placed(question, scores[:depth], seqs[:depth], tell)
    pairs = {}
    for old in range(len(placed)):
        for new in range(old + 1, len(placed)):
            if question is not None and placed[new].seq > placed[old].seq:
                features = fresh.pair(question, placed, old, new)
                if features is not None:
                    pairs[old, new] = features
    return Sample(
        query,
        question and question.kind,
        data.headline(query),
        [one.score for one in placed],
        [one.seq for one in placed],
        ranking,
        pairs,
    )


def _placed(
    question: Asked | None, scores: list[float], seqs: list[list[int]], tell: fresh.Tell
) -> list[fresh.Placed]:
    if question is None:
        return []
    return [
        fresh.placed(question, score, some, tell) for score, some in zip(scores, seqs, strict=True)
    ]


def fit(sets: Mapping[Key, Sequence[Sample]], strength: float) -> Floats:
    """Logistic regression over the pairs; every set weighs its share."""
    from scipy.optimize import minimize

    rows: list[list[float]] = []
    kinds: list[float] = []
    weights: list[float] = []
    for key, samples in sets.items():
        cases = [case for sample in samples for case in _cases(sample, key[1])]
        changed = sum(weight is None for _, _, weight in cases)
        for features, up, weight in cases:
            rows.append(features)
            kinds.append(float(up))
            each = 1.0 / max(1, changed) if weight is None else weight / len(samples)
            weights.append(SHARES[key] * each)
    x, y, share = np.array(rows), np.array(kinds), np.array(weights)
    share /= share.sum()
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    mean[0], spread[0] = 0.0, 1.0
    z = (x - mean) / spread

    def loss(w: Floats) -> tuple[float, Floats]:
        odds = z @ w
        held = np.append(0.0, w[1:])
        told = share @ (np.logaddexp(0.0, odds) - y * odds) + strength * (held @ held)
        wrong = share * (1.0 / (1.0 + np.exp(-odds)) - y)
        return float(told), z.T @ wrong + 2 * strength * held

    w = minimize(loss, np.zeros(x.shape[1]), jac=True, method="L-BFGS-B").x / spread
    w[0] -= float(w[1:] @ mean[1:])
    return np.asarray(w)


def _cases(sample: Sample, unit: Unit) -> list[tuple[list[float], bool, float | None]]:
    """Features, whether the newer should move up, and the weight; None where a value changed."""
    right = sample.query.targets(unit)

    def is_right(name: str) -> bool:
        return name in right.gold or right.equal.get(name) in right.gold

    ranking = sample.ranking
    first = next((n for n, name in enumerate(ranking) if is_right(name)), -1)
    found: list[tuple[list[float], bool, float | None]] = []
    for (i, j), features in sample.pairs.items():
        old, new = ranking[i], ranking[j]
        if old in right.stale and new in right.fresh:
            found.append((features, True, None))
        elif is_right(old) and not is_right(new):
            weight = 1 / (i + 1) - 1 / (i + 2) if i == first else BESIDE
            found.append((features, False, AGAINST * weight))
        elif is_right(new) and not is_right(old) and (not right.stale or new in right.fresh):
            weight = 1 / (i + 1) - 1 / (j + 1) if j == first else BESIDE
            found.append((features, True, FOR * weight))
    return found


def reorder(sample: Sample, weights: Floats, of: str) -> list[str]:
    """The ranking after the step."""
    by = fresh.Model(tuple(weights), BARS[of])
    if sample.kind is None or sample.kind not in by.bars:
        return sample.ranking
    lifted = fresh.lifted(sample.scores, sample.seqs, sample.pairs, by, sample.kind)
    n = len(lifted)
    order = sorted(range(n), key=lambda i: (-lifted[i], -sample.seqs[i]))
    return [sample.ranking[i] for i in order] + sample.ranking[n:]


def fold(sample: Sample, samples: Sequence[Sample]) -> int:
    """By stream, or by question where there is one stream."""
    streams = sorted({one.query.stream for one in samples})
    if len(streams) > 1:
        return streams.index(sample.query.stream) % FOLDS
    return crc32(sample.query.qid.encode()) % FOLDS


def _report(
    sets: Mapping[Key, Sequence[Sample]], fitted: Callable[..., Floats], of: str
) -> dict[str, Any]:
    folds = {key: [fold(one, samples) for one in samples] for key, samples in sets.items()}
    every = fitted(sets)
    by_fold = [
        fitted(
            {
                key: [one for one, f in zip(samples, folds[key], strict=True) if f != held]
                for key, samples in sets.items()
            }
        )
        for held in range(FOLDS)
    ]
    rows = {}
    for key, samples in sets.items():
        others = fitted({other: s for other, s in sets.items() if other[0] != key[0]})
        ways: dict[str, list[Floats | None]] = {
            "before": [None] * len(samples),
            "in the fit": [every] * len(samples),
            "streams held out": [by_fold[f] for f in folds[key]],
            "set held out": [others] * len(samples),
        }
        rows[" ".join(key)] = {way: _measured(samples, w, of, key[1]) for way, w in ways.items()}
        print(" ".join(key), len(samples), flush=True)
        for way, row in rows[" ".join(key)].items():
            print(f"   {way:18}", " ".join(f"{name} {value:.4f}" for name, value in row.items()))
    return rows


def _measured(
    samples: Sequence[Sample], weights: Sequence[Floats | None], of: str, unit: Unit
) -> dict[str, float]:
    rows = []
    for sample, w in zip(samples, weights, strict=True):
        if not sample.counts:
            continue
        right = sample.query.targets(unit)
        ranking = sample.ranking if w is None else reorder(sample, w, of)
        merged = scorers.merge_equal(ranking, right.equal)
        rows.append(scorers.score(merged, right.gold, right.fresh, right.stale))
    shown = ("fresh_before_stale", "stale@5", "coverage@10", "ndcg@10", "mrr")
    found = scorers.mean(rows)
    return {name: round(found[name], 4) for name in shown if name in found}


if __name__ == "__main__":
    main()

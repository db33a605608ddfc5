"""Fit what each signal counts: a conditional logit over the candidates of real questions.

For a question with evidence E among its candidates C, the model is ``p(i) = exp(w · x_i) / Σ_C``
and the loss is the mean of ``-log p`` over E: convex, so the fit is one fixed point whatever it
starts from. Every set counts as stated in `SHARES`, however many questions it has. A line of a
conversation shares its weights with questions except for the signals in `OF_MESSAGES`.
"""

from __future__ import annotations

import json
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
from holdfast.bench.abstention import Plan, auroc
from holdfast.bench.datasets import Dataset, Query, Unit, to_event
from holdfast.read import terms_of
from holdfast.recall.columns import Bools
from holdfast.recall.confidence import clues
from holdfast.recall.fuse import candidates, fuse
from holdfast.recall.look import Look
from holdfast.recall.query import parse
from holdfast.recall.scopes import SCOPE_SIGNALS, scopes
from holdfast.recall.signals import SIGNALS
from holdfast.recall.weights import KINDS, Weights

Floats = npt.NDArray[np.float64]

SHARES: Mapping[str, float] = {
    "locomo": 1.5,
    "longmemeval_oracle_user": 2.0,
    "beam_100k": 1.0,
    "beam_500k": 0.5,
    "beam_1m": 0.25,
    "prefeval": 0.2,  # few words in common: without vectors there is little to learn
    "realmem": 0.2,  # its turn labels are weak
    "irc_ubuntu": 0.6,
}
"""What each set counts in the fit."""
SHARES_WITH_VECTORS: Mapping[str, float] = {
    **SHARES,
    "longmemeval_oracle_user": 2.5,
    "prefeval": 0.5,
}

SHARES_OF_SCOPES: Mapping[str, float] = {
    "realmem": 1.5,
    "locomo": 1.0,
    "longmemeval_oracle_user": 1.0,
    "memorycode": 0.3,
}
"""And in the fit of what tells for whole scopes."""

OF_MESSAGES = ("recency", "latest", "length", "question")
FALLING = ("length", "question", "assistant")
"""Signals of which more is worse; every other weight is at least 0."""
FREE = ("length", "question")  # and these may go either way in a message
FOLDS = 5
_STRENGTH = 1e-3  # of the ridge, on signals scaled to a spread of 1
_NEGATIVES = (
    160  # candidates kept for the fit beside the evidence: the best by BM25, and some of all
)
_PER_SET = 800  # questions; more of one set tell little more


@dataclass(frozen=True)
class Sample:
    """One question: its candidates' signals, (n, signals), and which of them are evidence, (n,)."""

    stream: str
    qid: str
    asks: bool
    values: npt.NDArray[np.float32]
    right: npt.NDArray[np.bool_]
    newest: npt.NDArray[np.int64]  # rows, that ties go by
    wanted: int  # pieces of evidence, found among the candidates or not
    names: tuple[str, ...] = tuple(SIGNALS)


def collect(
    data: Dataset,
    keep: Callable[[Query], bool],
    embedder: Any = None,
    weights: Weights | None = None,
    progress: Callable[[str], None] | None = None,
) -> list[Sample]:
    """Every question of a set with the signals of its candidates, asked at its place in the stream.

    With `weights`, the signals of every scope instead, where the best events are theirs.
    """
    unit: Unit = "session" if weights else "turn"
    found = []
    for number, (stream, turns) in enumerate(data.streams.items(), 1):
        if progress:
            progress(f"{data.name}: stream {number} of {len(data.streams)}")
        asked = [q for q in data.queries.get(stream, ()) if q.targets(unit).gold and keep(q)]
        if not asked:
            continue
        with tempfile.TemporaryDirectory(prefix="holdfast-fit-") as folder:
            path = Path(folder) / "fit.holdfast"
            with Memory.open(path, budget="1 GiB", embedder=embedder) as memory:
                memory.observe_many([to_event(turn) for turn in turns])
                memory.settle(3600.0)
                for query in asked:
                    if query.at is None or query.at > 1:
                        found.append(_sample(memory, data, query, embedder, weights))
    return found


def _sample(
    memory: Memory, data: Dataset, query: Query, embedder: Any, weights: Weights | None
) -> Sample:
    columns = memory._mirror.columns  # the fit looks at what recall looks at
    visible = None if query.at is None else np.arange(columns.n) < query.at
    look = _look(memory, query.text, embedder, visible)
    if weights is not None:
        return _scopes(memory, data, query, look, weights)
    values = np.zeros((len(look.rows), len(SIGNALS)), np.float32)
    for i, signal in enumerate(SIGNALS.values()):
        told = signal(look)
        if told is not None:
            values[:, i] = told
    right = {
        turn.i
        for turn in data.streams[query.stream]
        if turn.id in query.turns.gold or query.turns.equal.get(turn.id) in query.turns.gold
    }
    gold = len(query.turns.gold)
    rows = look.rows
    return Sample(
        query.stream, query.qid, look.query.asks, values, np.isin(rows, list(right)), rows, gold
    )


def _scopes(memory: Memory, data: Dataset, query: Query, look: Look, weights: Weights) -> Sample:
    mirror = memory._mirror
    table = weights.table(asks=look.query.asks, vectors=look.vector is not None)
    lookup = partial(mirror.postings.match, limit=0, allowed=look.visible)
    told = scopes(look, fuse(look, table)[0], lookup, partial(terms_of, mirror))
    values = np.zeros((len(told.ids), len(SCOPE_SIGNALS)), np.float32)
    for name, signal in told.signals.items():
        values[:, SCOPE_SIGNALS.index(name)] = signal
    right = {f"session/{session}" for session in query.sessions.gold}
    named = look.columns.scope_names()
    hit = np.array([named[id] in right for id in told.ids], np.bool_)
    asks, gold = look.query.asks, len(right)
    return Sample(query.stream, query.qid, asks, values, hit, told.newest, gold, SCOPE_SIGNALS)


def _look(memory: Memory, text: str, embedder: Any, visible: Bools | None) -> Look:
    mirror = memory._mirror
    newest = mirror.columns.n - 1 if visible is None else int(visible.nonzero()[0][-1])
    query = parse(text, float(mirror.columns.at[newest]))
    vector = None if embedder is None else embedder.embed([text])[0]
    return candidates(mirror.index, query, vector, visible)


CLUES = ("covered", "best", "definite", "terms", "undecided")


@dataclass(frozen=True)
class Doubt:
    """One question, answerable or not, with what tells."""

    group: str  # its set and stream
    kind: str  # whose unanswerable questions it is compared with
    clues: Floats  # in the order of `CLUES`, and "nearest" where there is an embedder
    answerable: bool


def collect_doubts(
    data: Dataset, plan: Plan, kind: str, weights: Weights, embedder: Any = None
) -> list[Doubt]:
    """Answerable and unanswerable questions of a set with the clues of each."""
    found = []
    for stream, questions in plan.items():
        with tempfile.TemporaryDirectory(prefix="holdfast-fit-") as folder:
            path = Path(folder) / "fit.holdfast"
            with Memory.open(path, budget="1 GiB", embedder=embedder) as memory:
                memory.observe_many([to_event(turn) for turn in data.streams[stream]])
                memory.settle(3600.0)
                for question in questions:
                    told = _clues(memory, question.text, weights, embedder)
                    group = f"{data.name}/{stream}"
                    found.append(Doubt(group, kind, told, question.answerable))
    return found


def _clues(memory: Memory, text: str, weights: Weights, embedder: Any) -> Floats:
    look = _look(memory, text, embedder, None)
    names = CLUES if embedder is None else (*CLUES, "nearest")
    if not len(look.rows):
        return np.zeros(len(names))
    table = weights.table(asks=look.query.asks, vectors=look.vector is not None)
    told = clues(look, fuse(look, table)[0])
    return np.array([told[name] for name in names])


def fit_doubts(doubts: Sequence[Doubt]) -> dict[str, float]:
    """A logistic regression that tells answerable questions; every kind counts the same."""
    from scipy.optimize import minimize

    x = np.array([doubt.clues for doubt in doubts])
    y = np.array([doubt.answerable for doubt in doubts], np.float64)
    cells = [(doubt.kind, doubt.answerable) for doubt in doubts]
    counts = {cell: cells.count(cell) for cell in set(cells)}
    share = np.array([1.0 / counts[cell] for cell in cells])
    mean, spread = x.mean(axis=0), x.std(axis=0) + 1e-9
    x = (x - mean) / spread

    def loss(w: Floats) -> tuple[float, Floats]:
        odds = x @ w[:-1] + w[-1]
        wrong = (1.0 / (1.0 + np.exp(-odds)) - y) * share
        told = share @ (np.logaddexp(0.0, odds) - y * odds) + 1e-2 * (w[:-1] @ w[:-1])
        return float(told), np.append(x.T @ wrong + 2e-2 * w[:-1], wrong.sum())

    w = minimize(loss, np.zeros(x.shape[1] + 1), jac=True, method="L-BFGS-B").x
    names = (*CLUES, "nearest")[: x.shape[1]]
    weights = dict(zip(names, (w[:-1] / spread).tolist(), strict=True))
    weights[""] = float(w[-1] - (w[:-1] / spread) @ mean)
    return {name: float(f"{weight:.4g}") for name, weight in weights.items()}


def doubts_held_out(doubts: Sequence[Doubt]) -> dict[str, float]:
    """AUROC by kind, each stream's questions judged by a fit that never saw the stream."""
    judged: list[tuple[str, float, bool]] = []
    fold_of = [crc32(doubt.group.encode()) % FOLDS for doubt in doubts]
    for fold in range(FOLDS):
        weights = fit_doubts([d for d, f in zip(doubts, fold_of, strict=True) if f != fold])
        for doubt in (d for d, f in zip(doubts, fold_of, strict=True) if f == fold):
            told = dict(zip((*CLUES, "nearest"), doubt.clues, strict=False))
            odds = weights[""] + sum(weights[name] * value for name, value in told.items())
            judged.append((doubt.kind, odds, doubt.answerable))
    kinds = sorted({kind for kind, _, _ in judged})
    return {
        kind: round(
            auroc([o for k, o, _ in judged if k == kind], [a for k, _, a in judged if k == kind]), 4
        )
        for kind in kinds
    }


def coverage(sample: Sample, score: Floats, k: int = 10) -> tuple[float, float]:
    """Share of the evidence among the best k, and whether that is all of it."""
    best = np.lexsort((-sample.newest, -score))[:k]
    share = min(1.0, float(sample.right[best].sum()) / max(1, sample.wanted))
    return share, float(share == 1.0)


@dataclass(frozen=True)
class Fitted:
    """Weights by kind of query, the names they belong to in order."""

    names: tuple[str, ...]
    asking: Floats
    saying: Floats

    def score(self, sample: Sample) -> Floats:
        columns = [sample.names.index(name) for name in self.names]
        weights = self.asking if sample.asks else self.saying
        return np.asarray(sample.values[:, columns].astype(np.float64) @ weights)

    def tables(self) -> tuple[dict[str, float], dict[str, float]]:
        """Weights by signal, for questions and for messages; none that are zero."""
        asking, saying = (
            {
                n: float(f"{w:.4g}")
                for n, w in zip(self.names, weights, strict=True)
                if abs(w) > 1e-6
            }
            for weights in (self.asking, self.saying)
        )
        return asking, saying


def fit(
    sets: Mapping[str, Sequence[Sample]],
    names: Sequence[str],
    shares_of: Mapping[str, float] = SHARES,
) -> Fitted:
    """The weights that make the evidence of all sets most probable; see the module."""
    from scipy.optimize import minimize

    order = next(sample.names for samples in sets.values() for sample in samples)
    columns = [order.index(name) for name in names]
    own = [i for i, name in enumerate(names) if name in OF_MESSAGES]
    blocks, rights, sizes, shares = [], [], [], []
    for name, samples in sets.items():
        used = [sample for sample in samples if sample.right.any()]
        for sample in used:
            rows = _kept(sample)
            values = sample.values[rows][:, columns].astype(np.float64)
            extra = values[:, own] * (not sample.asks)
            if not sample.asks:
                values[:, own] = 0.0
            blocks.append(np.hstack([values, extra]))
            rights.append(sample.right[rows].astype(np.float64))
            sizes.append(len(rows))
            shares.append(shares_of[name] / len(used))
    x, y = np.concatenate(blocks), np.concatenate(rights)
    starts = np.cumsum([0, *sizes[:-1]])
    groups = np.repeat(np.arange(len(sizes)), sizes)
    share = np.array(shares) / np.sum(shares)
    spread = x.std(axis=0) + 1e-9
    x /= spread
    target = y / np.add.reduceat(y, starts)[groups]

    def loss(w: Floats) -> tuple[float, Floats]:
        score = x @ w
        score -= np.maximum.reduceat(score, starts)[groups]
        e = np.exp(score)
        total = np.add.reduceat(e, starts)
        told = np.add.reduceat(target * score, starts) - np.log(total)
        gradient = x.T @ ((e / total[groups] - target) * share[groups])
        return float(-(told @ share) + _STRENGTH * (w @ w)), gradient + 2 * _STRENGTH * w

    bounds: list[tuple[float | None, float | None]] = [
        (None, 0.0) if name in FALLING else (0.0, None) for name in names
    ] + [(None, None) if names[i] in FREE else (0.0, None) for i in own]
    start = np.zeros(x.shape[1])
    best = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"maxiter": 500}
    )
    weights = best.x / spread
    asking, saying = weights[: len(names)].copy(), weights[: len(names)].copy()
    saying[own] = weights[len(names) :]
    for i in own:
        if names[i] == "latest":
            asking[i] = 0.0
    return Fitted(tuple(names), asking, saying)


def _kept(sample: Sample) -> npt.NDArray[np.int64]:
    """The evidence, the best candidates by BM25 and by cosine, and some of all: enough to learn."""
    n = len(sample.right)
    if n <= _NEGATIVES:
        return np.arange(n)
    by = [sample.values[:, sample.names.index(name)] for name in ("bm25", "meaning")]
    some = np.random.default_rng(crc32(sample.qid.encode())).integers(0, n, _NEGATIVES // 3)
    best = [np.argsort(-values)[: _NEGATIVES // 3] for values in by]
    return np.unique(np.concatenate([np.flatnonzero(sample.right), some, *best]))


def folds(samples: Sequence[Sample]) -> list[int]:
    """A fold for each question: by stream, or by question where there is one stream."""
    streams = sorted({sample.stream for sample in samples})
    if len(streams) > 1:
        return [streams.index(sample.stream) % FOLDS for sample in samples]
    return [crc32(sample.qid.encode()) % FOLDS for sample in samples]


def cross_validated(
    sets: Mapping[str, Sequence[Sample]],
    names: Sequence[str],
    shares_of: Mapping[str, float] = SHARES,
) -> dict[str, dict[str, float]]:
    """coverage@10 (and all@10) of each set: in the fit, and with its streams, or all of it, out."""
    fold_of = {name: folds(samples) for name, samples in sets.items()}
    held_out: dict[str, list[tuple[float, float]]] = {name: [] for name in sets}
    for fold in range(FOLDS):
        training = {
            name: [s for s, f in zip(samples, fold_of[name], strict=True) if f != fold]
            for name, samples in sets.items()
        }
        fitted = fit(training, names, shares_of)
        for name, samples in sets.items():
            for sample, f in zip(samples, fold_of[name], strict=True):
                if f == fold:
                    held_out[name].append(coverage(sample, fitted.score(sample)))
    every = fit(sets, names, shares_of)
    rows = {}
    for name, samples in sets.items():
        others = {other: s for other, s in sets.items() if other != name} or sets
        without = fit(others, names, shares_of)
        rows[name] = {
            "questions": len(samples),
            "in the fit": _mean([coverage(s, every.score(s))[0] for s in samples]),
            "streams held out": _mean([share for share, _ in held_out[name]]),
            "all of it, streams held out": _mean([whole for _, whole in held_out[name]]),
            "set held out": _mean([coverage(s, without.score(s))[0] for s in samples]),
        }
    return rows


def _mean(values: Sequence[float]) -> float:
    return round(float(np.mean(values)), 4)


@dataclass(frozen=True)
class Model:
    """Everything that was fitted with an embedder, or without one."""

    events: Fitted
    scopes: Fitted
    doubts: Mapping[str, float]


def to_json(plain: Model, dense: Model, report: Mapping[str, Any]) -> str:
    """The weights file: what each signal counts, what tells confidence, and how well they did."""
    both = (plain, plain, dense, dense)
    side = (0, 1, 0, 1)
    found = {
        "report": report,
        "weights": {k: m.events.tables()[i] for k, m, i in zip(KINDS, both, side, strict=True)},
        "scopes": {k: m.scopes.tables()[i] for k, m, i in zip(KINDS, both, side, strict=True)},
        "confidence": {k: m.doubts for k, m in zip(KINDS, both, strict=True)},
    }
    return json.dumps(found, indent=1) + "\n"

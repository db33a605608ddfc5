"""Whether a memory knows what it does not hold: does its confidence tell the two apart?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from holdfast.bench.datasets import Dataset, to_event
from holdfast.bench.protocol import Confident, Factory, Setup
from holdfast.bench.recall import Say, in_temporary

UNANSWERABLE = "abstention"  # BEAM's questions that nothing in the chat answers
MOST = 100  # questions of each kind to a stream
DRAWS = 1_000


@dataclass(frozen=True, slots=True)
class Question:
    """A text, and whether the memory it is put to holds what answers it."""

    text: str
    answerable: bool


Plan = Mapping[str, Sequence[Question]]


def own(data: Dataset) -> Plan:
    """BEAM's unanswerable questions beside those of the six abilities, each to its own stream."""
    plan = {
        stream: [
            Question(query.text, query.type != UNANSWERABLE)
            for query in queries
            if query.type == UNANSWERABLE or (data.headline(query) and query.turns.gold)
        ]
        for stream, queries in data.queries.items()
    }
    return _asking(plan)


def foreign(data: Dataset, donor: Dataset | None = None, seed: int = 0) -> Plan:
    """Each stream's questions beside as many of another stream, put to that stream.

    With several streams, the others lend the foreign ones; with one, `donor` does. Drawn by a
    fixed seed. A foreign question may name people the memory never heard of, as it would in use.
    """
    plan = {}
    for number, stream in enumerate(data.streams):
        rng = np.random.default_rng((seed, number))
        mine = _answerable(data, [stream])
        lender = donor if donor and len(data.streams) == 1 else data
        others = _answerable(
            lender, [s for s in lender.streams if lender is not data or s != stream]
        )
        n = min(len(mine), len(others), MOST)
        plan[stream] = [
            Question(texts[place], kind)
            for kind, texts in ((True, mine), (False, others))
            for place in sorted(rng.permutation(len(texts))[:n].tolist())
        ]
    return _asking(plan)


def measure(
    data: Dataset,
    plan: Plan,
    make: Factory,
    setup: Callable[[Path], Setup],
    *,
    streams: int | None = None,
    progress: Say | None = None,
) -> dict[str, Any]:
    """AUROC of a system's confidence, over all streams' questions together.

    Every question is asked after the whole stream. Scores of different streams share one scale
    here, as they do for a user who sets one threshold. The interval draws streams (questions,
    where there is one stream).
    """
    groups: list[tuple[list[float], list[bool]]] = []
    for number, (stream, questions) in enumerate(list(plan.items())[:streams], 1):
        if progress:
            progress(f"stream {number} of {min(len(plan), streams or len(plan))}")
        with in_temporary(make, setup) as made:
            system = cast(Confident, made)
            system.observe_many([to_event(turn) for turn in data.streams[stream]])
            scores = [system.confidence(question.text) for question in questions]
        groups.append((scores, [question.answerable for question in questions]))
    scores, kinds = _pooled(groups)
    low, high = _interval(groups)
    return {
        "auroc": round(auroc(scores, kinds), 4),
        "interval_95": (round(low, 4), round(high, 4)),
        "n_answerable": int(np.sum(kinds)),
        "n_not": int(len(kinds) - np.sum(kinds)),
        "n_streams": len(groups),
    }


def auroc(scores: Sequence[float], positive: Sequence[bool]) -> float:
    """The chance that a random positive scores above a random negative; a tie counts half.

    Examples
    --------
    >>> auroc([3.0, 1.0, 2.0, 1.0], [True, True, False, False])
    0.625
    """
    values, kinds = np.asarray(scores, np.float64), np.asarray(positive, np.bool_)
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]  # 1-based, ties share their mean
    n, m = int(kinds.sum()), int((~kinds).sum())
    if not n or not m:
        return float("nan")
    return float((ranks[kinds].sum() - n * (n + 1) / 2) / (n * m))


def _interval(groups: Sequence[tuple[list[float], list[bool]]]) -> tuple[float, float]:
    units = groups
    if len(groups) == 1:
        units = [([s], [k]) for s, k in zip(*groups[0], strict=True)]
    rng, found = np.random.default_rng(0), []
    for _ in range(DRAWS):
        drawn = [units[n] for n in rng.integers(0, len(units), len(units))]
        value = auroc(*_pooled(drawn))
        if not np.isnan(value):
            found.append(value)
    low, high = np.quantile(found, [0.025, 0.975])
    return float(low), float(high)


def _pooled(groups: Sequence[tuple[list[float], list[bool]]]) -> tuple[list[float], list[bool]]:
    return [s for scores, _ in groups for s in scores], [k for _, kinds in groups for k in kinds]


def _answerable(data: Dataset, streams: Sequence[str]) -> list[str]:
    return [
        query.text
        for stream in streams
        for query in data.queries[stream]
        if data.headline(query) and query.sessions.gold
    ]


def _asking(plan: Mapping[str, list[Question]]) -> Plan:
    """Without the streams that have only one kind of question."""
    return {s: asked for s, asked in plan.items() if len({q.answerable for q in asked}) == 2}

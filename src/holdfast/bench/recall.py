"""Recall quality on one data set, in stream order: feed, ask, score, go on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.bench import scorers
from holdfast.bench.datasets import Dataset, Query, Turn, Unit, load, to_event
from holdfast.bench.prefeval import load_pairs
from holdfast.bench.systems import DEFAULT_SYSTEMS, SYSTEMS, Factory, Setup, System
from holdfast.budget import parse_bytes
from holdfast.errors import UnknownNameError

DEPTH = 50  # length of every ranked list: what is below it counts as not found
TOKENS = 1_000
INTERVALS = ("any@10", "all@10", "coverage@10", "ndcg@10", "mrr", f"budgeted@{TOKENS}")
UNBOUNDED = "1 GiB"  # a budget no set here comes near


@dataclass
class _Tally:
    """What one system did over all streams of a set."""

    rows: list[tuple[Query, dict[str, float]]] = field(default_factory=list)
    slices: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    left_out: int = 0
    fed: int = 0
    feed_s: float = 0.0
    rank_ms: list[float] = field(default_factory=list)
    context_ms: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    bytes_used: int = 0


def run(
    directory: str | Path,
    *,
    unit: Unit | None = None,
    embedder: Any = None,
    budget: int | str | None = None,
    systems: Sequence[str] | Mapping[str, Factory] = DEFAULT_SYSTEMS,
    streams: int | None = None,
    filler: str | Path | None = None,
    options: Mapping[str, Any] | None = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Measure each system on one data set; the result is plain JSON.

    Parameters
    ----------
    unit
        What a ranked list is made of. None: the set's own default.
    embedder, options
        Passed to Holdfast alone; every other system here is lexical or ignores the question.
    budget
        Bytes on disk per stream for Holdfast; None: far more than any set needs.
    systems
        Names from `SYSTEMS`, or your own by name.
    filler
        For pairs of preference and question (PrefEval): the set to bury them in.
    streams
        Only the first so many streams, for a quick look.

    Raises
    ------
    UnknownNameError
        If no system has that name.

    Notes
    -----
    A question asked at position n sees exactly the first n turns: the rest is not fed yet. Lists
    are cut at 50. At session granularity a system ranks sessions; Holdfast's are its turns' scopes
    in order of their best hit. ``budgeted@1000`` is the share of right turns that are wholly, byte
    for byte, inside a context of 1,000 tokens. Questions with nothing right are left out and
    counted.
    """
    known = systems if isinstance(systems, Mapping) else SYSTEMS
    unknown = [name for name in systems if name not in known]
    if unknown:
        raise UnknownNameError(f"no system {unknown[0]!r}; known: {', '.join(SYSTEMS)}")
    data = load(directory) if filler is None else load_pairs(directory, load(filler))
    chosen: Unit = unit or data.default_unit
    nbytes = parse_bytes(UNBOUNDED if budget is None else budget)
    names = list(data.streams)[:streams]
    results = []
    for system in systems:
        tally = _Tally()
        for number, stream in enumerate(names, 1):
            if progress:
                progress(f"{data.name} {system}: stream {number} of {len(names)}")
            with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
                made = Setup(
                    Path(folder) / "bench.holdfast",
                    chosen,
                    nbytes,
                    embedder,
                    data.index_speaker,
                    options or {},
                )
                _one_stream(data, stream, chosen, known[system](made), tally)
        row = _report(tally, system == "holdfast", budget is not None, nbytes)
        row["embedder"] = _named(embedder) if system == "holdfast" else None
        results.append({"set": data.name, "unit": chosen, "system": system, **row})
    return {"benchmark": "recall", "depth": DEPTH, "tokens": TOKENS, "results": results}


def _one_stream(data: Dataset, stream: str, unit: Unit, system: System, tally: _Tally) -> None:
    turns, fed = data.streams[stream], 0
    try:
        for query in _asked(data, stream):
            end = len(turns) if query.at is None else query.at
            if end > fed:
                _feed(system, turns[fed:end], tally)
                fed = end
            _ask(data, query, unit, system, turns, tally)
        tally.bytes_used = max(tally.bytes_used, system.bytes_used())
    finally:
        system.close()


def _asked(data: Dataset, stream: str) -> Iterator[Query]:
    """The questions that are part of any figure; the 25,000 training links of IRC are not."""
    for query in data.queries[stream]:
        if data.headline(query) or query.type != "train" or len(list(data.slices(query))) > 1:
            yield query


def _feed(system: System, turns: Sequence[Turn], tally: _Tally) -> None:
    events = [to_event(turn) for turn in turns]
    begun = time.perf_counter()
    system.observe_many(events)
    tally.feed_s += time.perf_counter() - begun
    tally.fed += len(events)


def _ask(
    data: Dataset,
    query: Query,
    unit: Unit,
    system: System,
    turns: Sequence[Turn],
    tally: _Tally,
) -> None:
    right = query.targets(unit)
    if not right.gold:
        tally.left_out += data.headline(query)
        return
    begun = time.perf_counter()
    if unit == "turn":
        ranking = [turns[position].id for position in system.rank(query.text, DEPTH)]
    else:
        prefix = len("session/")
        ranking = [scope[prefix:] for scope in system.rank_scopes(query.text, DEPTH)]
    ranked = time.perf_counter()
    returned = system.context(query.text, TOKENS)
    done = time.perf_counter()
    tally.rank_ms.append(1e3 * (ranked - begun))
    tally.context_ms.append(1e3 * (done - ranked))
    tally.tokens.append(returned.tokens)
    row: dict[str, float] = {}
    if system.ranks:
        merged = scorers.merge_equal(ranking, right.equal)
        row = scorers.score(merged, right.gold, right.fresh, right.stale)
    if query.turns.gold:
        inside = scorers.merge_equal(
            sorted(turns[position].id for position in returned.whole), query.turns.equal
        )
        share = scorers.coverage_at(inside, query.turns.gold, len(inside))
        row[f"budgeted@{TOKENS}"] = share
    if data.headline(query):
        tally.rows.append((query, row))
    for name in data.slices(query):
        tally.slices.setdefault(name, []).append(row)


def _report(tally: _Tally, bounded: bool, asked: bool, nbytes: int) -> dict[str, Any]:
    rows = [row for _, row in tally.rows]
    return {
        "budget_bytes": nbytes if bounded and asked else None,
        "n": len(rows),
        "n_changed": sum("fresh_before_stale" in row for row in rows),
        "n_budgeted": sum(f"budgeted@{TOKENS}" in row for row in rows),
        "left_out": tally.left_out,
        "metrics": _rounded(scorers.mean(rows)),
        "intervals_95": _intervals(tally),
        "by_type": {
            name: {"n": len(found), **_rounded(scorers.mean(found))}
            for name, found in sorted(tally.slices.items())
        },
        "latency_ms": _latency(tally.context_ms),
        "rank_ms": _latency(tally.rank_ms),
        "context_tokens": round(float(np.mean(tally.tokens))) if tally.tokens else 0,
        "bytes_used": tally.bytes_used,
        "events": tally.fed,
        "events_per_s": round(tally.fed / tally.feed_s) if tally.feed_s else None,
    }


def _intervals(tally: _Tally) -> dict[str, tuple[float, float]]:
    found = {}
    for metric in INTERVALS:
        groups: dict[str, list[float]] = {}
        for query, row in tally.rows:
            if metric in row:
                groups.setdefault(query.stream, []).append(row[metric])
        if groups:
            low, high = scorers.bootstrap(list(groups.values()))
            found[metric] = (round(low, 4), round(high, 4))
    return found


def _latency(ms: Sequence[float]) -> dict[str, float]:
    if not ms:
        return {}
    p50, p99 = np.quantile(ms, [0.5, 0.99])
    return {"p50": round(float(p50), 3), "p99": round(float(p99), 3)}


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {metric: round(value, 4) for metric, value in metrics.items()}


def _named(embedder: Any) -> str | None:
    return embedder if embedder is None or isinstance(embedder, str) else str(embedder.name)

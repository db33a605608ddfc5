"""Recall quality on one data set, in stream order: feed, ask, score, go on."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.bench import scorers
from holdfast.bench.datasets import Dataset, Query, Turn, Unit, load, to_event
from holdfast.bench.dense import DEFAULT_EMBEDDER
from holdfast.bench.prefeval import load_pairs
from holdfast.bench.protocol import Factory, Setup, System
from holdfast.bench.systems import DEFAULT_SYSTEMS, SYSTEMS
from holdfast.budget import parse_bytes
from holdfast.errors import UnknownNameError

DEPTH = 50  # length of every ranked list: what is below it counts as not found
TOKENS = 1_000
INTERVALS = (
    "any@5",
    "any@10",
    "all@5",
    "all@10",
    "coverage@10",
    "ndcg@10",
    "mrr",
    f"budgeted@{TOKENS}",
)
WITH_MODEL = ("dense", "hybrid")
UNBOUNDED = "1 GiB"  # a budget no set here comes near


Say = Callable[[str], None]
Wanted = Callable[[Query], bool]


@dataclass
class Tally:
    """What one system did over all streams of a set; `counts` picks the main figure's questions."""

    counts: Wanted
    rows: list[tuple[Query, dict[str, float]]] = field(default_factory=list)
    slices: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    left_out: int = 0
    fed: int = 0
    feed_s: float = 0.0
    rank_ms: list[float] = field(default_factory=list)
    context_ms: list[float] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    bytes_used: int = 0
    degraded: int = 0


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
    progress: Say | None = None,
) -> dict[str, Any]:
    """Measure each system on one data set; the result is plain JSON.

    Parameters
    ----------
    unit
        What a ranked list is made of. None: the set's own default.
    embedder
        For Holdfast, which does without unless given one, and for `dense` and `hybrid`, which do
        not; the other systems are lexical or ignore the question.
    options
        Passed to `Memory.open`.
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
    results = []
    for system in systems:
        setup = partial(
            Setup,
            unit=chosen,
            budget_bytes=nbytes,
            embedder=embedder,
            index_speaker=data.index_speaker,
            options=options or {},
        )
        say = prefixed(progress, f"{data.name} {system}: ")
        tally = measure(data, chosen, known[system], setup, streams=streams, progress=say)
        row = report(tally)
        row["budget_bytes"] = nbytes if system == "holdfast" and budget is not None else None
        row["embedder"] = _named(embedder) if system in ("holdfast", *WITH_MODEL) else None
        if system in WITH_MODEL and embedder is None:
            row["embedder"] = DEFAULT_EMBEDDER
        results.append({"set": data.name, "unit": chosen, "system": system, **row})
    return {"benchmark": "recall", "depth": DEPTH, "tokens": TOKENS, "results": results}


def measure(
    data: Dataset,
    unit: Unit,
    make: Factory,
    setup: Callable[[Path], Setup],
    *,
    wanted: Wanted | None = None,
    streams: int | None = None,
    progress: Say | None = None,
) -> Tally:
    """Feed every stream to a system of its own and ask the wanted questions, in stream order.

    `wanted` also decides which questions the main figure is made of; None: the set's own choice,
    other questions being asked for the slices they are in.
    """
    tally = Tally(data.headline if wanted is None else wanted)
    asked = wanted or partial(_in_any_figure, data)
    names = asked_streams(data, asked, streams)
    for number, stream in enumerate(names, 1):
        if progress:
            progress(f"stream {number} of {len(names)}")
        with in_temporary(make, setup) as system:
            queries = [query for query in data.queries[stream] if asked(query)]
            _one_stream(data, queries, unit, system, tally)
    return tally


@contextmanager
def in_temporary(make: Factory, setup: Callable[[Path], Setup]) -> Iterator[System]:
    """A system with a folder of its own, both gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        system = make(setup(Path(folder) / "bench.holdfast"))
        try:
            yield system
        finally:
            system.close()


def asked_streams(data: Dataset, asked: Wanted, most: int | None = None) -> list[str]:
    """The streams that any such question is about, the first so many."""
    return [name for name in data.streams if any(map(asked, data.queries[name]))][:most]


def prefixed(say: Say | None, prefix: str) -> Say | None:
    """The same listener, told what each line is about."""
    return None if say is None else lambda line: say(prefix + line)


def _in_any_figure(data: Dataset, query: Query) -> bool:
    """The 25,000 training links of IRC are in none, unless they reach far back."""
    return data.headline(query) or query.type != "train" or len(list(data.slices(query))) > 1


def _one_stream(
    data: Dataset, queries: Sequence[Query], unit: Unit, system: System, tally: Tally
) -> None:
    fed = 0
    for query in queries:
        turns = data.streams[query.stream]
        end = len(turns) if query.at is None else query.at
        if end > fed:
            _feed(system, turns[fed:end], tally)
            fed = end
        _ask(data, query, unit, system, turns, tally)
    tally.bytes_used = max(tally.bytes_used, system.bytes_used())
    tally.degraded += getattr(system, "degraded", 0)


def _feed(system: System, turns: Sequence[Turn], tally: Tally) -> None:
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
    tally: Tally,
) -> None:
    right = query.targets(unit)
    if not right.gold:
        tally.left_out += tally.counts(query)
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
    row = grade(query, unit, ranking if system.ranks else None, returned.whole, turns)
    if tally.counts(query):
        tally.rows.append((query, row))
    for name in data.slices(query):
        tally.slices.setdefault(name, []).append(row)


def grade(
    query: Query,
    unit: Unit,
    ranking: Sequence[str] | None,
    whole: Collection[int],
    turns: Sequence[Turn],
) -> dict[str, float]:
    """Every metric of one question: of a ranking (None: no order) and a context's whole turns."""
    row: dict[str, float] = {}
    right = query.targets(unit)
    if ranking is not None:
        merged = scorers.merge_equal(ranking, right.equal)
        row = scorers.score(merged, right.gold, right.fresh, right.stale)
    if query.turns.gold:
        inside = scorers.merge_equal(
            sorted(turns[position].id for position in whole), query.turns.equal
        )
        share = scorers.coverage_at(inside, query.turns.gold, len(inside))
        row[f"budgeted@{TOKENS}"] = share
    return row


def report(tally: Tally) -> dict[str, Any]:
    """The figures of a tally, as plain JSON."""
    rows = [row for _, row in tally.rows]
    return {
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
        "degraded": tally.degraded,
        "events": tally.fed,
        "events_per_s": round(tally.fed / tally.feed_s) if tally.feed_s else None,
    }


def _intervals(tally: Tally) -> dict[str, tuple[float, float]]:
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

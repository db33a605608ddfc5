"""Whether recall puts the value that holds now before the one it replaced, and keeps both.

Every question of a set is asked, not only those about a value that changed: the others tell what
the order of values costs. `fresh_before_stale` and `stale@5` are of the questions that have both a
fresh and a stale unit; `history` is of the same ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.bench import scorers
from holdfast.bench.datasets import Dataset, Query, Unit, load, to_event
from holdfast.bench.protocol import Factory, Setup, System
from holdfast.bench.recall import DEPTH, UNBOUNDED, Say, asked_streams, in_temporary, prefixed
from holdfast.bench.systems import SYSTEMS, HoldfastSystem
from holdfast.budget import parse_bytes
from holdfast.errors import NotFoundError, UnknownNameError

if TYPE_CHECKING:
    from rich.table import Table

SETS: Mapping[str, Unit] = {
    "memorycode": "session",
    "longmemeval_oracle_user": "turn",
    "beam_100k": "turn",
    "beam_500k": "turn",
    "beam_1m": "turn",
}
"""The sets with values that change, and what is ranked of each."""
STANDARD = ("holdfast", "bm25", "recency")
SHOWN = ("fresh_before_stale", "stale@5", "history", "coverage@10", "mrr")
_INTERVALS = ("fresh_before_stale", "stale@5")

Rows = dict[str, list[tuple[Query, dict[str, float]]]]  # by stream


def run(
    directory: str | Path,
    *,
    only: Sequence[str] = (),
    systems: Sequence[str] | Mapping[str, Factory] = STANDARD,
    streams: int | None = None,
    progress: Say | None = None,
) -> dict[str, Any]:
    """Measure each system on every set in a folder whose values change; the result is plain JSON.

    Parameters
    ----------
    only
        These sets, instead of all that are there.
    systems
        Names from `holdfast.bench.systems.SYSTEMS`, or your own by name.
    streams
        Only the first so many streams of each, for a quick look.

    Raises
    ------
    UnknownNameError
        If no set or no system has that name.
    NotFoundError
        If a set that is asked for by name, or every set, is missing.

    Notes
    -----
    A question asked at position n sees exactly the first n turns. Lists are cut at 50.
    ``fresh_before_stale`` is the share of questions whose best fresh unit comes before their best
    stale one; 0 if neither is in the list. ``stale@5``: share with a stale unit among the first
    five. ``history``: share whose every stale unit is somewhere in the list, so that the retired
    value can still be found. ``reachable`` is of Holdfast alone: share of the stale turns, and of
    the turns of stale sessions, that `Memory.get` returns byte for byte.
    """
    known = systems if isinstance(systems, Mapping) else SYSTEMS
    for name, kind, there in (
        *((name, "set", SETS) for name in only),
        *((name, "system", known) for name in systems),
    ):
        if name not in there:
            raise UnknownNameError(f"no {kind} {name!r}; known: {', '.join(there)}")
    chosen = [
        name
        for name in only or SETS
        if only or (Path(directory) / name / "turns.jsonl.gz").exists()
    ]
    if not chosen:
        raise NotFoundError(f"no set with changing values in {directory}: {', '.join(SETS)}")
    results = []
    for name in chosen:
        data, unit = load(Path(directory) / name, name), SETS[name]
        for system in systems:
            say = prefixed(progress, f"{name} {system}: ")
            rows, reached = _measure(data, unit, known[system], streams, say)
            row = {"set": name, "unit": unit, "system": system, **_report(data, rows)}
            results.append({**row, "reachable": scorers.mean(reached).get("reachable")})
    return {"benchmark": "state", "depth": DEPTH, "budget_bytes": None, "results": results}


def _measure(
    data: Dataset, unit: Unit, make: Factory, streams: int | None, progress: Say | None
) -> tuple[Rows, list[dict[str, float]]]:
    setup = partial(
        Setup, unit=unit, budget_bytes=parse_bytes(UNBOUNDED), index_speaker=data.index_speaker
    )
    names = asked_streams(data, lambda query: bool(query.targets(unit).gold), streams)
    rows: Rows = {}
    reached: list[dict[str, float]] = []
    for number, stream in enumerate(names, 1):
        if progress:
            progress(f"stream {number} of {len(names)}")
        with in_temporary(make, setup) as system:
            rows[stream] = _one_stream(data, stream, unit, system, reached)
    return rows, reached


def _one_stream(
    data: Dataset, stream: str, unit: Unit, system: System, reached: list[dict[str, float]]
) -> list[tuple[Query, dict[str, float]]]:
    turns, fed = data.streams[stream], 0
    found = []
    for query in data.queries[stream]:
        right = query.targets(unit)
        if not right.gold:
            continue
        end = len(turns) if query.at is None else query.at
        if end > fed:
            system.observe_many([to_event(turn) for turn in turns[fed:end]])
            fed = end
        if unit == "turn":
            ranking = [turns[position].id for position in system.rank(query.text, DEPTH)]
        else:
            ranked = system.rank_scopes(query.text, DEPTH)
            ranking = [scope.removeprefix("session/") for scope in ranked]
        merged = scorers.merge_equal(ranking, right.equal)
        row = scorers.score(merged, right.gold, right.fresh, right.stale)
        if right.fresh and right.stale:
            row["history"] = float(right.stale <= set(merged))
            row["fresh@10"] = scorers.any_at(merged, right.fresh, 10)
            if isinstance(system, HoldfastSystem):
                reached.extend(_reach(data, query, unit, system))
        found.append((query, row))
    return found


def _reach(
    data: Dataset, query: Query, unit: Unit, system: HoldfastSystem
) -> list[dict[str, float]]:
    """Of each retired turn, whether it can be had whole."""
    stale = query.targets(unit).stale
    found = []
    for turn in data.streams[query.stream]:
        if (turn.id if unit == "turn" else turn.session) in stale:
            try:
                text = system.memory.get(turn.i + 1).text
            except NotFoundError:
                text = ""
            found.append({"reachable": float(text == (turn.shown or " "))})
    return found


def _report(data: Dataset, rows: Rows) -> dict[str, Any]:
    every = [(query, row) for found in rows.values() for query, row in found]
    counted = [row for query, row in every if data.headline(query)]
    changed = [row for _, row in every if "history" in row]
    by_type: dict[str, list[dict[str, float]]] = {}
    for query, row in every:
        by_type.setdefault(query.type, []).append(row)
    intervals = {}
    for metric in _INTERVALS:
        groups = [[row[metric] for _, row in found if metric in row] for found in rows.values()]
        if any(groups):
            low, high = scorers.bootstrap(groups)
            intervals[metric] = (round(low, 4), round(high, 4))
    return {
        "n": len(counted),
        "n_changed": len(changed),
        "metrics": _rounded(scorers.mean(counted)),
        "intervals_95": intervals,
        "by_type": {
            name: {"n": len(found), **_rounded(scorers.mean(found))}
            for name, found in sorted(by_type.items())
        },
    }


def _rounded(metrics: Mapping[str, float]) -> dict[str, float]:
    return {metric: round(value, 4) for metric, value in metrics.items()}


def tables(result: Mapping[str, Any]) -> list[Table]:
    """One table: a row for each set and system."""
    from rich.table import Table

    table = Table(
        title=f"the value that holds now before the one it replaced; lists of {result['depth']}",
        title_justify="left",
    )
    columns = ("set", "unit", "n", "changed", "system", *SHOWN[:1], "95 %", *SHOWN[1:], "reachable")
    for n, column in enumerate(columns):
        table.add_column(column, justify="left" if n < 2 else "right", overflow="fold")
    for row in result["results"]:
        low, high = row["intervals_95"].get(SHOWN[0], (None, None))
        shares = [_share(row["metrics"].get(metric)) for metric in SHOWN]
        between = "–" if low is None else f"{low:.2f}–{high:.2f}"
        head = [row["set"], row["unit"], str(row["n"]), str(row["n_changed"]), row["system"]]
        table.add_row(*head, shares[0], between, *shares[1:], _share(row["reachable"]))
    return [table]


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"

"""Whether the meter is true: what it says of a memory, against what is left of known evidence."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import pi
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from holdfast.bench.budgets import file_budget, make_file
from holdfast.bench.pooled import Asked, Pool, event_of, pooled
from holdfast.bench.sets import open_set
from holdfast.errors import NotFoundError
from holdfast.records import Tier

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast import Memory
    from holdfast.fidelity.report import Fidelity, Span

SETS = (
    "locomo", "longmemeval_oracle_user", "longmemeval_s_mini", "beam_100k", "beam_500k", "beam_1m",
    "realmem", "irc_ubuntu",
)  # fmt: skip
FRACTIONS = (Fraction(1, 2), Fraction(1, 4), Fraction(1, 8), Fraction(1, 16))
STANDARD = ("ladder",)
MEASURES = ("verbatim", "readable", "kept", "found")
TOKENS = 1_000
_DAY_S = 86_400.0
_LEAST = 48 * 1024  # bytes of content under which a file hardly holds more than what is coming in
_ASKED = 400  # questions of a cell that are asked, evenly spread; all count for what is kept

Say = Callable[[str], None]
Row = dict[str, Any]


def run(
    data: str | Path,
    *,
    fractions: Sequence[Fraction] = FRACTIONS,
    policies: Sequence[str] = STANDARD,
    only: Sequence[str] = (),
    streams: int | None = None,
    progress: Say | None = None,
) -> dict[str, Any]:
    """Compare the meter with the truth on each set, at each budget; the result is plain JSON.

    Parameters
    ----------
    data
        The folder that holds the sets; those that are not there are left out.
    fractions
        Budgets, as shares of the raw bytes that are fed; under 48 KiB of content there is no row.
    policies
        Retention policies by name: the meter should be true whatever is let go.

    Raises
    ------
    NotFoundError
        If none of the sets is there.

    Notes
    -----
    One memory serves all streams of a set. Once everything is in, the meter is read; it is told
    nothing of any question. The truth is what has become of the turns that are known to answer the
    set's questions, each as often as a question needs it, in the same stretches of the stream.
    ``verbatim``: kept whole; ``readable``: whole or as a gist; ``kept``: at any tier; ``found``:
    back in a context of 1,000 tokens for its question, asked in its stream and, where the set asks
    before a stream ends, of what had come by then; only where a set says which turns are right, not
    which sessions.

    ``error`` is the mean absolute difference over stretches and budgets, each counted by how often
    its evidence is needed. ``noise`` is the error that a meter without fault would have,
    since so few turns of evidence tell no share exactly.
    """
    rows: list[Row] = []
    for name in only or SETS:
        found = open_set(Path(data), name)
        if found is None:
            continue
        pool = pooled(found.data, streams)
        for policy in policies:
            for fraction in fractions:
                if pool.raw_bytes * fraction < _LEAST:
                    continue
                if progress:
                    progress(f"{name} {policy} {fraction}")
                rows += cell(pool, fraction, policy)
    if not rows:
        raise NotFoundError(f"no data set with evidence is in {data}")
    return {"benchmark": "fidelity", "tokens": TOKENS, "rows": rows, "results": summary(rows)}


def cell(pool: Pool, fraction: Fraction, policy: str) -> list[Row]:
    """One memory, read once: a row for each stretch of its stream, and one for all of it."""
    from holdfast import Memory

    latest = max((turn.at for turn in pool.turns if turn.at is not None), default=0.0)
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder) / "bench.holdfast"
        make_file(path, file_budget(int(pool.raw_bytes * fraction)))
        with Memory.open(
            path, retention=policy, extractor=None, durability="off", clock=lambda: latest + _DAY_S
        ) as memory:
            first = memory.observe_many(event_of(turn) for turn in pool.turns).first
            begun = time.perf_counter()
            told = memory.fidelity(tokens=TOKENS)
            seconds = time.perf_counter() - begun
            evidence = list(_evidence(pool, memory, first))
    shared = {"set": pool.name, "policy": policy, "fraction": float(fraction)}
    shared |= {"probes": told.probes, "seconds": round(seconds, 3)}
    rows = [_row(shared, "all", _said(told), evidence)]
    for n, span in enumerate(told.ages):
        inside = [one for one in evidence if span.first <= one.seq <= span.last]
        rows.append(_row(shared, str(n), _said(span), inside))
    return rows


@dataclass(frozen=True, slots=True)
class _Needed:
    """A turn that a question needs: its tier now, and whether it came back; None: not asked."""

    seq: int
    tier: int
    found: bool | None


def _evidence(pool: Pool, memory: Memory, first: int) -> Iterator[_Needed]:
    """What the questions need, `first` being the number of the first turn."""
    columns = memory._mirror.columns
    every = max(1, len(pool.asked) // _ASKED)
    for n, one in enumerate(pool.asked):
        asked = pool.unit == "turn" and n % every == 0
        back = _back(memory, one, first) if asked else None
        for place in one.evidence:
            seq = first + place
            row = columns.find(seq)
            tier = int(Tier.EVICTED if row is None else columns.tier[row])
            yield _Needed(seq, tier, None if back is None else seq in back)


def _back(memory: Memory, one: Asked, first: int) -> set[int]:
    """The events that a question brings back."""
    query = one.query
    before = None if query.at is None else first + one.after
    context = memory.recall(query.text, tokens=TOKENS, scope=query.stream, before=before)
    return {item.seq for item in context.items}


def _said(part: Fidelity | Span) -> dict[str, float]:
    kept = part.shares
    return {
        "verbatim": kept.verbatim.value,
        "readable": kept.verbatim.value + kept.gist.value,
        "kept": kept.kept,
        "found": part.found.value,
    }


def _row(
    shared: Mapping[str, Any], span: str, said: Mapping[str, float], evidence: Sequence[_Needed]
) -> Row:
    tiers = np.array([one.tier for one in evidence])
    asked = [one.found for one in evidence if one.found is not None]
    truth = {
        "verbatim": _mean(tiers == Tier.VERBATIM),
        "readable": _mean(tiers <= Tier.GIST),
        "kept": _mean(tiers < Tier.EVICTED),
        "found": _mean(asked),
    }
    return {
        **shared,
        "span": span,
        "n": len(evidence),
        "asked": len(asked),
        "meter": {name: round(value, 4) for name, value in said.items()},
        "truth": {n: None if v is None else round(v, 4) for n, v in truth.items()},
    }


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def summary(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """By set, policy and measure: correlation, error and noise over stretches and budgets."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["set"], row["policy"]), []).append(row)
    return [
        {"set": name, "policy": policy, "measure": measure, **_agreement(group, measure)}
        for (name, policy), group in groups.items()
        for measure in MEASURES
    ]


def _agreement(rows: Sequence[Row], measure: str) -> dict[str, Any]:
    count = "asked" if measure == "found" else "n"
    spans = [row for row in rows if row["span"] != "all" and row[count]]
    told = np.array([row["meter"][measure] for row in spans])
    true = np.array([row["truth"][measure] for row in spans])
    weight = np.array([row[count] for row in spans], float)
    if not weight.sum():
        return {"n": 0}
    noise = np.sqrt(2 / pi * true * (1 - true) / weight)
    varied = told.std() > 0 and true.std() > 0
    return {
        "n": int(weight.sum()),
        "stretches": len(spans),
        "error": round(float(np.average(np.abs(told - true), weights=weight)), 4),
        "noise": round(float(np.average(noise, weights=weight)), 4),
        "bias": round(float(np.average(told - true, weights=weight)), 4),
        "correlation": round(float(np.corrcoef(told, true)[0, 1]), 4) if varied else None,
    }


def tables(result: Mapping[str, Any]) -> list[Table]:
    """One table: a row for each set, policy and measure."""
    from rich.table import Table

    table = Table(
        title="what the meter says against what is left of known evidence", title_justify="left"
    )
    for column in ("set", "policy", "measure"):
        table.add_column(column)
    for column in ("evidence", "stretches", "error", "noise", "bias", "correlation"):
        table.add_column(column, justify="right")
    for row in result["results"]:
        figures = [row.get(name) for name in ("error", "noise", "bias", "correlation")]
        shown = ["–" if value is None else f"{value:.3f}" for value in figures]
        head = [row["set"], row["policy"], row["measure"]]
        table.add_row(*head, str(row["n"]), str(row.get("stretches", 0)), *shown)
    return [table]


def markdown(result: Mapping[str, Any]) -> str:
    """The table of the documentation: a row for each set and policy, the error of each measure.

    In brackets stands the error that a meter without fault would have.
    """
    found: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for row in result["results"]:
        found.setdefault((row["set"], row["policy"]), {})[row["measure"]] = row
    head = ["set", "policy", "evidence", *(f"error, {name}" for name in MEASURES), "correlation"]
    lines = [f"| {' | '.join(head)} |", "|---" * 2 + "|---:" * (len(head) - 2) + "|"]
    for (name, policy), rows in found.items():
        kept = rows["kept"]
        cells = [
            f"{rows[measure]['error']:.3f} ({rows[measure]['noise']:.3f})"
            if "error" in rows[measure] else "–"
            for measure in MEASURES
        ]  # fmt: skip
        correlation = kept.get("correlation")
        shown = "–" if correlation is None else f"{correlation:.2f}"
        lines.append(f"| {' | '.join([name, policy, str(kept['n']), *cells, shown])} |")
    return "\n".join(lines) + "\n"

"""The retention lab as tables: for documentation, and for the screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.bench.markdown import share, table
from holdfast.bench.retention import COVERAGE, WHOLE
from holdfast.budget import format_bytes

if TYPE_CHECKING:
    from rich.table import Table

Result = Mapping[str, Any]
_MARKS = str.maketrans("", "", "`*")  # of Markdown


def tables(result: Result) -> str:
    """Every table of a result in Markdown, with what they have in common first."""
    parts = (
        ("What each policy keeps", _policies),
        ("Set by set", _by_set),
        ("The sets, and how small they can be made", _sets),
    )
    texts = [_conditions(result)]
    texts += [f"## {title}\n\n{table(*make(result))}" for title, make in parts]
    return "\n".join(texts)


def screen(result: Result) -> list[Table]:
    """The same tables for a terminal."""
    from rich.table import Table

    found = []
    for title, make in (
        (f"kept of unbounded {COVERAGE}, by policy", _policies),
        (f"area under the curve of kept {COVERAGE}, by set", _by_set),
        ("sets", _sets),
    ):
        columns, body = make(result)
        shown = Table(title=title, title_justify="left")
        for n, column in enumerate(columns):
            shown.add_column(column, justify="right" if n else "left", overflow="fold")
        for row in body:
            shown.add_row(*(str(value).translate(_MARKS) for value in row))
        found.append(shown)
    return found


def _conditions(result: Result) -> str:
    on, found = result["machine"], result["summary"]
    single, missing = found["single"], found["not_measured"]
    alone = f" (over questions for {', '.join(single)}, which has one stream)" * bool(single)
    refused = "; ".join(
        f"{name} at {', '.join(fractions)}" for name, fractions in missing.items() if fractions
    )
    left_out = (
        f" Not measured, because the budget cannot hold what is not sealed yet: {refused}."
        * bool(refused)
    )
    broken = found["violations"]
    return (
        f"Holdfast {result['version']}, {on['cpu']}, Python {on['python']}. One memory for all "
        "streams of a set, without an extractor or an embedder, in a file whose room for content "
        "is the given share of the raw bytes. Kept: a metric over the same metric with no bound, "
        f"mean over {len(result['sets'])} sets; first {COVERAGE} by budget, then {WHOLE}, of the "
        "sets where turns are ranked. Area: "
        f"under the curve of kept {COVERAGE} over the logarithm of the budget; 1 loses nothing. "
        f"Intervals are 95%, by bootstrap over streams{alone}, paired for differences.{left_out} "
        f"The budget was exceeded {broken} times.\n"
    )


def _policies(result: Result) -> tuple[list[str], list[list[str]]]:
    """A row per policy, the best first."""
    found, fractions = result["summary"], result["fractions"]
    body = []
    for policy in found["policies"]:
        first = policy == result["default"]
        body.append(
            [
                f"**`{policy}`**" if first else f"`{policy}`",
                *(_value(found["kept"][COVERAGE][policy][f]) for f in fractions),
                *(_value(found["kept"][WHOLE][policy][f]) for f in fractions),
                _interval(found["areas"][policy]),
                "–" if first else _interval(found["differences"][policy], signed=True),
                f"{found['cpu_us_per_event'][policy]:,.0f}",
            ]
        )
    heads = [
        "policy",
        *(f"at {f}{_short(result, f)}" for f in fractions),
        *(f"whole at {f}" for f in fractions),
        "area",
        f"{result['default']} − it",
        "CPU µs an event",
    ]
    return heads, body


def _short(result: Result, fraction: str) -> str:
    """Over how many sets a mean is, where it is not over all."""
    missing = sum(fraction in found for found in result["summary"]["not_measured"].values())
    return f" ({len(result['sets']) - missing} sets)" if missing else ""


def _by_set(result: Result) -> tuple[list[str], list[list[str]]]:
    found = result["summary"]
    sets = [one["set"] for one in result["sets"]]
    areas = found["areas_by_set"]
    body = [
        [f"`{policy}`", *(_interval(areas[policy].get(name)) for name in sets)]
        for policy in found["policies"]
    ]
    return ["area", *sets], body


def _sets(result: Result) -> tuple[list[str], list[list[str]]]:
    heads = [
        "set",
        "ranked",
        "streams",
        "events",
        "raw",
        "questions",
        f"unbounded {COVERAGE}",
        "its file / raw",
        "least file / raw",
        "zstd 19 / raw",
    ]
    body = [
        [
            one["set"],
            f"{one['unit']}s",
            f"{one['streams']:,}",
            f"{one['events']:,}",
            format_bytes(one["raw_bytes"]),
            f"{one['questions']:,}",
            share(one["metrics"][COVERAGE]),
            share(one["content"]),
            share(one["lossless"]),
            share(one["zstd"]),
        ]
        for one in result["sets"]
    ]
    return heads, body


def _value(interval: Sequence[float] | None) -> str:
    return share(None if interval is None else interval[0])


def _interval(interval: Sequence[float] | None, signed: bool = False) -> str:
    if interval is None:
        return "–"
    value, low, high = (_signed(each) if signed else share(each) for each in interval)
    return f"{value} [{low}, {high}]"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1).replace("-", "−")

"""Results as tables for people and JSON for machines. Every row says what bound was in force."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from holdfast.budget import format_bytes

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_RECALL = ("any@5", "any@10", "all@5", "all@10", "coverage@10", "ndcg@10", "mrr", "budgeted@1000")


def to_json(result: Mapping[str, Any]) -> str:
    """The result as one line of JSON."""
    return json.dumps(result, ensure_ascii=False, allow_nan=False)


def show(result: Mapping[str, Any], console: Console) -> None:
    """Print a result of any benchmark here as tables, with the conditions below them."""
    for table in tables(result):
        console.print(table)
    if machine := result.get("machine"):
        place = f", {result['filesystem']}" if "filesystem" in result else ""
        console.print(
            f"{machine['cpu']}, {machine['cores']} cores, load {machine['load_1m']}, "
            f"Python {machine['python']}{place}",
            style="dim",
            highlight=False,
        )


def tables(result: Mapping[str, Any]) -> list[Table]:
    """The tables of a result, by the benchmark it names."""
    makers = {
        "recall": _recall,
        "write": _write,
        "stream": _stream,
        "latency": _stream,
        "peers": _peers,
    }
    return makers[result["benchmark"]](result)


def _recall(result: Mapping[str, Any]) -> list[Table]:
    rows = result["results"]
    if not rows:
        return []
    first = rows[0]
    title = (
        f"{first['set']}, unit {first['unit']}, {first['n']} questions ({first['left_out']} out)"
    )
    changed = any("fresh_before_stale" in row["metrics"] for row in rows)
    metrics = [*_RECALL, *(["fresh_before_stale"] if changed else [])]
    columns = ["system", "embedder", "budget", *metrics, "ms p50", "p99", "tokens", "bytes", "ev/s"]
    return [
        _table(
            title,
            columns,
            [
                [
                    row["system"],
                    row["embedder"] or "–",
                    format_bytes(row["budget_bytes"]) if row["budget_bytes"] else "none",
                    *(_share(row["metrics"].get(metric)) for metric in metrics),
                    _number(row["latency_ms"].get("p50")),
                    _number(row["latency_ms"].get("p99")),
                    row["context_tokens"],
                    format_bytes(row["bytes_used"]) if row["bytes_used"] else "–",
                    row["events_per_s"],
                ]
                for row in rows
            ],
        ),
        *_by_type(rows),
    ]


def _by_type(rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """One row per slice, one column per system that ranks: coverage@10."""
    shown = [row for row in rows if "coverage@10" in row["metrics"]]
    names = list(rows[0]["by_type"])
    if len(names) < 2 or not shown:
        return []
    body = [
        [
            name,
            rows[0]["by_type"][name]["n"],
            *(_share(row["by_type"].get(name, {}).get("coverage@10")) for row in shown),
        ]
        for name in names
    ]
    return [_table("coverage@10 by type", ["type", "n", *(row["system"] for row in shown)], body)]


def _write(result: Mapping[str, Any]) -> list[Table]:
    low, high = result["raw_range"]
    title = f"durable writes; raw append + fdatasync {result['raw_per_s']:,}/s ({low:,}–{high:,})"
    columns = ["way", "events/s", "ratio to raw", "range", "CPU µs", "ms p50", "p99"]
    return [
        _table(
            title,
            columns,
            [
                [
                    row["way"],
                    f"{row['per_s']:,.0f}",
                    row["ratio"],
                    "{}–{}".format(*row["ratio_range"]),
                    row["cpu_us_per_event"],
                    _number(row["call_ms"].get("p50")),
                    _number(row["call_ms"].get("p99")),
                ]
                for row in result["results"]
            ],
        )
    ]


def _stream(result: Mapping[str, Any]) -> list[Table]:
    title = f"{result['benchmark']}, budget {format_bytes(result['budget_bytes'])}"
    columns = ["events", "µs/event", "CPU µs", "recall p50", "p99", "RSS", "files", "most", "held"]
    found = [
        _table(
            title,
            columns,
            [
                [
                    f"{row['events']:,}",
                    row["wall_us"],
                    row["cpu_us"],
                    _number(row["recall_ms"]["p50"]),
                    _number(row["recall_ms"]["p99"]),
                    format_bytes(row["rss_bytes"]),
                    format_bytes(row["file_bytes"]),
                    format_bytes(row["most_file_bytes"])
                    + ("" if row["within_budget"] else " OVER"),
                    " ".join(f"{tier} {n:,}" for tier, n in row["held"].items() if n),
                ]
                for row in result["results"]
            ],
        )
    ]
    if late := result.get("late_over_early"):
        columns = ["last stretch over", "from", "CPU", "wall", "recall p50", "RSS"]
        body = [[name, *each.values()] for name, each in late.items()]
        found.append(_table("late over early", columns, body))
    return found


def _peers(result: Mapping[str, Any]) -> list[Table]:
    title = f"{result['set']}: {result['turns']} turns, {result['queries']} questions, top 10"
    columns = [
        "system",
        "version",
        "adds/s",
        "add p50",
        "p99",
        "search p50",
        "p99",
        "all@10",
        "disk",
    ]
    body: list[list[Any]] = []
    for row in result["results"]:
        if "skipped" in row:
            body.append([row["system"], row["skipped"], *[""] * 7])
            continue
        for label, each in ((row["system"], row["peer"]), ("holdfast, beside it", row["holdfast"])):
            body.append(
                [
                    label,
                    each["version"],
                    f"{each['adds_per_s']:,.0f}",
                    _number(each["add_ms"].get("p50")),
                    _number(each["add_ms"].get("p99")),
                    _number(each["search_ms"].get("p50")),
                    _number(each["search_ms"].get("p99")),
                    _share(each.get("metrics", {}).get("all@10")),
                    format_bytes(each["disk_bytes"]),
                ]
            )
    notes = [
        [row["system"], row["peer"]["settings"], row["raw_appends_per_s"]]
        for row in result["results"]
        if "peer" in row
    ]
    return [
        _table(title, columns, body),
        *([_table("settings", ["system", "how it ran", "raw appends/s"], notes)] if notes else []),
    ]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for n, column in enumerate(columns):
        table.add_column(column, justify="left" if n == 0 else "right", overflow="fold")
    for row in rows:
        table.add_row(*("–" if cell is None else str(cell) for cell in row))
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".lstrip("0") if value < 1 else "1.000"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3g}"

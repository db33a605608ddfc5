"""Benchmark results for people: one table of the rows, and the conditions above it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_result(result: Mapping[str, Any]) -> None:
    """Print a result: what is not a table first, then its rows, one line each."""
    console = Console(highlight=False, soft_wrap=True)
    rows = result.get("results")
    for name, value in flat({k: v for k, v in result.items() if k not in ("results", "by_type")}):
        console.print(Text(f"{name}: ", style="dim").append(show(value), style="default"))
    for title in ("by_type", "results"):
        found = result.get(title)
        if isinstance(found, Mapping):
            found = [{"type": name, **row} for name, row in found.items()]
        if found:
            console.print(_table(found))
    if rows is not None and not rows:
        console.print("nothing was measured")


def flat(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Return nested objects as one list of dotted names and values."""
    found: list[tuple[str, Any]] = []
    for name, inner in value.items():
        if isinstance(inner, Mapping):
            found += flat(inner, f"{prefix}{name}.")
        else:
            found.append((f"{prefix}{name}", inner))
    return found


def show(value: Any) -> str:
    """Return a value as people read it."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "-"}[value]
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(show, value))
    return str(value)


def _table(rows: list[Mapping[str, Any]]) -> Table:
    """Return rows as a table, transposed: names down the side, a column for each row."""
    table = Table(box=None, pad_edge=False, header_style="bold", show_header=False)
    flats = [dict(flat({k: v for k, v in row.items() if k != "by_type"})) for row in rows]
    for name in dict.fromkeys(name for row in flats for name in row):
        table.add_row(
            Text(name, style="dim"), *(show(row[name]) if name in row else "" for row in flats)
        )
    return table

"""The results of `bench recall --all` as drawings: systems by set, and where curves cross."""

from __future__ import annotations

import math
from collections.abc import Mapping
from html import escape
from typing import Any

from holdfast.bench.cells import Cell, valid
from holdfast.bench.markdown import share
from holdfast.bench.suite import LIMITS, PEER, in_order
from holdfast.demo.svg import Frame, Series, chart, grid, line

Results = Mapping[str, Any]
# Names of CSS variables, and what they are on a light and on a dark page.
_COLOURS = {
    "--ink": ("#1c1f22", "#e8eaec"),
    "--soft": ("#5d656d", "#98a2ab"),
    "--rule": ("#e4e2dd", "#2d3338"),
    "--first": ("#0b6b66", "#4fc4b7"),
    "--second": ("#3fa39a", "#2c8078"),
    "--third": ("#c8813b", "#d9924c"),
    "--fourth": ("#5b6fb5", "#8ea2e8"),
    "--fifth": ("#b3372f", "#f0776c"),
    "--sixth": ("#8a9199", "#78828b"),
}
_INKS = ("--first", "--second", "--third", "--fourth", "--fifth", "--sixth")
_LEFT, _ROW, _TOP = 250, 26, 34  # SVG units of the dot plot


def standalone(drawing: str) -> str:
    """A drawing as a file of its own: its colours and letters brought along."""
    light = "".join(f"{name}:{day};" for name, (day, _) in _COLOURS.items())
    dark = "".join(f"{name}:{night};" for name, (_, night) in _COLOURS.items())
    style = (
        f"<style>svg{{{light}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}"
        "text{font:12px system-ui,sans-serif;fill:var(--soft)}.note{fill:var(--ink)}"
        ".rule{stroke:var(--rule)}.base{stroke:var(--soft)}"
        ".line{fill:none;stroke-width:2;stroke-linejoin:round}</style>"
    )
    opening, rest = drawing.split(">", 1)
    return f'{opening} xmlns="http://www.w3.org/2000/svg">{style}{rest}\n'


def drawings(results: Results) -> dict[str, str]:
    """Every drawing there is data for, by file name."""
    found = {}
    for name, metric in (("coverage", "coverage@10"), ("budgeted", "budgeted@1000")):
        cells = valid(results, "recall")
        shown = {key: cell for key, cell in cells.items() if metric in cell["intervals_95"]}
        if shown:
            found[f"{name}.svg"] = standalone(dots(shown, metric))
    for (name, _), cell in valid(results, "crossover").items():
        if len(cell["sizes"]) > 1:
            found[f"crossover-{name}.svg"] = standalone(curves(name, cell))
    return found


def dots(cells: Mapping[tuple[str, ...], Cell], metric: str) -> str:
    """A line per set, a dot per system on it, Holdfast's interval as a bar."""
    cases, rows = in_order([case for case, _ in cells], [row for _, row in cells])
    rows = [row for row in rows if row not in LIMITS and not row.startswith(PEER)]
    inks = {row: _INKS[min(n, len(_INKS) - 1)] for n, row in enumerate(rows)}
    frame = Frame(1, len(cases), height=_TOP + _ROW * len(cases) + 62, left=_LEFT, top=_TOP)
    parts = [_scale(frame), _key(inks)]
    for n, case in enumerate(cases):
        y = _TOP + _ROW * (n + 0.5)
        parts.append(
            f'<text class="note" x="{_LEFT - 12}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(case)}</text>"
        )
        # The first row is drawn last, so that it lies on top.
        for row in reversed(rows):
            if cell := cells.get((case, row)):
                parts.append(_dot(frame, y, row, cell, metric, inks[row], row == rows[0]))
    label = f"{metric} of {', '.join(rows)} on {len(cases)} sets"
    return chart(frame, label, metric, "".join(parts), "")


def curves(name: str, cell: Cell) -> str:
    """Share of the evidence against the history's size: solid chosen, dashed newest."""
    sizes, budgets = cell["sizes"], list(cell["chosen"])
    xs = [math.log2(size / sizes[0]) for size in sizes]
    inks = {f"{int(budget):,} tokens": ink for budget, ink in zip(budgets, _INKS, strict=False)}
    frame = Frame(xs[-1], 1, height=330, top=_TOP, right=34)
    marks = [_key(inks)]
    for budget, ink in zip(budgets, inks.values(), strict=True):
        for part, dashed in (("newest", True), ("chosen", False)):
            series = Series(f"{part}, {int(budget):,} tokens", ink, cell[part][budget])
            marks.append(line(frame, xs, series, dashed=dashed))
    rules = grid(frame, lambda x: f"{sizes[0] * 2**x:,.0f}", share, [0, 0.25, 0.5, 0.75, 1])
    label = f"{name}: share of the evidence in the context against tokens of history, by budget"
    axis = f"{name}: tokens of history; solid: Holdfast; dashed: whole history, or its newest turns"
    return chart(frame, label, axis, "".join(marks), rules)


def _dot(frame: Frame, y: float, row: str, cell: Cell, metric: str, ink: str, first: bool) -> str:
    value, (low, high) = cell["metrics"][metric], cell["intervals_95"][metric]
    bar = ""
    if first:
        bar = (
            f'<line style="stroke:var({ink})" stroke-width="3" stroke-linecap="round" '
            f'opacity="0.35" x1="{frame.x(low):.1f}" x2="{frame.x(high):.1f}" y1="{y:.1f}" '
            f'y2="{y:.1f}"/>'
        )
    return (
        f'{bar}<circle style="fill:var({ink})" cx="{frame.x(value):.1f}" cy="{y:.1f}" '
        f'r="{5 if first else 4}"><title>{escape(row)}: {share(value)} '
        f"[{share(low)}, {share(high)}]</title></circle>"
    )


def _scale(frame: Frame) -> str:
    base = frame.height - frame.bottom
    return "".join(
        f'<line class="rule" x1="{frame.x(v):.1f}" x2="{frame.x(v):.1f}" y1="{_TOP - 6}" '
        f'y2="{base}"/><text class="tick" x="{frame.x(v):.1f}" y="{base + 18}" '
        f'text-anchor="middle">{share(v)}</text>'
        for v in (0, 0.2, 0.4, 0.6, 0.8, 1.0)
    )


def _key(inks: Mapping[str, str]) -> str:
    parts, x = [], 12.0
    for row, ink in inks.items():
        parts.append(f'<circle style="fill:var({ink})" cx="{x:.0f}" cy="14" r="4"/>')
        parts.append(f'<text x="{x + 9:.0f}" y="18">{escape(row)}</text>')
        x += 32 + 6.8 * len(row)
    return "".join(parts)

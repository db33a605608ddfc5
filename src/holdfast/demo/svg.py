"""Small charts as SVG text: lines, stacked areas, stacked columns. No library, no script.

Colours are CSS variables of the page, so one drawing serves a light and a dark screen. Every mark
carries a `<title>`, which browsers show on hover and screen readers read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

Format = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Frame:
    """The plotting area, in SVG units, and the values its edges stand for."""

    x_max: float
    y_max: float
    width: int = 720
    height: int = 250
    left: int = 62
    right: int = 18
    top: int = 14
    bottom: int = 42

    def x(self, value: float) -> float:
        """Return where `value` lies from left to right."""
        return self.left + value / (self.x_max or 1) * (self.width - self.left - self.right)

    def y(self, value: float) -> float:
        """Return where `value` lies from top to bottom."""
        base = self.height - self.bottom
        return base - min(value, self.y_max) / (self.y_max or 1) * (base - self.top)


@dataclass(frozen=True, slots=True)
class Series:
    """One line, layer or part of columns: its name, its CSS colour variable and its values."""

    name: str
    colour: str
    values: Sequence[float]


def ticks(top: float, count: int = 4) -> list[float]:
    """Return round numbers from 0 to `top`, about `count` of them after the first.

    Examples
    --------
    >>> ticks(2537)
    [0.0, 1000.0, 2000.0]
    """
    if top <= 0:
        return [0.0]
    raw = top / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * nice for nice in (1, 2, 2.5, 5, 10) if power * nice >= raw * 0.999)
    return [step * nth for nth in range(math.floor(top / step * 1.0001) + 1)]


def chart(frame: Frame, label: str, x_label: str, marks: str, grid: str) -> str:
    """Return a whole drawing: what it shows in words, the grid, the marks, the axis label."""
    middle = (frame.left + frame.width - frame.right) / 2
    return (
        f'<svg viewBox="0 0 {frame.width} {frame.height}" role="img" aria-label="{escape(label)}">'
        f"{grid}{marks}"
        f'<text class="axis" x="{middle:.0f}" y="{frame.height - 6}" text-anchor="middle">'
        f"{escape(x_label)}</text></svg>"
    )


def grid(frame: Frame, x_format: Format, y_format: Format, y_ticks: Sequence[float]) -> str:
    """Return horizontal rules with their values, and the values along the x axis."""
    parts = []
    right, base = frame.width - frame.right, frame.height - frame.bottom
    for value in y_ticks:
        y = frame.y(value)
        rule = "base" if value == 0 else "rule"
        parts.append(
            f'<line class="{rule}" x1="{frame.left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        )
        parts.append(
            f'<text class="tick" x="{frame.left - 8}" y="{y + 4:.1f}" text-anchor="end">'
            f"{escape(y_format(value))}</text>"
        )
    for value in ticks(frame.x_max, 5):
        parts.append(
            f'<text class="tick" x="{frame.x(value):.1f}" y="{base + 18}" text-anchor="middle">'
            f"{escape(x_format(value))}</text>"
        )
    return "".join(parts)


def _path(frame: Frame, xs: Sequence[float], ys: Sequence[float]) -> str:
    return " ".join(f"{frame.x(x):.1f},{frame.y(y):.1f}" for x, y in zip(xs, ys, strict=True))


def line(frame: Frame, xs: Sequence[float], series: Series, dashed: bool = False) -> str:
    """Return one line, named at its last point."""
    dash = ' stroke-dasharray="5 4"' if dashed else ""
    points = _path(frame, xs, series.values)
    return (
        f'<polyline class="line" style="stroke:var({series.colour})"{dash} points="{points}">'
        f"<title>{escape(series.name)}</title></polyline>"
    )


def note(frame: Frame, x: float, y: float, text: str, anchor: str = "end", above: int = 7) -> str:
    """Return a word set beside a mark."""
    return (
        f'<text class="note" x="{frame.x(x):.1f}" y="{frame.y(y) - above:.1f}" '
        f'text-anchor="{anchor}">{escape(text)}</text>'
    )


def areas(frame: Frame, xs: Sequence[float], layers: Sequence[Series]) -> str:
    """Return layers stacked upon each other, the first at the bottom."""
    parts, floor = [], [0.0] * len(xs)
    for layer in layers:
        top = [low + value for low, value in zip(floor, layer.values, strict=True)]
        there_and_back = _path(frame, [*xs, *reversed(xs)], [*top, *reversed(floor)])
        parts.append(
            f'<polygon class="area" style="fill:var({layer.colour})" points="{there_and_back}">'
            f"<title>{escape(layer.name)}: {layer.values[-1]:,.0f} at the end</title></polygon>"
        )
        floor = top
    return "".join(parts)


def columns(
    frame: Frame, names: Sequence[str], parts: Sequence[Series], labels: Sequence[str]
) -> str:
    """Return stacked columns, one for each name, with a label above each."""
    result = []
    pitch = (frame.width - frame.left - frame.right) / len(names)
    width = min(pitch * 0.62, 56)
    base = frame.height - frame.bottom
    for nth, name in enumerate(names):
        middle = frame.left + pitch * (nth + 0.5)
        floor = 0.0
        for part in parts:
            value = part.values[nth]
            if not value:
                continue
            top, bottom = frame.y(floor + value), frame.y(floor)
            # A hair of background keeps neighbouring parts apart without a border.
            height = max(bottom - top - 1.5, 0.5)
            result.append(
                f'<rect style="fill:var({part.colour})" x="{middle - width / 2:.1f}" y="{top:.1f}" '
                f'width="{width:.1f}" height="{height:.1f}" rx="1.5">'
                f"<title>{escape(name)}, {escape(part.name)}: {value:,.0f}</title></rect>"
            )
            floor += value
        result.append(
            f'<text class="note" x="{middle:.1f}" y="{frame.y(floor) - 6:.1f}" '
            f'text-anchor="middle">{escape(labels[nth])}</text>'
            f'<text class="tick" x="{middle:.1f}" y="{base + 18}" text-anchor="middle">'
            f"{escape(name)}</text>"
        )
    return "".join(result)

"""The retention lab as a drawing: what each policy keeps against the budget, set by set."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

from holdfast.bench.pictures import standalone
from holdfast.bench.retention import ORACLE
from holdfast.demo.svg import Frame, Series, grid, line
from holdfast.errors import MissingExtraError

Result = Mapping[str, Any]
Curve = Mapping[str, float]  # fraction -> share kept

_COLUMNS, _WIDTH, _HEIGHT = 5, 208, 196  # of small panels, in SVG units; the mean takes four
_BIG = 2
_TOP = 30  # for the title
_Y_MAX = 1.2
_BEST = 3  # others with an ink and a name of their own
_LINE = 14  # SVG units between names
_FLOOR = "random"
_FONTS = "DejaVu Sans,Liberation Sans,Noto Sans,Helvetica,Arial,Segoe UI"  # some system has one
_INKS = ("--third", "--fourth", "--sixth")
_STYLE = (
    "<style>.thin .line{stroke:var(--soft);stroke-width:1;opacity:.35}.some .line{stroke-width:1.4}"
    ".first .line{stroke-width:3.2}.title{fill:var(--ink);font-weight:600}"
    ".fits{stroke:var(--soft);stroke-dasharray:1 3}</style>"
)


@dataclass(frozen=True, slots=True)
class _Look:
    """How a policy is drawn: its group's class, its ink, whether dashed, whether it is named."""

    kind: str
    ink: str
    dashed: bool = False
    named: bool = True


@dataclass(frozen=True, slots=True)
class _Axis:
    """Budgets from left to right, halved at each step."""

    frame: Frame
    first: Fraction

    @classmethod
    def over(cls, fractions: Sequence[Fraction], width: int, height: int, right: int = 20) -> _Axis:
        first = max(fractions)
        x_max = math.log2(first / min(fractions))
        frame = Frame(x_max, _Y_MAX, width, height, left=36, right=right, top=_TOP, bottom=30)
        return cls(frame, first)

    def x(self, fraction: float | str) -> float:
        """How many halvings a budget is."""
        return math.log2(self.first / Fraction(fraction))

    def label(self, x: float) -> str:
        """A budget under its tick; nothing between two halvings."""
        return str(self.first / 2 ** int(x)) if x == int(x) else ""


def write(result: Result, path: str | Path) -> None:
    """Draw a result into a file, SVG or PNG by its suffix.

    Raises as `check` does.
    """
    check(path)
    drawn = drawing(result)
    Path(path).write_bytes(png(drawn) if Path(path).suffix == ".png" else drawn.encode())


def check(path: str | Path) -> None:
    """See to it before a long run that its result can be drawn there.

    Raises
    ------
    ValueError
        If the suffix is neither .svg nor .png.
    MissingExtraError
        If it is PNG and the extra that draws it is not installed.
    """
    suffix = Path(path).suffix
    if suffix not in (".svg", ".png"):
        raise ValueError(f"{Path(path).name}: a plot is an .svg or a .png file")
    if suffix == ".png":
        _resvg()


def drawing(result: Result) -> str:
    """The curves as an SVG file: the mean over sets, then a panel for each."""
    found = result["summary"]
    fractions = sorted(map(Fraction, result["fractions"]), reverse=True)
    looks = _looks(found["policies"], result["default"])
    everywhere, mean = _mean(result)
    big = _Axis.over(fractions, _BIG * _WIDTH, _BIG * _HEIGHT, right=106)
    some = "" if everywhere == len(result["sets"]) else " that were measured at every budget"
    title = f"Mean of the {everywhere} sets{some}"
    parts = [_placed(0, 0, _panel(big, title, mean, looks, None, named=True))]
    small = _Axis.over(fractions, _WIDTH, _HEIGHT)
    bottom = _BIG * _HEIGHT
    for one, (column, row) in zip(result["sets"], _slots(), strict=False):
        curves = found["kept_by_set"][one["set"]]
        panel = _panel(small, one["set"], curves, looks, one["lossless"])
        parts.append(_placed(column * _WIDTH, row * _HEIGHT, panel))
        bottom = max(bottom, (row + 1) * _HEIGHT)
    notes = _notes(looks)
    for n, text in enumerate(notes):
        parts.append(f'<text x="12" y="{bottom + 18 + 17 * n}">{escape(text)}</text>')
    label = (
        f"Share of the unbounded coverage@10 kept by {len(looks)} retention policies at budgets of "
        f"{', '.join(map(str, fractions))} of the raw bytes, on "
        f"{', '.join(one['set'] for one in result['sets'])} and on average"
    )
    width, height = _COLUMNS * _WIDTH, bottom + 22 + 17 * len(notes)
    return standalone(
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}">'
        f"{_STYLE}{''.join(parts)}</svg>"
    )


def _mean(result: Result) -> tuple[int, dict[str, Curve]]:
    """How many sets were measured at every budget, and each policy's mean over those.

    A mean of other sets at each budget would jump for no reason that is the policy's.
    """
    found, fractions = result["summary"], result["fractions"]
    whole = [name for name, missing in found["not_measured"].items() if not missing]
    kept = [found["kept_by_set"][name] for name in whole]
    return len(whole), {
        policy: {f: sum(one[policy][f] for one in kept) / len(kept) for f in fractions}
        for policy in (found["policies"] if kept else ())
    }


def png(drawing: str, width: int = 2_080) -> bytes:
    """A drawing as it looks on a light page, as a PNG file.

    Raises `MissingExtraError` without resvg-py, a part of the extra "bench".
    """
    resvg = _resvg()
    day, _, rest = drawing.partition("@media")  # it knows neither variables nor dark pages
    _, _, rest = rest.partition("}}")
    inks = dict(re.findall(r"(--[\w-]+):(#\w+);", day))
    flat = re.sub(r"var\((--[\w-]+)\)", lambda found: inks[found[1]], day + rest)
    flat = flat.replace("system-ui", _FONTS)
    return bytes(resvg.svg_to_bytes(svg_string=flat, background="#ffffff", width=width))


def _resvg() -> Any:
    try:
        return import_module("resvg_py")
    except ImportError as error:
        raise MissingExtraError(
            "a PNG is drawn by resvg-py; install holdfast[bench], or ask for .svg"
        ) from error


def _looks(ranked: Sequence[str], default: str) -> dict[str, _Look]:
    """The look of every policy, in the order they are drawn: the default on top."""
    others = [policy for policy in ranked if policy not in (default, ORACLE, _FLOOR)]
    looks = {policy: _Look("thin", "--soft", named=False) for policy in others[_BEST:]}
    for policy, ink in zip(others[:_BEST], _INKS, strict=False):
        looks[policy] = _Look("some", ink)
    bounds = {ORACLE: _Look("some", "--soft", True), _FLOOR: _Look("some", "--fifth", True)}
    looks |= {policy: look for policy, look in bounds.items() if policy in ranked}
    return looks | {default: _Look("first", "--first")}


def _panel(
    axis: _Axis,
    title: str,
    curves: Mapping[str, Curve],
    looks: Mapping[str, _Look],
    lossless: float | None,
    named: bool = False,
) -> str:
    frame = axis.frame
    rules = grid(frame, axis.label, lambda y: f"{y:g}", [0, 0.5, 1])
    parts = [f'<text class="title" x="{frame.left}" y="17">{escape(title)}</text>', rules]
    if lossless and 0 <= (x := axis.x(lossless)) <= frame.x_max:
        parts.append(
            f'<line class="fits" x1="{frame.x(x):.1f}" x2="{frame.x(x):.1f}" y1="{frame.top}" '
            f'y2="{frame.height - frame.bottom}"><title>down to {lossless:.0%} of the raw bytes '
            "everything fits as it is</title></line>"
        )
    ends = []
    for policy, look in looks.items():
        if not (curve := sorted(curves.get(policy, {}).items(), key=lambda at: axis.x(at[0]))):
            continue
        xs, ys = [axis.x(f) for f, _ in curve], [y for _, y in curve]
        said = ", ".join(f"{f}: {y:.3f}" for f, y in curve)
        series = Series(f"{policy} ({said})", look.ink, ys)
        parts.append(f'<g class="{look.kind}">{line(frame, xs, series, look.dashed)}</g>')
        if look.named:
            ends.append((frame.y(ys[-1]), frame.x(xs[-1]), policy, look))
    return "".join([*parts, *(_names(ends) if named else ())])


def _names(ends: Sequence[tuple[float, float, str, _Look]]) -> Iterator[str]:
    """Each policy's name at the end of its line, none upon another."""
    lowest = -math.inf
    for y, x, policy, look in sorted(ends, key=lambda end: end[0]):
        lowest = max(y + 4, lowest + _LINE)
        yield (
            f'<text x="{x + 6:.1f}" y="{lowest:.1f}" style="fill:var({look.ink})">'
            f"{escape(policy)}</text>"
        )


def _slots() -> Iterator[tuple[int, int]]:
    """Column and row of small panels: beside the large one, then below it."""
    row = 0
    while True:
        yield from ((column, row) for column in range(_BIG if row < _BIG else 0, _COLUMNS))
        row += 1


def _placed(x: int, y: int, parts: str) -> str:
    return f'<g transform="translate({x} {y})">{parts}</g>'


def _notes(looks: Mapping[str, _Look]) -> list[str]:
    unnamed = sum(not look.named for look in looks.values())
    others = f" Thin: {unnamed} more policies." * bool(unnamed)
    return [
        "Across: the budget, as a share of the raw bytes. Up: coverage@10 over coverage@10 with no "
        f"bound (over 1: less is in the way; drawn up to 1.2). Strong: the default.{others}",
        "Dashed: the oracle, which knows what will be asked, and random eviction. "
        "Dotted: about the smallest budget in which all of the set still fits as it is.",
    ]

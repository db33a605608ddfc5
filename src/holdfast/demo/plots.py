"""The report's four charts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from statistics import median

from holdfast.demo.run import FATES, Fate, Run
from holdfast.demo.svg import Frame, Series, areas, chart, columns, grid, line, note, ticks
from holdfast.demo.words import FATE_NAMES, size

TIERS = ("verbatim", "gist", "trace", "evicted")
AGES = ("newest", "2nd", "3rd", "4th", "5th", "6th", "7th", "oldest")
BINS = 48


def count(value: float) -> str:
    """Return a number as an axis shows it."""
    return f"{value:,.0f}"


def legend(entries: Sequence[tuple[str, str]], stroke: bool = False) -> str:
    """Return the key of a chart from (name, colour variable) pairs."""
    cls = ' class="stroke"' if stroke else ""
    keys = (
        f'<span class="key"><i{cls} style="background:var({colour})"></i>{escape(name)}</span>'
        for name, colour in entries
    )
    return f"<figcaption>{''.join(keys)}</figcaption>"


def bytes_chart(run: Run) -> str:
    """Draw bytes on disk against events seen, under the budget and beside what came in."""
    xs = [0, *(s.seen for s in run.samples)]
    disk = Series("on disk", "--verbatim", [0, *(s.usage.disk for s in run.samples)])
    raw = Series("text observed so far", "--raw", [0, *(s.seen_bytes for s in run.samples)])
    limit = Series("budget", "--limit", [run.budget] * len(xs))
    frame = Frame(run.seen, max(run.budget, raw.values[-1]) * 1.12)
    # Sizes are read in powers of two, so the ticks are quarters of a power of two.
    step = 2.0 ** max(run.budget.bit_length() - 3, 0)
    y_ticks = [step * nth for nth in range(int(frame.y_max / step) + 1)]
    marks = (
        line(frame, xs, limit, dashed=True)
        + line(frame, xs, raw)
        + line(frame, xs, disk)
        + note(frame, run.seen, run.budget, f"budget {size(run.budget)}")
    )
    names = [(series.name, series.colour) for series in (disk, raw, limit)]
    label = f"Bytes on disk stay under the budget of {run.budget} while {run.seen} events come in"
    drawing = chart(frame, label, "events observed", marks, grid(frame, count, size, y_ticks))
    return f"<figure>{legend(names, stroke=True)}{drawing}</figure>"


def tier_chart(run: Run) -> str:
    """Draw how many events are kept at each tier against events seen."""
    xs = [0, *(s.seen for s in run.samples)]
    layers = [
        Series(name, f"--{name}", [0, *(s.usage.events.get(name, 0) for s in run.samples)])
        for name in TIERS
    ]
    frame = Frame(run.seen, run.seen * 1.02)
    label = "Events by tier: " + ", ".join(f"{s.values[-1]:.0f} {s.name}" for s in layers)
    drawing = chart(
        frame,
        label,
        "events observed",
        areas(frame, xs, layers),
        grid(frame, count, count, ticks(frame.y_max)),
    )
    names = [(f"{s.name} ({s.values[-1]:,.0f})", s.colour) for s in layers]
    return f"<figure>{legend(names)}{drawing}</figure>"


def cost_chart(run: Run) -> str:
    """Draw the median cost of an event in each part of the stream."""
    bins: list[list[float]] = [[] for _ in range(BINS)]
    for commit in run.commits:
        bins[min(commit.seen * BINS // (run.seen + 1), BINS - 1)].append(
            commit.seconds / commit.events * 1e6
        )
    found = [(nth, median(values)) for nth, values in enumerate(bins) if values]
    xs = [(nth + 0.5) * run.seen / BINS for nth, _ in found]
    cost = Series("microseconds for an event", "--verbatim", [value for _, value in found])
    # One slow flush must not flatten the rest: the axis ends at twice the 90th percentile.
    ranked = sorted(cost.values)
    frame = Frame(run.seen, max(2 * ranked[int(0.9 * (len(ranked) - 1))], 1.0))
    early, late = cost.values[: len(found) // 4], cost.values[-(len(found) // 4) :]
    ratio = median(late) / median(early) if early and late else 1.0
    label = f"An event of the last quarter costs {ratio:.2f} times one of the first"
    drawing = chart(
        frame,
        label,
        "events observed",
        line(frame, xs, cost),
        grid(frame, count, lambda value: f"{value:,.0f} µs", ticks(frame.y_max)),
    )
    names = [
        (f"median time per event, fsync included; last quarter {ratio:.2f} × first", cost.colour)
    ]
    return f"<figure>{legend(names, stroke=True)}{drawing}</figure>"


def by_age(run: Run) -> list[dict[Fate, int]]:
    """Return how many pieces of evidence met each fate, for each part of the stream."""
    found = [dict.fromkeys(FATES, 0) for _ in AGES]
    for age, fate in run.fates():
        found[min(age * len(AGES) // run.seen, len(AGES) - 1)][fate] += 1
    return found


def fate_chart(run: Run, title: str) -> str:
    """Draw what became of the evidence, by its age."""
    found = by_age(run)
    parts = [Series(FATE_NAMES[f], f"--{f}", [row[f] for row in found]) for f in FATES]
    totals = [sum(row.values()) for row in found]
    exact = [
        row["verbatim"] / total if total else 0.0 for row, total in zip(found, totals, strict=True)
    ]
    frame = Frame(len(AGES), max(totals) * 1.15, height=230)
    y_ticks = ticks(frame.y_max, 3)
    rules = grid(Frame(0, frame.y_max, height=230), lambda value: "", count, y_ticks)
    marks = columns(frame, AGES, parts, [f"{share:.0%}" for share in exact])
    label = f"Evidence by age, {title}: " + ", ".join(
        f"{n} {s:.0%} exact" for n, s in zip(AGES, exact, strict=True)
    )
    drawing = chart(frame, label, "age of the evidence; % recalled word for word", marks, rules)
    key = legend([(s.name, s.colour) for s in parts])
    return f"<figure><h3>{escape(title)}</h3>{key}{drawing}</figure>"


def fate_table(tight: Run, roomy: Run) -> str:
    """Return the numbers behind the two charts."""
    head = "".join(f"<th>{escape(name)}</th>" for name in FATE_NAMES.values())
    rows = []
    for title, run in (("budget", tight), ("no squeeze", roomy)):
        for name, row in zip(AGES, by_age(run), strict=True):
            cells = "".join(f"<td>{row[fate]}</td>" for fate in FATES)
            rows.append(f"<tr><td>{name}, {title}</td>{cells}</tr>")
    return f"<table><tr><th>age</th>{head}</tr>{''.join(rows)}</table>"

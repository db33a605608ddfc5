"""What people see of a fidelity report: shares as bars, with their intervals."""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from holdfast.cli.render import COLOURS, MARKS
from holdfast.fidelity.report import Estimate, Fidelity, Shares

_CELLS = 30  # of a bar


def print_fidelity(path: str, report: Fidelity) -> None:
    """Print a report: the whole, by age, by kind and scope, and the smaller measures."""
    console = Console(highlight=False)
    console.print(f"[bold]{escape(path)}[/bold]")
    console.print(
        f"{report.observed:,} events observed, {report.probes:,} probes, {report.asked:,} asked "
        f"within {report.tokens:,} tokens each"
    )
    if not report.observed:
        return
    console.print(_bar(report.shares), _legend(report.shares))
    console.print(f"found again: {_told(report.found)}; with its answer: {_told(report.answered)}")
    if report.ages:
        rows = [(f"e{span.first}-e{span.last}", span.shares, span.found) for span in report.ages]
        console.print(_table("by age, oldest first", rows))
    for title, groups in (("by kind", report.kinds), ("by scope", report.scopes)):
        if len(groups) > 1:
            rows = [(group.name or "(none)", group.shares, group.found) for group in groups]
            console.print(_table(title, rows))
    console.print(_others(report))


def _table(title: str, rows: Iterable[tuple[str, Shares, Estimate]]) -> Table:
    table = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="dim")
    for heading in ("", "kept", "verbatim", "gist", "trace", "lost", "found again"):
        table.add_column(heading, justify="left" if heading in ("", "kept") else "right")
    for name, kept, found in rows:
        parts = (kept.verbatim, kept.gist, kept.trace, kept.lost)
        table.add_row(escape(name), _bar(kept, 12), *map(_share, parts), _told(found))
    return table


def _bar(shares: Shares, cells: int = _CELLS) -> Text:
    """The four shares as one bar; every cell that is due is there."""
    bar = Text()
    edge = shown = 0.0
    for name in MARKS:
        part = getattr(shares, "lost" if name == "evicted" else name)
        edge += part.value
        upto = round(cells * edge)
        bar.append(MARKS[name] * int(upto - shown), style=COLOURS[name])
        shown = upto
    return bar


def _legend(shares: Shares) -> Text:
    line = Text()
    for name, colour in COLOURS.items():
        part = getattr(shares, "lost" if name == "evicted" else name)
        line.append(f"  {MARKS[name]} ", style=colour)
        line.append(f"{_share(part)} {'lost' if name == 'evicted' else name}")
    return line


def _share(part: Estimate) -> str:
    """A share; with its interval if it was sampled."""
    if part.low == part.high:
        return f"{part.value:.1%}"
    return f"{part.value:.0%} ({part.low:.0%}-{part.high:.0%})"


def _told(part: Estimate) -> str:
    return "not measured" if not part.n else _share(part)


def _others(report: Fidelity) -> Text:
    said = [
        f"order of two events known: {_told(report.order)}",
        f"present value before an older one: {_told(report.fresh)}",
        f"questions about what is gone: {_told(report.regret)}",
    ]
    if report.abstention is not None:
        said.append(f"confidence tells answerable from not: {report.abstention:.2f}")
    return Text("; ".join(said), style="dim")

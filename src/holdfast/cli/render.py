"""What people see: the budget gauge, a context, a log line. Plain text when nobody looks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from holdfast.budget import format_bytes
from holdfast.cli.common import counted, show_time, too_few
from holdfast.cli.tell import belief_line
from holdfast.records import Context, Item, Record, Tier, Usage

MARKS = {"verbatim": "●", "gist": "◐", "trace": "○", "evicted": "·"}
COLOURS = {"verbatim": "cyan", "gist": "blue", "trace": "yellow", "evicted": "bright_black"}


def bar(part: float, whole: float, width: int = 40) -> str:
    """Return a gauge of `width` cells, to an eighth of a cell."""
    eighths = round(8 * width * min(1.0, part / whole)) if whole else 0
    full, rest = divmod(eighths, 8)
    return ("█" * full + (" ▏▎▍▌▋▊▉"[rest] if rest else "")).ljust(width, "░")


def gauge(usage: Usage) -> str:
    """Return how full the budget is, as a bar and in words."""
    words = f"{format_bytes(usage.disk)} of {format_bytes(usage.budget)}"
    return f"{bar(usage.disk, usage.budget)} {words}"


def tier_line(events: Mapping[str, int]) -> Text:
    """Return how many events are kept at each tier, on one line."""
    line = Text()
    for name, mark in MARKS.items():
        if line:
            line.append("   ")
        line.append(f"{mark} ", style=COLOURS[name])
        line.append(f"{events.get(name, 0):,} {name}")
    return line


def print_usage(path: str, usage: Usage) -> None:
    """Print the gauge, the parts it is made of and the tiers."""
    console = Console(highlight=False)
    share = usage.disk / usage.budget if usage.budget else 0.0
    console.print(f"[bold]{escape(path)}[/bold]")
    console.print(f"{gauge(usage)} ({share:.0%})")
    table = Table(box=None, show_header=False, pad_edge=False)
    for name in ("database", "wal", "shm"):
        table.add_row(name, format_bytes(getattr(usage, name)), style="dim")
    for name in ("log", "index", "vectors", "state", "audit", "ledger", "free"):
        table.add_row(f"  {name}", format_bytes(getattr(usage, name)))
    if usage.snapshots:
        beside = f"{format_bytes(usage.snapshots)} in files of their own, beside the budget"
        table.add_row("snapshots", beside, style="dim")
    console.print(table)
    console.print(tier_line(usage.events), Text(f"   episodes: {usage.episodes:,}", style="dim"))


def heading(item: Item) -> Text:
    """Return the line above a quote: tier, citation, who, when, where."""
    name = Tier(item.tier).name.lower()
    line = Text(f"{MARKS[name]} ", style=COLOURS[name])
    line.append(item.citation, style="bold")
    line.append(f"  {item.speaker or '?'}, {show_time(item.at)}")
    if item.scope:
        line.append(f"  {item.scope}", style="dim")
    if name != "verbatim":
        line.append(f"  {name} only", style=COLOURS[name])
    if item.excerpt:
        line.append("  cut excerpt" if item.cut else "  excerpt", style=COLOURS["gist"])
    if item.why != "match":
        line.append(f"  {item.why}", style="dim")
    return line


def print_context(context: Context, *, explain: bool) -> None:
    """Print a context for people: entries in the order a model would read them."""
    console = Console(highlight=False)
    for belief in context.beliefs:
        console.print(belief_line(belief))
    for item in context.items:
        console.print(heading(item))
        console.print(Padding(Text(item.text), (0, 0, 0, 2)))
        if explain:
            said = [(name, value) for name, value in item.parts.items() if abs(value) >= 0.005]
            parts = "  ".join(f"{name} {value:+.2f}" for name, value in said)
            console.print(Text(f"  score {item.score:.2f}: {parts}", style="magenta"))
    if not context.items and not context.beliefs:
        console.print(too_few(context) if context.omissions else "nothing matches")
    if explain and context.omissions:
        console.print("left out: " + ", ".join(f"e{o.seq} ({o.reason})" for o in context.omissions))
    notes = [f"{context.tokens:,} of {context.token_budget:,} tokens"]
    notes += ["all there is"] * context.whole
    why = Counter(one.reason for one in context.omissions)
    large, same = why["over budget"], why["duplicate"]
    fit = "match does not fit" if large == 1 else "matches do not fit"
    notes += [f"{large:,} more {fit}"] * bool(large)
    notes += [f"{counted(same, 'duplicate')} of these left out"] * bool(same)
    notes += [f"{context.lost:,} events of then are no longer whole"] * bool(context.lost)
    notes += ["the embedder did not answer: by words only"] * context.degraded
    notes += ["some vectors are still to be made"] * context.partial
    console.print(Text("; ".join(notes), style="dim"))


def print_record(record: Record) -> None:
    """Print one event on one line, cut to the width of the terminal if there is one."""
    console = Console(highlight=False, soft_wrap=True)
    name = Tier(record.tier).name.lower()
    line = Text(f"{MARKS[name]} ", style=COLOURS[name])
    line.append(f"e{record.seq}", style="bold")
    at = record.recorded_at if record.event.at is None else record.event.at
    line.append(f"  {show_time(at)}  {record.event.speaker or '?'}: ")
    line.append(" ".join(record.text.split()) or f"({format_bytes(record.size)})")
    if console.is_terminal:
        line.truncate(console.width, overflow="ellipsis")
    console.print(line)

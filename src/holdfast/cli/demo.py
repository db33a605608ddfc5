"""`holdfast demo`: the shipped stream in a small budget, on the terminal and as a report."""

from __future__ import annotations

import os
import platform
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.common import json_option, print_json

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from holdfast.demo.run import Answer, Run, Sample

BUDGET = "704 KiB"
NAME = "story.holdfast"
QUOTED = 260  # characters of a quote that the terminal shows; the report shows all
STEPS = 8  # lines of progress where nobody can see a gauge move


@click.command()
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("holdfast-demo"),
    show_default=True,
    help="Folder for the memory and the report.",
)
@click.option("--budget", default=BUDGET, show_default=True, help="Bytes on disk at most.")
@click.option("--tokens", default=600, show_default=True, help="Tokens for each context.")
@json_option
def demo(out: Path, budget: str, tokens: int, as_json: bool) -> None:
    """Squeeze a real stream into a small budget, ask it questions, write a report.

    2,537 messages from some 450 conversations go through a memory too small for them. Then 190
    questions with known evidence are asked; eight are shown. No model is involved.
    """
    from rich.console import Console

    from holdfast.demo.data import sessions
    from holdfast.demo.report import render
    from holdfast.demo.run import ROOMY, run

    console = Console(highlight=False, quiet=as_json)
    out.mkdir(parents=True, exist_ok=True)
    story = out / NAME
    for old in out.glob(f"{NAME}*"):
        old.unlink()
    conversations = sessions()
    messages = sum(map(len, conversations))
    console.print(
        f"[bold]A real stream into {budget}[/bold]: {messages:,} messages, "
        f"{len(conversations)} conversations, each one durable commit\n"
    )
    with _gauge(console, messages) as watch:
        tight = run(story, conversations, budget, tokens, watch)
    with tempfile.TemporaryDirectory(dir=out) as folder:
        roomy = run(Path(folder) / NAME, conversations, ROOMY, tokens)
    report = out / "report.html"
    report.write_text(render(tight, roomy, _machine()), encoding="utf-8")
    if as_json:
        print_json(_numbers(tight, roomy, report))
        return
    for nth, answer in enumerate(tight.shown, start=1):
        _print_answer(console, nth, answer)
    _print_summary(console, tight, roomy)
    console.print(f"\nThe report, with plots and every citation: [bold]{report}[/bold]")
    ask = f"holdfast recall {story} 'what degree did I graduate with?'"
    console.print(f"Ask it yourself: {ask}", style="dim", soft_wrap=True)


def _machine() -> str:
    """Return what the numbers were measured on."""
    system = f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPU cores"
    return f"Python {platform.python_version()}, {system}"


@contextmanager
def _gauge(console: Console, messages: int) -> Iterator[Callable[[Sample], None]]:
    """Give a function that shows the budget filling: a live gauge, or a few lines in a log."""
    from rich.console import Group

    from holdfast.cli.render import gauge, tier_line

    def picture(sample: Sample) -> RenderableType:
        fill = f"{sample.seen:>6,} messages  {gauge(sample.usage)}"
        return Group(fill, tier_line(sample.usage.events))

    if console.is_terminal:
        from rich.live import Live

        with Live(console=console, refresh_per_second=20) as live:
            yield lambda sample: live.update(picture(sample))
        return
    shown = 0

    def step(sample: Sample) -> None:
        nonlocal shown
        if sample.seen * STEPS >= (shown + 1) * messages:
            shown += 1
            console.print(picture(sample), soft_wrap=True)

    yield step


def _print_answer(console: Console, nth: int, answer: Answer) -> None:
    """Print a question, what came back of its evidence, and the quotes that matter most."""
    from rich.padding import Padding
    from rich.text import Text

    from holdfast.cli.render import heading
    from holdfast.demo.words import excerpt, verdict

    word, kind = verdict(answer)
    question, fates = answer.question, answer.fates
    line = Text("   ").append(word, style={"good": "green", "part": "yellow", "lost": "red"}[kind])
    line.append(f"   the data set says: {question.answer}", style="dim")
    console.print(Text(f"\n{nth}  {question.question}", style="bold"))
    console.print(line)
    ranked = answer.context.ranked
    evidence = [item for item in ranked if item.seq in question.gold][:2]
    for item in evidence or ranked[:1]:
        text = excerpt(item.text, f"{question.question} {question.answer}", QUOTED)
        console.print(Padding(heading(item), (0, 0, 0, 3)))
        console.print(Padding(Text(text), (0, 0, 0, 5)))
    gone = [f"e{s}" for s, fate in zip(question.gold, fates, strict=True) if fate == "evicted"]
    if gone:
        console.print(Text(f"   let go: {', '.join(gone)}", style="dim"))


def _print_summary(console: Console, tight: Run, roomy: Run) -> None:
    """Print what the budget cost, over all questions."""
    from rich.table import Table

    from holdfast.demo.words import FATE_NAMES, size

    runs = (tight, roomy)
    console.print(f"\n[bold]All {len(tight.answers)} questions[/bold], {tight.tokens} tokens each")
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("")
    table.add_column(size(tight.budget), justify="right")
    table.add_column(f"{size(roomy.budget)}, no squeeze", justify="right")
    table.add_row(
        "all evidence back, word for word", *(f"{run.share('whole'):.0%}" for run in runs)
    )
    table.add_row("some evidence back", *(f"{run.share('some'):.0%}" for run in runs))
    counts = [Counter(fate for _, fate in run.fates()) for run in runs]
    for fate, name in FATE_NAMES.items():
        table.add_row(f"  pieces of evidence {name}", *(f"{count[fate]:,}" for count in counts))
    table.add_row("most bytes on disk", *(f"{run.peak:,}" for run in runs))
    table.add_row("events a second, durable", *(f"{run.seen / run.seconds:,.0f}" for run in runs))
    console.print(table)


def _numbers(tight: Run, roomy: Run, report: Path) -> dict[str, Any]:
    """Return the run as JSON can hold it."""
    return {
        "report": str(report),
        "conditions": _machine(),
        **{
            name: {
                "budget": run.budget,
                "peak": run.peak,
                "events": run.usage.events,
                "questions": len(run.answers),
                "tokens": run.tokens,
                "all_evidence_verbatim": run.share("whole"),
                "some_evidence": run.share("some"),
                "evidence": Counter(fate for _, fate in run.fates()),
                "events_per_s": run.seen / run.seconds,
            }
            for name, run in (("squeezed", tight), ("roomy", roomy))
        },
    }

"""`holdfast fidelity`, `advise`: how much of the past is there, and what more would take."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.budget import format_bytes
from holdfast.cli.common import (
    file_argument,
    json_option,
    open_memory,
    print_json,
    progress,
)
from holdfast.records import Tier

if TYPE_CHECKING:
    from holdfast.fidelity.advice import Advice

_TIERS = tuple(tier.name.lower() for tier in Tier if tier != Tier.EVICTED)


@click.command()
@file_argument
@click.option(
    "--tokens",
    type=click.IntRange(min=1),
    default=1000,
    show_default=True,
    help="What each question may bring back.",
)
@click.option("--sample", type=click.IntRange(min=1), help="Ask at most so many questions.")
@json_option
def fidelity(file: str, tokens: int, sample: int | None, as_json: bool) -> None:
    """Measure how much of what was ever observed can still be recalled.

    What is kept is counted; what comes back is asked for with up to 512 questions of the memory's
    own, drawn from everything it ever observed. Events count by how likely they are to be asked
    about.
    """
    with open_memory(file) as memory:
        total = len(memory._mirror.probes) if sample is None else sample
        with progress("asking", total) as asked:
            found = memory.fidelity(
                tokens=tokens, sample=sample, progress=lambda done, _: asked(done)
            )
    if as_json:
        print_json(found)
    else:
        from holdfast.cli.render_fidelity import print_fidelity

        print_fidelity(file, found)


@click.command()
@file_argument
@click.option(
    "--fidelity",
    "wanted",
    type=click.FloatRange(0.0, 1.0, min_open=True),
    default=0.95,
    show_default=True,
    help="The share of the past to be kept.",
)
@click.option(
    "--tier",
    type=click.Choice(_TIERS),
    default="gist",
    show_default=True,
    help="The lowest tier that counts as kept.",
)
@json_option
def advise(file: str, wanted: float, tier: str, as_json: bool) -> None:
    """Say which budget would have kept so much of what was observed so far."""
    with open_memory(file) as memory, progress("planning"):
        advice = memory.budget_for(wanted, tier=Tier[tier.upper()])
    if as_json:
        print_json(advice)
    else:
        _tell(advice)


def _tell(advice: Advice) -> None:
    """Print what was asked for, in one or two lines, and the curve."""
    now = f"{format_bytes(advice.present_budget)} keeps {advice.present_fidelity:.1%}"
    name = advice.tier.name.lower()
    if advice.enough:
        least = format_bytes(advice.budget)
        click.echo(f"enough: {now} as {name} or better; {least} would have kept that share")
    else:
        low, high = format_bytes(advice.low), format_bytes(advice.high)
        click.echo(f"{format_bytes(advice.budget)} would have kept {advice.fidelity:.0%}")
        click.echo(f"95 % interval {low} to {high}; now {now} as {name} or better")
    click.echo(f"everything whole: about {format_bytes(advice.whole)}")
    for budget, share in _thinned(advice.curve):
        click.echo(f"  {format_bytes(budget):>10}  {share:6.1%}")


def _thinned(curve: tuple[tuple[int, float], ...], most: int = 12) -> list[tuple[int, float]]:
    """A few points of a curve, one for each budget at the most."""
    distinct = list(dict(curve).items())
    step = max(1, -(-len(distinct) // most))
    return distinct[::-1][::step][::-1]

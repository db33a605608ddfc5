"""`holdfast ledger` and `forgotten`: what a memory let go of, and whether it knew once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from holdfast.cli.common import (
    AT_LEAST_0,
    counted,
    file_argument,
    json_option,
    open_memory,
    print_json,
    scopes_option,
    show_time,
    show_when,
)
from holdfast.wire.plain import plain

if TYPE_CHECKING:
    from holdfast.ledger.records import Forgotten, Loss, LossTotals

_DONE = {"gist": "demoted to gists", "trace": "demoted to traces", "merged": "merged",
         "evicted": "evicted"}  # fmt: skip


@click.command()
@file_argument
@click.option(
    "--after",
    type=AT_LEAST_0,
    default=0,
    metavar="SEQ",
    help="Only what made room for later events.",
)
@click.option(
    "--limit",
    type=AT_LEAST_0,
    default=20,
    show_default=True,
    help="Entries to show, the newest ones.",
)
@scopes_option
@json_option
def ledger(file: str, after: int, limit: int, scope: tuple[str, ...], as_json: bool) -> None:
    """Say what was let go of to make room: what, when, by which policy, for which event.

    Old entries are added up; the totals are exact. With --json, all entries.
    """
    with open_memory(file) as memory:
        losses = memory.ledger(after=after, scope=scope)
        totals = memory.loss_totals()
    if as_json:
        print_json({"losses": losses, "totals": plain(totals)})
        return
    for loss in losses[-limit:] if limit > 0 else ():
        click.echo(_entry(loss))
    if len(losses) > limit:
        click.echo(f"... and {len(losses) - limit:,} earlier")
    click.echo(_sums(totals))


@click.command()
@file_argument
@click.argument("query")
@scopes_option
@json_option
def forgotten(file: str, query: str, scope: tuple[str, ...], as_json: bool) -> None:
    """Say whether the memory knew once what QUERY asks about and does not know any more."""
    with open_memory(file) as memory:
        found = memory.forgotten(query, scope=scope)
    if as_json:
        print_json(found)
        return
    click.echo(_answer(found))
    for record in found.traces:
        who = record.event.speaker or "?"
        click.echo(f"  e{record.seq}  {show_time(record.event.at or 0.0)}  {who}: {record.text}")
    chances = ", ".join(f"{name} {chance:.0%}" for name, chance in found.chances.items())
    click.echo(f"  {chances}")


def _entry(loss: Loss) -> str:
    """Return a loss on one line."""
    when = show_time(loss.until)
    if loss.times > 1:
        when = f"{show_time(loss.at)} to {when}, {loss.times:,} times"
    names = ", ".join(f"{name or '/'} {n:,}" for name, n in loss.scopes.items())
    rest = f", elsewhere {loss.elsewhere:,}" if loss.elsewhere else ""
    return (
        f"{when}  {counted(loss.events, 'event')} {_DONE[loss.action]} by {loss.policy} "
        f"for e{loss.write}: e{loss.first} to e{loss.last} ({names}{rest}), {loss.nbytes:,} bytes"
    )


def _sums(totals: LossTotals) -> str:
    """Return the totals on a few lines."""
    lines = [
        f"{move.before.name.lower():>8} to {move.after.name.lower():<8} "
        f"{move.events:>12,} events {move.nbytes:>16,} bytes"
        for move in totals.moves
    ]
    gone = [f"{totals.evicted:,} evicted"]
    gone += [f"{totals.merged:,} of them merged into others"] * bool(totals.merged)
    gone += [f"{totals.erased:,} erased"] * bool(totals.erased)
    gone += [f"{totals.withdrawn:,} withdrawn"] * bool(totals.withdrawn)
    return "\n".join([*lines, f"in all: {', '.join(gone)}"])


def _answer(found: Forgotten) -> str:
    """Return the verdict as a sentence."""
    when = ""
    if found.between is not None:
        first, last = (show_when(at) for at in found.between)
        when = f" on {first}" if first == last else f" between {first} and {last}"
    if found.verdict == "knew once":
        return f"knew once: this came up{when}, the details are gone"
    if found.verdict == "never knew":
        new = f" ({', '.join(found.unheard)})" if found.unheard else ""
        return f"never knew: this never came up{new}"
    if found.verdict == "still known":
        return f"still known: recall it with: holdfast recall FILE {found.query!r}"
    lost = f"; {', '.join(found.terms)} came up{when}" if found.terms else ""
    return f"don't know{lost}"

"""`holdfast status`, `resize`, `export` and `import`: looking after a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from holdfast.cli.common import (
    budget_option,
    counted,
    file_argument,
    json_option,
    open_memory,
    open_or_make,
    print_json,
    progress,
)

if TYPE_CHECKING:
    from holdfast.interchange import Imported, Source

FORMATS = (
    "chatgpt", "claude", "jsonl", "langgraph", "letta", "markdown", "mem0", "zep",
)  # fmt: skip  # as in `holdfast.interchange`, which is heavy to load for a line of help


@click.command()
@file_argument
@json_option
def status(file: str, as_json: bool) -> None:
    """Say where the bytes are, and how many events are kept at each tier."""
    with open_memory(file) as memory:
        usage = memory.usage()
    if as_json:
        print_json(usage)
    else:
        from holdfast.cli.render import print_usage

        print_usage(file, usage)


@click.command()
@file_argument
@click.argument("budget")
@json_option
def resize(file: str, budget: str, as_json: bool) -> None:
    """Change the budget to BUDGET, as '32 MiB'; shrinking lets go of enough to fit, or refuses."""
    with open_memory(file) as memory:
        memory.resize(budget)
        usage = memory.usage()
    if as_json:
        print_json(usage)
    else:
        from holdfast.cli.render import print_usage

        print_usage(file, usage)


@click.command()
@file_argument
@click.argument("out", default="-", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--lossless", is_flag=True, help="All of the memory, to make the same one of it.")
@json_option
def export(file: str, out: str, lossless: bool, as_json: bool) -> None:
    """Write what is kept as JSON Lines to OUT, or to standard output.

    A file appears under its name only once it is whole. The events alone go into any memory; with
    --lossless, 'holdfast import' makes the same memory of it under a new name: state, history,
    proofs and all, but not the snapshots, which are files of their own.
    """
    with open_memory(file) as memory:
        if out == "-":
            memory.export(sys.stdout, lossless=lossless)
            return
        left_out = [one.name for one in memory.snapshots()] if lossless else []
        part = f"{out}.part"
        try:
            with (
                open(part, "w", encoding="utf-8") as text,
                progress("writing", len(memory)) as told,
            ):
                lines = memory.export(text, lossless=lossless, progress=told)
                text.flush()
                os.fsync(text.fileno())
            os.replace(part, out)
        finally:
            if os.path.exists(part):
                os.unlink(part)
    if as_json:
        done = {"out": out, "lines": lines, "bytes": os.path.getsize(out)}
        print_json({**done, "left_out": left_out} if lossless else done)
    else:
        click.echo(f"wrote {lines:,} lines to {out}")
        _tell_left_out(left_out)


@click.command("import")
@file_argument
@click.argument("input", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["auto", *FORMATS]),
    default="auto",
    show_default=True,
    help="What INPUT is; auto looks at it.",
)
@click.option("--scope", default="", help="A scope to put everything into.")
@budget_option
@json_option
def import_(
    file: str, input: str, form: str, scope: str, budget: str | None, as_json: bool
) -> None:
    """Read what another program remembers, or an export, from INPUT (- for standard input).

    All of it is checked before any is stored: the message names the place of what is wrong. If the
    storing itself is cut short (a full disk, a crash), what came before stays stored, and a second
    run adds what is missing; lines of 'export' that have no key are then stored again. What another
    program remembers is stored once, however often it is imported. What 'export' wrote as a gist or
    a trace comes back as what was left of it, under new sequence numbers. A lossless export makes
    FILE, which must not be there yet.
    """
    from holdfast.interchange import LOSSLESS, detect, opened, prepare

    with opened(input) as source:
        if form == "auto" and detect(source) == LOSSLESS:
            if budget or scope:
                raise click.UsageError(
                    "a lossless export has its own budget and scopes; leave --budget and --scope "
                    "out, and use 'holdfast resize' afterwards"
                )
            _restore(file, source, as_json)
            return
        with open_or_make(file, budget) as memory:
            with progress("reading"):
                ready = prepare(memory, source, form, scope=scope)
            with progress("storing", ready.events + ready.beliefs) as told:
                done = ready.store(told)
    if as_json:
        print_json({"events": done.events} | _more(done))
        return
    parts = [counted(done.events, "event")]
    parts += [counted(done.beliefs, "belief")] if done.beliefs else []
    known = f"; {done.known:,} known already" if done.known else ""
    click.echo(f"imported {' and '.join(parts)}{known}")


def _more(done: Imported) -> dict[str, object]:
    """Return what there is to say of an import beside how many events it stored."""
    counts = {"beliefs": done.beliefs, "known": done.known}
    foreign = {"format": done.format} if done.format != "jsonl" else {}
    return foreign | {name: n for name, n in counts.items() if n}


def _restore(file: str, source: Source, as_json: bool) -> None:
    """Make a memory of a lossless export."""
    from holdfast.exchange import restore

    with progress("making and verifying it"):
        made = restore(file, source.file)
    if as_json:
        print_json(made)
    else:
        click.echo(f"made {file} with {counted(made.events, 'event')}")
        _tell_left_out(made.snapshots)


def _tell_left_out(snapshots: Sequence[str]) -> None:
    if snapshots:
        click.echo(f"not in it: {counted(len(snapshots), 'snapshot')}: {', '.join(snapshots)}")

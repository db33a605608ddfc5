"""`holdfast status`, `resize`, `export` and `import`: looking after a file."""

from __future__ import annotations

import os
import sys

import click

from holdfast.cli.common import (
    budget_option,
    file_argument,
    json_option,
    open_memory,
    print_json,
    progress,
)


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
@json_option
def export(file: str, out: str, as_json: bool) -> None:
    """Write what is kept as JSON Lines to OUT, or to standard output.

    A file appears under its name only once it is whole.
    """
    with open_memory(file) as memory:
        if out == "-":
            memory.export(sys.stdout)
            return
        part = f"{out}.part"
        try:
            with open(part, "w", encoding="utf-8") as text, progress("writing"):
                lines = memory.export(text)
                text.flush()
                os.fsync(text.fileno())
            os.replace(part, out)
        finally:
            if os.path.exists(part):
                os.unlink(part)
    if as_json:
        print_json({"out": out, "lines": lines, "bytes": os.path.getsize(out)})
    else:
        click.echo(f"wrote {lines:,} lines to {out}")


@click.command("import")
@file_argument
@click.argument("input", type=click.Path(dir_okay=False, allow_dash=True))
@budget_option
@json_option
def import_(file: str, input: str, budget: str | None, as_json: bool) -> None:
    """Read JSON Lines that `export` wrote from INPUT (- for standard input) into FILE.

    Nothing is stored if a line is no event. What was exported as a gist or a trace comes back as
    what was left of it. Events get new sequence numbers.
    """
    from holdfast.memory import Memory

    with (
        click.open_file(input, encoding="utf-8") as lines,
        Memory.open(file, budget) as memory,
        progress("storing"),
    ):
        stored = memory.import_(lines)
    if as_json:
        print_json({"events": stored})
    else:
        click.echo(f"imported {stored:,} events")

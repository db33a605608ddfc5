"""`holdfast status`, `verify`, `resize`, `export` and `import`: looking after a file."""

from __future__ import annotations

import os
import sys

import click

from holdfast.cli.common import (
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
@json_option
def verify(file: str, as_json: bool) -> int:
    """Read everything back and check it against its checksums. Exit code 3: it does not hold."""
    with open_memory(file) as memory, progress("reading everything back"):
        found = memory.verify()
    if as_json:
        print_json(found)
    elif found.ok:
        click.echo(f"ok: {found.events:,} events in {found.blocks:,} blocks match their checksums")
    if found.ok:
        return 0
    if not as_json:
        click.echo(f"error: {file} has {len(found.problems):,} problems", err=True)
        for problem in found.problems:
            click.echo(f"  {problem}", err=True)
        click.echo(f"hint: save what can be read with: holdfast export {file} OUT.jsonl", err=True)
    return 3


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
@click.option("--budget", help="Bytes on disk at most, as '64 MiB'; for a new memory.")
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

"""`holdfast doctor`: what could go wrong here, one line for each look."""

from __future__ import annotations

import click

from holdfast.cli.candidates import MemoryFile
from holdfast.cli.common import counted, json_option, print_json, progress
from holdfast.cli.failures import fail

_COLOURS = {"ok": "green", "warning": "yellow", "problem": "red"}


@click.command()
@click.argument("file", required=False, type=MemoryFile())
@json_option
def doctor(file: str | None, as_json: bool) -> int:
    """Check this machine, and the memory FILE, for what could go wrong.

    Python, SQLite, the clock, text and extras; with FILE its file system, access, lock, pages,
    budget and disk, too. Exit code 1: there is a problem. Nothing is changed, but FILE is opened as
    by every command: after a crash, what was under way (an erasure, say) is finished.
    """
    from holdfast.doctor import examine

    with progress("looking"):
        checks = examine(file)
    if as_json:
        print_json({"ok": not any(one.status == "problem" for one in checks), "checks": checks})
    else:
        for one in checks:
            advice = f"; {one.advice}" if one.advice else ""
            status = click.style(f"{one.status:<7}", _COLOURS[one.status])
            click.echo(f"{status}  {one.name:<11}  {one.found}{advice}")
    problems = sum(one.status == "problem" for one in checks)
    if not problems:
        return 0
    hint = "do what the lines above say"
    return fail(1, "Problem", counted(problems, "problem"), hint, as_json=as_json)

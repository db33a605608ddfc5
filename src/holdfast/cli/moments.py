"""`holdfast snapshot`, `fork`, `diff`, `rollback` and `watch`: moments, and what comes between."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.candidates import MemoryFile, snapshots
from holdfast.cli.common import (
    AT_LEAST_0,
    SECONDS,
    by_option,
    confirm,
    counted,
    file_argument,
    json_option,
    open_memory,
    print_json,
    progress,
    scopes_option,
    yes_option,
)
from holdfast.errors import NotFoundError
from holdfast.wire.plain import parse_time, plain

if TYPE_CHECKING:
    from holdfast.api.history import Difference
    from holdfast.memory import Memory
    from holdfast.state.records import Change


@click.command()
@file_argument
@click.argument("name", required=False, shell_complete=snapshots)
@click.option("--delete", is_flag=True, help="Delete the snapshot NAME instead.")
@by_option
@json_option
def snapshot(file: str, name: str | None, delete: bool, by: str, as_json: bool) -> None:
    """Keep this moment under NAME; without one, list the snapshots there are.

    A snapshot is a file of its own beside the memory, and not counted in its budget.
    """
    from holdfast.budget import format_bytes
    from holdfast.cli.tell import console, snapshot_line

    if delete and name is None:
        raise click.UsageError("--delete needs the NAME of a snapshot")
    with open_memory(file) as memory:
        if name is None:
            found = memory.snapshots()
            if as_json:
                print_json(found)
                return
            for one in found:
                console().print(snapshot_line(one))
            if not found:
                click.echo(f"no snapshots; take one with: holdfast snapshot {file} NAME")
            return
        if delete:
            freed = memory.delete_snapshot(name, by=by)
            if as_json:
                print_json({"name": name, "deleted": True, "nbytes": freed})
            else:
                click.echo(f"deleted {name}; {format_bytes(freed)} came back")
            return
        with progress("copying"):
            taken = memory.snapshot(name, by=by)
    if as_json:
        print_json(taken)
    else:
        console().print(snapshot_line(taken))


@click.command()
@file_argument
@click.argument("target", type=MemoryFile())
@click.option(
    "--snapshot",
    metavar="NAME",
    shell_complete=snapshots,
    help="Start as this snapshot, not as the memory is.",
)
@json_option
def fork(file: str, target: str, snapshot: str | None, as_json: bool) -> None:
    """Make TARGET a memory that starts as FILE, or as one of its snapshots, and diverges."""
    folder = os.path.dirname(target) or "."
    if not os.path.isdir(folder):
        raise NotFoundError(f"there is no folder {folder}; make it first")
    with (
        open_memory(file) as memory,
        progress("copying"),
        memory.fork(target, snapshot=snapshot) as twin,
    ):
        made: dict[str, Any] = {"path": target, "snapshot": snapshot, "events": len(twin),
                "origin": twin.audit_origin}  # fmt: skip
    if as_json:
        print_json(made)
    else:
        click.echo(f"forked to {target}: {counted(made['events'], 'event')}")


@click.command()
@file_argument
@click.argument("a", shell_complete=snapshots)
@click.argument("b", required=False, shell_complete=snapshots)
@json_option
def diff(file: str, a: str, b: str | None, as_json: bool) -> None:
    """Say what changed from moment A to moment B, each a snapshot or a time; B is now if left out.

    Beliefs that began (+) and ended (-), documents and automata that changed (~), and how many
    events were recorded and let go of.
    """
    with open_memory(file) as memory, progress("comparing"):
        found = memory.diff(_moment(memory, a), None if b is None else _moment(memory, b))
    if as_json:
        print_json(difference_json(found))
    else:
        from holdfast.cli.tell import print_difference

        print_difference(found)


@click.command()
@file_argument
@click.argument("name", shell_complete=snapshots)
@by_option
@yes_option
@json_option
def rollback(file: str, name: str, by: str, yes: bool, as_json: bool) -> None:
    """Make the content what it was at snapshot NAME; what came since is withdrawn."""
    with open_memory(file) as memory:
        with progress("comparing"):
            change = memory.diff(name)  # says so if there is no such snapshot
        confirm(
            f"Roll {file} back to {name!r}? What came since is undone: "
            f"events {change.events_added:,}, beliefs {len(change.began):,}, "
            f"documents {len(change.documents):,}",
            yes,
        )
        with progress("rolling back"):
            withdrawn = memory.rollback(name, by=by)
    if as_json:
        print_json({"name": name, "withdrawn": withdrawn})
    else:
        click.echo(f"back at {name}; {counted(withdrawn, 'event')} withdrawn")


@click.command()
@file_argument
@scopes_option
@click.option(
    "--after",
    type=AT_LEAST_0,
    default=0,
    show_default=True,
    metavar="SEQ",
    help="Go on after this event.",
)
@click.option("--once", is_flag=True, help="Print what there is, and stop.")
@click.option(
    "--idle-exit", type=SECONDS, metavar="SECONDS", help="Stop after so long without a change."
)
@json_option
def watch(
    file: str,
    scope: tuple[str, ...],
    after: int,
    once: bool,
    idle_exit: float | None,
    as_json: bool,
) -> None:
    """Print changes of state as they come, from any process, until interrupted.

    With --json one object a line. What changed after an event can be had again with --after.
    """
    from holdfast.cli.tell import change_line, console

    out = console()

    def tell(change: Change) -> None:
        if as_json:
            print_json(change)
        else:
            out.print(change_line(change))
            out.file.flush()

    with open_memory(file) as memory:
        try:
            if once:
                for change in memory.changes(scope=scope, after=after):
                    tell(change)
                return
            for change in memory.watch(scope=scope, after=after, timeout_s=idle_exit):
                tell(change)
        except KeyboardInterrupt:
            click.echo("", err=True)


def difference_json(found: Difference) -> dict[str, Any]:
    """Return a difference as JSON: documents and automata as lists, with scope and name."""
    return {
        **plain(found),
        "documents": [
            {"scope": scope, "name": name, "patch": patch}
            for (scope, name), patch in sorted(found.documents.items())
        ],
        "automata": [
            {"scope": scope, "name": name, "before": before, "after": after}
            for (scope, name), (before, after) in sorted(found.automata.items())
        ],
    }


def _moment(memory: Memory, text: str) -> str | float:
    """Return a moment as `diff` takes it: the name of a snapshot, or a time."""
    if any(one.name == text for one in memory.snapshots()):
        return text
    try:
        return parse_time(text)
    except ValueError:
        return text  # `diff` says that it is neither, and which snapshots there are

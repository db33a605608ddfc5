"""`holdfast observe`: events from a file, a pipe or a growing log."""

from __future__ import annotations

import gzip
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import IO, TYPE_CHECKING

import click

from holdfast.cli.candidates import policies
from holdfast.cli.common import (
    SECONDS,
    budget_option,
    counted,
    file_argument,
    json_option,
    print_json,
    progress,
)
from holdfast.cli.failures import fail
from holdfast.errors import InvalidEventError
from holdfast.records import KINDS, BulkReceipt, Event
from holdfast.wire.lines import BadLine, Reader, added, follow, numbered, rewindable

if TYPE_CHECKING:
    from holdfast.memory import Memory

SHOWN = 10  # bad lines that are named one by one
_NO_JSON = "it is not JSON"  # as the reader says it


@click.command()
@file_argument
@click.argument("input", default="-", type=click.Path(dir_okay=False, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["jsonl", "text"]),
    default="jsonl",
    show_default=True,
    help="An object per line, or a line of text per event.",
)
@budget_option
@click.option(
    "--retention",
    default="demand",
    show_default=True,
    shell_complete=policies,
    help="The policy that chooses what is let go during this command.",
)
@click.option("--scope", default="", help="For events that name no scope.")
@click.option("--speaker", help="For events that name no speaker.")
@click.option(
    "--kind",
    type=click.Choice([kind for kind in KINDS if kind != "state"]),
    default="message",
    show_default=True,
    help="For events that name no kind.",
)
@click.option("--skip-bad", is_flag=True, help="Store the good lines even if some are bad.")
@click.option(
    "--follow",
    "-f",
    "following",
    is_flag=True,
    help="Go on reading what is added to INPUT until interrupted.",
)
@click.option(
    "--idle-exit",
    type=SECONDS,
    metavar="SECONDS",
    help="With --follow: stop after so long without a new line.",
)
@json_option
def observe(
    file: str,
    input: str,
    form: str,
    budget: str | None,
    retention: str,
    scope: str,
    speaker: str | None,
    kind: str,
    skip_bad: bool,
    following: bool,
    idle_exit: float | None,
    as_json: bool,
) -> int:
    """Store events from INPUT (a file, or - for standard input) in the memory FILE.

    A line of JSON has the fields of an event: content (or text), speaker, role, channel, kind, at,
    scope, metadata, key, parents, pinned. Other fields become metadata. All lines are checked
    before the first is stored. A name that ends in .gz or .zst is unpacked.
    """
    reader = Reader(form, scope, speaker, kind)
    if following and input == "-":
        raise click.UsageError("--follow needs a file; standard input is followed anyway")
    opened = partial(_open, file, budget, retention)
    if following:
        return _follow(opened, input, reader, skip_bad, idle_exit, as_json)
    return _observe(opened, input, reader, skip_bad, as_json)


def _observe(
    opened: Callable[[], Memory], input: str, reader: Reader, skip_bad: bool, as_json: bool
) -> int:
    """Check all lines of INPUT, then store them."""
    done = -1  # that storing has not begun
    try:
        with _unpacking(input), _rewindable(input) as lines:
            bad, good = [], 0
            for found in reader.read(numbered(lines)):
                if isinstance(found, BadLine):
                    bad.append(found)
                else:
                    good += 1
            if bad and not skip_bad:
                return _refuse(bad, good, as_json)
            lines.seek(0)
            events = (e for e in reader.read(numbered(lines)) if isinstance(e, Event))
            with opened() as memory, progress("storing", good) as advance:

                def told(stored: int) -> None:
                    nonlocal done
                    done = stored
                    advance(stored)

                done = 0
                stored = memory.observe_many(events, progress=told)
    except KeyboardInterrupt:
        click.echo("", err=True)  # the terminal shows ^C
        return fail(130, "KeyboardInterrupt", "interrupted", _stored_by(done), as_json=as_json)
    _report(stored, bad, as_json)
    return 0


def _stored_by(done: int) -> str:
    """Say what an interrupt left stored; of a write that was under way nobody knows."""
    if done < 0:
        return "nothing was stored"
    known = f"{counted(done, 'event')} had been acknowledged, and are stored"
    return known if done else "none had been acknowledged; see holdfast status for what is stored"


def _open(file: str, budget: str | None, retention: str) -> Memory:
    """Open a memory; make one if a budget is given."""
    from holdfast.memory import Memory

    with progress("opening"):
        return Memory.open(file, budget, retention=retention)


@contextmanager
def _unpacking(input: str) -> Iterator[None]:
    """Say of a packed INPUT that is damaged that it is."""
    from zstandard import ZstdError

    try:
        yield
    except (zlib.error, EOFError, ZstdError, gzip.BadGzipFile) as wrong:
        raise InvalidEventError(f"{input} cannot be unpacked; pack it anew") from wrong


@contextmanager
def _rewindable(input: str) -> Iterator[IO[bytes]]:
    """Give the lines of INPUT as a file that can be read twice."""
    if input == "-" and sys.stdin.isatty():
        click.echo("reading events, one to a line; end with Ctrl-D", err=True)
    with rewindable(input) as lines:
        yield lines


def _follow(
    opened: Callable[[], Memory],
    input: str,
    reader: Reader,
    skip_bad: bool,
    idle_exit: float | None,
    as_json: bool,
) -> int:
    """Store what INPUT holds and what is added to it, each batch in one commit."""
    total, skipped = BulkReceipt(0, 0, 0, 0, 0, 0), list[BadLine]()
    os.stat(input)  # a mistyped name fails before a memory is made
    with opened() as memory:
        last = time.monotonic()
        try:
            for lines in follow(input, time.sleep):
                if not lines:
                    if idle_exit is not None and time.monotonic() - last >= idle_exit:
                        break
                    continue
                last = time.monotonic()
                found = list(reader.read(lines))
                bad = [line for line in found if isinstance(line, BadLine)]
                good = [event for event in found if isinstance(event, Event)]
                if bad and not skip_bad:
                    _report(total, skipped, as_json)
                    return _refuse(bad, len(good), as_json, total.events)
                skipped += bad
                if good:
                    total = added(total, memory.observe_many(good))
                if not as_json and sys.stderr.isatty():
                    click.echo(f"\r{total.events:,} events stored ", nl=False, err=True)
        except KeyboardInterrupt:
            click.echo("", err=True)
    _report(total, skipped, as_json)
    return 0


def _refuse(bad: list[BadLine], good: int, as_json: bool, before: int = 0) -> int:
    """Report lines that are no events, and that nothing was stored because of them."""
    if as_json:
        print_json({"events": before, "bad": bad})
    stored = f"{counted(before, 'event')} before them stored" if before else "nothing was stored"
    are = "is no event" if len(bad) == 1 else "are no events"
    message = f"{len(bad):,} of {counted(len(bad) + good, 'line')} {are}; {stored}"
    hint = f"mend the line{'s' * (len(bad) > 1)}, or go on without with --skip-bad"
    if not good and all(line.reason.startswith(_NO_JSON) for line in bad):
        hint = "for lines of plain text, say --format text"
    return fail(4, "InvalidEventError", message, hint, as_json=as_json, details=_named(bad))


def _named(bad: list[BadLine]) -> list[str]:
    """Name the first bad lines, each with its number."""
    named = [f"line {line.number}: {line.reason}" for line in bad[:SHOWN]]
    return named + [f"and {len(bad) - SHOWN:,} more"] * (len(bad) > SHOWN)


def _report(stored: BulkReceipt, bad: list[BadLine], as_json: bool) -> None:
    """Say what was stored and what was let go for it."""
    if as_json:
        print_json({**_fields(stored), "bad": bad})
        return
    span = f" (e{stored.first} to e{stored.last})" if stored.first else ""
    parts = [f"stored {counted(stored.events - stored.duplicates, 'event')}{span}"]
    if stored.duplicates:
        parts.append(f"{stored.duplicates:,} known already")
    if stored.demoted or stored.evicted:
        parts.append(f"{stored.demoted:,} demoted and {stored.evicted:,} evicted to make room")
    click.echo("; ".join(parts))
    if bad:
        click.echo(f"skipped {counted(len(bad), 'bad line')}:", err=True)
        for line in _named(bad):
            click.echo(f"  {line}", err=True)


def _fields(stored: BulkReceipt) -> dict[str, int]:
    """Return a receipt's numbers by name."""
    return {name: getattr(stored, name) for name in BulkReceipt.__slots__}

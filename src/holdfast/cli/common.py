"""What the commands share: opening a file, times, common options, JSON, questions, progress."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from holdfast.cli.candidates import MemoryFile
from holdfast.cli.progress import progress as progress  # commands take it from here
from holdfast.errors import NotFoundError
from holdfast.wire.plain import parse_time, plain

if TYPE_CHECKING:
    from holdfast.memory import Memory
    from holdfast.records import Context


def open_memory(path: str) -> Memory:
    """Open a memory that exists; a mistyped name must not make a new one."""
    if not os.path.exists(path):
        raise NotFoundError(
            f"no memory at {path}; make one with: holdfast observe {path} INPUT --budget '64 MiB'"
        )
    from holdfast.memory import Memory

    with progress("opening"):
        return Memory.open(path)


def open_or_make(path: str, budget: str | None) -> Memory:
    """Open a memory, or make one if a budget says how large it may be."""
    if budget is None and not os.path.exists(path):
        raise NotFoundError(f"no memory at {path}; to make one, say how large: --budget '64 MiB'")
    from holdfast.memory import Memory

    with progress("opening"):
        return Memory.open(path, budget)


class Time(click.ParamType):  # type: ignore[type-arg]  # older releases of click have none
    """A point in time: POSIX seconds, or ISO 8601 (UTC unless it says otherwise)."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            when = parse_time(value)
        except ValueError as wrong:
            self.fail(str(wrong), param, ctx)
        if str(value).isdigit() and len(str(value)) == 4:
            self.fail(
                f"{value!r} would be a second of 1970; a year is written {value}-01-01", param, ctx
            )
        return when


class Json(click.ParamType):  # type: ignore[type-arg]
    """A JSON value: as it is, from a file (``@desk.json``) or from standard input (``-``)."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        text, source, advice = str(value), "it", "; text needs quotes of its own, like '\"on\"'"
        if value == "-" or text.startswith("@"):
            source, advice = ("standard input" if value == "-" else text[1:]), ""
            try:
                with click.open_file(text.removeprefix("@"), encoding="utf-8") as file:
                    text = file.read()
            except (OSError, UnicodeError) as wrong:
                why = getattr(wrong, "strerror", None) or "it is not UTF-8"
                self.fail(f"{source} cannot be read: {why.lower()}", param, ctx)
        try:
            return json.loads(text)
        except json.JSONDecodeError as wrong:
            where = f"{wrong.msg.lower()} at line {wrong.lineno}, column {wrong.colno}"
            self.fail(f"{source} is not JSON: {where}{advice}", param, ctx)
        except RecursionError:
            self.fail(f"{source} is nested too deeply", param, ctx)
        except ValueError as wrong:
            self.fail(f"{source} cannot be taken: {wrong}", param, ctx)


AT_LEAST_0, AT_LEAST_1 = click.IntRange(min=0), click.IntRange(min=1)
SECONDS = click.FloatRange(min=0.0)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
file_argument = click.argument("file", type=MemoryFile())
scope_option = click.option("--scope", default="", help="The scope it lies in.")
scopes_option = click.option(
    "--scope",
    multiple=True,
    callback=lambda ctx, option, given: given or "",
    help="Only what lies in this scope; more than once for several.",
)
as_of_option = click.option("--as-of", type=Time(), help="As the record stood at this time.")
valid_at_option = click.option("--valid-at", type=Time(), help="What was so at this time.")
by_option = click.option("--by", default="", metavar="NAME", help="Who says or does so.")
yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
budget_option = click.option(
    "--budget",
    help="Bytes on disk at most, as '64 MiB': of a new memory, or from now on of one that is "
    "there, if what it keeps fits.",
)


class NotConfirmed(click.ClickException):
    """Somebody was asked whether to go on, and said no."""


def read_text(path: str) -> str:
    """Return the text of a file that the command line names."""
    try:
        return Path(path).read_text("utf-8")
    except UnicodeDecodeError:
        raise click.UsageError(f"{path} is not UTF-8") from None


def confirm(question: str, yes: bool) -> None:
    """Ask on standard error whether to go on; without a yes, nothing is done."""
    if yes:
        return
    try:
        agreed = click.confirm(question, err=True)
    except click.Abort:
        if sys.stdin.isatty():
            raise
        click.echo(err=True)  # the question has no answer, and the error a line of its own
        raise click.UsageError("nobody answered; say --yes to go on without being asked") from None
    if not agreed:
        raise NotConfirmed("not confirmed; nothing was changed")


def counted(number: int, thing: str) -> str:
    """Return a number of things in words: "1 event", "2,000 events"."""
    return f"{number:,} {thing}{'s' * (number != 1)}"


def too_few(context: Context) -> str:
    """Say that what matches does not fit into the tokens of a context that shows none of it."""
    return f"nothing that matches fits into {context.token_budget:,} tokens; give more: --tokens"


def show_time(at: float) -> str:
    """Return a time as people read it, to the minute, in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return f"{at:.0f} s"


def show_when(at: float) -> str:
    """Return a time as people read it: the day alone if it is the beginning of one."""
    return show_time(at).removesuffix(" 00:00")


def print_json(value: object) -> None:
    """Print one JSON document on one line."""
    click.echo(json.dumps(plain(value), ensure_ascii=False))


def pretty() -> bool:
    """Whether a person is looking at standard output."""
    return sys.stdout.isatty()

"""What the commands share: opening a file, times, the `--json` option, progress."""

from __future__ import annotations

import base64
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any

import click

from holdfast.errors import NotFoundError

if TYPE_CHECKING:
    from holdfast.memory import Memory

PATIENCE_S = 1.0  # work that takes longer than this shows a progress bar

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
file_argument = click.argument("file", type=click.Path(dir_okay=False))


def open_memory(path: str) -> Memory:
    """Open a memory that exists; a mistyped name must not make a new one."""
    if not os.path.exists(path):
        raise NotFoundError(
            f"no memory at {path}; make one with: holdfast observe {path} INPUT --budget '64 MiB'"
        )
    from holdfast.memory import Memory

    return Memory.open(path)


class Time(click.ParamType):  # type: ignore[type-arg]  # older releases of click have none
    """A point in time: POSIX seconds, or ISO 8601 (UTC unless it says otherwise)."""

    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            return parse_time(value)
        except ValueError as wrong:
            self.fail(str(wrong), param, ctx)


def parse_time(value: object) -> float:
    """Return POSIX seconds from a number or an ISO 8601 string."""
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            pass
        try:
            when = datetime.fromisoformat(value)
        except ValueError:
            pass
        else:
            return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
    raise ValueError(f"{value!r} is neither POSIX seconds nor an ISO 8601 time")


def show_time(at: float) -> str:
    """Return a time as people read it, to the minute, in UTC."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M")
    except (OverflowError, OSError, ValueError):
        return f"{at:.0f} s"


def plain(value: object) -> Any:
    """Return `value` as JSON can hold it: records as objects, enums by name, bytes in base 64."""
    if isinstance(value, Enum):
        return value.name.lower()
    if is_dataclass(value) and not isinstance(value, type):
        result = {f.name: plain(getattr(value, f.name)) for f in fields(value)}
        if citation := getattr(value, "citation", None):
            result["citation"] = citation
        return result
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, bytes):
        return {"base64": base64.b64encode(value).decode("ascii")}
    return value


def print_json(value: object) -> None:
    """Print one JSON document on one line."""
    click.echo(json.dumps(plain(value), ensure_ascii=False))


def pretty() -> bool:
    """Whether a person is looking at standard output."""
    return sys.stdout.isatty()


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Give a function that reports how much is done; draw a bar if it takes a while.

    The bar goes to standard error, and only if that is a terminal, so that it never mixes with
    results. `total` None: nobody knows how much there is, and something turns meanwhile.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    if total is None:
        with console.status(label):
            yield lambda done: None
        return
    bar = Progress(console=console, transient=True)
    task = bar.add_task(label, total=total)
    started = time.monotonic()

    def advance(done: int) -> None:
        if not bar.live.is_started and time.monotonic() - started > PATIENCE_S:
            bar.start()
        bar.update(task, completed=done)

    try:
        yield advance
    finally:
        if bar.live.is_started:
            bar.stop()

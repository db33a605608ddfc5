"""What moves on standard error while somebody waits."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

PATIENCE_S = 1.0  # work that takes longer than this is worth a picture


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Give a function that reports how much is done; draw a bar if it takes a while.

    The bar goes to standard error, and only if that is a terminal, so that it never mixes with
    results. `total` None: nobody knows how much there is, and something turns meanwhile.
    """
    if not sys.stderr.isatty():
        yield lambda done: None
        return
    waiting = _Waiting(label, total)
    timer = threading.Timer(PATIENCE_S, waiting.show)
    timer.daemon = True
    timer.start()
    try:
        yield waiting.advance
    finally:
        timer.cancel()
        waiting.end()


class _Waiting:
    """A bar that another thread draws once patience is over; work in one long call never could."""

    def __init__(self, label: str, total: int | None) -> None:
        self._label, self._total = label, total
        self._lock = threading.Lock()
        self._done = 0
        self._over = False
        self._bar: Progress | None = None

    def show(self) -> None:
        """Begin to draw, unless the work has ended meanwhile."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            Progress,
            SpinnerColumn,
            TaskProgressColumn,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        name = TextColumn("{task.description}")
        columns = (
            (SpinnerColumn(), name, TimeElapsedColumn())
            if self._total is None
            else (name, BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
        )
        with self._lock:
            if self._over:
                return
            self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self._bar.add_task(self._label, total=self._total, completed=self._done)
            self._bar.start()

    def advance(self, done: int) -> None:
        """Say how much is done."""
        self._done = done
        if self._bar is not None:
            self._bar.update(self._bar.task_ids[0], completed=done)

    def end(self) -> None:
        """Take the bar away."""
        with self._lock:
            self._over = True
            if self._bar is not None:
                self._bar.stop()

"""How many bytes a store has on disk: from inside after every change, and from outside."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from holdfast.checks.faults.vfs import HookedFile, HookedVFS

SUFFIXES = ("", "-wal", "-shm", "-journal")
_MOST_VIOLATIONS = 100


def bytes_on_disk(path: str | os.PathLike[str]) -> int:
    """Sizes of a SQLite database, its write-ahead log, shared memory and journal, summed."""
    total = 0
    for suffix in SUFFIXES:
        with contextlib.suppress(FileNotFoundError):
            total += os.stat(f"{os.fspath(path)}{suffix}").st_size
    return total


class BudgetVFS(HookedVFS):
    """Measures the store at `path` after every write, truncation and deletion through this VFS.

    Parameters
    ----------
    path
        The database file.
    limit
        Bytes it may have; assign `limit` again when the budget changes. None: measure only.

    Notes
    -----
    `peak` is the largest sum seen, temporary files included; `violations` says where it was over
    the limit (the first 100), and `checks` how often it was measured. The shared memory is mapped
    behind the VFS: its growth is seen at the next change, and by `watched`. Sizes come from the
    system, so other processes' writes are counted as well. About 10 µs a change.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        limit: int | None = None,
        name: str = "",
        base: str = "",
    ) -> None:
        super().__init__(name, base)
        self.path = os.fspath(path)
        self.limit = limit
        self.peak = 0
        self.checks = 0
        self.violations: list[str] = []
        self._temporary: dict[int, int] = {}

    def measure(self, why: str = "asked") -> int:
        """Count the bytes now."""
        self.checks += 1
        total = bytes_on_disk(self.path) + sum(self._temporary.values())
        self.peak = max(self.peak, total)
        over = self.limit is not None and total > self.limit
        if over and len(self.violations) < _MOST_VIOLATIONS:
            self.violations.append(f"{why}: {total} bytes, {self.limit} allowed")
        return total

    def opened(self, file: HookedFile, created: bool) -> None:
        self.measure("open")

    def closed(self, file: HookedFile) -> None:
        self._temporary.pop(id(file), None)

    def write(self, file: HookedFile, data: bytes, offset: int) -> None:
        file.write(data, offset)
        if not file.path:
            known = self._temporary.get(id(file), 0)
            self._temporary[id(file)] = max(known, offset + len(data))
        self.measure(f"write of {len(data)} at {offset} to {os.path.basename(file.path)}")

    def truncate(self, file: HookedFile, size: int) -> None:
        file.truncate(size)
        if not file.path:
            self._temporary[id(file)] = size
        self.measure(f"truncate of {os.path.basename(file.path)} to {size}")

    def delete(self, path: str, sync_directory: bool) -> None:
        super().delete(path, sync_directory)
        self.measure(f"delete of {os.path.basename(path)}")


@dataclass(slots=True)
class Peak:
    """What a watcher saw. Filled in when it has ended."""

    bytes: int = 0
    looks: int = 0


_WATCH = """
import os, sys, select, time
names = [sys.argv[1] + s for s in sys.argv[2].split(",")]
peak = looks = 0
while not select.select([sys.stdin], [], [], 0)[0]:
    total = 0
    for name in names:
        try:
            total += os.stat(name).st_size
        except FileNotFoundError:
            pass
    peak, looks = max(peak, total), looks + 1
    time.sleep(0.0002)
print(peak, looks)
"""


@contextlib.contextmanager
def watched(path: str | os.PathLike[str]) -> Iterator[Peak]:
    """Watch the files of a store from another process, thousands of times a second.

    Notes
    -----
    The files are looked at one after the other, so a sum may mix two moments; it can then be more
    than there ever was at once, never less than every file at its smallest. A store that gives
    each file a fixed share of the budget stays within it all the same.
    """
    command = [sys.executable, "-S", "-E", "-c", _WATCH, os.fspath(path), ",".join(SUFFIXES)]
    peak = Peak()
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield peak
        finally:
            out, _ = process.communicate("\n")
            peak.bytes, peak.looks = (int(part) for part in out.split())

"""Two VFSs that count changes and step in at the N-th: one fails it, one kills the process."""

from __future__ import annotations

import os
import signal
from typing import Literal

import apsw

from holdfast.checks.faults.vfs import HookedFile, HookedVFS

Change = Literal["write", "sync", "truncate", "delete"]
Fault = Literal["ENOSPC", "EIO", "short"]


class _CountingVFS(HookedVFS):
    """Counts the changes in `count`, and calls `_strike` where the counter says so."""

    def __init__(self, name: str, base: str, kinds: frozenset[Change]) -> None:
        super().__init__(name, base)
        self.count = 0
        self._kinds = kinds

    def _strike(self, kind: Change, file: HookedFile | None, data: bytes, offset: int) -> None:
        raise NotImplementedError

    def _due(self) -> bool:
        raise NotImplementedError

    def _step(
        self, kind: Change, file: HookedFile | None = None, data: bytes = b"", offset: int = 0
    ) -> None:
        if kind in self._kinds:
            self.count += 1
            if self._due():
                self._strike(kind, file, data, offset)

    def write(self, file: HookedFile, data: bytes, offset: int) -> None:
        self._step("write", file, data, offset)
        file.write(data, offset)

    def truncate(self, file: HookedFile, size: int) -> None:
        self._step("truncate", file)
        file.truncate(size)

    def sync(self, file: HookedFile, flags: int) -> None:
        self._step("sync", file)
        file.sync(flags)

    def delete(self, path: str, sync_directory: bool) -> None:
        self._step("delete")
        super().delete(path, sync_directory)


class FaultyVFS(_CountingVFS):
    """Answers the N-th write, sync or truncation with an error.

    Parameters
    ----------
    fail_at
        Which change fails, counted from 1; 0 for none. `arm` sets it again later.
    error
        "ENOSPC": nothing is written and the disk is full. "EIO": nothing is written and the disk
        is broken. "short": half of the data is written, then the disk is full.
    persistent
        Every change from the N-th on fails, until `clear`; otherwise that one alone.

    Notes
    -----
    `count` is how many changes were asked for and `hits` how many failed. A deletion never fails:
    SQLite ignores that it did.
    """

    def __init__(
        self,
        fail_at: int = 0,
        error: Fault = "EIO",
        persistent: bool = False,
        name: str = "",
        base: str = "",
    ) -> None:
        super().__init__(name, base, frozenset({"write", "sync", "truncate"}))
        self.hits = 0
        self.arm(fail_at, error, persistent)

    def arm(self, fail_at: int, error: Fault = "EIO", persistent: bool = False) -> None:
        """Fail the `fail_at`-th change from now."""
        self.count = 0
        self.fail_at, self.error, self.persistent = fail_at, error, persistent

    def clear(self) -> None:
        """The disk works again."""
        self.fail_at = 0

    def _due(self) -> bool:
        if not self.fail_at:
            return False
        return self.count >= self.fail_at if self.persistent else self.count == self.fail_at

    def _strike(self, kind: Change, file: HookedFile | None, data: bytes, offset: int) -> None:
        self.hits += 1
        if self.error == "short" and kind == "write" and file is not None:
            file.write(data[: len(data) // 2], offset)
        if self.error == "EIO" or kind != "write":
            raise apsw.IOError(f"injected: the {kind} failed")
        raise apsw.FullError(f"injected: no space for {len(data)} bytes")


class CrashVFS(_CountingVFS):
    """Kills its process (SIGKILL) in place of the N-th write, sync, truncation or deletion.

    Parameters
    ----------
    kill_at
        Which change, counted from 1; 0 for none, to count how many there are.
    torn
        Let the first half of a write through before dying in the middle of it.
    """

    def __init__(
        self, kill_at: int = 0, torn: bool = False, name: str = "", base: str = ""
    ) -> None:
        super().__init__(name, base, frozenset({"write", "sync", "truncate", "delete"}))
        self.kill_at = kill_at
        self.torn = torn

    def _due(self) -> bool:
        return self.count == self.kill_at

    def _strike(self, kind: Change, file: HookedFile | None, data: bytes, offset: int) -> None:
        if self.torn and kind == "write" and file is not None:
            file.write(data[: len(data) // 2], offset)
        os.kill(os.getpid(), signal.SIGKILL)

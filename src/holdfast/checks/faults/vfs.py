"""A SQLite VFS that passes everything through, with one method to override per kind of change."""

# ruff: noqa: N802 - SQLite names the methods of a VFS xOpen, xWrite, ...

from __future__ import annotations

import itertools
import os
from types import TracebackType
from typing import Any, Self

import apsw

_serial = itertools.count(1)


class HookedFile(apsw.VFSFile):
    """An open file whose changes go through its `HookedVFS` first."""

    def __init__(
        self, vfs: HookedVFS, name: str | apsw.URIFilename | None, flags: list[int]
    ) -> None:
        self.vfs = vfs
        self.path = path_of(name)  # "" for a temporary file
        self.flags = flags[0]
        super().__init__(vfs.base, name, flags)

    def xWrite(self, data: Any, offset: int) -> None:
        self.vfs.write(self, bytes(data), offset)

    def xTruncate(self, newsize: int) -> None:
        self.vfs.truncate(self, newsize)

    def xSync(self, flags: int) -> None:
        self.vfs.sync(self, flags)

    def xClose(self) -> None:
        super().xClose()
        self.vfs.closed(self)

    def write(self, data: bytes, offset: int) -> None:
        """Write to the real file."""
        super().xWrite(data, offset)

    def truncate(self, size: int) -> None:
        """Cut (or extend) the real file."""
        super().xTruncate(size)

    def sync(self, flags: int) -> None:
        """Sync the real file."""
        super().xSync(flags)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        """An injected error is meant to happen: SQLite's result code says so, stderr need not."""
        return True


class HookedVFS(apsw.VFS):
    """Passes through to the default VFS; subclasses override `write`, `sync` and their like.

    Parameters
    ----------
    name
        What ``apsw.Connection(path, vfs=name)`` asks for; made up if empty.
    base
        Name of the VFS underneath; empty for SQLite's default.

    Notes
    -----
    Registered on creation; `unregister`, or the end of a ``with`` block, takes it back. Keep a
    reference to it for as long as a connection uses it. The shared memory of a write-ahead log is
    mapped, not written: a VFS of apsw does not see it.

    Examples
    --------
    >>> with HookedVFS() as vfs:
    ...     db = apsw.Connection(":memory:", vfs=vfs.name)
    """

    def __init__(self, name: str = "", base: str = "") -> None:
        self.name = name or f"holdfast-{type(self).__name__.lower()}-{next(_serial)}"
        self.base = base
        super().__init__(self.name, base)

    # ---- override these; call super() to let the change happen -----------------------------

    def opened(self, file: HookedFile, created: bool) -> None:
        """A file is open; `created` says that it was not there before."""

    def closed(self, file: HookedFile) -> None:
        """A file was closed."""

    def write(self, file: HookedFile, data: bytes, offset: int) -> None:
        file.write(data, offset)

    def truncate(self, file: HookedFile, size: int) -> None:
        file.truncate(size)

    def sync(self, file: HookedFile, flags: int) -> None:
        file.sync(flags)

    def delete(self, path: str, sync_directory: bool) -> None:
        super().xDelete(path, sync_directory)

    # ---- what SQLite calls -----------------------------------------------------------------

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> HookedFile:
        path = path_of(name)
        created = not (path and os.path.exists(path))
        file = HookedFile(self, name, flags)
        self.opened(file, created)
        return file

    def xDelete(self, filename: str, syncdir: bool) -> None:
        self.delete(filename, syncdir)

    def excepthook(
        self,
        etype: type[BaseException] | None,
        evalue: BaseException | None,
        etraceback: TracebackType | None,
    ) -> bool:
        """As in `HookedFile`."""
        return True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _value: BaseException | None,
        _tb: TracebackType | None,
    ) -> None:
        self.unregister()


def path_of(name: str | apsw.URIFilename | None) -> str:
    """The plain path of a file SQLite opens; empty for one without a name."""
    if isinstance(name, apsw.URIFilename):
        return name.filename()
    return name or ""

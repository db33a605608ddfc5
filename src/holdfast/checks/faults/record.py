"""A VFS that writes down everything that happens to the files of a store."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal, NamedTuple

import apsw

from holdfast.checks.faults.vfs import HookedFile, HookedVFS

_DIRECTORY_SYNCED = apsw.SQLITE_OPEN_WAL | apsw.SQLITE_OPEN_MAIN_JOURNAL


class Op(NamedTuple):
    """One change, in the order in which it was made."""

    kind: Literal[
        "found", "create", "write", "truncate", "sync", "sync-directory", "delete", "mark"
    ]
    file: str = ""  # its name, without the directory
    at: int = 0  # write: the offset; truncate: the new size
    data: bytes = b""  # write: what was written; found: what the file held already
    value: object = None  # mark: whatever the caller wants to know about this moment


class RecordingVFS(HookedVFS):
    """Records every create, write, truncate, sync and delete in `log`, and what `mark` adds.

    Notes
    -----
    A directory is taken as synced when SQLite does it: at the first sync of a journal or a
    write-ahead log that it has created, and at a deletion that asks for it. One store at a time.
    Costs a copy of every write; keep the workload small.

    Examples
    --------
    >>> vfs = RecordingVFS()
    >>> vfs.mark("acknowledged 1")
    >>> vfs.log[0].value
    'acknowledged 1'
    >>> vfs.unregister()
    """

    def __init__(self, name: str = "", base: str = "") -> None:
        super().__init__(name, base)
        self.log: list[Op] = []
        self._known: set[str] = set()

    def mark(self, value: object) -> None:
        """Note that something happened: a write was begun, or acknowledged."""
        self.log.append(Op("mark", value=value))

    def opened(self, file: HookedFile, created: bool) -> None:
        if _temporary(file):
            return
        name = Path(file.path).name
        if created:
            self.log.append(Op("create", name))
        elif name not in self._known:
            self.log.append(Op("found", name, data=Path(file.path).read_bytes()))
        self._known.add(name)

    def write(self, file: HookedFile, data: bytes, offset: int) -> None:
        file.write(data, offset)
        self._add(file, "write", offset, data)

    def truncate(self, file: HookedFile, size: int) -> None:
        file.truncate(size)
        self._add(file, "truncate", size)

    def sync(self, file: HookedFile, flags: int) -> None:
        file.sync(flags)
        self._add(file, "sync")
        if file.flags & _DIRECTORY_SYNCED:
            self._add(file, "sync-directory")
            file.flags &= ~_DIRECTORY_SYNCED  # SQLite does it once for each file it opens

    def delete(self, path: str, sync_directory: bool) -> None:
        super().delete(path, sync_directory)
        self.log.append(Op("delete", os.path.basename(path)))
        if sync_directory:
            self.log.append(Op("sync-directory"))

    def _add(
        self,
        file: HookedFile,
        kind: Literal["write", "truncate", "sync", "sync-directory"],
        at: int = 0,
        data: bytes = b"",
    ) -> None:
        if not _temporary(file):
            self.log.append(Op(kind, Path(file.path).name, at, data))


def _temporary(file: HookedFile) -> bool:
    return not file.path or bool(file.flags & apsw.SQLITE_OPEN_DELETEONCLOSE)

"""SQLite's errors as ours, and what a file system must be told."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import apsw

from holdfast.errors import CorruptStoreError, StorageFullError, StoreBusyError, StoreError

_SAFE_SQLITE = (3, 51, 3)  # the first release without the WAL-reset corruption bug


def check_version() -> None:
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < _SAFE_SQLITE:
        wanted = ".".join(map(str, _SAFE_SQLITE))
        raise StoreError(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a write-ahead log shared by two "
            f"connections; install an apsw that carries {wanted} or newer"
        )


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except apsw.Error as error:
        raise as_ours(error, path) from error


def as_ours(error: apsw.Error, path: Path) -> StoreError:
    """The error that names the file and says what to do."""
    if isinstance(error, apsw.FullError):
        return StorageFullError(
            f"{path.name}: no space left for this write; nothing was written, free some space "
            f"and try again ({error})"
        )
    if isinstance(error, apsw.NotADBError):
        return CorruptStoreError(
            f"{path.name} is not a Holdfast memory, or its first page is damaged ({error})"
        )
    if isinstance(error, apsw.CorruptError):
        return CorruptStoreError(f"{path.name} is damaged: {error}; run verify")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return StoreBusyError(f"{path.name} is locked by another process; try again")
    return StoreError(f"{path.name}: the disk refused: {error}")


def sync_folder(folder: Path) -> None:
    """Make renamings and deletions in a folder durable."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)

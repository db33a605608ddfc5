"""A plain SQLite write-ahead log with our settings: what the toolkit is tried on by itself."""

from __future__ import annotations

import random
from pathlib import Path

import apsw


def content(i: int, size: int = 300) -> bytes:
    """The i-th content: always the same, never compressible, and it says which it is."""
    return f"event {i} ".encode() + random.Random(i).randbytes(size)


class Raw:
    """A table of blobs; a write that returned is acknowledged."""

    def __init__(
        self, path: Path, vfs: str | None = None, synchronous: str = "FULL", checkpoint: int = 20
    ) -> None:
        self.db = apsw.Connection(str(path), vfs=vfs)
        self.db.set_busy_timeout(5000)
        self.db.execute(
            "PRAGMA page_size=4096; PRAGMA journal_mode=WAL; PRAGMA wal_autocheckpoint=0;"
            f"PRAGMA synchronous={synchronous};"
            "CREATE TABLE IF NOT EXISTS e(i INTEGER PRIMARY KEY, d)"
        ).fetchall()
        self.checkpoint = checkpoint

    def write(self, i: int, data: bytes) -> None:
        self.db.execute("INSERT INTO e VALUES (?, ?)", (i, data))
        if i % self.checkpoint == 0:
            self.db.wal_checkpoint(mode=(0, 1, 3)[i // self.checkpoint % 3])

    def read(self) -> dict[int, bytes]:
        return dict(self.db.execute("SELECT i, d FROM e").fetchall())

    def problems(self) -> list[str]:
        answers = [str(row[0]) for row in self.db.execute("PRAGMA integrity_check(5)")]
        return [] if answers == ["ok"] else answers

    def close(self) -> None:
        self.db.close()


def lost(path: Path, acknowledged: set[int], begun: set[int]) -> str:
    """What is wrong with the store a crash left; empty if nothing is."""
    try:
        raw = Raw(path)
    except apsw.Error as error:
        return f"corrupt: {error}"
    try:
        found, problems = raw.read(), raw.problems()
    except apsw.Error as error:
        return f"corrupt: {error}"
    finally:
        raw.close()
    if problems:
        return f"corrupt: {problems}"
    if not acknowledged <= found.keys():
        return f"lost: {sorted(acknowledged - found.keys())}"
    if not found.keys() <= begun:
        return f"invented: {sorted(found.keys() - begun)}"
    if any(data != content(i, len(data) - len(f"event {i} ")) for i, data in found.items()):
        return "changed"
    return ""

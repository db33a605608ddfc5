"""One memory in one SQLite file, and every byte of it under one budget.

The budget is split once: a share for the write-ahead log, 32 KiB pages of its index, the rest for
the database file, which `max_page_count` bounds. SQLite alone bounds only the last: a reader that
pins a snapshot makes its log grow without end. So this store checkpoints by itself, knows how many
frames the log holds, and starts no transaction that might not fit; if a reader is in the way it
waits, then refuses with `StoreBusyError` rather than grow.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

import apsw

from holdfast.errors import (
    BudgetError,
    ClosedError,
    CorruptStoreError,
    NotFoundError,
    StorageFullError,
    StoreBusyError,
    StoreError,
)
from holdfast.stores.base import BlockInfo, StoreUsage
from holdfast.stores.locks import FileLock, check_filesystem
from holdfast.stores.migrations import APPLICATION_ID, MIGRATIONS

Durability = Literal["full", "normal", "off"]

PAGE = 4096
FRAME = PAGE + 24  # a page in the write-ahead log, with its header
SMALLEST_BUDGET = 640 * 1024
LARGEST_EVENT = 16 * 1024 * 1024
_WAL_SMALLEST, _WAL_LARGEST = 256 * 1024, 4 * 1024 * 1024
_SHM_REGION, _FRAMES_PER_REGION = 32 * 1024, 4062
_NEAR = 8  # rows so close share their pages
_SEAL_PAGES = 8  # a block may be written before the rows it replaces are dropped
_PATIENCE_S = 10.0  # how long a writer waits for other processes
_BUSY_MS = 2000  # SQLite's own waiting, for programs that do not take the lock
_READER_PATIENCE_S = 2.0  # how long it waits for a reader that pins the log
_SAFE_SQLITE = (3, 51, 3)  # the first release without the WAL-reset corruption bug


class SqliteStore:
    """A `Store` in a single SQLite file.

    Parameters
    ----------
    path
        The file; created if it is not there and `budget` is given.
    budget
        Bytes for database, write-ahead log and shared memory together, at every instant. None:
        what the file was made with.
    durability
        "full": a commit survives power loss. "normal": a power cut may lose the last commits,
        never their order. "off": as "normal", and it may also corrupt the file.
    vfs
        Name of the SQLite VFS to use; fault injection plugs in here.

    Notes
    -----
    One writer connection, used by one thread at a time, and one reader connection. Other processes
    take turns through an advisory lock. A commit at "full" is one fdatasync.
    """

    name = "sqlite"
    capabilities = frozenset({"durable", "processes"})

    def __init__(
        self,
        path: str | os.PathLike[str],
        budget: int | None = None,
        durability: Durability = "full",
        vfs: str | None = None,
        reader_patience_s: float = _READER_PATIENCE_S,
    ) -> None:
        self.path = Path(os.path.realpath(path))
        self.durability = durability
        self._read_lock = threading.Lock()
        self._reader_patience_s = reader_patience_s
        self._closed = False
        _check_version()
        if budget is None and not self.path.exists():
            raise NotFoundError(f"there is no memory at {path}; give a budget to make one")
        if not self.path.parent.is_dir():
            raise NotFoundError(f"there is no directory {self.path.parent}")
        check_filesystem(self.path)
        if budget is not None:
            _check_smallest(budget)
        self._lock = FileLock(self.path.with_name(self.path.name + "-lock"), _PATIENCE_S)
        try:
            with _translated(self.path):
                self._open(budget, durability, vfs)
        except BaseException:
            self.close()
            raise

    def _open(self, budget: int | None, durability: Durability, vfs: str | None) -> None:
        self._lock.acquire()
        try:
            self._db = _connect(self.path, vfs)
            self._frames, self._used_at_most = 0, 0.0
            self._foreign = self._wide = False
            fresh = self._is_fresh()
            if fresh:
                if budget is None:
                    raise NotFoundError(f"{self.path} was never finished; give a budget to make it")
                for pragma in (f"page_size={PAGE}", "auto_vacuum=INCREMENTAL"):
                    _pragma(self._db, pragma)
                _pragma(self._db, f"application_id={APPLICATION_ID}")
            if _pragma(self._db, "journal_mode=WAL") != "wal":
                raise StoreError(f"{self.path}: this file system has no write-ahead logging")
            for pragma in (
                f"synchronous={durability.upper()}", "wal_autocheckpoint=0",
                "temp_store=MEMORY", "cache_spill=OFF", "cache_size=-2048",
            ):  # fmt: skip
                _pragma(self._db, pragma)
            self._db.set_wal_hook(self._on_commit)  # after wal_autocheckpoint, which replaces it
            self.budget = budget if fresh and budget else int(self.meta("budget") or 0)
            self._limit_pages()
            self._wide = True  # whatever length the log was left at, cut it first
            self._make_wal_room(0)
            self._migrate()
            if budget is not None and budget != self.budget:
                self._adopt(budget)
            self._used()
            self._version = _pragma(self._db, "data_version")
            self._reader = _connect(self.path, vfs)
            for pragma in ("query_only=ON", "cache_size=-1024"):
                _pragma(self._reader, pragma)
        finally:
            self._lock.release()

    def _is_fresh(self) -> bool:
        """Whether nothing was ever made of this file. Raises if it is somebody else's."""
        tables = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0][0]
        if not tables and not _pragma(self._db, "user_version"):
            return True
        if _pragma(self._db, "application_id") != APPLICATION_ID:
            raise CorruptStoreError(f"{self.path} is not a Holdfast memory")
        return False

    def _migrate(self) -> None:
        have = int(_pragma(self._db, "user_version"))
        if have > len(MIGRATIONS):
            raise StoreError(
                f"{self.path} has schema {have}; this version reads up to {len(MIGRATIONS)}: "
                "use a newer Holdfast"
            )
        for number, step in enumerate(MIGRATIONS[have:], have + 1):
            with self._db:
                step(self._db)
                if number == 1:
                    self.set_meta("budget", str(self.budget))
                self._db.execute(f"PRAGMA user_version={number}")

    # ---- the budget ------------------------------------------------------------------------

    def _wal_share(self, budget: int) -> int:
        return min(max(budget // 16, _WAL_SMALLEST), _WAL_LARGEST)

    def _database_share(self, wal: int, budget: int | None = None) -> int:
        """Bytes the database file may have beside a log of `wal` bytes."""
        budget = budget or self.budget
        largest = max(wal, _wal_for(self.largest_event(budget)))
        regions = 1 + largest // FRAME // _FRAMES_PER_REGION  # they never shrink while open
        return budget - wal - regions * _SHM_REGION

    def _limit_pages(self) -> None:
        self._wal_cap = self._wal_share(self.budget)
        pages = self._database_share(self._wal_cap) // PAGE
        _pragma(self._db, f"max_page_count={pages}")

    def _used(self) -> int:
        """Bytes of database pages that hold something."""
        pages = int(_pragma(self._db, "page_count")) - int(_pragma(self._db, "freelist_count"))
        self._used_at_most = pages * PAGE
        return self._used_at_most

    def capacity(self) -> int:
        return self._database_share(self._wal_cap)

    def largest_event(self, budget: int | None = None) -> int:
        return min(LARGEST_EVENT, ((budget or self.budget) - SMALLEST_BUDGET // 2) // 4)

    def batch_bytes(self) -> int:
        return self._wal_cap // 8

    def room_for(self, need: int) -> int:
        wal = max(self._wal_cap, _wal_for(need))
        most = self._database_share(wal) - (_pages_for(need) + _SEAL_PAGES) * PAGE
        if most >= self._used_at_most:  # no need to ask SQLite while even the bound fits
            return int(most - self._used_at_most)
        return most - self._used()

    def excess(self, budget: int) -> int:
        """Bytes of pages over what another budget would allow; negative if they fit."""
        return self._used() - self._database_share(self._wal_share(budget), budget)

    def fits(self, need: int) -> bool:
        return self.room_for(need) >= 0 and self.slack() >= _wal_for(need) - PAGE

    def slack(self) -> int:
        return int(self._wal_room - self._dirty * FRAME)

    def resize(self, budget: int) -> None:
        _check_smallest(budget)
        with _translated(self.path), self._writing():
            self._adopt(budget)

    def _adopt(self, budget: int) -> None:
        share = self._database_share(self._wal_share(budget), budget)
        if self.excess(budget) > 0:
            raise BudgetError(
                f"{self.path.name} holds {self._used()} bytes of pages but a budget of {budget} "
                f"leaves {share} for them; open it with its own budget and resize() to evict"
            )
        self._shrink(share)
        with self._db:
            self.set_meta("budget", str(budget))
        self.budget = budget
        self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._limit_pages()

    def _shrink(self, share: int) -> None:
        """Move pages to the front and cut the file to `share` bytes, a bounded step at a time."""
        step = max(8, self._wal_cap // FRAME // 4)
        while (excess := int(_pragma(self._db, "page_count")) - share // PAGE) > 0:
            self._make_wal_room(step * 3 * FRAME)
            with self._db:
                self._db.execute(f"PRAGMA incremental_vacuum({min(step, excess)})").fetchall()
            self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)

    # ---- transactions ----------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if self._closed:
            raise ClosedError(f"{self.path.name} was closed")
        self._lock.acquire()
        try:
            version = _pragma(self._db, "data_version")
            if version != self._version:
                # The log holds frames of another process: bring it to a known length.
                self._version, self._foreign = version, True
                self._used()
                self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)
                self._frames = self._wal_cap // FRAME
                self._wide = _size_of(f"{self.path}-wal") > self._wal_cap
                budget = int(self.meta("budget") or 0)
                if budget != self.budget:
                    self.budget = budget
                    self._limit_pages()
            yield
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with _translated(self.path), self._writing():
            yield

    @contextlib.contextmanager
    def transaction(self, need: int = 0) -> Iterator[SqliteStore]:
        with _translated(self.path), self._writing():
            if self._wide:
                self._make_wal_room(0)
            wide = _wal_for(need) > self._wal_cap and self.room_for(need) >= 0
            if wide:
                self._widen(need)
            else:
                self._make_wal_room(max(self._wal_cap // 2, min(_wal_for(need), self._wal_cap)))
                self._wal_room = self._wal_cap - self._frames * FRAME
            self._dirty = 0.0
            self._bumped = False
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._used()
                raise
            if wide:
                self._narrow()
            elif self._frames * FRAME > self._wal_cap // 2:
                self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _widen(self, need: int) -> None:
        """Give the log more than its usual share for one large transaction."""
        wal = _wal_for(need)
        share = self._database_share(wal)
        self._wide = True  # until the log is cut again, the database keeps to the smaller share
        self._shrink(share)
        self._make_wal_room(self._wal_cap)
        self._wide = True
        self._wal_room = wal
        _pragma(self._db, f"max_page_count={share // PAGE}")

    def _narrow(self) -> bool:
        """Cut the log to nothing and give the database its usual share back; False if pinned."""
        if self._wide and not self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE):
            return False
        self._wide = False
        self._limit_pages()
        return True

    def _make_wal_room(self, need: int) -> None:
        """Reset the log if `need` more bytes might not fit; wait a bounded time for readers."""
        if self._frames * FRAME + need <= self._wal_cap and not self._wide:
            return
        deadline = time.monotonic() + self._reader_patience_s
        while True:
            if self._wide:
                if self._narrow():
                    return
            elif self._checkpoint(apsw.SQLITE_CHECKPOINT_RESTART):
                self._frames = 0
                return
            if time.monotonic() > deadline:
                raise StoreBusyError(
                    f"a reader of {self.path.name} has pinned its log for over "
                    f"{self._reader_patience_s:g} s and the budget leaves no room to go on; "
                    "nothing was written: end that reader's transaction and try again"
                )
            time.sleep(0.005)

    def _checkpoint(self, mode: int) -> bool:
        """Copy the log into the database; whether all of it went (and, as asked, was reset)."""
        self._db.set_busy_timeout(0)  # whoever must wait does so in `_make_wal_room`
        try:
            frames, copied = self._db.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            return False
        finally:
            self._db.set_busy_timeout(_BUSY_MS)
        if mode == apsw.SQLITE_CHECKPOINT_TRUNCATE:
            self._frames = 0
        return frames == copied

    def _on_commit(self, _db: apsw.Connection, _name: str, frames: int) -> int:
        self._frames = frames
        return apsw.SQLITE_OK

    def _touch(self, pages: float) -> None:
        """Count pages about to be dirtied; refuse what the log could not take within the budget."""
        self._dirty += pages
        self._used_at_most += pages * PAGE
        if self._dirty * FRAME > self._wal_room:
            raise StorageFullError(
                f"one transaction would write about {self._dirty:.0f} pages but its log has room "
                f"for {self._wal_room // FRAME}; nothing was written, write less at a time"
            )

    def put_tail(self, seq: int, data: bytes) -> None:
        self._touch((len(data) + 64) / 2048 if self._dirty else 3 + len(data) // PAGE)
        self._db.execute("INSERT INTO tail VALUES (?, ?)", (seq, data))

    def clear_tail(self, upto: int) -> None:
        self._touch(16)
        self._db.execute("DELETE FROM tail WHERE seq <= ?", (upto,))

    def put_block(self, first: int, last: int, data: bytes) -> None:
        self._touch(_pages_for(len(data)))
        self._db.execute(
            "INSERT OR REPLACE INTO block VALUES (?, ?, ?, ?)",
            (first, last, self._bump(), data),
        )

    def delete_block(self, first: int) -> None:
        self._touch(4)
        self._db.execute("DELETE FROM block WHERE first = ?", (first,))

    def _bump(self) -> int:
        """The version of blocks written in this transaction."""
        version = int(self.meta("version") or 0)
        if not self._bumped:
            self._bumped = True
            version += 1
            self.set_meta("version", str(version))
        return version

    def key(self, key: bytes) -> tuple[bytes, bytes] | None:
        rows = self._db.execute(
            "SELECT body, receipt FROM idempotency WHERE key = ?", (key,)
        ).fetchall()
        return rows[0] if rows else None

    def put_key(self, key: bytes, seq: int, body: bytes, receipt: bytes) -> None:
        self._touch(4)
        self._db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?)", (key, seq, body, receipt))

    def prune_keys(self, before: int) -> None:
        rows = self._db.execute(
            "SELECT key FROM idempotency WHERE seq < ? ORDER BY seq LIMIT 256", (before,)
        ).fetchall()
        self._touch(2 * len(rows))
        self._db.executemany("DELETE FROM idempotency WHERE key = ?", rows)

    def put_segment(self, id: int, data: bytes) -> None:
        self._touch(_pages_for(len(data)))
        self._db.execute("INSERT OR REPLACE INTO segment VALUES (?, ?)", (id, data))

    def delete_segment(self, id: int) -> None:
        self._touch(4)
        self._db.execute("DELETE FROM segment WHERE id = ?", (id,))

    def put_vectors(self, codes: Iterable[tuple[int, bytes]]) -> None:
        last = -_NEAR
        for seq, code in codes:
            self._touch((len(code) + 24) / 2048 if abs(seq - last) < _NEAR else 4)
            last = seq
            self._db.execute("INSERT OR REPLACE INTO vector VALUES (?, ?)", (seq, code))

    def delete_vectors(self, seqs: Iterable[int]) -> None:
        last = -_NEAR
        for seq in seqs:
            self._touch(0.5 if abs(seq - last) < _NEAR else 3)
            last = seq
            self._db.execute("DELETE FROM vector WHERE seq = ?", (seq,))

    def put_dictionary(self, data: bytes) -> None:
        self._touch(_pages_for(len(data)))
        self._db.execute("INSERT INTO dictionary (data) VALUES (?)", (data,))

    def set_meta(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    # ---- reads -----------------------------------------------------------------------------

    def _read(self, sql: str, *values: Any) -> list[Any]:
        """Run to the end at once: no read ever leaves a snapshot open."""
        if self._closed:
            raise ClosedError(f"{self.path.name} was closed")
        with _translated(self.path), self._read_lock:
            return self._reader.execute(sql, values).fetchall()

    def changed(self) -> bool:
        foreign, self._foreign = self._foreign, False
        return foreign

    def stale(self) -> bool:
        if self._closed:
            raise ClosedError(f"{self.path.name} was closed")
        try:
            return bool(_pragma(self._db, "data_version") != self._version)
        except apsw.Error as error:
            raise _as_ours(error, self.path) from error

    def meta(self, key: str) -> str | None:
        with _translated(self.path):
            rows = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchall()
        return str(rows[0][0]) if rows else None

    def tail(self, after: int = 0) -> list[tuple[int, bytes]]:
        return self._read("SELECT seq, data FROM tail WHERE seq > ? ORDER BY seq", after)

    def blocks(self) -> list[BlockInfo]:
        rows = self._read("SELECT first, last, version FROM block ORDER BY first")
        return [BlockInfo(*row) for row in rows]

    def block(self, first: int) -> bytes | None:
        rows = self._read("SELECT data FROM block WHERE first = ?", first)
        return rows[0][0] if rows else None

    def segments(self) -> Iterator[tuple[int, bytes]]:
        for (id,) in self._read("SELECT id FROM segment ORDER BY id"):
            yield from self._read("SELECT id, data FROM segment WHERE id = ?", id)

    def vectors(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        while page := self._read(
            "SELECT seq, data FROM vector WHERE seq > ? ORDER BY seq LIMIT 1024", after
        ):
            yield from page
            after = page[-1][0]

    def dictionaries(self) -> list[bytes]:
        return [data for (data,) in self._read("SELECT data FROM dictionary ORDER BY id")]

    def usage(self) -> StoreUsage:
        def total(table: str) -> int:
            ((nbytes,),) = self._read(f"SELECT coalesce(sum(length(data)), 0) FROM {table}")
            return int(nbytes)

        ((ledger,),) = self._read("SELECT coalesce(sum(length(value)), 0) FROM meta")
        database, wal, shm = (_size_of(f"{self.path}{s}") for s in ("", "-wal", "-shm"))
        with self._read_lock:
            used = int(_pragma(self._reader, "page_count")) - int(
                _pragma(self._reader, "freelist_count")
            )
        return StoreUsage(
            disk=database + wal + shm,
            database=database,
            wal=wal,
            shm=shm,
            free=max(0, self.capacity() - used * PAGE),
            log=total("tail") + total("block") + total("dictionary"),
            index=total("segment"),
            vectors=total("vector"),
            ledger=int(ledger),
        )

    def check(self) -> list[str]:
        answers = [str(row[0]) for row in self._read("PRAGMA integrity_check(20)")]
        return [] if answers == ["ok"] else answers

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        for name in ("_reader", "_db"):
            connection = getattr(self, name, None)
            if connection is not None:
                with contextlib.suppress(apsw.Error):  # closing checkpoints; a full disk may refuse
                    connection.close()
        if hasattr(self, "_lock"):
            self._lock.close()


def _connect(path: Path, vfs: str | None) -> apsw.Connection:
    db = apsw.Connection(str(path), vfs=vfs)
    db.set_busy_timeout(_BUSY_MS)
    return db


def _pragma(db: apsw.Connection, text: str) -> Any:
    rows = db.execute(f"PRAGMA {text}").fetchall()
    return rows[0][0] if rows else None


def _size_of(path: str) -> int:
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def _pages_for(nbytes: int) -> int:
    """Upper bound on the pages one row of `nbytes` dirties: its own, its tree, its bookkeeping."""
    return nbytes // (PAGE - 4) + 7


def _wal_for(nbytes: int) -> int:
    return (_pages_for(nbytes) + 24) * FRAME


def _check_smallest(budget: int) -> None:
    if budget < SMALLEST_BUDGET:
        raise BudgetError(
            f"a budget of {budget} bytes is too small for the file's own structures; "
            f"the smallest that works is {SMALLEST_BUDGET}"
        )


def _check_version() -> None:
    found = tuple(int(part) for part in apsw.sqlite_lib_version().split("."))
    if found < _SAFE_SQLITE:
        wanted = ".".join(map(str, _SAFE_SQLITE))
        raise StoreError(
            f"SQLite {apsw.sqlite_lib_version()} can corrupt a write-ahead log shared by two "
            f"connections; install an apsw that carries {wanted} or newer"
        )


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """SQLite's errors as ours."""
    try:
        yield
    except apsw.Error as error:
        raise _as_ours(error, path) from error


def _as_ours(error: apsw.Error, path: Path) -> StoreError:
    """The error that names the file and says what to do."""
    if isinstance(error, apsw.FullError):
        return StorageFullError(
            f"{path.name}: no space left for this write; nothing was written, free some space "
            f"and try again ({error})"
        )
    if isinstance(error, (apsw.CorruptError, apsw.NotADBError)):
        return CorruptStoreError(f"{path.name} is damaged: {error}; run verify")
    if isinstance(error, (apsw.BusyError, apsw.LockedError)):
        return StoreBusyError(f"{path.name} is locked by another process; try again")
    return StoreError(f"{path.name}: the disk refused: {error}")

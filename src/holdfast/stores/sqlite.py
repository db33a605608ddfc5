"""One memory in one SQLite file, and every byte of it under one budget; see `space`."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import apsw

from holdfast.errors import ClosedError, CorruptStoreError, NotFoundError, StoreError
from holdfast.stores.base import AUDIT, BlockInfo, Shelf, StoreUsage
from holdfast.stores.locks import FileLock, check_filesystem, check_identity, identity
from holdfast.stores.migrations import APPLICATION_ID, MIGRATIONS, PUT_CELL, shelved
from holdfast.stores.scrub import blank, rewrite
from holdfast.stores.seals import meta_problems, seal_meta, sealed, unsealed, whole_key
from holdfast.stores.space import PAGE, Space, check_size, pages_for, pragma, size_of, vector_pages
from holdfast.stores.translate import as_ours, check_version, sync_folder, translated

Durability = Literal["full", "normal", "off"]

_FAR = 10_000  # rows so many sequence numbers apart share no page
_PATIENCE_S = 10.0  # how long a writer waits for other processes
_READER_PATIENCE_S = 2.0  # how long it waits for a reader that pins the log


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
        self._closed = False
        check_version()
        if budget is None and not self.path.exists():
            raise NotFoundError(f"there is no memory at {path}; give a budget to make one")
        if not self.path.parent.is_dir():
            raise NotFoundError(f"there is no directory {self.path.parent}")
        check_filesystem(self.path)
        if budget is not None:
            check_size(budget)
        if 0 < size_of(self.path) < 512:
            raise CorruptStoreError(f"{self.path} is too short to be a Holdfast memory")
        self._lock = FileLock(self.path.with_name(self.path.name + "-lock"), _PATIENCE_S)
        try:
            with translated(self.path):
                self._open(budget, vfs, reader_patience_s)
        except BaseException:
            self.close()
            raise

    def _open(self, budget: int | None, vfs: str | None, reader_patience_s: float) -> None:
        self._lock.acquire()
        try:
            self._vfs = vfs
            self._db = apsw.Connection(str(self.path), vfs=vfs)
            self._space = Space(self._db, self.path, reader_patience_s)
            self._foreign = False
            fresh = self._is_fresh()
            if fresh:
                if budget is None:
                    raise NotFoundError(f"{self.path} was never finished; give a budget to make it")
                for setting in (f"page_size={PAGE}", "auto_vacuum=INCREMENTAL"):
                    pragma(self._db, setting)
                pragma(self._db, f"application_id={APPLICATION_ID}")
            if pragma(self._db, "journal_mode=WAL") != "wal":
                raise StoreError(f"{self.path}: this file system has no write-ahead logging")
            for setting in (
                f"synchronous={self.durability.upper()}", "wal_autocheckpoint=0",
                "temp_store=MEMORY", "cache_spill=OFF", "cache_size=-2048", "secure_delete=FAST",
            ):  # fmt: skip
                pragma(self._db, setting)
            self._db.set_wal_hook(self._space.on_commit)  # wal_autocheckpoint would replace it
            self._space.set_budget(budget if fresh and budget else self._stored_budget())
            self._space.look_again()
            self._migrate()
            if budget is not None and budget != self._space.budget:
                self._adopt(budget)
            self._version = pragma(self._db, "data_version")
            self._opened = identity(self.path)
            self._reader = apsw.Connection(str(self.path), vfs=vfs)
            for setting in ("query_only=ON", "cache_size=-1024"):
                pragma(self._reader, setting)
        finally:
            self._lock.release()

    def _is_fresh(self) -> bool:
        """Whether nothing was ever made of this file. Raises if it is somebody else's."""
        tables = self._db.execute("SELECT count(*) FROM sqlite_schema").fetchall()[0][0]
        if not tables and not pragma(self._db, "user_version"):
            return True
        if pragma(self._db, "application_id") != APPLICATION_ID:
            raise CorruptStoreError(f"{self.path} is not a Holdfast memory")
        return False

    def _stored_budget(self) -> int:
        try:
            return int(self.meta("budget") or "")
        except ValueError:
            raise CorruptStoreError(f"{self.path} does not say what its budget is") from None

    def _migrate(self) -> None:
        have = int(pragma(self._db, "user_version"))
        if have > len(MIGRATIONS):
            raise StoreError(
                f"{self.path} has schema {have}; this version reads up to {len(MIGRATIONS)}: "
                "use a newer Holdfast"
            )
        for number, step in enumerate(MIGRATIONS[have:], have + 1):
            with self._db:
                step(self._db)
                if number == 1:
                    self.set_meta("budget", str(self._space.budget))
                self._db.execute(f"PRAGMA user_version={number}")

    # ---- the budget ------------------------------------------------------------------------

    @property
    def budget(self) -> int:
        return self._space.budget

    def capacity(self) -> int:
        return self._space.capacity()

    def largest_event(self) -> int:
        return self._space.largest_event()

    def batch_bytes(self) -> int:
        return self._space.batch_bytes()

    def room_for(self, need: int) -> int:
        return self._space.room_for(need)

    def excess(self, budget: int) -> int:
        return self._space.excess(budget)

    def fits(self, need: int) -> bool:
        return self._space.fits(need)

    def slack(self) -> int:
        return self._space.slack()

    def check_budget(self, budget: int) -> None:
        check_size(budget)

    def resize(self, budget: int) -> None:
        check_size(budget)
        with translated(self.path), self._writing():
            self._adopt(budget)

    def _adopt(self, budget: int) -> None:
        """Fit the files to another budget, then make it the one that counts."""
        if budget < self._space.budget:
            self._space.shrink(budget)
        with self._db:
            self.set_meta("budget", str(budget))
        self._space.set_budget(budget)

    # ---- transactions ----------------------------------------------------------------------

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        if self._closed:
            raise ClosedError(f"{self.path.name} was closed")
        self._lock.acquire()
        try:
            version = pragma(self._db, "data_version")
            if version != self._version:
                self._version, self._foreign = version, True
                self._space.look_again()
                if (budget := self._stored_budget()) != self._space.budget:
                    self._space.set_budget(budget)
            yield
        finally:
            self._lock.release()

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        with translated(self.path), self._writing():
            yield

    @contextlib.contextmanager
    def transaction(self, need: int = 0) -> Iterator[SqliteStore]:
        with translated(self.path), self._writing():
            self._space.begin(need)
            try:
                self._db.execute("BEGIN IMMEDIATE")
                yield self
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                self._space.used()
                raise
            self._space.end()

    def put_tail(self, seq: int, data: bytes) -> None:
        self._space.touch((len(data) + 64) / 2048 if self._space.dirty else 3 + len(data) // PAGE)
        self._db.execute("INSERT INTO tail VALUES (?, ?)", (seq, data))

    def clear_tail(self, upto: int) -> None:
        self._space.touch(16)
        self._db.execute("DELETE FROM tail WHERE seq <= ?", (upto,))

    def put_block(self, first: int, last: int, data: bytes) -> None:
        self._space.touch(pages_for(len(data)))
        # A REPLACE would allocate the new pages before it frees the old ones.
        self._db.execute("DELETE FROM block WHERE first = ?", (first,))
        self._db.execute("INSERT INTO block VALUES (?, ?, ?)", (first, last, data))

    def delete_block(self, first: int) -> None:
        self._space.touch(4)
        self._db.execute("DELETE FROM block WHERE first = ?", (first,))

    def key(self, key: bytes) -> tuple[bytes, bytes] | None:
        rows = self._db.execute(
            "SELECT key, seq, body, receipt FROM idempotency WHERE key = ?", (key,)
        ).fetchall()
        return whole_key(rows[0])[2:] if rows else None

    def put_key(self, key: bytes, seq: int, body: bytes, receipt: bytes) -> None:
        self._space.touch(3 + len(receipt) // PAGE)
        row = (key, seq, body, sealed(receipt, key, seq, body))
        self._db.execute("INSERT INTO idempotency VALUES (?, ?, ?, ?)", row)

    def prune_keys(self, before: int, most: int) -> None:
        rows = self._db.execute(
            "SELECT key FROM idempotency WHERE seq < ? ORDER BY seq LIMIT ?", (before, most)
        ).fetchall()
        self._space.touch(1.5 * len(rows))
        self._db.executemany("DELETE FROM idempotency WHERE key = ?", rows)

    def put_segment(self, id: int, data: bytes) -> None:
        self._space.touch(pages_for(len(data)))
        self._db.execute("INSERT OR REPLACE INTO segment VALUES (?, ?)", (id, data))

    def delete_segment(self, id: int) -> None:
        self._space.touch(4)
        self._db.execute("DELETE FROM segment WHERE id = ?", (id,))

    def put_vectors(self, codes: Iterable[tuple[int, bytes]]) -> None:
        last = -_FAR
        for seq, code in codes:
            self._space.touch(vector_pages(seq - last, len(code)))
            last = seq
            row = (seq, sealed(code, seq))
            self._db.execute("INSERT OR REPLACE INTO vector VALUES (?, ?)", row)

    def delete_vectors(self, seqs: Iterable[int]) -> None:
        gone = sorted(seqs)
        if not gone:
            return
        ((nbytes,),) = self._db.execute(
            "SELECT total(length(data) + 24) FROM vector WHERE seq BETWEEN ? AND ?",
            (gone[0], gone[-1]),
        ).fetchall()
        if nbytes:
            self._space.touch(4 + int(nbytes) / 2048)  # a page may be half empty
            self._db.executemany("DELETE FROM vector WHERE seq = ?", [(seq,) for seq in gone])

    def put_dictionary(self, data: bytes) -> None:
        self._space.touch(pages_for(len(data)))
        self._db.execute("INSERT INTO dictionary (data) VALUES (?)", (data,))

    def delete_dictionaries(self) -> None:
        self._space.touch(4 + 2 * pages_for(16_384))
        self._db.execute("DELETE FROM dictionary")

    def delete_keys(self, seqs: Iterable[int]) -> None:
        gone = [(seq,) for seq in seqs]
        self._space.touch(1.5 * len(gone))
        self._db.executemany("DELETE FROM idempotency WHERE seq = ?", gone)

    def put_cell(self, shelf: Shelf, id: int, data: bytes) -> None:
        if shelf == "state":  # the journal only grows at its end: its pages are full
            self._space.touch((len(data) + 32) / 2048 + (0 if self._space.dirty else 3))
            self._db.execute("INSERT OR REPLACE INTO journal VALUES (?, ?)", (id, data))
            return
        # Others lie anywhere: each may dirty its page, two neighbours, the one above, and overflow.
        self._space.touch(4 + len(data) / 2048)
        self._db.execute(PUT_CELL, (shelf, id, data))

    def delete_cells(self, shelf: Shelf, ids: Iterable[int]) -> None:
        where, *given = shelved(shelf)
        gone = [(*given, id) for id in sorted(ids)]
        self._space.touch(1.2 * len(gone))
        self._db.executemany(f"DELETE FROM {where} id = ?", gone)

    def set_meta(self, key: str, value: str) -> None:
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))
        seal_meta(self._db)

    def delete_meta(self, key: str) -> None:
        self._db.execute("DELETE FROM meta WHERE key = ?", (key,))
        seal_meta(self._db)

    # ---- reads -----------------------------------------------------------------------------

    def _read(self, sql: str, *values: Any) -> list[Any]:
        """Run to the end at once: no read ever leaves a snapshot open."""
        if self._closed:
            raise ClosedError(f"{self.path.name} was closed")
        try:
            with self._read_lock:
                return self._reader.execute(sql, values).fetchall()
        except apsw.Error as error:
            raise as_ours(error, self.path) from error
        except UnicodeDecodeError as error:
            raise CorruptStoreError(f"{self.path.name} is damaged: {error}; run verify") from None

    def _in_order(self, query: str, after: int, *given: Any) -> Iterator[tuple[int, bytes]]:
        """The rows whose key, which ends the query, is over `after`, a page at a time."""
        while page := self._read(f"{query} > ? ORDER BY 1 LIMIT 1024", *given, after):
            if not all(a < b for (a, _), (b, _) in pairwise([(after, b""), *page])):
                raise CorruptStoreError(f"rows of {self.path.name} are out of order; run verify")
            yield from page
            after = page[-1][0]

    def changed(self) -> bool:
        foreign, self._foreign = self._foreign, False
        return foreign

    def stale(self) -> bool:
        if self._closed:
            raise ClosedError(f"{self.path.name} was closed")
        check_identity(self.path, self._opened)
        try:
            return bool(pragma(self._db, "data_version") != self._version)
        except apsw.Error as error:
            raise as_ours(error, self.path) from error

    def meta(self, key: str) -> str | None:
        with translated(self.path):
            rows = self._db.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchall()
        return str(rows[0][0]) if rows else None

    def metas(self, prefix: str) -> list[str]:
        """The keys of `meta` that begin so."""
        rows = self._read("SELECT key FROM meta WHERE substr(key, 1, ?) = ?", len(prefix), prefix)
        return [key for (key,) in rows]

    def tail(self, after: int = 0) -> list[tuple[int, bytes]]:
        return self._read("SELECT seq, data FROM tail WHERE seq > ? ORDER BY seq", after)

    def blocks(self) -> list[BlockInfo]:
        rows = self._read("SELECT first, last FROM block ORDER BY first")
        return [BlockInfo(*row) for row in rows]

    def block(self, first: int) -> bytes | None:
        rows = self._read("SELECT data FROM block WHERE first = ?", first)
        return rows[0][0] if rows else None

    def segments(self) -> Iterator[tuple[int, bytes]]:
        for (id,) in self._read("SELECT id FROM segment ORDER BY id"):
            yield from self._read("SELECT id, data FROM segment WHERE id = ?", id)

    def vectors(self, after: int = 0) -> Iterator[tuple[int, bytes]]:
        for seq, row in self._in_order("SELECT seq, data FROM vector WHERE seq", after):
            yield seq, unsealed(row, f"vectors of {seq}", seq)

    def dictionaries(self) -> list[bytes]:
        return [data for (data,) in self._read("SELECT data FROM dictionary ORDER BY id")]

    def cells(self, shelf: Shelf, after: int = -1) -> Iterator[tuple[int, bytes]]:
        where, *given = shelved(shelf)
        return self._in_order(f"SELECT id, data FROM {where} id", after, *given)

    def idempotency_keys(self) -> Iterator[tuple[bytes, int, bytes, bytes]]:
        """Every idempotency key, with its event, body digest and receipt."""
        rows = self._read("SELECT key, seq, body, receipt FROM idempotency ORDER BY seq")
        yield from map(whole_key, rows)

    def copy_to(self, path: Path, origin: str | None = None) -> None:
        """Make another file with the same content; it is there whole or not at all.

        With an `origin`, the copy's audit log has that name. Call it with writers kept out.
        O(pages).
        """
        draft = path.with_name(path.name + ".tmp")
        with translated(path):
            draft.unlink(missing_ok=True)
            twin = apsw.Connection(str(draft))
            try:
                for setting in ("journal_mode=OFF", "synchronous=OFF"):
                    pragma(twin, setting)
                with self._read_lock, twin.backup("main", self._reader, "main") as copy:
                    copy.step(-1)
                if origin is not None:
                    twin.execute("UPDATE meta SET value = ? WHERE key = 'origin'", (origin,))
                    seal_meta(twin)
            finally:
                twin.close()
        fd = os.open(draft, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        os.replace(draft, path)
        sync_folder(path.parent)

    def scrub(self) -> None:
        """Write every row anew, so that no page holds bytes of what was deleted. Linear.

        Keeps to the budget: a bounded number of rows at a time.
        """
        with translated(self.path), self._writing():
            pragma(self._db, "secure_delete=ON")
            try:
                self._space.squeeze()
                rewrite(self, self._db, self._space)
                self._space.squeeze()
                self._space.cut_log()
                blank(self._db, self.path, self._vfs)
            finally:
                pragma(self._db, "secure_delete=FAST")

    def usage(self) -> StoreUsage:
        def total(table: str) -> int:
            ((nbytes,),) = self._read(f"SELECT coalesce(sum(length(data)), 0) FROM {table}")
            return int(nbytes)

        ((ledger,),) = self._read("SELECT coalesce(sum(length(value)), 0) FROM meta")
        database, wal, shm = (size_of(f"{self.path}{s}") for s in ("", "-wal", "-shm"))
        with self._read_lock:
            used = int(pragma(self._reader, "page_count")) - int(
                pragma(self._reader, "freelist_count")
            )
        audit = total(f"cell WHERE shelf IN {AUDIT}")
        return StoreUsage(
            disk=database + wal + shm,
            database=database,
            wal=wal,
            shm=shm,
            free=max(0, self.capacity() - used * PAGE),
            log=total("tail") + total("block") + total("dictionary"),
            index=total("segment"),
            vectors=total("vector"),
            ledger=int(ledger) + total("cell") - audit,
            state=total("journal"),
            audit=audit,
        )

    def check(self) -> list[str]:
        answers = [str(row[0]) for row in self._read("PRAGMA integrity_check(20)")]
        with self._read_lock, translated(self.path):
            changed = meta_problems(self._reader)
        return ([] if answers == ["ok"] else answers) + changed

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

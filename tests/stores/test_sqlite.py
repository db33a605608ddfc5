"""What only the SQLite store promises."""

import os
import random
import sqlite3
import threading
from pathlib import Path

import apsw
import pytest

from holdfast.errors import (
    BudgetError,
    CorruptStoreError,
    NotFoundError,
    StorageFullError,
    StoreBusyError,
    StoreError,
    UnsafeFilesystemError,
)
from holdfast.stores.locks import check_filesystem
from holdfast.stores.migrations import MIGRATIONS
from holdfast.stores.space import FRAME, SMALLEST_BUDGET
from holdfast.stores.sqlite import SqliteStore

MIB = 1024 * 1024


def disk(path: Path) -> int:
    return sum(
        os.stat(f"{path}{suffix}").st_size
        for suffix in ("", "-wal", "-shm")
        if os.path.exists(f"{path}{suffix}")
    )


def test_a_transaction_never_dirties_more_pages_than_it_charges(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.holdfast", 8 * MIB)
    rng = random.Random(7)
    live: list[int] = []
    for number in range(400):
        before = store._space.frames
        with store.transaction(60_000) as tx:
            size = rng.choice([0, 1, 500, 4000, 9000, 16_000])
            tx.put_block(number * 100, number * 100 + 9, rng.randbytes(size))
            live.append(number * 100)
            if len(live) > 60:
                for _ in range(rng.randrange(4)):
                    tx.delete_block(live.pop(rng.randrange(len(live))))
            for seq in range(number * 10, number * 10 + 5):
                tx.put_tail(seq, rng.randbytes(200))
            if number % 8 == 7:
                tx.clear_tail(number * 10)
            tx.put_vectors((number * 10 + i, rng.randbytes(388)) for i in range(10))
            if number > 50:
                tx.delete_vectors(range(number * 10 - 500, number * 10 - 490))
            charged = store._space.dirty
        written = store._space.frames - before
        assert written <= charged or store._space.frames < before
    store.close()


def test_an_idle_reader_cannot_make_the_log_outgrow_the_budget(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    store = SqliteStore(path, SMALLEST_BUDGET, reader_patience_s=0.05)
    with store.transaction(100) as tx:
        tx.put_tail(1, b"one")
    # The same library as the store's: two in one process would not see each other's locks.
    reader = apsw.Connection(str(path))
    reader.execute("BEGIN")
    assert reader.execute("SELECT count(*) FROM tail").fetchall() == [(1,)]
    refused = 0
    for seq in range(2, 400):
        try:
            with store.transaction(2000) as tx:
                tx.put_tail(seq, bytes(2000))
                if seq % 10 == 0:
                    tx.clear_tail(seq)
        except StoreBusyError:
            refused += 1
            break
        assert disk(path) <= SMALLEST_BUDGET
    assert refused == 1
    held = [seq for seq, _ in store.tail()]
    reader.execute("ROLLBACK")
    with store.transaction(2000) as tx:
        tx.put_tail(1000, b"after")
    assert [seq for seq, _ in store.tail()] == [*held, 1000]
    reader.close()
    store.close()


def test_too_large_a_transaction_is_refused_whole(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "a.holdfast", 8 * MIB)

    def fill() -> None:
        with store.transaction(0) as tx:
            for first in range(100):
                tx.put_block(first, first, bytes(16_000))

    with pytest.raises(StorageFullError, match="write less"):
        fill()
    assert store.blocks() == []
    store.close()


def test_a_wide_transaction_fits_the_budget_at_every_instant(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    store = SqliteStore(path, 8 * MIB)
    size = store.largest_event()
    peak = 0
    stop = threading.Event()

    def watch() -> None:
        nonlocal peak
        while not stop.is_set():
            peak = max(peak, disk(path))

    watcher = threading.Thread(target=watch)
    watcher.start()
    data = random.Random(1).randbytes(size)
    with store.transaction(size) as tx:
        tx.put_block(1, 1, data)
    with store.transaction(100) as tx:
        tx.put_tail(2, b"after")
    stop.set()
    watcher.join()
    assert store.block(1) == data
    assert size > store._space.wal_cap / 2
    assert peak <= 8 * MIB
    assert store._space.frames * FRAME <= store._space.wal_cap
    store.close()


def test_resizing_shrinks_the_file_itself(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    store = SqliteStore(path, 8 * MIB)
    for first in range(300):
        with store.transaction(16_000) as tx:
            tx.put_block(first, first, random.Random(first).randbytes(16_000))
    for first in range(260):
        with store.transaction(0) as tx:
            tx.delete_block(first)
    with pytest.raises(BudgetError, match="evict"):
        store.resize(SMALLEST_BUDGET)
    assert store.budget == 8 * MIB
    store.resize(2 * MIB)
    assert disk(path) <= 2 * MIB
    for first in range(260, 300):
        assert store.block(first) == random.Random(first).randbytes(16_000)
    store.close()
    assert SqliteStore(path).budget == 2 * MIB


def test_the_smallest_budget_is_named_and_works(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match=str(SMALLEST_BUDGET)):
        SqliteStore(tmp_path / "a.holdfast", SMALLEST_BUDGET - 1)
    assert not (tmp_path / "a.holdfast").exists()
    store = SqliteStore(tmp_path / "a.holdfast", SMALLEST_BUDGET)
    with store.transaction(16_000) as tx:
        tx.put_block(1, 1, bytes(16_000))
    assert disk(store.path) <= SMALLEST_BUDGET
    store.close()


def test_a_file_of_the_first_schema_still_opens(tmp_path: Path) -> None:
    path = tmp_path / "old.holdfast"
    db = apsw.Connection(str(path))
    db.execute("PRAGMA page_size=4096; PRAGMA auto_vacuum=INCREMENTAL; PRAGMA journal_mode=WAL")
    db.execute(f"PRAGMA application_id={0x484F4C44}")
    MIGRATIONS[0](db)
    db.execute("PRAGMA user_version=1")
    db.execute("INSERT INTO meta VALUES ('budget', '2097152')")
    db.execute("INSERT INTO tail VALUES (1, x'0102')")
    db.execute("INSERT INTO idempotency VALUES (x'aa', 1, x'bb', x'cc')")
    db.close()
    store = SqliteStore(path)
    assert store.budget == 2 * MIB
    assert store.tail() == [(1, b"\x01\x02")]
    with store.transaction(0) as tx:
        assert tx.key(b"\xaa") == (b"\xbb", b"\xcc")
        tx.prune_keys(before=2, most=9)
        assert tx.key(b"\xaa") is None
    store.close()
    db = apsw.Connection(str(path))
    assert db.execute("PRAGMA user_version").fetchall() == [(len(MIGRATIONS),)]
    db.close()


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new.holdfast"
    SqliteStore(path, MIB).close()
    db = apsw.Connection(str(path))
    db.execute(f"PRAGMA user_version={len(MIGRATIONS) + 1}")
    db.close()
    with pytest.raises(StoreError, match="newer"):
        SqliteStore(path)


def test_files_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "other.db"
    db = sqlite3.connect(other)
    db.execute("CREATE TABLE t (x)")
    db.commit()
    db.close()
    before = other.read_bytes()
    with pytest.raises(CorruptStoreError, match="not a Holdfast"):
        SqliteStore(other)
    assert other.read_bytes() == before
    text = tmp_path / "text.holdfast"
    text.write_bytes(b"this is no database" * 100)
    with pytest.raises(CorruptStoreError):
        SqliteStore(text)
    with pytest.raises(NotFoundError, match="budget"):
        SqliteStore(tmp_path / "none.holdfast")
    with pytest.raises(NotFoundError, match="directory"):
        SqliteStore(tmp_path / "none" / "a.holdfast", MIB)


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "9p"])
def test_network_file_systems_are_refused(tmp_path: Path, kind: str) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\n")
    with pytest.raises(UnsafeFilesystemError, match=kind):
        check_filesystem(tmp_path / "a.holdfast", mounts)
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nserver:/x {tmp_path}/elsewhere {kind} rw 0 0\n")
    check_filesystem(tmp_path / "a.holdfast", mounts)

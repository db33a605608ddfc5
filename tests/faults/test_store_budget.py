"""The SQLite store by itself, driven at random: whatever is asked of it, it keeps its budget."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import apsw
import pytest

from holdfast.checks.faults import BudgetVFS, watched
from holdfast.errors import BudgetError, StorageFullError, StoreBusyError
from holdfast.stores.space import SMALLEST_BUDGET
from holdfast.stores.sqlite import SqliteStore

MIB = 1024 * 1024
SIZES = (100, 400, 3000, 3000, 16_000, 60_000, 150_000)


class Driver:
    """Two stores on one file, a reader that comes and goes, and a model of what is kept."""

    def __init__(self, path: Path, budget: int, vfs: BudgetVFS, seed: int) -> None:
        self.path, self.vfs, self.rng = path, vfs, random.Random(seed)
        self.stores = [self._open(budget), self._open(None)]
        self.reader: apsw.Connection | None = None
        self.kept: dict[int, int] = {}  # row -> bytes
        self.blocks: dict[int, int] = {}
        self.seq = 0
        self.fates: Counter[str] = Counter()

    def _open(self, budget: int | None) -> SqliteStore:
        return SqliteStore(self.path, budget, vfs=self.vfs.name, reader_patience_s=0.002)

    def step(self) -> None:
        roll = self.rng.random()
        try:
            if roll < 0.80:
                self.write(self.rng.choice(self.stores))
                self.fates["written"] += 1
            elif roll < 0.86:
                self.toggle_reader()
            elif roll < 0.88:
                self.resize(self.rng.choice(self.stores))
            elif roll < 0.90:
                self.reopen(self.rng.randrange(2))
            else:
                self.clear(self.rng.choice(self.stores))
        except (StoreBusyError, StorageFullError, BudgetError) as error:
            self.fates[type(error).__name__] += 1

    def write(self, store: SqliteStore) -> None:
        size = self.rng.choice(SIZES)
        if size > store.largest_event():
            return
        rows = [self.rng.randbytes(size) for _ in range(self.rng.choice((1, 1, 1, 5)))]
        if len(rows) * size > store.batch_bytes():
            rows = rows[:1]
        need = sum(map(len, rows))
        seq = self.seq
        with store.transaction(need) as tx:
            if tx.room_for(need) < 0:
                raise BudgetError("no room")
            for row in rows:
                seq += 1
                tx.put_tail(seq, row) if size < 4000 else tx.put_block(seq, seq, row)
        for n, row in enumerate(rows, self.seq + 1):
            (self.kept if size < 4000 else self.blocks)[n] = len(row)
        self.seq = seq

    def clear(self, store: SqliteStore) -> None:
        """Make room as retention does: some blocks, then the older half of the tail."""
        gone = self.rng.sample(sorted(self.blocks), min(len(self.blocks), 3))
        upto = sorted(self.kept)[len(self.kept) // 2] if self.kept else 0
        with store.transaction(0) as tx:
            for first in gone:
                tx.delete_block(first)
            tx.clear_tail(upto)
        for first in gone:
            del self.blocks[first]
        self.kept = {n: size for n, size in self.kept.items() if n > upto}

    def toggle_reader(self) -> None:
        if self.reader is not None:
            self.reader.close()
            self.reader = None
        else:
            self.reader = apsw.Connection(str(self.path))
            self.reader.execute("BEGIN; SELECT count(*) FROM tail").fetchall()

    def resize(self, store: SqliteStore) -> None:
        budget = self.rng.choice((SMALLEST_BUDGET, MIB, 3 * MIB))
        before = max(one.budget for one in self.stores)  # one may not know it yet
        self.vfs.limit = max(budget, before)  # either may be in force on the way
        store.resize(budget)
        self.vfs.limit = budget
        assert self.vfs.measure("after resize") <= budget

    def reopen(self, n: int) -> None:
        self.stores[n].close()
        try:
            self.stores[n] = self._open(None)
        except StoreBusyError:
            self.toggle_reader()  # the only one who may be in the way
            self.stores[n] = self._open(None)

    def finish(self) -> None:
        if self.reader is not None:
            self.reader.close()
        for store in self.stores:
            assert {n: len(data) for n, data in store.tail()} == self.kept
            assert [b.first for b in store.blocks()] == sorted(self.blocks)
            assert store.check() == []
            store.close()


def drive(path: Path, seed: int, steps: int, budget: int = MIB) -> Counter[str]:
    with BudgetVFS(path, budget) as vfs:
        driver = Driver(path, budget, vfs, seed)
        for n in range(steps):
            driver.step()
            assert vfs.violations == [], f"seed {seed}, step {n}"
        driver.finish()
    return driver.fates


@pytest.mark.parametrize("seed", range(4))
def test_random_writers_readers_and_resizes_keep_the_budget(tmp_path: Path, seed: int) -> None:
    fates = drive(tmp_path / "a.holdfast", seed, 500)
    assert fates["written"] > 100, fates


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 140))
def test_for_a_long_time(tmp_path: Path, seed: int) -> None:
    with watched(tmp_path / "a.holdfast") as peak:
        drive(tmp_path / "a.holdfast", seed, 4000)
    assert peak.bytes <= 3 * MIB


@pytest.mark.parametrize("size", [180_000, 4_000_000])
def test_a_reader_in_the_middle_of_a_large_write_leaves_no_long_log(
    tmp_path: Path, size: int
) -> None:
    """The log outgrows its share for one large event, and must shrink before the rest grows."""
    path, budget = tmp_path / "a.holdfast", MIB if size < MIB else 17 * MIB
    row = b"x" * 3900 * (1 if size < MIB else 20)
    with BudgetVFS(path, budget) as vfs:
        store = SqliteStore(path, budget, vfs=vfs.name, reader_patience_s=0.05)
        with store.transaction(size) as tx:
            tx.put_tail(1, b"y" * size)
            reader = apsw.Connection(str(path))
            reader.execute("BEGIN; SELECT count(*) FROM tail").fetchall()
        with pytest.raises(StoreBusyError), store.transaction(size) as tx:
            tx.put_tail(2, b"y" * size)
        reader.close()
        seq = 2
        while store.room_for(len(row)) >= 0:
            with store.transaction(len(row)) as tx:
                tx.put_tail(seq := seq + 1, row)
        store.close()
    assert vfs.violations == []

"""Feedback of use: counted exactly, durable, bounded, and forgotten with its events."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast import Event, Memory
from holdfast.checks.faults import CrashVFS, run_until_killed
from holdfast.errors import ClosedError, CorruptStoreError, InvalidEventError, StorageFullError
from holdfast.stores.ram import RamStore
from holdfast.uses import Uses, _decode, _encode

from worlds import T0, TINY, large_events, opened, prose, ticking


class UsingMachine(RuleBasedStateMachine):
    """Uses, merges, evictions, failures and reopening, against a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.store = RamStore(1 << 20)
        self.kept = set(range(1, 400))
        self.truth: dict[int, list[float]] = {}  # uses, last use, longest gap, mass
        self.now = 1000
        self.uses = self.loaded()

    def loaded(self) -> Uses:
        kept = self.kept
        return Uses.load(self.store, lambda seqs: np.isin(seqs, sorted(kept)))

    def row(self, seq: int) -> list[float]:
        return self.truth.setdefault(seq, [0.0, float(seq), 0.0, 1.0])

    @rule(seqs=st.lists(st.integers(1, 399), max_size=30), fails=st.booleans())
    def use(self, seqs: list[int], fails: bool) -> None:
        self.now += 7
        kept = [seq for seq in seqs if seq in self.kept]
        try:
            with self.store.transaction() as tx:
                self.uses.used(tx, kept, self.now)
                if fails:
                    raise StorageFullError("as when a disk is full")
        except StorageFullError:
            self.uses = self.loaded()
            return
        for seq in set(kept):
            row = self.row(seq)
            row[:3] = row[0] + 1, self.now, max(row[2], self.now - row[1])

    @rule(data=st.data(), fails=st.booleans())
    def merge(self, data: st.DataObject, fails: bool) -> None:
        if len(self.kept) < 20:
            return
        some = data.draw(st.lists(st.sampled_from(sorted(self.kept)), min_size=2, unique=True,
                                  max_size=12))  # fmt: skip
        pairs = [(one, some[-1]) for one in some[:-1]]
        if data.draw(st.booleans()) and len(some) > 3:
            pairs = [(some[0], some[1]), (some[1], some[2]), *[(one, some[2]) for one in some[3:]]]
        try:
            with self.store.transaction() as tx:
                self.uses.merged(pairs)
                self.uses.write(tx)
                if fails:
                    raise StorageFullError("as when a disk is full")
        except StorageFullError:
            self.uses = self.loaded()
            return
        for one, other in pairs:
            mine, theirs = self.row(one), self.row(other)
            theirs[:] = [
                theirs[0] + mine[0], max(theirs[1], mine[1]) if mine[0] else theirs[1],
                max(theirs[2], mine[2]), theirs[3] + mine[3],
            ]  # fmt: skip
        self.forget([one for one, _ in pairs])

    @rule(data=st.data())
    def evict(self, data: st.DataObject) -> None:
        if self.kept:
            some = st.lists(st.sampled_from(sorted(self.kept)), unique=True, max_size=15)
            self.forget(data.draw(some))

    def forget(self, gone: list[int]) -> None:
        self.uses.forget(gone)
        self.kept -= set(gone)
        for seq in gone:
            self.truth.pop(seq, None)

    @rule()
    def reopen(self) -> None:
        self.uses = self.loaded()

    @rule(data=st.data())
    def erase(self, data: st.DataObject) -> None:
        gone = data.draw(st.lists(st.integers(1, 399), unique=True, max_size=9))
        with self.store.transaction() as tx:
            for id, row in list(self.uses.without(gone)):
                if row is None:
                    tx.delete_cells("use", [id])
                else:
                    tx.put_cell("use", id, row)
        self.kept -= set(gone)
        for seq in gone:
            self.truth.pop(seq, None)
        self.kept |= set(gone)  # if they were kept all the same, nothing would be known of them
        self.uses = self.loaded()
        assert self.uses.columns(np.array(gone, np.int64)).uses.sum() == 0

    @invariant()
    def all_is_known(self) -> None:
        seqs = np.arange(1, 400)
        told = np.column_stack(self.uses.columns(seqs)).tolist()
        for seq, row in zip(seqs.tolist(), told, strict=True):
            if seq in self.kept:
                assert row == self.truth.get(seq, [0.0, seq, 0.0, 1.0]), seq

    @invariant()
    def it_is_bounded(self) -> None:
        assert sum(len(row) for _, row in self.store.cells("use")) <= self.store.budget // 128


TestUsing = UsingMachine.TestCase
TestUsing.settings = settings(max_examples=30, stateful_step_count=30)


@given(
    st.dictionaries(
        st.integers(1, 2**40),
        st.tuples(st.integers(0, 2**20), st.integers(0, 2**40), st.integers(0, 2**40),
                  st.integers(1, 2**20)),
        max_size=50,
    )
)  # fmt: skip
def test_pages_come_back(rows: dict[int, tuple[int, ...]]) -> None:
    seqs = np.array(sorted(rows), np.int64)
    table = np.array([rows[seq] for seq in sorted(rows)], np.float64).reshape(-1, 4)
    back = _decode(_encode(seqs, table))
    assert back[0].tolist() == seqs.tolist()
    assert back[1].tolist() == table.tolist()


def test_what_was_least_of_use_is_forgotten_first() -> None:
    store = RamStore(640 * 1024)
    uses = Uses.load(store, lambda seqs: np.ones(len(seqs), np.bool_))
    rng = random.Random(1)
    often = list(range(1, 9))
    for now in range(10_000, 11_200):
        with store.transaction() as tx:
            uses.used(tx, [*often, *rng.sample(range(9, 5000), 12)], now)
        assert sum(len(row) for _, row in store.cells("use")) <= store.budget // 128
    found = Uses.load(store, lambda seqs: np.ones(len(seqs), np.bool_))
    assert found.columns(np.array(often)).uses.tolist() == [1200.0] * 8
    known = found.columns(np.arange(9, 5000)).uses
    assert 50 < (known > 0).sum() < 3000, "there was no room for all"


def test_a_damaged_row_is_refused() -> None:
    store = RamStore(1 << 20)
    uses = Uses.load(store, lambda seqs: np.ones(len(seqs), np.bool_))
    with store.transaction() as tx:
        uses.used(tx, [1, 2], 5)
    ((id, row),) = store.cells("use")
    for at in range(len(row)):
        with store.transaction() as tx:
            tx.put_cell("use", id, row[:at] + bytes([row[at] ^ 1]) + row[at + 1 :])
        with pytest.raises(CorruptStoreError):
            Uses.load(store, lambda seqs: np.ones(len(seqs), np.bool_))


# ---- in a memory -------------------------------------------------------------------------------


def uses_of(memory: Memory, *seqs: int) -> list[float]:
    return memory._mirror.uses.columns(np.array(seqs, np.int64)).uses.tolist()


def test_a_context_is_of_use_and_a_number_nobody_has_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "1 MiB", durability="off") as memory:
        memory.observe_many([f"The kelp is {i} m high." for i in range(30)])
        context = memory.recall("kelp", tokens=120)
        noted = memory.used_events(context)
        assert noted == len(context.items) > 0
        assert memory.used_events([1, 2, 2, 10**9, 0, -4]) == 2
        assert memory.used_events([]) == 0
        for wrong in (["1"], [1.5], [True]):
            with pytest.raises(InvalidEventError):
                memory.used_events(wrong)  # type: ignore[arg-type]
        (first, *_) = context.items
        before = uses_of(memory, 1, 2, 3, first.seq)
        assert memory._mirror.next_seq == 31, "feedback is no event"
    with Memory.open(path, durability="off") as memory:
        assert uses_of(memory, 1, 2, 3, first.seq) == before
        assert memory.verify().ok
    with pytest.raises(ClosedError):
        memory.used_events([1])


def test_more_numbers_than_one_row_takes() -> None:
    with opened("4 MiB") as memory:
        memory.observe_many([f"event {i}" for i in range(3000)])
        assert memory.used_events(range(1, 4000)) == 3000
        assert uses_of(memory, *range(1, 3001)) == [1.0] * 3000


def test_what_is_used_is_kept_longer() -> None:
    rng = random.Random(2)
    past = [Event(prose(rng, 60), speaker="Ana", at=T0 + i) for i in range(2000)]
    with opened(TINY, retention="lfu", extractor=None) as memory:
        memory.observe_many(past[:300])
        wanted = list(range(5, 300, 30))
        memory.used_events(wanted)
        memory.observe_many(past[300:])
        kept = {record.seq for record in memory.log()}
        assert set(wanted) <= kept
        others = set(range(1, 300)) - set(wanted)
        assert len(kept & others) < len(others) * 2 / 3


def test_eviction_and_erasure_forget() -> None:
    with opened(TINY, retention="oldest") as memory:
        memory.observe_many(large_events(40))
        memory.used_events([1, 2, 39, 40])
        memory.erase(event=39)
        assert uses_of(memory, 1, 2, 39, 40) == [1.0, 1.0, 0.0, 1.0]
        memory.observe_many(large_events(300))
        assert uses_of(memory, 1, 2, 39) == [0.0, 0.0, 0.0]
        assert memory.verify().ok


def test_a_memory_without_room_takes_feedback_all_the_same() -> None:
    with opened(TINY, retention="oldest") as memory:
        memory.observe_many(large_events(200))
        kept = [record.seq for record in memory.log()]
        rng = random.Random(3)
        for _ in range(400):
            assert memory.used_events(rng.sample(kept, 5)) >= 0
            assert memory.usage().disk <= memory.usage().budget
        memory.observe_many(large_events(20))
        size = sum(len(row) for _, row in memory._store.cells("use"))
        assert size <= memory.usage().budget // 128
        assert memory.verify().ok


def test_feedback_is_there_after_a_crash_if_it_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    with Memory.open(path, TINY) as memory:
        memory.observe_many([f"event {i}" for i in range(20)])
    killed = 0
    for point in range(1, 60, 4):

        def work(acknowledge: object, point: int = point) -> None:
            vfs = CrashVFS(point, False)
            with Memory.open(path, vfs=vfs.name) as memory:
                for i in range(6):
                    memory.used_events([1 + i, 10])
                    acknowledge(str(i))  # type: ignore[operator]

        with Memory.open(path) as memory:
            before = uses_of(memory, 10)[0]
        outcome = run_until_killed(work)
        with Memory.open(path) as memory:
            after = uses_of(memory, 10)[0]
            assert memory.verify().ok
        told = len(outcome.acknowledged)
        assert before + told <= after <= before + told + 1
        killed += outcome.killed
    assert killed > 3


def test_a_fork_goes_on_with_what_was_of_use(tmp_path: Path) -> None:
    with opened(clock=ticking()) as memory:
        memory.observe_many(["one", "two", "three"])
        memory.used_events([2])
        memory.snapshot("then")
        memory.used_events([2, 3])
        with memory.fork(tmp_path / "fork.holdfast") as twin:
            assert uses_of(twin, 1, 2, 3) == [0.0, 2.0, 1.0]
        memory.rollback("then")
        assert uses_of(memory, 1, 2, 3) == [0.0, 1.0, 0.0]

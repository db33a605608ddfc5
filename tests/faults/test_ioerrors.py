"""A disk that fails at the N-th change: a typed error or success, and nothing in between."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from holdfast.checks.faults import FaultyVFS
from holdfast.checks.faults.inject import Fault
from holdfast.errors import StorageFullError, StoreError
from holdfast.memory import Memory
from holdfast.records import Event

from lab import SMALLEST, bulky, event, fill, open_memory, wrong

FAULTS: list[tuple[Fault, type[StoreError]]] = [
    ("ENOSPC", StorageFullError),
    ("EIO", StoreError),
    ("short", StorageFullError),
]


def check(memory: Memory, done: dict[int, Event], since: int, maybe: int) -> None:
    """All that was acknowledged is there, whole; nothing else but `maybe` failed ones."""
    records = {r.seq: r for r in memory.log(after=since)}
    truth = {seq: e.content for seq, e in done.items()}
    evicted = memory.usage().events["evicted"]
    assert evicted or done.keys() <= records.keys()
    assert len(records.keys() - done.keys()) <= maybe
    for seq in done.keys() & records.keys():
        assert wrong(records[seq], truth) == ""
    usage = memory.usage()
    held = sum(count for tier, count in usage.events.items() if tier != "evicted")
    assert held == len(memory) == sum(1 for _ in memory.log())
    assert usage.disk <= usage.budget
    verification = memory.verify()
    assert verification.ok, verification.problems
    assert verification.events == held


def fail_at(path: Path, n: int, error: Fault, raised: type[StoreError], numbers: range) -> int:
    """Fail the n-th change of a run of writes; how many changes failed."""
    make = bulky if path.exists() else event
    with FaultyVFS() as vfs:
        memory = open_memory(path, vfs.name)
        before = max((r.seq for r in memory.log()), default=0)
        vfs.arm(n, error)
        done: dict[int, Event] = {}
        failures = list[type[StoreError]]()
        for i in numbers:
            try:
                receipt = memory.observe(make(i))
            except StoreError as problem:
                failures.append(type(problem))
            else:
                done[receipt.seq] = make(i)
        assert len(failures) <= vfs.hits
        assert all(issubclass(f, (raised, StoreError)) for f in failures)
        check(memory, done, before, maybe=0)  # without a restart
        memory.close()
        hits = vfs.hits
    with open_memory(path, budget=None) as memory:  # and with one
        check(memory, done, before, maybe=len(failures))
    return hits


def every_change(tmp_path: Path, template: Path | None, numbers: range, step: int) -> int:
    """Fail every `step`-th change, in each way; how many failures there were."""
    hits = 0
    for error, raised in FAULTS:
        n = 1
        while True:
            path = tmp_path / f"{error}-{n}.holdfast"
            if template is not None:
                shutil.copyfile(template, path)
            hit = fail_at(path, n, error, raised, numbers)
            path.unlink()
            if not hit:
                break
            hits += hit
            n += step
    return hits


def test_each_failed_change_of_a_small_memory(tmp_path: Path) -> None:
    assert every_change(tmp_path, None, range(1, 15), 3) > 50


def test_failed_changes_while_a_full_memory_makes_room(tmp_path: Path) -> None:
    fill(tmp_path / "full.holdfast")
    assert every_change(tmp_path, tmp_path / "full.holdfast", range(10_000, 10_012), 19) > 10


@pytest.mark.slow
def test_each_failed_change_of_long_runs(tmp_path: Path) -> None:
    fill(tmp_path / "full.holdfast")
    hits = every_change(tmp_path, None, range(1, 120), 1)
    hits += every_change(tmp_path, tmp_path / "full.holdfast", range(10_000, 10_060), 1)
    assert hits > 1000


@pytest.mark.parametrize("error", ["ENOSPC", "EIO"])
def test_a_memory_cannot_be_half_made(tmp_path: Path, error: Fault) -> None:
    for n in range(1, 200):
        path = tmp_path / f"{n}.holdfast"
        with FaultyVFS(n, error) as vfs:
            try:
                open_memory(path, vfs.name).close()
            except StoreError:
                assert vfs.hits
            hits = vfs.hits
        with open_memory(path) as memory:  # whatever is left can be opened, or made anew
            memory.observe("hello")
            assert memory.verify().ok
        if not hits:
            break
    assert n > 5


def test_a_full_disk_takes_nothing_until_there_is_room_again(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    with FaultyVFS() as vfs, open_memory(path, vfs.name, SMALLEST) as memory:
        memory.observe(event(1))
        vfs.arm(1, "ENOSPC", persistent=True)
        for _ in range(5):
            with pytest.raises(StorageFullError, match=r"a\.holdfast"):
                memory.observe(event(2))
            assert memory.get(1).event.content == event(1).content
            assert memory.recall("number1").items[0].seq == 1
            assert len(memory) == 1
        vfs.clear()
        assert memory.observe(event(2)).seq == 2
        assert memory.verify().ok

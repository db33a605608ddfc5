"""Every byte on disk under the budget at every change, whoever else reads the file."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from holdfast.checks.faults import BudgetVFS, watched
from holdfast.errors import BudgetError, StoreBusyError
from holdfast.memory import Memory
from holdfast.records import Event

from lab import SMALLEST, bulky, event, open_memory, text

MIB = 1024 * 1024

_READER = """
import apsw, sys
db = apsw.Connection(sys.argv[1])
db.execute("BEGIN; SELECT count(*) FROM tail").fetchall()
print("holding", flush=True)
sys.stdin.readline()
"""


@contextlib.contextmanager
def pinned(path: Path) -> Iterator[None]:
    """A raw connection of this process that opens a read transaction and holds it."""
    db = apsw.Connection(str(path))
    db.execute("BEGIN; SELECT count(*) FROM tail").fetchall()
    try:
        yield
    finally:
        db.close()


@contextlib.contextmanager
def pinned_elsewhere(path: Path) -> Iterator[None]:
    """The same in another process."""
    command = [sys.executable, "-c", _READER, str(path)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        try:
            yield
        finally:
            process.communicate("\n")


def write(memory: Memory, numbers: Iterator[int], count: int) -> int:
    """Store about `count` events, one by one and in bulk; how many writes were refused."""
    goal = next(numbers) + count
    for i in numbers:
        if i > goal:
            break
        try:
            if i % 6:
                memory.observe(event(i) if i % 50 else bulky(i))
            else:
                memory.observe_many(event(n) for _, n in zip(range(20), numbers, strict=False))
        except (StoreBusyError, BudgetError):
            return 1  # it has waited its patience; one more would wait as long for the same answer
    return 0


def stress(path: Path, budget: int, rounds: int, count: int) -> BudgetVFS:
    numbers = iter(range(1, 10**9))
    with BudgetVFS(path, budget) as vfs, watched(path) as peak:
        memory = open_memory(path, vfs.name, budget)
        for n in range(rounds):
            write(memory, numbers, count)
            with (pinned, pinned_elsewhere)[n % 2](path):
                write(memory, numbers, count)
            assert write(memory, numbers, 20) == 0, "the reader is gone and writes still fail"
        usage = memory.usage()
        assert usage.disk <= budget
        assert memory.verify().ok
        memory.close()
    assert vfs.violations == []
    assert 0 < peak.bytes <= budget
    return vfs


def test_never_over_budget_while_readers_pin_the_log(tmp_path: Path) -> None:
    vfs = stress(tmp_path / "a.holdfast", MIB, rounds=2, count=2500)
    assert vfs.peak > MIB // 2


@pytest.mark.slow
@pytest.mark.parametrize("budget", [SMALLEST, MIB, 4 * MIB])
def test_never_over_budget_in_a_million_writes(tmp_path: Path, budget: int) -> None:
    vfs = stress(tmp_path / "a.holdfast", budget, rounds=10, count=17_000)
    assert vfs.checks > 300_000


def test_bulk_large_and_resized_stay_under_budget(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    with BudgetVFS(path, 2 * MIB) as vfs, open_memory(path, vfs.name, 2 * MIB) as memory:
        memory.observe_many(event(i) for i in range(3000))
        for i in range(8):
            memory.observe(Event(text(i, 300_000)))
            memory.observe_many(event(i) for i in range(100))
        memory.resize(MIB)
        vfs.limit = MIB
        assert vfs.measure() <= MIB
        memory.observe_many(bulky(i) for i in range(200))
        memory.resize(4 * MIB)
        vfs.limit = 4 * MIB
        memory.observe_many(bulky(i) for i in range(1500))
        assert memory.verify().ok
    assert vfs.violations == []
    assert vfs.peak > 3 * MIB


def test_the_budget_survives_a_second_process(tmp_path: Path) -> None:
    """Two writers in turns: neither may count on what it knows of the other's log."""
    path = tmp_path / "a.holdfast"
    with BudgetVFS(path, SMALLEST) as vfs, watched(path) as peak:
        first = open_memory(path, vfs.name)
        second = open_memory(path, vfs.name, None)
        for i in range(200):
            (first if i % 3 else second).observe(bulky(i))
        assert len(first) == len(second)
        first.close()
        second.close()
    assert vfs.violations == []
    assert peak.bytes <= SMALLEST

"""Erasing, snapshots and the way back under the budget at every change of every file."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from holdfast import Event, Memory
from holdfast.checks.faults import BudgetVFS

SMALLEST = 640 * 1024


def events(rng: random.Random, n: int, words: int) -> list[Event]:
    return [
        Event(
            rng.randbytes(words) if i % 3 else f"Event {i}. {rng.randbytes(words // 2).hex()}",
            speaker=("Ana", "Bo", "Mallory")[rng.randrange(3)], scope=f"s/{i % 7}",
            key=f"k{rng.random()}" if i % 5 == 0 else None,
        )
        for i in range(n)
    ]  # fmt: skip


def live(path: Path, budget: int, policy: str, seed: int, size: int) -> BudgetVFS:
    """Fill a memory over and over, and do to it all that is done to a whole one."""
    rng = random.Random(seed)
    with BudgetVFS(path, budget) as vfs:
        memory = Memory.open(
            path, budget, retention=policy, extractor=None, durability="off", vfs=vfs.name
        )
        memory.observe_many(events(rng, 2 * budget // size, size))
        memory.snapshot("full")
        memory.checkpoint()
        memory.observe_many(events(rng, budget // size // 2, size))
        for n in range(60):
            memory.believe(f"S{n}", "lives_in", rng.randbytes(20).hex(), by="Mallory", key=f"b{n}")
        memory.erase(source="Mallory")
        assert memory.verify().problems == ()
        memory.observe_many(events(rng, budget // size // 2, size))
        kept = [record.seq for record in memory.log()]
        memory.erase(event=rng.sample(kept, len(kept) // 8))
        memory.rollback("full")
        memory.observe_many(events(rng, budget // size // 2, size))
        memory.rollback("full")
        assert memory.verify().problems == ()
        memory.checkpoint()
        memory.delete_snapshot("full")
        assert memory.usage().disk <= budget
        memory.close()
    assert vfs.violations == []
    return vfs


@pytest.mark.parametrize("policy", ["demand", "random"])
def test_never_over_budget(tmp_path: Path, policy: str) -> None:
    live(tmp_path / "m.holdfast", SMALLEST, policy, seed=1, size=300)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["demand", "random", "merge", "oldest"])
@pytest.mark.parametrize("budget", [SMALLEST, 700_001, 1 << 20, 4 << 20])
@pytest.mark.parametrize("size", [60, 300, 3000])
def test_never_over_any_budget(tmp_path: Path, policy: str, budget: int, size: int) -> None:
    live(tmp_path / "m.holdfast", budget, policy, seed=size, size=size)


@pytest.mark.slow
def test_a_fork_of_64_mib_takes_well_under_a_second(tmp_path: Path) -> None:
    path, rng = tmp_path / "m.holdfast", random.Random(1)
    with Memory.open(path, 72 << 20, extractor=None, durability="off") as memory:
        memory.observe_many(rng.randbytes(20_000) for _ in range(3300))
        assert memory.usage().database > 60 << 20
        before = time.perf_counter()
        twin = memory.fork(tmp_path / "twin.holdfast")
        seconds = time.perf_counter() - before
        twin.observe("Only here.")
        assert len(twin) == len(memory) + 2
        twin.close()
        snapshot = memory.snapshot("s")
        assert memory.usage().snapshots == snapshot.nbytes == memory.delete_snapshot("s")
        assert memory.usage().snapshots == 0
    assert seconds < 1.0, seconds

"""Power cuts at random moments of many workloads: nothing acknowledged is lost or changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from holdfast.checks.faults import Op, RecordingVFS, crash_states
from holdfast.memory import Memory
from holdfast.records import Event

from lab import (
    SMALLEST,
    History,
    Step,
    bulk,
    bulky,
    damage,
    event,
    fill,
    observing,
    record,
    reopening,
    resizing,
    text,
)

MIB = 1024 * 1024


def small(path: Path, vfs: str) -> Iterator[Step]:
    """The life of a small memory: made, written, closed, opened, written."""
    yield from observing(range(1, 15))
    yield reopening(path, vfs)
    yield from observing(range(15, 22))
    yield bulk(range(22, 30))
    yield reopening(path, vfs)
    yield from observing(range(30, 33))


def sealing(path: Path, vfs: str) -> Iterator[Step]:
    """Enough bytes that the tail is sealed into blocks, and the log is copied and reset."""
    yield from observing(range(1, 16), bulky)
    yield bulk(range(16, 40), lambda i: Event(text(i, 700), at=float(i)))
    yield from observing(range(40, 46))


def large(path: Path, vfs: str) -> Iterator[Step]:
    """Events of up to an eighth of the budget among small ones."""
    for i in range(1, 13):
        yield from observing([i], lambda i: Event(text(i, 3_000 * i if i == 6 else 200)))
        if i % 4 == 0:
            yield from observing([i], lambda i: Event(Random(i).randbytes(6_000 * i)))


def retention(path: Path, vfs: str) -> Iterator[Step]:
    """A full memory: each write demotes or evicts, and blocks are rewritten."""
    yield from observing(range(10_000, 10_030), bulky)
    yield bulk(range(10_030, 10_050), bulky)
    yield reopening(path, vfs)
    yield from observing(range(10_050, 10_060), bulky)


def resized(path: Path, vfs: str) -> Iterator[Step]:
    """Budgets taken up and down, with writes in between."""
    yield from observing(range(20_000, 20_010), bulky)
    yield resizing(MIB)
    yield bulk(range(20_010, 20_060), bulky)
    yield resizing(SMALLEST)
    yield from observing(range(20_060, 20_070), bulky)


Workload = Callable[[Path, str], Iterator[Step]]
STATES: dict[Workload, int] = {small: 3300, sealing: 1000, large: 500, retention: 120, resized: 80}


def recorded(path: Path, workload: Workload) -> tuple[list[Op], History]:
    truth = fill(path) if workload in (retention, resized) else {}
    with RecordingVFS() as vfs:
        history = record(vfs, path, workload(path, vfs.name), truth=truth)
        return vfs.log, history


def cut_power(path: Path, workload: Workload, states: int, seed: int) -> None:
    log, history = recorded(path, workload)
    for state in crash_states(log, Random(seed), states):
        problem = damage(state.directory / path.name, history, state.marks)
        assert not problem, (
            f"{workload.__name__}, seed {seed}, cut {state.cut}, {state.loss}: {problem}"
        )


@pytest.mark.parametrize("workload", STATES, ids=lambda w: w.__name__)
def test_no_acknowledged_event_is_lost_in_a_power_cut(tmp_path: Path, workload: Workload) -> None:
    cut_power(tmp_path / "a.holdfast", workload, STATES[workload], seed=7)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("workload", STATES, ids=lambda w: w.__name__)
def test_nor_in_ten_times_as_many(tmp_path: Path, workload: Workload, seed: int) -> None:
    cut_power(tmp_path / "a.holdfast", workload, STATES[workload], seed=100 + seed)


def test_the_weaker_mode_loses_only_the_latest_and_says_so(tmp_path: Path) -> None:
    """At "normal" no receipt says durable, and what is left is a prefix of what was written."""
    path = tmp_path / "a.holdfast"
    with RecordingVFS() as vfs:
        with Memory.open(path, budget=MIB, embedder=None, durability="normal", vfs=vfs.name) as m:
            for i in range(1, 40):
                assert not m.observe(event(i)).durable
        lost = 0
        for state in crash_states(vfs.log, Random(5), 200):
            found = state.directory / path.name
            if found.exists() and found.stat().st_size > 4096:
                with Memory.open(found, budget=MIB, embedder=None) as memory:
                    assert memory.verify().ok
                    assert [r.seq for r in memory.log()] == list(range(1, len(memory) + 1))
                    lost += len(memory) < 39
        assert lost > 20

"""Processes killed at every change, by a VFS in a fork and by strace: receipts keep their word."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from holdfast.checks.faults import CrashVFS, Outcome, run_until_killed, traced, tracing_refused
from holdfast.records import Event, Tier

from lab import SMALLEST, bulky, event, fill, open_memory, raw, wrong

CHILD = Path(__file__).with_name("child.py")
Make = Callable[[int], Event]


def kept_word(path: Path, outcome: Outcome, make: Make, held: int) -> str:
    """What a killed writer's memory breaks of its receipts; empty if nothing.

    `held` is how many events there were before. At most one event more than acknowledged is there.
    """
    acknowledged = dict(tuple(map(int, line.split())) for line in outcome.acknowledged)
    latest = max(acknowledged.values(), default=0)
    with open_memory(path, budget=None if held or acknowledged else SMALLEST) as memory:
        verification = memory.verify()
        if not verification.ok:
            return f"verify: {verification.problems}"
        records = {r.seq: r for r in memory.log(after=held)}
        evicted = memory.usage().events["evicted"]
    truth = {seq: make(i).content for seq, i in acknowledged.items()}
    for seq in acknowledged:
        if seq not in records and not evicted:
            return f"event {seq} was acknowledged and is gone"
    for seq, found in records.items():
        if seq not in truth:
            if seq > held + len(acknowledged) + 1:
                return f"event {seq} is there but was never begun"
            truth[seq] = make(latest + 1).content if latest else found.event.content
        if problem := wrong(found, truth):
            return problem
    newest = max(acknowledged, default=0)
    if newest and (newest not in records or records[newest].tier != Tier.VERBATIM):
        return f"the newest event, {newest}, is not whole"
    return ""


def fresh(path: Path, template: Path | None) -> None:
    for suffix in ("", "-wal", "-shm", "-journal", "-lock"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)
    if template is not None:
        shutil.copyfile(template, path)


def kill_everywhere(
    path: Path, template: Path | None, make: Make, events: int, step: int, torn: bool
) -> int:
    """Kill a forked writer at every `step`-th change until it survives; how many died."""
    held, start = (0, 1) if template is None else (_newest(template), 10_000)
    killed, point = 0, 1
    while True:
        fresh(path, template)

        def work(acknowledge: Callable[[str], None], point: int = point) -> None:
            vfs = CrashVFS(point, torn)
            with open_memory(path, vfs.name) as memory:
                for i in range(start, start + events):
                    acknowledge(f"{memory.observe(make(i)).seq} {i}")

        outcome = run_until_killed(work)
        if not outcome.killed:
            assert len(outcome.acknowledged) == events
            return killed
        problem = kept_word(path, outcome, make, held)
        assert not problem, f"change {point}, torn {torn}: {problem}"
        killed += 1
        point += step


def _newest(path: Path) -> int:
    with open_memory(path, budget=None) as memory:
        return max(record.seq for record in memory.log())


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("full") / "full.holdfast"
    fill(path)
    return path


@pytest.mark.parametrize("torn", [False, True])
def test_killed_while_making_and_writing_a_small_memory(tmp_path: Path, torn: bool) -> None:
    assert kill_everywhere(tmp_path / "a.holdfast", None, event, 6, 1, torn) > 40


def test_killed_while_a_full_memory_makes_room(tmp_path: Path, full: Path) -> None:
    assert kill_everywhere(tmp_path / "a.holdfast", full, bulky, 12, 11, False) > 10


@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
def test_killed_at_thousands_of_points(tmp_path: Path, full: Path, torn: bool) -> None:
    path = tmp_path / "a.holdfast"
    killed = kill_everywhere(path, None, event, 120, 1, torn)
    killed += kill_everywhere(path, full, bulky, 100, 1, torn)
    assert killed > 1000


# ---- strace ------------------------------------------------------------------------------------

needs_strace = pytest.mark.skipif(bool(tracing_refused()), reason=tracing_refused() or "it traces")


def trace_point(
    path: Path, template: Path | None, shape: str, count: int, point: tuple[str, int]
) -> bool:
    """Kill one traced writer; whether the point was reached."""
    fresh(path, template)
    held, start = (0, 1) if template is None else (_newest(template), 10_000)
    command = [sys.executable, str(CHILD), str(path), str(SMALLEST), str(start), str(count), shape]
    outcome = traced(command, *point)
    make = bulky if shape == "bulky" else event
    problem = kept_word(path, outcome, make, held)
    assert not problem, f"{point}: {problem}"
    fresh(path, None)
    return outcome.killed


@needs_strace
def test_the_kernel_kills_a_writer_and_its_receipts_hold(tmp_path: Path) -> None:
    points = [("pwrite64", n) for n in range(1, 60, 3)] + [("fdatasync", n) for n in range(1, 12)]

    def run(point: tuple[str, int]) -> bool:
        return trace_point(tmp_path / f"{point}.holdfast", None, "varied", 6, point)

    with ThreadPoolExecutor(2) as pool:
        assert sum(pool.map(run, points)) >= 25


@needs_strace
@pytest.mark.slow
def test_the_kernel_kills_writers_at_a_thousand_points(tmp_path: Path, full: Path) -> None:
    small = [("pwrite64", n) for n in range(1, 320)] + [("fdatasync", n) for n in range(1, 60)]
    small += [(call, n) for call in ("ftruncate", "fsync", "unlink") for n in range(1, 8)]
    room = [("pwrite64", n) for n in range(1, 600)] + [("fdatasync", n) for n in range(1, 60)]
    jobs = [(None, "varied", 50, p) for p in small] + [(full, "bulky", 40, p) for p in room]

    def run(job: tuple[int, tuple[Path | None, str, int, tuple[str, int]]]) -> bool:
        n, (template, shape, count, point) = job
        return trace_point(tmp_path / f"{n}.holdfast", template, shape, count, point)

    with ThreadPoolExecutor(2) as pool:
        reached = sum(pool.map(run, enumerate(jobs)))
    assert reached >= 1000


def test_a_receipt_is_for_bytes(tmp_path: Path) -> None:
    """The check itself is not blind: a wrong text under an acknowledged number is found."""
    path = tmp_path / "a.holdfast"
    with open_memory(path) as memory:
        memory.observe(event(1))
        memory.observe(event(3))
    told = Outcome(("1 1", "2 2"), True)
    assert "2" in kept_word(path, told, event, 0)
    assert raw(event(2).content) != raw(event(3).content)
    assert "gone" in kept_word(path, Outcome(("1 1", "2 3", "3 4"), True), event, 0)

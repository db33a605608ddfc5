"""Several processes and threads on one file: every acknowledged write survives, once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("holdfast.memory", exc_type=ImportError)

from holdfast.errors import IdempotencyError
from holdfast.records import Event

from lab import event, open_memory, wrong

CHILD = Path(__file__).with_name("child.py")
BUDGET = 4 * 1024 * 1024

_SAME_KEY = """
import sys, threading
from holdfast.memory import Memory
memory = Memory.open(sys.argv[1], embedder=None)
print("ready", flush=True)
sys.stdin.readline()
for _ in range(int(sys.argv[2])):
    receipt = memory.observe("the one body", key="the key", speaker="Ana", scope="s")
    print(receipt, flush=True)
memory.close()
"""


def race(path: Path, writers: int, writes: int) -> None:
    open_memory(path, budget=BUDGET).close()
    children = [
        subprocess.Popen(
            [sys.executable, CHILD, path, str(BUDGET), str(1000 * n), str(writes)],
            stdout=subprocess.PIPE,
            text=True,
        )
        for n in range(1, writers + 1)
    ]
    acknowledged: dict[int, int] = {}
    for child in children:
        out, _ = child.communicate(timeout=300)
        assert child.returncode == 0
        lines = [tuple(map(int, line.split())) for line in out.splitlines()]
        assert len(lines) == writes
        assert [i for _, i in lines] == sorted(i for _, i in lines)
        acknowledged.update(dict(lines))  # type: ignore[arg-type]
    assert sorted(acknowledged) == list(range(1, writers * writes + 1)), "numbers are not dense"
    truth = {seq: event(i).content for seq, i in acknowledged.items()}
    with open_memory(path, budget=None) as memory:
        records = list(memory.log())
        assert [r.seq for r in records] == sorted(truth)
        assert [problem for r in records if (problem := wrong(r, truth))] == []
        assert memory.verify().ok


def test_two_processes_lose_nothing(tmp_path: Path) -> None:
    race(tmp_path / "a.holdfast", 2, 20)


@pytest.mark.slow
def test_eight_processes_lose_nothing(tmp_path: Path) -> None:
    race(tmp_path / "a.holdfast", 8, 200)


def test_each_sees_what_the_other_wrote(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    with open_memory(path) as mine:
        mine.observe("The harbour lights are green.", speaker="Ana")
        command = [sys.executable, str(CHILD), str(path), str(640 * 1024), "500", "3"]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert [line.split()[0] for line in out.splitlines()] == ["2", "3", "4"]
        assert mine.recall("number501").items
        assert any("number501" in item.text for item in mine.recall("number501").items)
        assert len(mine) == 4
        assert mine.observe("and mine goes on").seq == 5
        with open_memory(path, budget=None) as other:
            assert [h.seq for h in other.rank("harbour lights")][:1] == [1]
            assert other.observe("from over there: a pelican").seq == 6
            assert [h.seq for h in mine.rank("pelican")][:1] == [6]


def together(n: int, call: Callable[[int], object]) -> list[object]:
    """`call` from n threads at the same moment."""
    barrier = threading.Barrier(n)

    def one(i: int) -> object:
        barrier.wait()
        return call(i)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


def test_one_key_fifty_times_from_threads_is_one_event(tmp_path: Path) -> None:
    with open_memory(tmp_path / "a.holdfast") as memory:
        one = Event("the one body", key="the key", speaker="Ana", scope="s")
        receipts = together(50, lambda _: memory.observe(one))
        assert len(set(receipts)) == 1
        assert len(memory) == 1
        with pytest.raises(IdempotencyError, match="key"):
            memory.observe("another body", key="the key", speaker="Ana", scope="s")
        with pytest.raises(IdempotencyError):
            memory.observe("the one body", key="the key", speaker="Bo", scope="s")
        assert len(memory) == 1
        assert memory.observe(one) == receipts[0]


def test_one_key_from_processes_is_one_event(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    open_memory(path).close()
    children = [
        subprocess.Popen(
            [sys.executable, "-c", _SAME_KEY, str(path), "10"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(5)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    receipts = [line for child in children for line in child.communicate()[0].splitlines()]
    assert len(receipts) == 50
    assert len(set(receipts)) == 1
    with open_memory(path, budget=None) as memory:
        assert len(memory) == 1
        with pytest.raises(IdempotencyError):
            memory.observe("another body", key="the key")


def test_threads_with_their_own_events_lose_nothing(tmp_path: Path) -> None:
    with open_memory(tmp_path / "a.holdfast", budget=BUDGET) as memory:

        def write(n: int) -> list[tuple[int, int]]:
            return [(memory.observe(event(i)).seq, i) for i in range(n * 100 + 1, n * 100 + 26)]

        pairs = [pair for found in together(8, write) for pair in found]  # type: ignore[attr-defined]
        truth = {seq: event(i).content for seq, i in pairs}
        assert sorted(truth) == list(range(1, 201))
        assert [p for r in memory.log() if (p := wrong(r, truth))] == []
        assert memory.verify().ok

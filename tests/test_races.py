"""Threads and processes that want the same slot, document or step: one wins, nothing is lost."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest

from holdfast import Memory, Receipt
from holdfast.errors import ConflictError, IdempotencyError, TransitionError
from holdfast.state.automaton import Automaton
from holdfast.state.records import Belief

from worlds import opened

T = TypeVar("T")
THREADS = 8


def together(call: Callable[[int], T], n: int = THREADS) -> list[T]:
    """`call` from n threads at the same moment."""
    barrier = threading.Barrier(n)

    def one(i: int) -> T:
        barrier.wait()
        return call(i)

    with ThreadPoolExecutor(n) as pool:
        return list(pool.map(one, range(n)))


def race(path: Path, script: str, *arguments: str, n: int = 2) -> list[list[Any]]:
    """What n processes print that run a script on one file, line by line, from JSON."""
    head = "import json, sys\nfrom holdfast import Memory\nfrom holdfast.errors import *\n"
    head += "memory = Memory.open(sys.argv[1], durability='off')\nme = int(sys.argv[2])\n"
    head += "print('ready', flush=True)\nsys.stdin.readline()\n"
    children = [
        subprocess.Popen(
            [sys.executable, "-c", head + script, str(path), str(i), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for i in range(n)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()
    outs = [child.communicate(timeout=120)[0] for child in children]
    assert [child.returncode for child in children] == [0] * n
    return [[json.loads(line) for line in out.splitlines()] for out in outs]


def check_line(memory: Memory, values: set[str], retired: list[str]) -> None:
    """One winner, every value in history, one unbroken line, each loser retired just once."""
    history = memory.history("Ana", "lives_in")
    assert {belief.value for belief in history} == values
    assert len(history) == len(values)
    (winner,) = memory.beliefs(subject="Ana", predicate="lives_in")
    by_id: dict[str, Belief] = {belief.id: belief for belief in history}
    first = min(history, key=lambda one: (one.recorded_at, int(one.id[1:].split(".")[0])))
    line = [first]
    while (after := line[-1].superseded_by) is not None:
        assert len(line) < len(history), "a ring"
        line.append(by_id[after])
    assert line[-1] == winner
    assert len(line) == len(history)
    assert Counter(retired) == Counter({one.id: 1 for one in history if one.id != winner.id})
    assert all(one.valid_until is not None and not one.current for one in line[:-1])


def test_threads_that_supersede_each_other_leave_one_line(tmp_path: Path) -> None:
    each = 30
    with opened("4 MiB") as memory:

        def write(i: int) -> list[Receipt]:
            return [
                memory.believe("Ana", "lives_in", f"town {i}.{n}", by=f"source {i}")
                for n in range(each)
            ]

        receipts = [receipt for found in together(write) for receipt in found]
        values = {f"town {i}.{n}" for i in range(THREADS) for n in range(each)}
        changes = [change for receipt in receipts for change in receipt.changes]
        assert len(changes) == len(values)
        assert Counter(change.action for change in changes) == {
            "add": 1,
            "supersede": len(values) - 1,
        }
        check_line(memory, values, [id for change in changes for id in change.retired])
        digest = memory.state_hash()
        twin = memory.fork(tmp_path / "twin.holdfast")
        assert twin.state_hash() == digest, "a replay of the journal gives another state"
        twin.close()
        assert memory.verify().ok


def test_processes_that_supersede_each_other_leave_one_line(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    Memory.open(path, "4 MiB", durability="off").close()
    script = """
for n in range(int(sys.argv[3])):
    done = memory.believe("Ana", "lives_in", f"town {me}.{n}")
    print(json.dumps([done.changes[0].what, list(done.changes[0].retired)]), flush=True)
memory.close()
"""
    outs = race(path, script, "25")
    values = {f"town {i}.{n}" for i in range(2) for n in range(25)}
    with Memory.open(path) as memory:
        check_line(memory, values, [id for out in outs for _, gone in out for id in gone])
        assert memory.verify().ok


def test_one_key_from_threads_is_one_claim() -> None:
    with opened() as memory:

        def write(_: int) -> Receipt:
            return memory.believe("Ana", "lives_in", "Porto", key="one", at=5.0)

        receipts = together(write, 16)
        assert len({repr(receipt) for receipt in receipts}) == 1
        assert len(memory) == 1
        assert len(memory._mirror.state) == 1
        assert [change.action for change in receipts[0].changes] == ["add"]


def test_a_key_with_another_claim_is_refused_whatever_its_words() -> None:
    with opened() as memory:
        memory.believe("Ana", "lives_in", "Porto", key="k")
        memory.put_document("desk", {"lamp": "off"}, key="d")
        memory.observe("A note.", key="o")
        digest = memory.state_hash()
        for call in (
            lambda: memory.believe("Ana", "lives_in", "Porto", key="k", kind="preference"),
            lambda: memory.believe("Ana", "lives_in", "Porto", key="k", aliases=["home"]),
            lambda: memory.believe("Ana lives", "in", "Porto", key="k"),
            lambda: memory.put_document("desk", {"lamp": "on"}, key="d"),
            lambda: memory.observe("Ana lives in Porto", key="k"),
        ):
            with pytest.raises(IdempotencyError):
                call()
        assert memory.state_hash() == digest
        assert memory.put_document("desk", {"lamp": "off"}, key="d").version == 1
        assert memory.believe("Ana", "lives_in", "Porto", key="k").seq == 1
        assert len(memory) == 3


def test_a_repeated_edit_is_answered_when_its_version_is_no_longer_kept() -> None:
    with opened() as memory:
        assert memory.put_document("desk", {"n": 0}, key="first").version == 1
        for n in range(1, 5):
            memory.put_document("desk", {"n": n})
        with memory._mirror.lock:
            list(memory._mirror.state.compact_versions(1 << 20))
        assert memory.put_document("desk", {"n": 0}, key="first").version == 5


def test_of_edits_for_one_version_one_succeeds() -> None:
    rounds = 12
    with opened("4 MiB") as memory:
        memory.put_document("desk", {"n": 0, "by": -1}, expect=0)

        def write(i: int) -> tuple[int, int]:
            won = lost = 0
            for version in range(1, rounds + 1):
                while memory.document("desk").version < version:
                    pass
                try:
                    memory.patch_document("desk", {"n": version, "by": i}, expect=version)
                    won += 1
                except ConflictError:
                    lost += 1
            return won, lost

        counts = together(write)
        assert sum(won for won, _ in counts) == rounds
        assert sum(lost for _, lost in counts) == rounds * (THREADS - 1)
        final = memory.document("desk")
        assert (final.version, final.value["n"]) == (rounds + 1, rounds)
        values = [one.value["n"] for one in memory.document_history("desk")]
        assert values == list(range(rounds + 1))


def test_counting_in_a_document_loses_nothing_between_processes(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    with Memory.open(path, "4 MiB", durability="off") as memory:
        memory.put_document("count", {"n": 0})
    script = """
won = lost = 0
while won < int(sys.argv[3]):
    now = memory.document("count")
    try:
        memory.put_document("count", {"n": now.value["n"] + 1}, expect=now.version)
        won += 1
    except ConflictError:
        lost += 1
print(json.dumps([won, lost]))
memory.close()
"""
    race(path, script, "20")
    with Memory.open(path) as memory:
        final = memory.document("count")
        assert (final.version, final.value) == (41, {"n": 40})
        assert [one.value["n"] for one in memory.document_history("count")] == list(range(41))


def test_raced_steps_never_leave_the_automaton() -> None:
    moves = (("free", "take", "taken"), ("taken", "give", "free"))
    lock = Automaton("lock", ("free", "taken"), "free", moves)
    with opened("4 MiB") as memory:
        memory.declare(lock)
        inside = 0
        most = 0
        guard = threading.Lock()

        def use(_: int) -> tuple[int, int]:
            nonlocal inside, most
            taken = refused = 0
            for _ in range(12):
                try:
                    memory.step("lock", "take")
                except TransitionError:
                    refused += 1
                    continue
                with guard:
                    inside += 1
                    most = max(most, inside)
                taken += 1
                with guard:
                    inside -= 1
                memory.step("lock", "give", expect="taken")
            return taken, refused

        counts = together(use)
        assert most == 1, "two held it at once"
        states = [one.state for one in memory.automaton_history("lock")]
        taken = sum(n for n, _ in counts)
        assert states == ["free", *["taken", "free"] * taken]
        assert taken + sum(n for _, n in counts) == THREADS * 12
        assert taken > 0


def test_readers_see_whole_states_while_others_write() -> None:
    stop = threading.Event()
    with opened("4 MiB") as memory:
        memory.believe("Ana", "lives_in", "town 0")
        wrong: list[str] = []

        def read() -> None:
            while not stop.is_set():
                current = memory.beliefs(subject="Ana", predicate="lives_in")
                found = memory.beliefs("where does Ana live")
                if len(current) != 1 or len(found) != 1:
                    wrong.append(f"{current} {found}")

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for n in range(1, 80):
            memory.believe("Ana", "lives_in", f"town {n}")
        stop.set()
        for reader in readers:
            reader.join()
        assert wrong == []

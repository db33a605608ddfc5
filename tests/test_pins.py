"""What is never let go of leaves room for everything else, an erasure among it."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from random import Random

import pytest

from holdfast import Memory
from holdfast.errors import BudgetError, InvalidEventError
from holdfast.records import Event

BUDGETS = ("640 KiB", "1 MiB", "2 MiB")


def words(rng: Random) -> str:
    return " ".join(f"{rng.getrandbits(32):x}" for _ in range(900))


@pytest.mark.parametrize("budget", BUDGETS)
def test_pinned_events_leave_room(tmp_path: Path, budget: str) -> None:
    rng = Random(1)
    with Memory.open(tmp_path / "a.holdfast", budget=budget, durability="off") as memory:
        with contextlib.suppress(BudgetError):
            while True:
                memory.observe(words(rng), pinned=True)
        assert len(memory) > 10
        with pytest.raises(BudgetError, match="observe it unpinned"):
            memory.observe(words(rng), pinned=True)
        memory.observe("Without a pin.")
        memory.believe("kelp", "colour", "green")
        assert memory.erase(event=1).events == 1
        assert memory.usage().disk <= memory.usage().budget


@pytest.mark.parametrize("budget", BUDGETS)
def test_documents_leave_room_to_erase_them(tmp_path: Path, budget: str) -> None:
    with Memory.open(tmp_path / "a.holdfast", budget=budget, durability="off") as memory:
        with contextlib.suppress(BudgetError):
            for n in itertools.count():
                memory.put_document(f"d{n}", os.urandom(3000).hex(), scope="lab")
        memory.observe("Beside them.")
        memory.erase(scope="lab")
        assert memory.documents(scope="lab") == []
        memory.observe("After them.")
        assert memory.verify().ok


def test_one_who_pins_too_much_stops_nobody_else(tmp_path: Path) -> None:
    rng = Random(2)
    with Memory.open(tmp_path / "a.holdfast", budget="1 MiB", durability="off") as memory:
        greedy = memory.seat("agent/bo")
        events = [Event(words(rng), pinned=True) for _ in range(400)]
        with pytest.raises(BudgetError):
            greedy.observe_many(events)
        assert memory.observe("All goes on.").findable


@pytest.mark.parametrize("pinned", ["no", 1, None])
def test_pinned_is_a_truth_value(tmp_path: Path, pinned: object) -> None:
    with Memory.open(tmp_path / "a.holdfast", budget="1 MiB") as memory:
        with pytest.raises(InvalidEventError, match="pinned must be true or false"):
            memory.observe(Event("x", pinned=pinned))  # type: ignore[arg-type]
        assert len(memory) == 0


def deep(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    ("value", "said"),
    [(deep(64), "nested"), (deep(100_000), "nested"), (float("nan"), "JSON"), ({1, 2}, "JSON")],
)
def test_metadata_is_json_that_any_reader_takes(tmp_path: Path, value: object, said: str) -> None:
    with Memory.open(tmp_path / "a.holdfast", budget="1 MiB") as memory:
        with pytest.raises(InvalidEventError, match=said):
            memory.observe("x", metadata={"m": value})
        memory.observe("x", metadata={"m": deep(63)})
        assert len(memory) == 1


@pytest.mark.parametrize("budget", [2**40 + 1, "2 TiB", "9" * 400, "9" * 400 + " TiB"])
def test_a_budget_beyond_all_ram_is_refused(tmp_path: Path, budget: int | str) -> None:
    with pytest.raises(BudgetError, match="at most 1099511627776 bytes"):
        Memory.open(tmp_path / "a.holdfast", budget=budget)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("when", [1e308, float("inf"), -1e300])
def test_a_time_beyond_all_calendars_is_refused(tmp_path: Path, when: float) -> None:
    with Memory.open(tmp_path / "a.holdfast", budget="1 MiB") as memory:
        for ask in (memory.recall, memory.rank, memory.beliefs):
            with pytest.raises(InvalidEventError, match="is no time"):
                ask("x", as_of=when)  # type: ignore[operator]

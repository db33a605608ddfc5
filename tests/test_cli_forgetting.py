"""`holdfast ledger` and `holdfast forgotten` say what the memory says."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from holdfast import Event, Memory
from holdfast.cli import main
from holdfast.wire.plain import plain

from worlds import T0, TINY, ticking


@pytest.fixture
def full(tmp_path: Path) -> str:
    """A memory that has lost an iguana and much else."""
    rng, path = random.Random(1), str(tmp_path / "m.holdfast")
    options: dict[str, Any] = {"durability": "off", "retention": "oldest", "clock": ticking()}
    with Memory.open(path, TINY, **options) as memory:
        memory.observe(Event("Our iguana Zorbatax moved to Lisbon.", scope="user/ana", at=T0))
        memory.observe_many(
            Event(rng.randbytes(3000), scope="user/bo", at=T0 + i) for i in range(300)
        )
        memory.observe("The spare key is under the blue pot.", speaker="Ana", at=T0 + 999)
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    found = main(list(arguments))
    out, err = capsys.readouterr()
    assert found == code, err
    return out


def test_the_ledger_as_json_is_the_ledger(full: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(run(capsys, "ledger", full, "--json"))
    with Memory.open(full, durability="off") as memory:
        losses, totals = memory.ledger(), memory.loss_totals()
    assert found == {"losses": plain(losses), "totals": plain(totals)}
    assert found["losses"][-1]["action"] == "evicted"
    last = str(losses[-2].write)
    some = json.loads(run(capsys, "ledger", full, "--after", last, "--json"))
    assert some["losses"] == plain([loss for loss in losses if loss.write > losses[-2].write])
    none = json.loads(run(capsys, "ledger", full, "--scope", "nobody", "--json"))
    assert all(loss["elsewhere"] for loss in none["losses"])
    assert none["totals"] == found["totals"]


def test_the_ledger_for_people(full: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = run(capsys, "ledger", full, "--limit", "2").splitlines()
    with Memory.open(full, durability="off") as memory:
        losses, totals = memory.ledger(), memory.loss_totals()
    assert len(losses) > 2
    assert f"evicted by oldest for e{losses[-1].write}" in lines[1]
    assert lines[2] == f"... and {len(losses) - 2:,} earlier"
    assert lines[-1] == f"in all: {totals.evicted:,} evicted"
    assert f"{totals.moves[0].events:,} events" in lines[-2]


def test_a_memory_that_let_go_of_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = str(tmp_path / "m.holdfast")
    with Memory.open(path, "1 MiB") as memory:
        memory.observe("The spare key is under the blue pot.")
    assert run(capsys, "ledger", path) == "in all: 0 evicted\n"
    assert "never knew: this never came up (zebra)" in run(capsys, "forgotten", path, "zebra?")


def test_forgotten_says_what_the_memory_says(full: str, capsys: pytest.CaptureFixture[str]) -> None:
    query = "where did the iguana Zorbatax go?"
    found = json.loads(run(capsys, "forgotten", full, query, "--json"))
    with Memory.open(full, durability="off") as memory:
        told = memory.forgotten(query)
    assert found == plain(told)
    assert set(found["terms"]) == {"iguana", "Zorbatax"}
    text = run(capsys, "forgotten", full, query)
    assert text.startswith(("knew once: this came up", "don't know; iguana, Zorbatax came up"))
    assert f"knew once {told.chances['knew once']:.0%}" in text
    new = run(capsys, "forgotten", full, "who is Wexforia?")
    assert new.startswith("never knew: this never came up (Wexforia)")


def test_forgotten_points_to_what_is_kept(full: str, capsys: pytest.CaptureFixture[str]) -> None:
    with Memory.open(full, durability="off") as memory:
        told = memory.forgotten("Where is the spare key under the blue pot?")
    text = run(capsys, "forgotten", full, "Where is the spare key under the blue pot?")
    assert text.startswith(told.verdict)
    if told.verdict == "still known":
        assert "holdfast recall" in text


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["ledger"], ["forgotten"]):
        arguments = [
            *command,
            str(tmp_path / "none.holdfast"),
            *(["x"] * (command == ["forgotten"])),
        ]
        assert run(capsys, *arguments, code=1) == ""

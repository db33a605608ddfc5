"""`holdfast fidelity`, `advise` and `bench fidelity`: what they print and exit with."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from holdfast import Event, Memory
from holdfast.cli import main

from worlds import prose, ticking


class Shell:
    """Runs command lines in this process and keeps what they print."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys

    def __call__(self, *arguments: str, code: int = 0) -> str:
        found = main(list(arguments))
        self.out, self.err = self._capsys.readouterr()
        assert found == code, self.err
        return self.out

    def json(self, *arguments: str) -> Any:
        return json.loads(self(*arguments, "--json"))


@pytest.fixture
def sh(capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(capsys)


@pytest.fixture
def lossy(tmp_path: Path) -> str:
    """A memory that has lost a part of two people's stream."""
    path = tmp_path / "m.holdfast"
    rng = random.Random(5)
    with Memory.open(
        path, "640 KiB", retention="oldest", extractor=None, durability="off", clock=ticking()
    ) as memory:
        memory.observe_many(
            Event(prose(rng, 40), speaker="Ana", scope=("ana", "bo")[n % 2]) for n in range(4000)
        )
    return str(path)


def test_a_report_has_the_shares_by_age_and_scope(sh: Shell, lossy: str) -> None:
    told = sh("fidelity", lossy, "--tokens", "500")
    assert "4,000 events observed" in told
    assert "asked within 500 tokens each" in told
    assert "by age, oldest first" in told
    assert "e1-e" in told
    assert "-e4000" in told
    assert "by scope" in told
    assert "by kind" not in told, "there is one kind"
    assert "found again" in told


def test_the_report_as_json_is_the_report(sh: Shell, lossy: str) -> None:
    found = sh.json("fidelity", lossy)
    assert found["observed"] == 4000
    assert found["tokens"] == 1000
    assert found["shares"].keys() == {"verbatim", "gist", "trace", "lost"}
    assert sum(part["value"] for part in found["shares"].values()) == pytest.approx(1.0)
    assert found["ages"][0]["shares"]["lost"]["value"] == 1.0
    assert found["ages"][-1]["shares"]["verbatim"]["value"] == 1.0
    assert {group["name"] for group in found["scopes"]} == {"ana", "bo"}
    few = sh.json("fidelity", lossy, "--sample", "7")
    assert (few["asked"], few["shares"]) == (7, found["shares"])


def test_advice_names_a_budget_and_shows_the_curve(sh: Shell, lossy: str) -> None:
    told = sh("advise", lossy, "--fidelity", "0.9")
    first, second, third, *curve = told.splitlines()
    assert first.endswith("would have kept 90%")
    assert second.startswith("95 % interval ")
    assert third.startswith("everything whole: about ")
    assert 5 < len(curve) <= 12
    assert curve[-1].endswith("100.0%")
    found = sh.json("advise", lossy, "--fidelity", "0.9")
    assert found["low"] <= found["budget"] <= found["high"]
    assert (found["tier"], found["enough"]) == ("gist", False)
    enough = sh("advise", lossy, "--fidelity", "0.05", "--tier", "trace")
    assert enough.startswith("enough: 640.0 KiB keeps ")


def test_what_is_empty_or_not_there_is_said_so(sh: Shell, tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    Memory.open(path, "1 MiB").close()
    assert "0 events observed" in sh("fidelity", str(path))
    assert sh("advise", str(path)).startswith("enough:")
    sh("fidelity", str(tmp_path / "none.holdfast"), code=1)
    assert "no memory at" in sh.err
    sh("advise", str(path), "--fidelity", "1.5", code=2)
    sh("fidelity", str(path), "--tokens", "0", code=2)

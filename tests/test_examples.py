"""The examples run, and say what the documentation says of them."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def load(name: str) -> ModuleType:
    """An example as a module."""
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_three_weeks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("three_weeks").main(tmp_path / "planner.holdfast")
    told = capsys.readouterr().out
    friday, tuesday = told.index("Mon 02 Mar: release day"), told.index("Tue 17 Mar: release day")
    assert "deploy happens on Friday" in told[friday:tuesday]
    assert "Monday" not in told[friday : told.index("How it came to that")]
    assert "deploy happens on Tuesday" in told[tuesday:]
    assert "What we believed on day 1: ['Friday']" in told
    assert "Since the snapshot: ['deploy happens on Tuesday']" in told


def test_agent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    load("agent").main(tmp_path / "agent.holdfast", [])
    told = capsys.readouterr().out.splitlines()
    assert told[0].endswith("Ana: where is the spare key?")
    assert told[1] == "[user/ana/monday] Bot: I do not know."
    assert told[-1] == "[user/ana/friday] Bot: Under the blue pot."


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"agent", "three_weeks"}

"""The examples run, and say what the documentation says of them."""

from __future__ import annotations

import importlib.util
import io
from pathlib import Path
from types import ModuleType

import pytest

from holdfast import Memory
from holdfast.models.scripted_chat import ScriptedChatServer

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


def test_agent_without_a_model_says_so_and_stores_nothing_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    path, agent = tmp_path / "agent.holdfast", load("agent")
    with Memory.open(path, budget="2 MiB"):
        pass
    arguments = ["--model", "any", "--base-url", "http://127.0.0.1:9/v1"]
    for _ in range(2):  # the program is started again, and the message said again
        monkeypatch.setattr("sys.stdin", io.StringIO("Where is the key?\nWhere is the key?\n\n"))
        agent.main(path, arguments)
        err = capsys.readouterr().err.splitlines()
        assert len(err) == 2
        assert all(line.startswith("no answer: ") for line in err)
    with Memory.open(path) as memory:
        assert [record.text for record in memory.log()] == ["Where is the key?"]
        assert memory.usage().budget == 2 << 20
        with ScriptedChatServer(answer=agent.scripted) as server:
            monkeypatch.setattr("sys.stdin", io.StringIO("Where is the key?\nWhere is the key?\n"))
            agent.main(path, ["--model", "any", "--base-url", server.base_url])
        said = [record.text for record in memory.log()]
    assert said == ["Where is the key?", "Noted.", "Where is the key?", "Noted."]


def test_every_example_is_tested() -> None:
    assert {path.stem for path in EXAMPLES.glob("*.py")} == {"agent", "three_weeks"}

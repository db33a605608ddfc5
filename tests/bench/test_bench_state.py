"""`bench state`: definitions on a set small enough to do by hand, its command, its errors."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.bench import state
from holdfast.bench.protocol import Setup
from holdfast.cli import main
from holdfast.errors import NotFoundError, UnknownNameError

MakeSet = Callable[..., Path]
TURNS = [
    {"id": "old", "session": "1", "text": "I own three bikes, all of them red."},
    {"id": "x", "session": "1", "text": "The kelp is green."},
    {"id": "new", "session": "2", "text": "I bought one more, so I own four bikes now."},
    {"id": "y", "session": "2", "text": "Bring the ladder back."},
]
QUERIES = [
    {
        "qid": "q", "q": "How many bikes do I own?", "type": "knowledge_update",
        "gold": ["new"], "stale": ["old"],
    },
    {"qid": "r", "q": "What is green?", "type": "information_extraction", "gold": ["x"]},
    {"qid": "s", "q": "Who is Ana?", "type": "abstention", "gold": []},
]  # fmt: skip


@pytest.fixture
def root(make_set: MakeSet) -> Path:
    return make_set("beam_100k", TURNS, QUERIES).parent


def _row(result: dict[str, Any], system: str) -> dict[str, Any]:
    found: dict[str, Any] = next(row for row in result["results"] if row["system"] == system)
    return found


def test_every_metric_on_a_set_done_by_hand(root: Path) -> None:
    said: list[str] = []
    result = state.run(root, progress=said.append)
    assert said[0] == "beam_100k holdfast: stream 1 of 1"
    assert [row["system"] for row in result["results"]] == list(state.STANDARD)
    row = _row(result, "holdfast")
    assert (row["set"], row["unit"], row["n"], row["n_changed"]) == ("beam_100k", "turn", 2, 1)
    shown = {name: row["metrics"][name] for name in ("fresh_before_stale", "stale@5", "history")}
    assert shown == {"fresh_before_stale": 1.0, "stale@5": 1.0, "history": 1.0}
    assert row["metrics"]["mrr"] == row["metrics"]["coverage@10"] == row["reachable"] == 1.0
    assert row["by_type"]["knowledge_update"]["n"] == 1
    assert "fresh_before_stale" not in row["by_type"]["information_extraction"]
    assert _row(result, "bm25")["reachable"] is None


class Fixed:
    """Ranks turns as it is told to."""

    ranks = True
    order: tuple[int, ...] = ()

    def __init__(self, setup: Setup) -> None:
        del setup

    def observe_many(self, events: Any) -> None:
        del events

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        return list(self.order)[:limit]

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        raise AssertionError("turns are ranked")

    def context(self, query: str, tokens: int) -> Any:
        raise AssertionError("no context is asked for")

    def bytes_used(self) -> int:
        return 0

    def close(self) -> None:
        return None


@pytest.mark.parametrize(
    ("order", "first", "stale", "history"),
    [((0, 2), 0.0, 1.0, 1.0), ((2, 0), 1.0, 1.0, 1.0), ((2, 1), 1.0, 0.0, 0.0), ((1,), 0, 0, 0)],
)
def test_orders_and_what_they_score(
    root: Path, order: tuple[int, ...], first: float, stale: float, history: float
) -> None:
    made = type("Made", (Fixed,), {"order": order})
    row = state.run(root, systems={"fixed": made})["results"][0]
    found = [row["metrics"][name] for name in ("fresh_before_stale", "stale@5", "history")]
    assert found == [first, stale, history]


def test_sets_that_are_missing_or_unknown(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no set 'locomo'"):
        state.run(root, only=["locomo"])
    with pytest.raises(UnknownNameError, match="no system 'x'"):
        state.run(root, systems=["x"])
    with pytest.raises(NotFoundError, match="no data set at"):
        state.run(root, only=["beam_1m"])
    with pytest.raises(NotFoundError, match="no set with changing values"):
        state.run(tmp_path / "nothing")


def test_the_command_writes_json_and_prints_a_table(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    command = ["bench", "state", "--data", str(root), "--only", "beam_100k", "--json", str(out)]
    assert main(command) == 0
    assert "fresh_before_stale" in capsys.readouterr().out
    result = json.loads(out.read_text("utf-8"))
    assert result["benchmark"] == "state"
    assert len(result["results"]) == 3
    assert main([*command[:-1], "-", "--system", "bm25"]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 1


def test_a_first_stretch_of_a_real_set(real_set: Callable[[str], Path]) -> None:
    root = real_set("beam_100k").parent
    row = state.run(root, only=["beam_100k"], systems=["holdfast"], streams=2)["results"][0]
    assert row["n_changed"] >= 2
    assert row["reachable"] == 1.0
    assert row["metrics"]["fresh_before_stale"] >= 0.5

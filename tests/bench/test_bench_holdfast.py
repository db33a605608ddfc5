"""Holdfast itself under each benchmark, on next to nothing: what each run says must be so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from holdfast.bench import recall, report, stream, write
from holdfast.bench.peers import compare
from holdfast.bench.protocol import Setup
from holdfast.bench.systems import ContinuedHoldfast, HoldfastSystem
from holdfast.records import Event

MakeSet = Callable[..., Path]
TURNS = [
    {"id": "a", "text": "The spare key hangs behind the blue door.", "ts": "2024-05-01T10:00"},
    {"id": "b", "text": "Rain all day.", "session": "2", "ts": "2024-05-02T10:00"},
    {"id": "c", "text": "My sister Ines plays the oboe.", "session": "3", "ts": "2024-05-03T10:00"},
]
QUERIES = [
    {"qid": "1", "q": "where is the spare key?", "gold": ["a"]},
    {"qid": "2", "q": "who plays the oboe?", "gold": ["c"], "at": 3},
]


def test_positions_sessions_and_whole_turns(tmp_path: Path) -> None:
    system = HoldfastSystem(Setup(tmp_path / "m.holdfast", budget_bytes=4 << 20))
    texts = ["the oboe is loud", "nothing of note", "an oboe again"]
    system.observe_many([Event(t, scope=f"session/{n}") for n, t in enumerate(texts)])
    assert sorted(system.rank("oboe", 10)) == [0, 2]
    assert system.rank("oboe", 10, before=1) == [0]
    assert sorted(system.rank_scopes("oboe", 10)) == ["session/0", "session/2"]
    found = system.context("oboe", 1_000)
    assert {0, 2} <= found.whole
    assert 0 < found.tokens <= 1_000
    assert system.bytes_used() > 0
    system.close()


def test_recall_run(make_set: MakeSet) -> None:
    folder = make_set("mine", TURNS, QUERIES)
    result = recall.run(folder, systems=["holdfast"], budget="4 MiB")
    (row,) = result["results"]
    assert (row["n"], row["events"], row["budget_bytes"]) == (2, 3, 4 << 20)
    assert row["metrics"]["any@1"] == row["metrics"]["budgeted@1000"] == 1
    assert 0 < row["bytes_used"] <= 4 << 20
    assert row["latency_ms"].keys() == {"p50", "p99"}
    sessions = recall.run(folder, systems=["holdfast"], unit="session")
    assert sessions["results"][0]["metrics"]["any@1"] == 1
    assert sessions["results"][0]["budget_bytes"] is None


def test_write_run(tmp_path: Path) -> None:
    result = write.run(
        directory=tmp_path, seconds=0.05, repeats=1, threads=(2,), bulk_events=50, budget="8 MiB"
    )
    assert [row["way"] for row in result["results"]] == ["single", "2 threads", "bulk"]
    assert all(row["per_s"] > 0 and row["ratio"] > 0 for row in result["results"])
    assert list(tmp_path.iterdir()) == []
    assert _renders(result) == [3]


def test_stream_run_stays_within_its_budget(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    result = stream.run(
        events=600, budget="2 MiB", directory=tmp_path, queries=5, singles=5, on_row=rows.append
    )
    assert result["results"] == rows
    (row,) = rows
    assert row["events"] == sum(row["held"].values()) == 600
    assert row["within_budget"]
    assert 0 < row["file_bytes"] <= row["most_file_bytes"] <= 2 << 20
    assert _renders(result) == [1]


def test_latency_run(tmp_path: Path) -> None:
    result = stream.latency(sizes=(100, 200), budget="8 MiB", directory=tmp_path, queries=5)
    assert [row["held"]["verbatim"] for row in result["results"]] == [100, 200]
    assert _renders(result) == [2]


def test_holdfast_beside_a_peer_answers_within_the_user(make_set: MakeSet, tmp_path: Path) -> None:
    turns = [*TURNS, {"id": "z", "text": "Another spare key.", "stream": "r", "i": 0}]
    work = compare.prepare(compare.load(make_set("mine", turns, QUERIES[:1])), None, 10, 10)
    found = compare._holdfast(tmp_path / "m.holdfast", work, None)
    assert found.rankings == [[0]]
    assert len(found.added_s) == 4
    assert found.disk_bytes > 0


def _renders(result: dict[str, Any]) -> list[int]:
    json.loads(report.to_json(result))
    return [table.row_count for table in report.tables(result)]


def test_a_continued_context_begins_as_the_last_one_did(tmp_path: Path) -> None:
    system = ContinuedHoldfast(Setup(tmp_path / "m.holdfast", budget_bytes=4 << 20))
    system.observe_many([Event(f"the oboe is loud, take {n}") for n in range(60)])
    first = system.context("how loud is the oboe?", 300)
    again = system.context("how loud is the oboe?", 300)
    assert again.text == first.text
    assert again.whole == first.whole
    assert 0 < len(first.whole) < 60
    system.close()

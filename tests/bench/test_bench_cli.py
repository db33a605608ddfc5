"""`holdfast bench`: options reach the benchmarks, results come out as JSON or as tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.bench.peers import install as peer_install
from holdfast.cli import main

MakeSet = Callable[..., Path]
TURNS = [
    {"id": "a", "text": "The spare key is under the blue pot."},
    {"id": "b", "text": "I moved the bicycle to the shed."},
    {"id": "c", "text": "Dentist on Thursday at nine."},
]
QUERIES = [{"qid": "q", "q": "where is the spare key?", "gold": ["a"], "gold_sessions": ["1"]}]


@pytest.fixture
def chat(make_set: MakeSet) -> str:
    return str(make_set("tiny", TURNS, QUERIES))


def result(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    """What a benchmark prints with ``--json -``."""
    assert main(["bench", *arguments, "--json", "-"]) == 0
    out, _ = capsys.readouterr()
    assert out.count("\n") == 1
    return json.loads(out)


def test_recall_of_one_system_is_one_flat_object(
    chat: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = result(capsys, "recall", chat, "--unit", "turn", "--embedder", "none")
    assert (found["set"], found["unit"], found["embedder"]) == ("tiny", "turn", None)
    assert found["n"] == 1
    assert found["metrics"]["any@5"] == 1.0
    assert {"p50", "p99"} <= found["latency_ms"].keys()
    assert {"by_type", "budget_bytes", "bytes_used", "events_per_s"} <= found.keys()


def test_recall_of_several_systems_is_a_table(
    chat: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out.json"
    systems = ("--system", "holdfast", "--system", "bm25")
    assert main(["bench", "recall", chat, *systems, "--budget", "1 MiB", "--json", str(out)]) == 0
    assert "bm25" in capsys.readouterr().out
    rows = json.loads(out.read_text("utf-8"))["results"]
    assert [row["system"] for row in rows] == ["holdfast", "bm25"]
    assert rows[0]["budget_bytes"] == 1 << 20


def test_unknown_system_is_an_error(chat: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "recall", chat, "--system", "wishes"]) == 1
    assert capsys.readouterr().err.splitlines()[-2].startswith("error: no system 'wishes'")


def test_write(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brief = ("--seconds", "0.02", "--repeats", "1", "--budget", "16 MiB", "--dir", str(tmp_path))
    found = result(capsys, "write", *brief)
    assert found["benchmark"] == "write"
    assert found["raw_per_s"] > 0
    assert {row["way"] for row in found["results"]} >= {"single", "bulk"}


def test_stream(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--dir", str(tmp_path))
    found = result(capsys, "stream", "--events", "600", "--budget", "1 MiB", *where)
    assert [row["events"] for row in found["results"]] == [600]
    assert all(row["within_budget"] for row in found["results"])


@pytest.mark.slow
def test_latency(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    where = ("--dir", str(tmp_path))
    found = result(capsys, "latency", "--size", "200", "--budget", "16 MiB", *where)
    assert [row["events"] for row in found["results"]] == [200]


def test_peers_that_are_not_installed_are_skipped_with_the_reason(
    chat: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (row,) = result(capsys, "peers", chat, "--peer", "lancedb")["results"]
    assert "holdfast bench peers --install lancedb" in row["skipped"] or "--peer" in row["skipped"]


def test_installing_peers_needs_no_data(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []
    monkeypatch.setattr(peer_install, "install", made.append)
    assert main(["bench", "peers", "--install", "--peer", "lancedb"]) == 0
    assert made == ["lancedb"]
    assert main(["bench", "peers"]) == 2
    assert "DIRECTORY" in capsys.readouterr().err

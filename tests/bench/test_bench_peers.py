"""Peers: the work they are given, the runner's protocol, and what is skipped."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from holdfast.bench.datasets import load
from holdfast.bench.peers import compare, install, ranks
from holdfast.errors import UnknownNameError

MakeSet = Callable[..., Path]
TURNS = [{"id": f"t{n}", "text": f"word{n} and more"} for n in range(4)]
MORE = [{"id": f"u{n}", "text": "else", "stream": "r", "i": n} for n in range(3)]
ASKED = [{"qid": "q", "q": "word2", "gold": ["t2"]}, {"qid": "p", "q": "nothing", "gold": []}]


def test_work_is_whole_streams_and_answerable_questions(make_set: MakeSet) -> None:
    data = load(make_set("mine", [*TURNS, *MORE], ASKED))
    work = compare.prepare(data, None, limit=5, queries=10)
    assert work.rows[2] == ("s", "Ana: word2 and more")
    assert [turn.stream for turn in work.turns] == ["s"] * 4
    assert work.questions == [("s", "word2")]
    cut = compare.prepare(data, None, limit=2, queries=10)
    assert (len(cut.turns), cut.queries) == (2, ())


def test_vectors_follow_their_questions(make_set: MakeSet, tmp_path: Path) -> None:
    data = load(make_set("mine", TURNS, ASKED[::-1]))
    np.save(tmp_path / "turns.npy", np.eye(4, 8, dtype=np.float32))
    np.save(tmp_path / "queries.npy", np.array([[1.0, 0], [0, 1.0]], np.float32))
    work = compare.prepare(data, tmp_path, limit=10, queries=10)
    assert work.meaning
    assert work.query_vectors.tolist() == [[0, 1]]


def test_hashed_vectors_are_unit_and_repeat() -> None:
    made = compare.hashed(["the blue door", "blue doors", "", "rain"])
    assert np.linalg.norm(made, axis=1) == pytest.approx(np.ones(4))
    assert made[0] @ made[1] == pytest.approx(1)  # articles and endings aside, the same words
    assert made.tolist() == compare.hashed(["the blue door", "blue doors", "", "rain"]).tolist()


def test_a_peer_that_is_not_installed_is_skipped(make_set: MakeSet, tmp_path: Path) -> None:
    found = compare.run(make_set("mine", TURNS), peers=["mem0"], cache=tmp_path)
    (row,) = found["results"]
    assert row["system"] == "mem0"
    assert row["skipped"].endswith("run: holdfast bench peers --install mem0")


def test_an_unknown_peer_is_named() -> None:
    with pytest.raises(UnknownNameError, match="no peer 'nobody'; known: langgraph, langgraph_kv"):
        install.python_of("nobody")


def test_every_peer_has_a_driver() -> None:
    folder = Path(compare.__file__).parent
    drivers = {path.stem.removeprefix("drive_") for path in folder.glob("drive_*.py")}
    assert drivers == set(install.PEERS)


DRIVER = """
from pathlib import Path
class Peer:
    version, settings, searches = "1", "a list", True
    def __init__(self, folder, dimensions):
        self.rows, self.folder = [], folder
        print("noise on standard output")
    def add(self, n, user, text, vector):
        self.rows.append((n, user))
        (self.folder / "data").write_bytes(bytes(n + 1))
    def settle(self):
        pass
    def search(self, user, text, vector, k):
        return [n for n, owner in self.rows if owner == user][:k]
"""


def test_the_runner_answers_in_one_line_whatever_the_peer_prints(tmp_path: Path) -> None:
    runner = tmp_path / "runner.py"
    runner.write_text((Path(compare.__file__).parent / "runner.py").read_text())
    (tmp_path / "drive_list.py").write_text(DRIVER)
    (tmp_path / "inside").mkdir()
    np.save(tmp_path / "v.npy", np.ones((3, 2), np.float32))
    job = {
        "peer": "list",
        "folder": str(tmp_path / "inside"),
        "vectors": str(tmp_path / "v.npy"),
        "query_vectors": str(tmp_path / "v.npy"),
        "rows": [["a", "x"], ["b", "y"], ["a", "z"]],
        "queries": [["a", "?"], ["b", "?"], ["c", "?"]],
        "k": 5,
        "seconds": 10,
    }
    done = subprocess.run(
        [sys.executable, str(runner)], input=json.dumps(job), capture_output=True, text=True
    )
    result = json.loads(done.stdout)
    assert result["rankings"] == [[0, 2], [1], []]
    assert result["disk_bytes"] == 3
    assert len(result["added_s"]) == len(result["searched_s"]) == 3
    assert "noise" in done.stderr


def test_rankings_of_a_peer_are_scored_like_ours(
    make_set: MakeSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = [*ASKED, {"qid": "r", "q": "else", "gold": ["u1"], "stream": "r"}]
    data = load(make_set("mine", [*TURNS, *MORE], asked))
    answers = {"word2": [2, 0], "else": [6, 5]}  # positions over both streams, end to end

    def ask(name: str, python: Path, work: compare.Work, *_: object) -> compare.Outcome:
        rankings = [answers[query.text] for query in work.queries]
        return compare.Outcome("1.0", name, [0.1] * len(work.turns), [0.1] * 2, rankings, 0)

    monkeypatch.setattr(ranks, "ask_peer", ask)
    tally, about = ranks.measure("mem0", data, data.headline, Hashed())
    assert about == {"version": "1.0", "settings": "mem0"}
    found = {query.qid: row for query, row in tally.rows}
    assert [found["q"]["mrr"], found["r"]["mrr"]] == [1.0, 0.5]
    assert [found["q"]["budgeted@1000"], found["r"]["budgeted@1000"]] == [1.0, 1.0]
    assert tally.left_out == 1


def test_a_peer_that_did_not_finish_is_no_row(
    make_set: MakeSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = load(make_set("mine", TURNS, ASKED))
    slow = compare.Outcome("1.0", "slow", [0.1], [], [], 0)
    monkeypatch.setattr(ranks, "ask_peer", lambda *_: slow)
    with pytest.raises(RuntimeError, match="peer mem0 added 1 of 4 turns"):
        ranks.measure("mem0", data, data.headline, Hashed())


def test_a_peer_that_cannot_be_asked_says_why(tmp_path: Path) -> None:
    assert ranks.missing("langgraph_kv") == "it stores and does not search"
    assert "--install mem0" in (ranks.missing("mem0", tmp_path) or "")


class Hashed:
    """An embedder of hashed words."""

    def embed(self, texts: list[str]) -> compare.Vectors:
        return compare.hashed(texts)

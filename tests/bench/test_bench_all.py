"""`bench recall --all`: what is run, what is kept, and what is written."""

from __future__ import annotations

import importlib.util
import json
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast.bench import cells, markdown, pages, whole
from holdfast.cli import main
from holdfast.errors import NotFoundError, UnknownNameError
from holdfast.recall.weights import KINDS, Weights

MakeSet = Callable[..., Path]
ROOT = Path(__file__).resolve().parents[2]
WORDS = ("apple", "pear", "plum", "lead", "iron", "zinc")


@pytest.fixture
def root(make_set: MakeSet, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a small set under the name of a standard one; no model."""
    monkeypatch.setattr(whole._Run, "embedder", None)
    two = {"bm25": 1.0, "surprise": 0.1}
    monkeypatch.setattr(whole.Weights, "default", lambda: Weights(dict.fromkeys(KINDS, two)))
    turns = [
        {"stream": stream, "i": n, "id": f"{stream}{n}", "text": f"{stream} likes {word}"}
        for stream in ("r", "s")
        for n, word in enumerate(WORDS)
    ]
    queries = [
        {"stream": stream, "qid": f"{stream}{n}", "q": f"{word}?", "gold": [f"{stream}{n}"]}
        for stream in ("r", "s")
        for n, word in enumerate(WORDS)
    ]
    return make_set("locomo", turns, queries).parent


def test_everything_is_measured_once(root: Path, tmp_path: Path) -> None:
    said: list[str] = []
    out = tmp_path / "out"
    first = whole.run(root, out, progress=said.append)
    assert "prefeval is not in" in " ".join(said)
    assert json.loads((out / "results.json").read_text()) == json.loads(json.dumps(first))
    made = [line for line in said if "stream 1 of" in line]
    assert len(made) == len(first["cells"])
    said.clear()
    again = whole.run(root, out, progress=said.append)
    assert not [line for line in said if "stream" in line]
    assert again["cells"].keys() == first["cells"].keys()
    row = cells.valid(first, "recall")["locomo, turn", "BM25"]
    assert (row["n"], row["n_streams"], row["metrics"]["any@1"]) == (12, 2, 1.0)
    assert row["values"]["coverage@10"] == [1.0] * 12
    assert row["stream_of"] == [0] * 6 + [1] * 6
    assert {key[2] for key in cells.valid(first, "ablation")} == {"bm25", "surprise"}


def test_a_changed_set_is_measured_anew(root: Path, tmp_path: Path, make_set: MakeSet) -> None:
    out = tmp_path / "out"
    whole.run(root, out, only=["locomo"])
    (root / "locomo" / "queries.jsonl.gz").unlink()
    (root / "locomo" / "turns.jsonl.gz").unlink()
    (root / "locomo").rmdir()
    make_set("locomo", [{"id": "a", "text": "a pear"}], [{"qid": "q", "q": "pear", "gold": ["a"]}])
    result = whole.run(root, out, only=["locomo"])
    assert cells.valid(result, "recall")["locomo, turn", "holdfast"]["n"] == 1


def test_cells_of_another_engine_are_no_part_of_a_table(root: Path, tmp_path: Path) -> None:
    result = whole.run(root, tmp_path / "out")
    old = {**result, "engine": "another"}
    assert {key[1] for key in cells.valid(old, "recall")}.isdisjoint({"holdfast"})
    assert "BM25" in {key[1] for key in cells.valid(old, "recall")}
    assert cells.valid({**result, "streams": 1}, "recall") == {}


def test_names_are_checked(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="no standard set 'locmo'; known: locomo"):
        whole.run(root, tmp_path, only=["locmo"])
    with pytest.raises(NotFoundError, match=r"none of these sets is in .*: realmem"):
        whole.run(root, tmp_path, only=["realmem"])


def test_tables_and_drawings(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    written = pages.write(whole.run(root, out, only=["locomo"]), out)
    assert {path.name for path in written} >= {"results.json", "table.md", "coverage.svg"}
    text = (out / "table.md").read_text("utf-8")
    line = next(line for line in text.splitlines() if line.startswith("| locomo, turn | 12 |"))
    assert "1.000 [1.000, 1.000]" in line
    assert "+.000 [+.000, +.000]" in line
    assert "| `surprise` | holdfast |" in text
    assert "/tmp" not in text
    for path in written:
        if path.suffix == ".svg":
            assert ElementTree.parse(path).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_paired_differences() -> None:
    ours: dict[str, Any] = {"n_streams": 2, "stream_of": [0, 0, 1], "values": {"m": [1, 1, 0.5]}}
    theirs = {**ours, "values": {"m": [0.5, 0.5, 0.0]}}
    assert cells.difference(ours, theirs, "m") == (0.5, 0.5, 0.5)
    some = {**theirs, "values": {"m": [None, 0.0, None]}}
    assert cells.difference(ours, some, "m") == (1.0, 1.0, 1.0)
    assert cells.difference(ours, {**theirs, "values": {"m": [None] * 3}}, "m") is None
    assert cells.difference(ours, {**theirs, "stream_of": [0, 1, 1]}, "m") is None
    assert markdown._signed((0.5, -0.02, 1.0)) == "+.500 [−.020, +1.000]"


def test_on_the_command_line(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = str(tmp_path / "out")
    given = ["--all", "--data", str(root), "--out", out, "--only", "locomo", "--streams", "1"]
    assert main(["bench", "recall", *given]) == 0
    shown, told = capsys.readouterr()
    assert f"{out}/table.md" in shown.splitlines()
    assert "locomo, turn, holdfast: stream 1 of 1" in told
    assert main(["bench", "recall", "--all"]) == 2
    assert "--data" in capsys.readouterr().err
    assert main(["bench", "recall", *given, "--unit", "turn"]) == 2
    assert "no --unit" in capsys.readouterr().err
    assert main(["bench", "recall"]) == 2


def test_the_page_keeps_what_is_written_by_hand() -> None:
    path = ROOT / "scripts" / "make_recall_page.py"
    spec = importlib.util.spec_from_file_location("make_recall_page", path)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    text = f"by hand\n{script.OPEN}old\n{script.CLOSE}\nmore by hand\n"
    new = script.renewed(text, "figures\n")
    assert new == f"by hand\n{script.OPEN}figures\n{script.CLOSE}\nmore by hand\n"
    assert script.renewed(new, "figures\n") == new
    with pytest.raises(SystemExit, match="has no line"):
        script.renewed("no markers", "figures\n")

"""`holdfast import` and `export`, as people type them."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from test_loading import SOURCES

from holdfast import Memory
from holdfast.cli import main

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        return code or 0, said.out, said.err

    return call


def test_each_program_is_recognised_and_imported_once(run: Run) -> None:
    for form, document in SOURCES.items():
        name = "notes.md" if form == "markdown" else f"{form}.json"
        text = document if isinstance(document, str) else json.dumps(document)
        Path(name).write_text(text, "utf-8")
        code, out, _ = run("import", f"{form}.holdfast", name, "--budget", "1 MiB", "--json")
        done = json.loads(out)
        assert (code, done["format"]) == (0, form)
        with Memory.open(f"{form}.holdfast") as memory:
            assert len(memory) == done["events"] + done.get("beliefs", 0)
        code, out, _ = run("import", f"{form}.holdfast", name)
        known = done["events"] + done.get("beliefs", 0)
        assert (code, out) == (0, f"imported 0 events; {known} known already\n")


def test_what_was_imported_is_told(run: Run) -> None:
    Path("graph.json").write_text(json.dumps(SOURCES["zep"]), "utf-8")
    assert run("import", "m.holdfast", "graph.json", "--budget", "1 MiB", "--scope", "old")[1] == (
        "imported 8 events and 4 beliefs\n"
    )
    with Memory.open("m.holdfast") as memory:
        assert {record.event.scope for record in memory.log()} == {"old/zep/g"}


def test_a_bad_record_is_named_and_nothing_stored(run: Run) -> None:
    Path("bad.json").write_text('{"results": [{"id": 1, "memory": "a"}, {"memory": []}]}')
    code, out, err = run("import", "m.holdfast", "bad.json", "--budget", "1 MiB")
    assert (code, out) == (4, "")
    assert "memory 2: 'memory' is a list, not a text" in err
    with Memory.open("m.holdfast") as memory:
        assert len(memory) == 0


def test_what_nobody_recognises_is_asked_about(run: Run) -> None:
    Path("a.csv").write_text("a,b\n1,2\n")
    code, _, err = run("import", "m.holdfast", "a.csv", "--budget", "1 MiB")
    assert code == 4
    assert "say which: chatgpt, claude" in err
    assert not Path("m.holdfast").exists()
    assert run("import", "m.holdfast", "a.csv", "--format", "markdown", "--budget", "1 MiB")[0] == 0


def test_a_pipe_is_read(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    class Stdin:
        buffer = io.BytesIO(json.dumps(SOURCES["mem0"]).encode())

    monkeypatch.setattr("sys.stdin", Stdin)
    assert run("import", "m.holdfast", "-", "--budget", "1 MiB")[1] == (
        "imported 1 event and 1 belief\n"
    )


def test_a_memory_moves_to_another_machine(run: Run) -> None:
    with Memory.open("one.holdfast", "1 MiB") as memory:
        memory.believe("db", "port", "5433")
        memory.snapshot("before")
        before = memory.state_hash()
    code, out, _ = run("export", "one.holdfast", "one.jsonl", "--lossless", "--json")
    done = json.loads(out)
    assert (code, done["left_out"]) == (0, ["before"])
    assert done["lines"] == Path("one.jsonl").read_bytes().count(b"\n")
    assert run("export", "one.holdfast", "again.jsonl", "--lossless")[1] == (
        f"wrote {done['lines']} lines to again.jsonl\nnot in it: 1 snapshot: before\n"
    )
    assert run("export", "one.holdfast", "--lossless")[1] == Path("one.jsonl").read_text()
    assert run("import", "two.holdfast", "one.jsonl")[1] == (
        "made two.holdfast with 2 events\nnot in it: 1 snapshot: before\n"
    )
    with Memory.open("two.holdfast") as memory:
        assert memory.state_hash() == before
    code, _, err = run("import", "two.holdfast", "one.jsonl")
    assert code == 7
    assert "makes a memory of its own" in err
    code, out, _ = run("import", "three.holdfast", "one.jsonl", "--json")
    assert json.loads(out) == {
        "path": str(Path("three.holdfast").resolve()), "events": 2, "budget": 1 << 20,
        "snapshots": ["before"],
    }  # fmt: skip


@pytest.mark.parametrize("option", [("--budget", "1 MiB"), ("--scope", "x")])
def test_a_lossless_export_takes_no_other_budget_or_scope(
    run: Run, option: tuple[str, str]
) -> None:
    with Memory.open("one.holdfast", "1 MiB") as memory:
        memory.observe("x")
    run("export", "one.holdfast", "one.jsonl", "--lossless")
    code, _, err = run("import", "two.holdfast", "one.jsonl", *option)
    assert code == 2
    assert "has its own budget and scopes" in err
    assert not Path("two.holdfast").exists()


def test_a_format_that_finds_nothing_in_a_source_is_refused(run: Run) -> None:
    talk = json.dumps(SOURCES["claude"])
    for name, text, form, said in (
        ("talk.json", talk, "mem0", "'mem0' finds nothing to import in it (a list of 1); it looks "
         "like 'claude': say so, or 'auto'"),
        ("talk.json", talk, "zep", "it looks like 'claude'"),
        ("mem0.json", '{"results": [{"id": "7", "memory": "Likes tea"}]}', "chatgpt",
         "(an object of 1); it looks like 'mem0'"),
        ("x.json", '{"a": 5}', "mem0", "(an object of 1); name the format that it is in: chatgpt"),
    ):  # fmt: skip
        Path(name).write_text(text, "utf-8")
        code, out, err = run(
            "import", "m.holdfast", name, "--format", form, "--budget", "1 MiB", "--json"
        )
        error = json.loads(err)["error"]
        assert (code, out) == (4, "")
        assert said in f"{error['message']}; {error['hint']}"
    with Memory.open("m.holdfast") as memory:
        assert len(memory) == 0


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("mem0", '{"count": 0, "next": null, "results": []}'),
        ("claude", "[]"),
        ("chatgpt", '[{"title": "", "mapping": {"a": {"id": "a"}}}]'),
        ("jsonl", ""),
        ("markdown", " \n"),
    ],
)
def test_a_source_in_which_there_is_nothing_is_no_mistake(run: Run, form: str, text: str) -> None:
    Path("x").write_text(text, "utf-8")
    code, out, err = run("import", "m.holdfast", "x", "--format", form, "--budget", "1 MiB")
    assert (code, out, err) == (0, "imported 0 events\n", "")

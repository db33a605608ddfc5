"""Every command: its help, its example, its JSON, and what the shell completes of it."""

from __future__ import annotations

import io
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast import Memory
from holdfast.cli import common, main, progress, render
from holdfast.cli.examples import EXAMPLES, START
from holdfast.cli.root import COMMANDS, SECTIONS, cli
from holdfast.registry import RETENTION

CHAT = ("The spare key is under the blue pot.", "I moved the bicycle.", "Dentist on Thursday.")
NOT_RUN = {"demo", "bench", "serve", "mcp", "setup", "key"}  # slow, endless, elsewhere


def leaves() -> Iterator[tuple[str, click.Command]]:
    """Every command that does something, by the words that call it."""
    for name in COMMANDS:
        command = cli.get_command(click.Context(cli), name)
        if isinstance(command, click.Group):
            for inner, leaf in command.commands.items():
                yield f"{name} {inner}", leaf
        else:
            assert command is not None
            yield name, command


LEAVES = dict(leaves())


def options(command: click.Command) -> set[str]:
    return {name for param in command.params for name in param.opts}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples need, as the working directory."""
    monkeypatch.chdir(tmp_path)
    lines = "".join(json.dumps({"content": text}) + "\n" for text in CHAT)
    tmp_path.joinpath("chat.jsonl").write_text(lines, "utf-8")
    for name in ("data/locomo", "data/realmem"):
        tmp_path.joinpath(name).mkdir(parents=True)
    return tmp_path


# ---- help --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "used"), [(80, 78), (120, 98)])
def test_the_map_has_a_line_for_each_command(
    width: int, used: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    assert main(["--help"]) == 0
    page = capsys.readouterr().out
    assert all(len(line) <= used for line in page.splitlines())
    for title, commands in SECTIONS.items():
        assert f"\n{title}:\n" in page
        for name, (_, line) in commands.items():
            assert re.search(rf"^  {name} +{re.escape(line)}$", page, re.MULTILINE)
    for name in START:
        assert f"  {EXAMPLES[name]}\n" in page
    assert page.index("Start here") < page.index("Remember")


def test_no_command_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    page = capsys.readouterr().out
    assert main([]) == 0
    assert capsys.readouterr().out == page
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("holdfast ")
    assert main(["bench"]) == 0
    assert "latency" in capsys.readouterr().out


@pytest.mark.parametrize("words", LEAVES)
def test_help_shows_the_example(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*words.split(), "--help"]) == 0
    page = capsys.readouterr().out
    assert f"Example:\n    {EXAMPLES[words]}\n" in page
    assert page.splitlines()[2].strip(), "it says what it does"


def test_every_command_has_an_example_and_no_other_has() -> None:
    assert set(EXAMPLES) == set(LEAVES)
    assert set(START) <= set(EXAMPLES)


@pytest.mark.parametrize("words", LEAVES)
def test_the_example_can_be_parsed(words: str, here: Path) -> None:
    here.joinpath("ana.key").write_text("", "utf-8")
    program, *arguments = shlex.split(EXAMPLES[words])
    assert program == "holdfast"
    depth = len(words.split())
    assert arguments[:depth] == words.split()
    with LEAVES[words].make_context(words, arguments[depth:]) as context:
        assert context.params


# ---- JSON --------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", sorted(LEAVES.keys() - {"mcp"}))
def test_every_command_takes_json(words: str) -> None:
    """All but `mcp`, whose standard output is a protocol of its own."""
    assert "--json" in options(LEAVES[words])


def test_the_examples_run_one_after_the_other(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("cryptography", reason="new-key needs the extra audit")
    for words, example in EXAMPLES.items():
        if words.split()[0] in NOT_RUN:
            continue
        arguments = [*shlex.split(example)[1:], "--json"]
        yes = ["--yes"] if "--yes" in options(LEAVES[words]) else []
        code = main(arguments + yes)
        out, err = capsys.readouterr()
        assert code == 0, f"{example}: {err}"
        assert out.endswith("\n"), f"{example} prints something"
        for document in out.splitlines():
            json.loads(document)
        assert err == ""
    with Memory.open("my.holdfast") as memory:
        assert [record.seq for record in memory.log()][:2] == [1, 2], "event 3 was erased"


def test_bench_writes_json_to_standard_output(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.bench.peers.install.install", lambda name: None)
    assert main(["bench", "peers", "--install", "--peer", "chroma", "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out) == {"installed": ["chroma"]}
    assert err == "installing chroma\n"
    assert main(["bench", "peers", "--install", "--peer", "chroma", "--json", "o.json"]) == 0
    assert json.loads(here.joinpath("o.json").read_text("utf-8")) == {"installed": ["chroma"]}


ONES_ON_A_FILE = [w for w in LEAVES if "my.holdfast" in EXAMPLES[w] and w not in NOT_RUN]


@pytest.mark.parametrize("words", ONES_ON_A_FILE)
def test_an_error_is_json_too(words: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    here.joinpath("ana.key").write_text("", "utf-8")
    arguments = [a for a in shlex.split(EXAMPLES[words])[1:] if a not in ("--budget", "64 MiB")]
    code = main([*arguments, "--json"])
    out, err = capsys.readouterr()
    (line,) = err.splitlines()
    error = json.loads(line)["error"]
    if words == "doctor":
        assert json.loads(out)["ok"] is False
        assert (error["type"], error["exit_code"], code) == ("Problem", 1, 1)
        return
    assert out == ""
    assert (error["type"], error["exit_code"], code) == ("NotFoundError", 1, 1)
    assert error["message"].startswith(("no memory at my.holdfast", "there is no memory"))
    assert error["hint"]
    assert sorted(os.listdir(here)) == ["ana.key", "chat.jsonl", "data"], "nothing was made"


def test_usage_errors_are_json_too(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        ["recal", "--json"],
        ["recall", "--json"],
        ["bench", "write", "--json=-", "x"],
    ):
        assert main(arguments) == 2
        error = json.loads(capsys.readouterr().err)["error"]
        assert (error["type"], error["exit_code"]) == ("UsageError", 2)
        assert error["hint"].startswith("see: holdfast")
    assert main(["recal", "--", "--json"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


# ---- completion --------------------------------------------------------------------------------


def offered(line: str, capsys: pytest.CaptureFixture[str]) -> list[tuple[str, str]]:
    """What bash is offered for the last word of a command line: kinds and values."""
    words = line.split(" ")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("_HOLDFAST_COMPLETE", "bash_complete")
        patch.setenv("COMP_WORDS", line)
        patch.setenv("COMP_CWORD", str(len(words) - 1))
        assert main([]) == 0
    pairs = (row.split(",", 1) for row in capsys.readouterr().out.splitlines() if row)
    return [(kind, value) for kind, value in pairs]


def plain(line: str, capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [value for kind, value in offered(line, capsys) if kind == "plain"]


def test_commands_options_and_choices_are_completed(capsys: pytest.CaptureFixture[str]) -> None:
    assert plain("holdfast ", capsys) == list(COMMANDS)
    assert plain("holdfast re", capsys) == [name for name in COMMANDS if name.startswith("re")]
    assert plain("holdfast state de", capsys) == ["delete", "declare"]
    assert plain("holdfast recall m q --va", capsys) == ["--valid-at"]
    assert plain("holdfast observe m --format ", capsys) == ["jsonl", "text"]
    assert plain("holdfast grant m ana ", capsys) == ["read", "write", "directive"]
    assert plain("holdfast completion ", capsys) == ["bash", "zsh", "fish"]
    assert plain("holdfast observe m --retention ", capsys) == sorted(RETENTION)


def test_memories_and_snapshots_are_completed(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with Memory.open("my.holdfast", "1 MiB") as memory:
        memory.snapshot("monday")
        memory.snapshot("tuesday")
    here.joinpath("data", "other.holdfast").write_bytes(b"")
    os.close(os.open(b"\xff.holdfast", os.O_CREAT | os.O_WRONLY))
    assert offered("holdfast status ", capsys) == [("dir", ""), ("plain", "my.holdfast")]
    assert plain("holdfast status x", capsys) == []
    assert plain("holdfast status data/", capsys) == ["data/other.holdfast"]
    assert plain("holdfast status none/", capsys) == []
    assert plain("holdfast state my", capsys) == ["my.holdfast"]
    assert plain("holdfast rollback my.holdfast ", capsys) == ["monday", "tuesday"]
    assert plain("holdfast diff my.holdfast monday t", capsys) == ["tuesday"]
    assert plain("holdfast fork my.holdfast new --snapshot m", capsys) == ["monday"]
    assert plain("holdfast rollback none.holdfast ", capsys) == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_prints_a_script(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion", shell]) == 0
    script = capsys.readouterr().out
    assert f"_HOLDFAST_COMPLETE={shell}_complete" in script
    assert main(["completion", shell, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"shell": shell, "script": script[:-1]}


def test_completion_works_in_bash(here: Path) -> None:
    program = "import sys; from holdfast.cli import main; sys.exit(main())"
    shim = here / "holdfast"
    shim.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c '{program}' \"$@\"\n")
    shim.chmod(0o755)
    script = (
        "source <(holdfast completion bash) && COMP_WORDS=(holdfast roll) COMP_CWORD=1 &&"
        ' _holdfast_completion holdfast && echo "${COMPREPLY[*]}" && complete -p holdfast'
    )
    path = f"{here}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "--norc", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": path},
        check=True,
    )
    assert run.stdout.splitlines() == [
        "rollback",
        "complete -o nosort -F _holdfast_completion holdfast",
    ]


# ---- what people see ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "whole", "picture"),
    [
        (0, 8, "░░░░"),
        (8, 8, "████"),
        (9, 8, "████"),
        (4, 8, "██░░"),
        (1, 32, "▏░░░"),
        (1, 0, "░░░░"),
    ],
)
def test_bar(part: float, whole: float, picture: str) -> None:
    assert render.bar(part, whole, 4) == picture


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1740988800", 1_740_988_800.0),
        ("2025-03-03", 1_740_960_000.0),
        ("2025-03-03T09:00:00+01:00", 1_740_988_800.0),
        (12, 12.0),
    ],
)
def test_times(text: object, seconds: float) -> None:
    assert common.parse_time(text) == seconds


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_time_can_be_shown(at: float) -> None:
    assert common.show_time(at)


def test_progress_is_silent_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    with common.progress("working", 3) as advance:
        advance(3)
    assert capsys.readouterr() == ("", "")


class Terminal(io.StringIO):
    """A standard error that somebody looks at."""

    def isatty(self) -> bool:
        return True


def shown(
    monkeypatch: pytest.MonkeyPatch, label: str, total: int | None, patience_s: float
) -> tuple[str, str]:
    """What a terminal shows while something is under way, and what it has shown in the end."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(progress, "PATIENCE_S", patience_s)
    with common.progress(label, total) as advance:
        advance(1)
        deadline = time.monotonic() + (10.0 if patience_s == 0.0 else 0.1)
        awaited = label if total is None else "25%"  # it may be drawn before a step is done
        while awaited not in screen.getvalue() and time.monotonic() < deadline:
            time.sleep(0.01)
        during = screen.getvalue()
        advance(3)
    return during, screen.getvalue()


@pytest.mark.parametrize("total", [4, None])
def test_progress_shows_a_bar_once_it_takes_long(
    total: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    during, after = shown(monkeypatch, "working", total, 0.0)
    assert "working" in during
    assert after.endswith("\x1b[2K"), "the bar is taken away"
    if total:
        assert "25%" in during


@pytest.mark.parametrize("total", [4, None])
def test_what_is_soon_done_shows_no_bar(total: int | None, monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, "working", total, 60.0) == ("", "")

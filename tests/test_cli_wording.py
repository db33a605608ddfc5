"""What the command line says is true, also at the edges."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast import Memory
from holdfast.cli import main, observe, read

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main(list(arguments))
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


@pytest.fixture
def repeated(run: Run) -> Run:
    """A shell beside a memory that was told the same four times."""
    with Memory.open("m.holdfast", budget="1 MiB") as memory:
        memory.observe_many(["The spare key is under the blue pot."] * 4)
    return run


# ---- recall ------------------------------------------------------------------------------------


def test_too_few_tokens_are_told_to_people(repeated: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "pretty", lambda: True)
    _, out, _ = repeated("recall", "m.holdfast", "spare key", "--tokens", "20")
    assert out.splitlines() == [
        "nothing that matches fits into 20 tokens; give more: --tokens",
        "0 of 20 tokens; 4 more matches do not fit",
    ]


def test_too_few_tokens_are_told_beside_a_pipe(repeated: Run) -> None:
    assert repeated("recall", "m.holdfast", "spare key", "--tokens", "20") == (
        0, "", "hint: nothing that matches fits into 20 tokens; give more: --tokens\n",
    )  # fmt: skip


def test_nothing_is_said_of_what_does_not_match(repeated: Run) -> None:
    assert repeated("recall", "m.holdfast", "x", "--scope", "none") == (0, "", "")


def test_duplicates_are_called_that(repeated: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(read, "pretty", lambda: True)
    _, out, _ = repeated("recall", "m.holdfast", "spare key")
    assert out.count("blue pot") == 1
    assert out.splitlines()[-1].endswith("; all there is; 3 duplicates of these left out")


# ---- observe -----------------------------------------------------------------------------------


def test_text_that_is_taken_for_json_is_told_how_to_go_in(run: Run) -> None:
    Path("notes.txt").write_text("The key is in the pot.\n", "utf-8")
    assert run("observe", "m.holdfast", "notes.txt", "--budget", "1 MiB") == (4, "", (
        "error: 1 of 1 line is no event; nothing was stored\n"
        "  line 1: it is not JSON (column 1: Expecting value)\n"
        "hint: for lines of plain text, say --format text\n"
    ))  # fmt: skip
    Path("mixed").write_text("{}\nnot json\n", "utf-8")
    assert "--skip-bad" in run("observe", "m.holdfast", "mixed", "--budget", "1 MiB")[2]


@pytest.mark.parametrize(
    ("begun", "said"),
    [(False, "nothing was stored"), (True, "none had been acknowledged; see holdfast status")],
)
def test_an_interrupt_tells_what_was_stored(
    run: Run, monkeypatch: pytest.MonkeyPatch, begun: bool, said: str
) -> None:
    Path("in.jsonl").write_text('{"content": "x"}\n', "utf-8")

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(*((Memory, "observe_many") if begun else (observe, "_open")), stop)
    code, out, err = run("observe", "m.holdfast", "in.jsonl", "--budget", "1 MiB")
    assert (code, out) == (130, "")
    assert err.startswith(f"\nerror: interrupted\nhint: {said}")


def test_an_interrupt_counts_what_was_acknowledged(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("in.jsonl").write_text('{"content": "x"}\n' * 3, "utf-8")
    real = Memory.observe_many

    def stop(memory: Memory, *arguments: object, **named: object) -> None:
        real(memory, *arguments, **named)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(Memory, "observe_many", stop)
    _, _, err = run("observe", "m.holdfast", "in.jsonl", "--budget", "1 MiB")
    assert err.endswith("hint: 3 events had been acknowledged, and are stored\n")


# ---- mcp ---------------------------------------------------------------------------------------


def test_an_interrupt_before_the_server_listens_is_an_end_like_others(tmp_path: Path) -> None:
    pytest.importorskip("mcp", reason="the MCP SDK is not installed: holdfast[mcp]")
    program = (
        "import os, signal, sys\n"
        "from holdfast.cli import main\n"
        "from holdfast.mcp import stdio\n"
        "stdio.build = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"
        "sys.exit(main(['mcp', sys.argv[1]]))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "m.holdfast")], capture_output=True,
        stdin=subprocess.DEVNULL, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")

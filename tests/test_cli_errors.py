"""Wrong input: one clear line, a hint, the documented exit code, and nothing changed."""

from __future__ import annotations

import errno
import gzip
import io
import json
import os
import shlex
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from holdfast import Memory, errors
from holdfast.cli import failures, main, root

PROGRAM = "import sys; from holdfast.cli import main; sys.exit(main())"
IMPATIENT = f"import holdfast.stores.sqlite as s; s._PATIENCE_S = 0.05; {PROGRAM}"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a memory, `ok`, and with files that are none, or are spoilt."""
    folder = tmp_path_factory.mktemp("errors")
    with Memory.open(folder / "ok", "1 MiB") as memory:
        memory.believe("Ana", "lives_in", "Porto", by="Ana")
        memory.observe("The spare key is under the blue pot.", speaker="Ana")
        memory.put_document("desk", {"lamp": "on"})
        memory.snapshot("one")
        memory.revoke("mallory")
    shutil.copy(folder / "ok", folder / "newer")
    with sqlite3.connect(folder / "newer") as db:
        db.execute("PRAGMA user_version=99")
    db.close()
    with sqlite3.connect(folder / "other.db") as db:
        db.execute("CREATE TABLE t (a)")
    db.close()
    for name, data in {
        "text": b"hi\n",
        "lines": b'{"content": "good"}\n{}\n',
        "rnd": bytes(range(128, 256)) * 64,
        "empty": b"",
        "bad.gz": b"hi\n",
        "bad.zst": b"hi\n",
        "cut.gz": gzip.compress(b'{"content": "x"}\n')[:-9],
    }.items():
        folder.joinpath(name).write_bytes(data)
    folder.joinpath("dir").mkdir()
    return folder


@pytest.fixture
def there(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that folder as the working directory."""
    folder = tmp_path / "here"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    return folder


# what is asked | exit code | a part of the error line
WRONG = """
status missing                                   | 1 | no memory at missing
recall missing q                                 | 1 | no memory at missing
status no/such                                   | 1 | no memory at no/such
status dir                                       | 2 | 'dir' is a directory
status text                                      | 3 | too short to be a Holdfast memory
status rnd                                       | 3 | not a Holdfast memory
status empty                                     | 1 | was never finished
status newer                                     | 1 | has schema 99
status other.db                                  | 3 | not a Holdfast memory
verify rnd                                       | 3 | not a Holdfast memory
recall ok q --as-of yesterday                    | 2 | neither POSIX seconds nor an ISO 8601 time
recall ok q --as-of 2024                         | 2 | a year is written 2024-01-01
recall ok q --since nan                          | 2 | 'nan' is neither POSIX seconds
recall ok q --since 1e400                        | 2 | '1e400' is neither POSIX seconds
recall ok q --tokens 0                           | 2 | --tokens
recall ok q --limit -1                           | 2 | --limit
recall ok q --before 0                           | 2 | --before
why-not ok x q                                   | 2 | 'x' is not a valid integer
log ok --limit -1                                | 2 | --limit
log ok --after -1                                | 2 | --after
beliefs ok --limit -1                            | 2 | --limit
ledger ok --limit -1                             | 2 | --limit
beliefs ok --kind rumour                         | 2 | 'rumour' is not one of
believe ok '' p v                                | 4 | subject must be
believe ok a p v --confidence 7                  | 4 | confidence 7.0
believe ok a p v --evidence e99                  | 1 | event 99 is not kept
believe ok a p v --evidence zz                   | 4 | a citation is written like e12
believe ok a p v --at 1e18                       | 4 | is no time
believe ok a p v --valid-from 2020-01-01 --valid-until 2010-01-01 | 4 | not after valid_from
state put ok desk 1 --by mallory                 | 8 | 'mallory' was revoked
believe new a p v                                | 1 | no memory at new
believe new a p v --budget much                  | 5 | 'much' is not a size
used ok b9.9 q                                   | 1 | belief b9.9 is not held
grant ok ana fly team                            | 2 | 'fly' is not one of
grant ok '' read team                            | 4 | a grant needs a principal
revoke ok ''                                     | 2 | it is empty
reinstate ok ''                                  | 2 | it is empty
snapshot ok one                                  | 7 | snapshot 'one' exists
snapshot ok a/b                                  | 4 | cannot name a snapshot
snapshot ok --delete                             | 2 | --delete needs the NAME
fork ok text                                     | 7 | text exists
fork ok no/dir/new                               | 1 | there is no folder no/dir
fork ok new --snapshot two                       | 1 | no snapshot 'two'
diff ok two                                      | 1 | neither a time nor a snapshot
rollback ok two --yes                            | 1 | neither a time nor a snapshot
rollback ok one                                  | 2 | nobody answered
erase ok                                         | 2 | say what to erase
erase ok --event 1                               | 2 | nobody answered
prove ok 99                                      | 1 | event 99 is not kept
prove ok 1 --size 77                             | 3 | a tree of size
checkpoint ok --key-file text                    | 3 | a private key begins with
checkpoint ok --out no/x                         | 1 | no/x: no such file or directory
checkpoint ok --out /dev/full                    | 5 | no space left on device
new-key n --out text                             | 1 | text: file exists
new-key n --out no/key                           | 1 | no/key: no such file or directory
verify ok --note rnd                             | 2 | rnd is not UTF-8
verify ok --key k                                | 2 | give one
state put ok desk {bad                           | 2 | it is not JSON
state put ok desk @none                          | 2 | none cannot be read
state put ok desk @rnd                           | 2 | it is not utf-8
state put ok desk 1 --expect 9                   | 7 | version
state get ok nope                                | 1 | document 'nope'
state patch ok desk '[{"op": "x"}]'              | 4 | op
state step ok nope go                            | 1 | nope
state declare ok k '{"states": 1}'               | 2 | states, initial and transitions
state nope                                       | 2 | No such command 'nope'
resize ok much                                   | 5 | 'much' is not a size
resize ok 1KiB                                   | 5 | too small
export ok no/out                                 | 1 | no such file or directory
import ok nope                                   | 1 | nope: no such file or directory
observe ok nope                                  | 1 | nope: no such file or directory
observe ok lines                                 | 4 | 1 of 2 lines is no event
observe ok rnd --format text                     | 4 | is no event
observe ok bad.gz                                | 4 | bad.gz cannot be unpacked
observe ok cut.gz                                | 4 | cut.gz cannot be unpacked
observe ok bad.zst                               | 4 | bad.zst cannot be unpacked
observe ok lines --skip-bad --retention oldset   | 1 | no retention policy 'oldset'
fidelity ok --tokens 0                           | 2 | --tokens
advise ok --fidelity 2                           | 2 | --fidelity
completion tcsh                                  | 2 | 'tcsh' is not one of
doctor rnd                                       | 1 | 1 problem
demo --budget 1KiB                               | 5 | too small
recal ok                                         | 2 | No such command 'recal'. Did you mean 'rec
state pt ok                                      | 2 | No such command 'pt'
qqq ok                                           | 2 | No such command 'qqq'.
recall ok                                        | 2 | Missing argument 'QUERY'
recall ok q --nope                               | 2 | No such option
"""
CASES = [tuple(part.strip() for part in row.split(" | ")) for row in WRONG.strip().splitlines()]


@pytest.mark.parametrize(("line", "code", "part"), CASES, ids=[case[0] for case in CASES])
def test_wrong_input(
    line: str, code: str, part: str, there: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = there.joinpath("ok").read_bytes()
    assert main(shlex.split(line)) == int(code)
    err = capsys.readouterr().err.splitlines()
    if "nobody answered" in part:
        assert err.pop(0).endswith("[y/N]: ")
    assert err[0].startswith("error: ")
    assert part in err[0]
    assert err[-1].startswith("hint: ")
    assert all(row.startswith("  ") for row in err[1:-1]), "details are indented"
    same = there.joinpath("ok").read_bytes() == before
    assert same or line.startswith("checkpoint ok --out"), "nothing was changed"
    assert not there.joinpath("new").exists(), "and no memory was made"


def test_no_for_an_answer(
    there: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = there.joinpath("ok").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    assert main(["erase", "ok", "--event", "1", "--json"]) == 1
    told = json.loads(capsys.readouterr().err.rpartition("[y/N]: ")[2])["error"]
    assert told["type"] == "NotConfirmed"
    assert there.joinpath("ok").read_bytes() == before


def test_an_argument_that_is_no_text(there: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["believe", "ok", "a\udcff", "p", "v"]) == 2
    assert capsys.readouterr().err.startswith("error: argument 3 is not UTF-8\n")


# ---- exit codes of a process -------------------------------------------------------------------


def ended(arguments: Sequence[str], program: str = PROGRAM) -> tuple[int, str]:
    """The exit code and standard error of a command that runs in a process of its own."""
    command = [sys.executable, "-c", program, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return run.returncode, run.stderr


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("status ok", 0),
        ("status missing", 1),
        ("status", 2),
        ("status rnd", 3),
        ("observe ok text", 4),
        ("resize ok 1KiB", 5),
        ("state put ok desk 1 --expect 9", 7),
        ("state put ok desk 1 --by mallory", 8),
    ],
)
def test_exit_codes_of_a_process(line: str, code: int, there: Path) -> None:
    found, err = ended(line.split())
    assert found == code
    assert err.startswith("error: ") == bool(code)


def test_busy(there: Path) -> None:
    with Memory.open("ok") as memory, memory._store.exclusive():
        code, err = ended(["believe", "ok", "a", "p", "v"], IMPATIENT)
    assert code == 6
    assert "another process has held ok-lock" in err


def test_interrupted(there: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "observe", "ok", "-"]
    run = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdin is not None
    assert run.stderr is not None
    run.stdin.write(b'{"content": "x"}\n' * 20_000)  # more than a pipe holds: it is reading now
    run.stdin.flush()
    run.send_signal(signal.SIGINT)
    assert run.stderr.read().split(b"\n")[-3:] == [
        b"error: interrupted",
        b"hint: nothing was stored",
        b"",
    ]
    assert run.wait() == 130
    run.stdin.close()
    run.stderr.close()
    with Memory.open("ok") as memory:
        assert all(record.text != "x" for record in memory.log()), "nothing was half done"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_no_room_for_the_output(there: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "log", "ok"]
    with open("/dev/full", "w") as full:
        run = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert run.returncode == 5
    assert run.stderr.splitlines()[-1] == "hint: free some space on the disk and try again"


def test_a_reader_that_has_enough_is_no_error(there: Path) -> None:
    with Memory.open("ok") as memory:
        memory.observe_many(f"line {n} " + "of a long text " * 50 for n in range(300))
    for words in (["export", "ok"], ["log", "ok"], ["log", "ok", "--json"]):
        command = [sys.executable, "-c", PROGRAM, *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
            assert run.stdout is not None
            assert run.stderr is not None
            run.stdout.readline()
            run.stdout.close()
            assert run.stderr.read() == b""
            assert run.wait() == 0


def test_a_terminal_that_has_no_such_character(there: Path) -> None:
    command = [sys.executable, "-c", PROGRAM, "status", "ok"]
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    run = subprocess.run(command, capture_output=True, env=env, check=True)
    assert b"\\u2591" in run.stdout, "the gauge, by the numbers of its characters"
    assert run.stderr == b""


# ---- exceptions --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (errors.CorruptStoreError("block 3 fails its checksum"), 3),
        (errors.EventTooLargeError("too large"), 4),
        (errors.BudgetError("too small; raise it"), 5),
        (errors.StorageFullError("no space"), 5),
        (errors.StoreBusyError("busy"), 6),
        (errors.MissingExtraError("no onnxruntime"), 1),
        (errors.ModelError("hung"), 1),
        (errors.ClosedError("closed"), 1),
        (errors.UnknownNameError("no policy 'x'; did you mean 'y'?"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "f"), 1),
        (OSError(errno.ENOSPC, "No space left on device"), 5),
        (UnicodeDecodeError("utf-8", b"a\xff", 1, 2, "invalid start byte"), 4),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    failure: BaseException,
    code: int,
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise failure

    monkeypatch.setattr(root.cli, "main", fail)
    assert main(["status", "m.holdfast"]) == code
    error, hint = capsys.readouterr().err.splitlines()
    assert error.startswith("error: ")
    assert hint.startswith("hint: ")
    assert main(["status", "m.holdfast", "--json"]) == code
    told = json.loads(capsys.readouterr().err)["error"]
    assert told == {
        "type": type(failure).__name__,
        "message": error.removeprefix("error: "),
        "hint": hint.removeprefix("hint: "),
        "exit_code": code,
    }


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_folder_that_cannot_be_written(number: int) -> None:
    code, message, hint = failures.explain(OSError(number, "Read-only file system", "m-lock"))
    assert (code, message) == (1, "m-lock: read-only file system")
    assert "even reading takes a lock" in hint
    assert "even reading" not in failures.explain(OSError(number, "No", "m.jsonl"))[2]


def test_every_error_has_an_exit_code() -> None:
    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, errors.HoldfastError):
            assert any(issubclass(kind, row[0]) for row in failures.FAILURES)

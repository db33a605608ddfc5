"""The doctor: what it says of a sound machine and file, and of each thing that can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest

from holdfast import Memory, doctor
from holdfast.cli import main
from holdfast.doctor import Check, examine
from holdfast.records import Usage
from holdfast.stores.locks import mounted
from holdfast.stores.migrations import MIGRATIONS

MACHINE = ["python", "sqlite", "clock", "text", "extras"]
FILE = ["file system", "disk", "access", "lock", "schema", "pages", "budget", "times"]
NOW = 1_800_000_000.0  # 2027-01-15 08:00 UTC
Disk = namedtuple("Disk", "total used free")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A memory of three events, written at NOW."""
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "1 MiB", clock=lambda: NOW) as memory:
        memory.observe_many(["one", "two", "three"])
    return path


def looked(path: Path | None, at: float = NOW) -> dict[str, Check]:
    """What the doctor finds, by name."""
    return {check.name: check for check in examine(path, clock=lambda: at)}


def test_a_sound_machine() -> None:
    found = looked(None)
    assert list(found) == MACHINE
    assert {check.status for check in found.values()} == {"ok"}
    assert found["clock"].found == "2027-01-15 08:00 UTC"
    assert found["python"].found.startswith("CPython 3.")
    assert "in apsw" in found["sqlite"].found


def test_a_sound_file(file: Path) -> None:
    before = file.read_bytes()
    found = looked(file)
    assert list(found) == MACHINE + FILE
    assert {found[name].status for name in FILE if name != "file system"} == {"ok"}
    assert found["budget"].found.endswith("of 1.0 MiB in use")
    assert found["times"].found == "the newest event was recorded at 2027-01-15 08:00 UTC"
    assert found["schema"].found == f"schema {len(MIGRATIONS)}"
    assert file.read_bytes() == before
    assert sorted(os.listdir(file.parent)) == ["m.holdfast", "m.holdfast-lock"]


# ---- the machine ---------------------------------------------------------------------------


def test_an_unsafe_sqlite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apsw.sqlite_lib_version", lambda: "3.40.1")
    check = looked(None)["sqlite"]
    assert check.status == "problem"
    assert "3.40.1 can corrupt" in check.found
    assert "install an apsw" in check.advice


@pytest.mark.parametrize("option", ["THREADSAFE=0", "OMIT_WAL"])
def test_a_sqlite_that_lacks_something(option: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("apsw.compile_options", ("COMPILER=gcc", option))
    check = looked(None)["sqlite"]
    assert check.status == "problem"
    assert check.found.endswith(f"built with {option}")


@pytest.mark.parametrize(("at", "status"), [(0.0, "problem"), (NOW, "ok"), (9e9, "problem")])
def test_a_clock_that_was_never_set(at: float, status: str) -> None:
    assert looked(None, at)["clock"].status == status


def test_a_locale_that_is_not_utf8(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("locale.getpreferredencoding", lambda *_: "ISO-8859-1")
    check = looked(None)["text"]
    assert check.status == "warning"
    assert "ISO-8859-1" in check.found
    assert "PYTHONUTF8=1" in check.advice


def test_extras_by_name_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [
        "click>=8.1",
        "one>=1; extra == 'a'",
        'two[x]>=2 ; extra == "a"',
        "two>=2; extra == 'b'",
        "three; extra == 'b'",
    ]
    held = {"one": "1.5", "two": "2.0"}

    def version(name: str) -> str:
        if name not in held:
            raise doctor.metadata.PackageNotFoundError(name)
        return held[name]

    monkeypatch.setattr("importlib.metadata.requires", lambda name: lines)
    monkeypatch.setattr("importlib.metadata.version", version)
    assert looked(None)["extras"].found == "a (one 1.5, two 2.0); not installed: b"

    def unknown(name: str) -> None:
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.requires", unknown)
    assert looked(None)["extras"].status == "warning"


# ---- a file --------------------------------------------------------------------------------


def test_a_network_file_system(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = f"host:/x {file.parent.parent} nfs4 rw 0 0\ntmpfs {file.parent} tmpfs rw 0 0\n"
    mounts = file.parent / "mounts"
    mounts.write_text(table, "utf-8")
    assert mounted(file, mounts) == ("tmpfs", str(file.parent))
    assert mounted(file.parent, mounts) == ("nfs4", str(file.parent.parent))
    assert mounted(file, Path("/none")) == ("", "")

    def refuse(path: Path) -> None:
        raise doctor.UnsafeFilesystemError("it lies on nfs4; put it on a local disk")

    monkeypatch.setattr(doctor, "check_filesystem", refuse)
    assert looked(file)["file system"] == Check(
        "file system", "problem", "it lies on nfs4", "put it on a local disk"
    )


@pytest.mark.parametrize("kind", ["tmpfs", "overlay"])
def test_a_file_system_that_does_not_last(
    kind: str, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "mounted", lambda path: (kind, "/x"))
    check = looked(file)["file system"]
    assert check.status == "warning"
    assert check.found.startswith(f"{kind} at /x ")


def test_a_disk_that_is_full(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda path: Disk(0, 0, 900_000))
    found = looked(file)
    assert found["disk"].status == "problem"
    assert found["budget"].status == "warning"
    assert "which the disk has not" in found["budget"].found
    monkeypatch.setattr("shutil.disk_usage", lambda path: Disk(0, 0, 2 << 20))
    assert looked(file)["disk"].status == looked(file)["budget"].status == "ok"


def test_what_is_not_there(tmp_path: Path) -> None:
    found = looked(tmp_path / "none.holdfast")
    assert list(found)[len(MACHINE) :] == ["file system", "disk", "access"]
    assert found["access"].status == "problem"
    assert "holdfast observe" in found["access"].advice
    found = looked(tmp_path / "no" / "m.holdfast")
    assert list(found)[len(MACHINE) :] == ["file"]
    assert looked(tmp_path)["access"].found == f"{tmp_path} is not a file"


def test_access(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.chmod(0o600)
    assert looked(file)["access"].found == "mode 0600"
    file.chmod(0o644)
    assert looked(file)["access"].found == "mode 0644; others may read it"
    file.chmod(0o666)
    assert looked(file)["access"].status == "warning"
    file.chmod(0o600)
    lock = f"{file}-lock"
    real = os.access
    monkeypatch.setattr("os.access", lambda path, mode: str(path) != lock and real(path, mode))
    found = looked(file)
    assert list(found)[-1] == "access"
    assert found["access"].found == f"{lock} cannot be read and written"
    monkeypatch.setattr("os.access", lambda path, mode: path != file.parent)
    assert looked(file)["access"].found == f"the folder {file.parent} cannot be written"


def test_who_has_it_open_and_who_holds_the_lock(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(doctor, "_LOCK_S", 0.05)
    program = (
        "import sys; from holdfast import Memory; memory = Memory.open(sys.argv[1])\n"
        "print('open', flush=True); sys.stdin.readline()\n"
        "with memory._store.exclusive():\n"
        "    print('locked', flush=True); sys.stdin.readline()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(file)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdin is not None
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        found = looked(file)
        assert found["lock"] == Check("lock", "ok", f"also open in process {other.pid}")
        assert found["times"].status == "ok"
        print(file=other.stdin, flush=True)
        assert other.stdout.readline() == "locked\n"
        found = looked(file)
        assert found["lock"].status == "warning"
        assert found["lock"].found.endswith(f"also open in process {other.pid}")
        assert list(found)[-1] == "pages", "it is not opened while somebody writes"
        print(file=other.stdin, flush=True)
    assert looked(file)["lock"].found == "nobody else has it"


@pytest.mark.parametrize(
    ("version", "status"), [(len(MIGRATIONS) + 1, "problem"), (len(MIGRATIONS) - 1, "warning")]
)
def test_another_schema_is_left_as_it_is(version: int, status: str, file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute(f"PRAGMA user_version={version}")
    db.close()
    before = file.read_bytes()
    found = looked(file)
    assert found["schema"].status == status
    assert list(found)[-1] == "schema"
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"no database" * 100, "is not a Holdfast memory"), (b"", "is not a Holdfast memory")],
)
def test_a_file_that_is_no_memory(data: bytes, said: str, tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    path.write_bytes(data)
    check = looked(path)["pages"]
    assert check.status == "problem"
    assert said in check.found
    assert path.read_bytes() == data


def test_damaged_pages(file: Path) -> None:
    with Memory.open(file, clock=lambda: NOW) as memory:
        memory.observe_many(f"event number {n} of many" for n in range(4_000))
    data = bytearray(file.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 16] = b"\xa5" * 16
    file.write_bytes(data)
    check = looked(file)["pages"]
    assert check.status == "problem"
    assert "holdfast export" in check.advice or "verify" in check.advice


def test_a_memory_that_cannot_be_opened(file: Path) -> None:
    db = sqlite3.connect(file)
    db.execute("UPDATE meta SET value = 'much' WHERE key = 'budget'")
    db.commit()
    db.close()
    check = list(looked(file).values())[-1]
    assert (check.name, check.status) == ("content", "problem")
    assert "does not say what its budget is" in check.found


def test_events_from_the_future(file: Path) -> None:
    check = looked(file, NOW - 3600)["times"]
    assert check.status == "warning"
    assert check.found == (
        "the newest event was recorded at 2027-01-15 08:00 UTC, which this clock has not reached"
    )
    assert looked(file, NOW - 30)["times"].status == "ok"


def test_evictions_are_counted() -> None:
    numbers = dict.fromkeys(
        ("database", "wal", "shm", "free", "log", "index", "vectors", "ledger", "state", "audit"), 0
    )
    usage = Usage(
        **numbers, budget=2048, disk=1024, snapshots=0, events={"evicted": 1234}, episodes=0
    )
    check = doctor._budget(usage, 4096)
    assert check.found == "1.0 KiB of 2.0 KiB in use, 1,234 events evicted so far"
    assert check.status == "ok"


def test_an_empty_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    Memory.open(path, "1 MiB").close()
    assert list(looked(path))[-1] == "budget", "there is no newest event"


# ---- the command ---------------------------------------------------------------------------


def test_the_command_prints_a_line_for_each_look(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[9:20].strip() for line in lines] == MACHINE + FILE
    assert all(line.split()[0] in ("ok", "warning") for line in lines)
    assert main(["doctor", str(file), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["ok"] is True
    assert [check["name"] for check in told["checks"]] == MACHINE + FILE
    assert set(told["checks"][0]) == {"name", "status", "found", "advice"}


def test_the_command_fails_if_there_is_a_problem(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(file, other := file.with_name("other.holdfast"))
    other.write_bytes(b"x" * 9000)
    assert main(["doctor", str(other)]) == 1
    out, err = capsys.readouterr()
    assert "problem  pages        other.holdfast is not a Holdfast memory" in out
    assert err == "error: 1 problem\nhint: do what the lines above say\n"

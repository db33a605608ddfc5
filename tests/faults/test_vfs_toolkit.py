"""The toolkit by itself, on a plain SQLite log: it must find what is there, and only that."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import apsw
import pytest

from holdfast.checks.faults import (
    BudgetVFS,
    CrashVFS,
    FaultyVFS,
    Op,
    RecordingVFS,
    bytes_on_disk,
    crash_states,
    run_until_killed,
    traced,
    tracing_refused,
    watched,
)

from raw import Raw, content, lost

NUMBERS = range(1, 60)


def recorded(path: Path, synchronous: str) -> list[Op]:
    with RecordingVFS() as vfs:
        raw = Raw(path, vfs.name, synchronous)
        for i in NUMBERS:
            vfs.mark(-i)
            raw.write(i, content(i))
            vfs.mark(i)
            if i == 30:
                raw.close()
                raw = Raw(path, vfs.name, synchronous)
        raw.close()
    return vfs.log


def verdicts(log: list[Op], n: int, seed: int = 1) -> Counter[str]:
    found: Counter[str] = Counter()
    for state in crash_states(log, Random(seed), n):
        marks = [mark for mark in state.marks if isinstance(mark, int)]
        acknowledged = {mark for mark in marks if mark > 0}
        verdict = lost(state.directory / "a.db", acknowledged, {abs(mark) for mark in marks})
        found[verdict.split(":")[0]] += 1
    return found


def test_full_synchronous_survives_every_power_cut(tmp_path: Path) -> None:
    assert verdicts(recorded(tmp_path / "a.db", "FULL"), 1000) == {"": 1000}


def test_normal_loses_but_never_corrupts_and_off_corrupts(tmp_path: Path) -> None:
    """The simulator is not blind: it tells the three durability levels apart."""
    normal = verdicts(recorded(tmp_path / "a.db", "NORMAL"), 300)
    assert normal.keys() == {"", "lost"}
    assert normal["lost"] > 50
    (tmp_path / "off").mkdir()
    assert verdicts(recorded(tmp_path / "off" / "a.db", "OFF"), 300)["corrupt"] > 30


def test_the_same_seed_yields_the_same_states(tmp_path: Path) -> None:
    log = recorded(tmp_path / "a.db", "NORMAL")

    def states(seed: int) -> list[tuple[int, str, dict[str, bytes]]]:
        return [
            (s.cut, s.loss, {p.name: p.read_bytes() for p in s.directory.iterdir()})
            for s in crash_states(log, Random(seed), 20, where=tmp_path)
        ]

    assert states(3) == states(3)
    assert states(3) != states(4)


def test_what_was_synced_is_kept_and_the_rest_may_not_be() -> None:
    log = [
        Op("create", "f"),
        Op("write", "f", 0, b"a" * 1024),
        Op("sync", "f"),
        Op("sync-directory"),
        Op("write", "f", 512, b"b" * 1024),
        Op("truncate", "f", 600),
        Op("mark", value="here"),
    ]
    seen = set()
    for state in crash_states(log, Random(0), 3000):
        if state.cut == len(log):
            assert state.marks == ("here",)
            data = (state.directory / "f").read_bytes()
            assert data[:512] == b"a" * 512
            seen.add(data)
    a, b = b"a" * 512, b"b" * 512
    assert {a + a, a + b + b, a + b[:88], a + a[:88], a + a + b, a + b} <= seen
    assert a + a + bytes(512) in seen  # the length arrived, the data did not


def test_a_new_name_is_kept_only_once_its_directory_is_synced() -> None:
    log = [Op("create", "f"), Op("write", "f", 0, b"a"), Op("sync", "f")]
    ends = {(s.directory / "f").exists() for s in crash_states(log, Random(0), 300) if s.cut == 3}
    assert ends == {True, False}
    log.append(Op("sync-directory"))
    ends = {(s.directory / "f").exists() for s in crash_states(log, Random(0), 300) if s.cut == 4}
    assert ends == {True}


def test_a_file_that_was_there_before_is_part_of_every_state(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    first = Raw(path)
    first.write(1, content(1))
    first.close()
    with RecordingVFS() as vfs:
        second = Raw(path, vfs.name)
        second.write(2, content(2))
        second.close()
    for state in crash_states(vfs.log, Random(0), 100):
        assert lost(state.directory / "a.db", {1}, {1, 2}) == ""


def crash_points(path: Path, torn: bool, points: range) -> int:
    """Kill a writer at each point; how many of them were reached."""
    reached = 0
    for point in points:
        for suffix in ("", "-wal", "-shm", "-journal"):
            Path(f"{path}{suffix}").unlink(missing_ok=True)

        def work(acknowledge, point=point):  # type: ignore[no-untyped-def]
            vfs = CrashVFS(point, torn)
            raw = Raw(path, vfs.name, checkpoint=4)
            for i in range(1, 13):
                raw.write(i, content(i))
                acknowledge(str(i))
            raw.close()

        outcome = run_until_killed(work)
        reached += outcome.killed
        acknowledged = {int(line) for line in outcome.acknowledged}
        latest = max(acknowledged, default=0)
        assert lost(path, acknowledged, acknowledged | {latest + 1}) == "", (point, torn)
        if not outcome.killed:
            break
    return reached


@pytest.mark.parametrize("torn", [False, True])
def test_a_writer_killed_at_every_change_loses_nothing(tmp_path: Path, torn: bool) -> None:
    assert 60 < crash_points(tmp_path / "a.db", torn, range(1, 1000)) < 999


def test_a_child_that_fails_is_not_taken_for_a_crash(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(RuntimeError, match="neither done nor killed"):
        run_until_killed(lambda acknowledge: acknowledge(str(1 / 0)))
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_half_a_line_is_no_acknowledgement() -> None:
    def work(acknowledge):  # type: ignore[no-untyped-def]
        acknowledge("1")
        acknowledge("2")
        os.kill(os.getpid(), signal.SIGKILL)

    assert run_until_killed(work).acknowledged == ("1", "2")


@pytest.mark.skipif(bool(tracing_refused()), reason=tracing_refused() or "strace works")
def test_strace_kills_at_the_nth_system_call() -> None:
    script = (
        "import os; fd = os.open('/dev/null', 1)\n"
        "for i in range(9): os.pwrite(fd, b'x', 0); print(i, flush=True)"
    )
    outcome = traced([sys.executable, "-S", "-E", "-c", script], "pwrite64", 4)
    assert outcome.killed
    assert outcome.acknowledged == ("0", "1", "2")


@pytest.mark.parametrize(
    ("error", "raised"),
    [("ENOSPC", apsw.FullError), ("EIO", apsw.IOError), ("short", apsw.FullError)],
)
def test_every_failed_change_is_an_error_or_harmless(
    tmp_path: Path, error: str, raised: type[apsw.Error]
) -> None:
    for n in range(1, 200):
        path = tmp_path / f"{n}.db"
        with FaultyVFS() as vfs:
            raw = Raw(path, vfs.name, checkpoint=3)
            vfs.arm(n, error)  # type: ignore[arg-type]
            done, begun = set(), set()
            for i in range(1, 12):
                begun.add(i)
                try:
                    raw.write(i, content(i))
                except (raised, apsw.IOError):
                    continue
                done.add(i)
            with contextlib.suppress(apsw.Error):  # the fault may fall on the last checkpoint
                raw.close()
            hits = vfs.hits
        assert lost(path, done, begun) == ""
        if not hits:
            break
    else:
        raise AssertionError("never ran out of changes to fail")
    assert n > 30


def test_a_persistent_fault_lasts_until_it_is_cleared(tmp_path: Path) -> None:
    with FaultyVFS() as vfs:
        raw = Raw(tmp_path / "a.db", vfs.name)
        vfs.arm(1, "ENOSPC", persistent=True)
        for i in (1, 2, 3):
            with pytest.raises(apsw.FullError):
                raw.write(i, content(i))
        vfs.clear()
        raw.write(4, content(4))
        assert raw.read().keys() == {4}
        raw.close()


def test_the_budget_vfs_and_the_watcher_see_the_log_grow(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with BudgetVFS(path, limit=100_000) as vfs, watched(path) as peak:
        raw = Raw(path, vfs.name, checkpoint=10_000)
        reader = Raw(path)
        reader.db.execute("BEGIN; SELECT * FROM e").fetchall()
        for i in range(1, 300):
            raw.write(i, content(i))
        total = bytes_on_disk(path)
        reader.close()
        raw.close()
    assert vfs.peak >= total > 1_000_000
    assert peak.bytes >= total
    assert peak.looks > 10
    assert vfs.violations
    assert "100000 allowed" in vfs.violations[0]
    assert vfs.checks > 299


def test_a_temporary_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with BudgetVFS(path) as vfs:
        db = apsw.Connection(str(path), vfs=vfs.name)
        db.execute(
            "PRAGMA temp_store=FILE; PRAGMA cache_size=10; CREATE TEMP TABLE t(x)"
        ).fetchall()
        db.execute("PRAGMA temp.cache_size=10").fetchall()
        for i in range(50):
            db.execute("INSERT INTO t VALUES (?)", (content(i, 20_000),))
        assert vfs.peak > 500_000 > bytes_on_disk(path)
        db.close()
        assert vfs.measure() < 500_000


def test_an_example_in_each_docstring_runs() -> None:
    modules = [f"holdfast.checks.faults.{m}" for m in ("vfs", "record")]
    for module in modules:
        code = f"import doctest, {module} as m; raise SystemExit(doctest.testmod(m).failed)"
        assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0

"""What could go wrong on this machine, or with one file, before it does."""

from __future__ import annotations

import locale
import os
import platform
import re
import shutil
import sqlite3
import stat
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Literal

import apsw

from holdfast.budget import format_bytes
from holdfast.errors import HoldfastError, StoreError, UnsafeFilesystemError
from holdfast.memory import Memory
from holdfast.records import Usage
from holdfast.stores.locks import FileLock, check_filesystem, mounted
from holdfast.stores.migrations import APPLICATION_ID, MIGRATIONS
from holdfast.stores.space import pragma
from holdfast.stores.translate import check_version, translated

Status = Literal["ok", "warning", "problem"]

EARLIEST = datetime(2025, 1, 1, tzinfo=UTC).timestamp()  # a clock before this was never set
LATEST = datetime(2200, 1, 1, tzinfo=UTC).timestamp()
_AHEAD_S = 60.0  # clocks of machines that share a file differ by less
_LOCK_S = 1.0  # a write takes milliseconds; who holds the lock for longer is worth a word
_SCANT = 1 << 20  # bytes of free disk below which writes are about to fail
_EXTRA = re.compile(r"([\w.-]+).*;\s*extra == ['\"]([\w-]+)['\"]")
_FLEETING = {
    "tmpfs": "is in RAM and gone when the machine restarts",
    "ramfs": "is in RAM and gone when the machine restarts",
    "overlay": "belongs to a container and is gone with it",
}


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found. `advice` says what to do where there is something to do."""

    name: str
    status: Status
    found: str
    advice: str = ""


def examine(
    path: str | os.PathLike[str] | None = None, *, clock: Callable[[], float] = time.time
) -> tuple[Check, ...]:
    """Check this machine and, with a path, the memory there.

    Parameters
    ----------
    path
        The file of a memory; None checks the machine alone.
    clock
        Where the time comes from.

    Notes
    -----
    Opens a sound file as everybody does: after a crash that finishes what was under way, such as an
    erasure. Nothing else is changed: a file of an older schema is not opened, since that would
    bring it up to date. What cannot be checked after a problem is left out. Reads every page of
    the file once.

    Examples
    --------
    >>> [check.name for check in examine()]
    ['python', 'sqlite', 'clock', 'text', 'extras']
    """
    machine = (_python(), _sqlite(), _clock(clock()), _text(), _extras())
    return machine if path is None else (*machine, *_file(Path(path), clock()))


# ---- the machine ---------------------------------------------------------------------------


def _python() -> Check:
    found = f"{platform.python_implementation()} {platform.python_version()}"
    found += f" on {platform.system()} {platform.machine()}"
    if platform.system() == "Linux":
        return Check("python", "ok", found)
    return Check("python", "warning", found, "only Linux is tested, and known for safe locks")


def _sqlite() -> Check:
    origin = "its own" if apsw.using_amalgamation else "the system's"
    found = f"{apsw.sqlite_lib_version()}, {origin}, in apsw {apsw.apsw_version()}"
    found += f"; Python's sqlite3 ({sqlite3.sqlite_version}) is not used"
    try:
        check_version()
    except StoreError as error:
        return _problem("sqlite", error)
    lacking = {"THREADSAFE=0", "OMIT_WAL"} & set(apsw.compile_options)
    if lacking:
        built = ", ".join(sorted(lacking))
        return Check("sqlite", "problem", f"{found}; built with {built}", "install another apsw")
    return Check("sqlite", "ok", found)


def _clock(now: float) -> Check:
    if EARLIEST <= now < LATEST:
        return Check("clock", "ok", _day(now))
    advice = "set the clock: events and beliefs take their times from it"
    return Check("clock", "problem", f"it says {_day(now)}", advice)


def _text() -> Check:
    names = {locale.getpreferredencoding(False), sys.getfilesystemencoding()}
    if {name.lower().replace("-", "") for name in names} == {"utf8"}:
        return Check("text", "ok", "UTF-8")
    found = f"this locale writes {', '.join(sorted(names))}"
    return Check("text", "warning", found, "set LANG=C.UTF-8 or PYTHONUTF8=1 to see all of it")


def _extras() -> Check:
    try:
        lines = metadata.requires("holdfast") or []
    except metadata.PackageNotFoundError:
        return Check("extras", "warning", "holdfast is not installed as a package", "install it")
    needs: dict[str, dict[str, str | None]] = {}
    for match in filter(None, map(_EXTRA.fullmatch, lines)):
        needs.setdefault(match[2], {})[match[1]] = _version(match[1])
    there = {extra: held for extra, held in sorted(needs.items()) if all(held.values())}
    said = [f"{extra} ({', '.join(map(' '.join, _pairs(held)))})" for extra, held in there.items()]
    absent = ", ".join(sorted(needs.keys() - there.keys())) or "none"
    return Check("extras", "ok", f"{', '.join(said) or 'none'}; not installed: {absent}")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _pairs(held: dict[str, str | None]) -> list[tuple[str, str]]:
    return [(package, version or "") for package, version in held.items()]


# ---- a file --------------------------------------------------------------------------------


def _file(path: Path, now: float) -> Iterator[Check]:
    """Yield what is found about a file, until something makes it senseless to go on."""
    if not path.parent.is_dir():
        yield Check("file", "problem", f"there is no folder {path.parent}", "make it first")
        return
    free = shutil.disk_usage(path.parent).free
    yield _file_system(path)
    yield _disk(free)
    yield (access := _access(path))
    if access.status == "problem":
        return
    yield (lock := _lock(path))
    for check in _pages(path):
        yield check
        if check.status != "ok":
            return
    if lock.status == "ok":
        yield from _content(path, free, now)


def _file_system(path: Path) -> Check:
    kind, mount = mounted(path)
    try:
        check_filesystem(path)
    except UnsafeFilesystemError as error:
        return _problem("file system", error)
    if why := _FLEETING.get(kind):
        advice = "put the memory on a disk or a volume if it is to last"
        return Check("file system", "warning", f"{kind} at {mount} {why}", advice)
    return Check("file system", "ok", f"{kind} at {mount}" if kind else "not known to be remote")


def _access(path: Path) -> Check:
    """Whether the file, its folder and what lies beside it can be read and written."""
    if not os.access(path.parent, os.W_OK | os.X_OK):
        found = f"the folder {path.parent} cannot be written"
        return Check("access", "problem", found, "even reading takes a lock there; change its mode")
    if not path.exists():
        advice = f"make one with: holdfast observe {path} INPUT --budget '64 MiB'"
        return Check("access", "problem", f"there is no memory at {path}", advice)
    if not path.is_file():
        return Check("access", "problem", f"{path} is not a file", "name the file of a memory")
    for beside in ("", "-lock", "-wal", "-shm"):
        one = path.with_name(path.name + beside)
        if one.exists() and not os.access(one, os.R_OK | os.W_OK):
            advice = f"it belongs to user {one.stat().st_uid}; change its owner or its mode"
            return Check("access", "problem", f"{one} cannot be read and written", advice)
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH:
        return Check("access", "warning", "anybody may write to it", f"say: chmod o-w {path}")
    readers = "; others may read it" if mode & stat.S_IROTH else ""
    return Check("access", "ok", f"mode {stat.S_IMODE(mode):04o}{readers}")


def _lock(path: Path) -> Check:
    """Whether the lock is to be had, and who else has the file open."""
    users = sorted(set(_processes(os.path.realpath(path))) - {os.getpid()})
    found = f"also open in process {', '.join(map(str, users))}" if users else "nobody else has it"
    beside = path.with_name(path.name + "-lock")
    if beside.exists():
        lock = FileLock(beside, _LOCK_S)
        try:
            lock.acquire()
            lock.release()
        except StoreError:
            advice = "wait until it is done, or end it, and try again"
            return Check("lock", "warning", f"held for over {_LOCK_S:g} s; {found}", advice)
        finally:
            lock.close()
    return Check("lock", "ok", found)


def _processes(path: str) -> Iterator[int]:
    """Yield the processes that have a file open, where the system tells us."""
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link) == path:
                yield int(link.parts[2])
        except OSError:
            continue  # it has ended, or is not ours to look at


def _pages(path: Path) -> Iterator[Check]:
    """Look at the file as SQLite sees it, without changing it."""
    try:
        with translated(path):
            db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
            try:
                ours = pragma(db, "application_id") == APPLICATION_ID
                schema = int(pragma(db, "user_version"))
                answer = str(pragma(db, "quick_check(1)"))
            finally:
                db.close()
    except StoreError as error:
        yield _problem("pages", error)
        return
    if not ours:
        advice = "name the file of a memory, or bring back a copy"
        yield Check("pages", "problem", f"{path} is not a Holdfast memory", advice)
        return
    yield _schema(schema)
    if answer == "ok":
        yield Check("pages", "ok", "SQLite finds them whole; for checksums: holdfast verify")
    else:
        advice = f"save what can be read with: holdfast export {path} OUT.jsonl"
        yield Check("pages", "problem", f"damaged: {' '.join(answer.split())}", advice)


def _schema(have: int) -> Check:
    known = len(MIGRATIONS)
    if have > known:
        found = f"schema {have}; this version knows {known}"
        return Check("schema", "problem", found, "use a newer Holdfast")
    if have < known:
        advice = f"copy it if an older version is to read it: opening brings it to {known}"
        return Check("schema", "warning", f"schema {have}, of an older version", advice)
    return Check("schema", "ok", f"schema {have}")


def _content(path: Path, free: int, now: float) -> Iterator[Check]:
    """Open the memory as everybody does."""
    try:
        with Memory.open(path) as memory:
            usage = memory.usage()
            last = sum(usage.events.values())  # every event that ever was has a number
            newest = next((record.recorded_at for record in memory.log(last - 1)), 0.0)
    except (HoldfastError, OSError) as error:
        yield _problem("content", error)
        return
    yield _budget(usage, free)
    if newest:
        yield _newest(newest, now)


def _budget(usage: Usage, free: int) -> Check:
    found = f"{format_bytes(usage.disk)} of {format_bytes(usage.budget)} in use"
    if gone := usage.events["evicted"]:
        found += f", {gone:,} events evicted so far"
    more = max(0, usage.budget - usage.disk)
    if more <= free:
        return Check("budget", "ok", found)
    found += f"; it allows {format_bytes(more)} more, which the disk has not"
    return Check("budget", "warning", found, "free some space, or lower it: holdfast resize")


def _newest(newest: float, now: float) -> Check:
    found = f"the newest event was recorded at {_day(newest)}"
    if newest <= now + _AHEAD_S:
        return Check("times", "ok", found)
    advice = "set the clock; until it has caught up, new events get that time"
    return Check("times", "warning", f"{found}, which this clock has not reached", advice)


def _disk(free: int) -> Check:
    found = f"{format_bytes(free)} free"
    if free < _SCANT:
        return Check("disk", "problem", found, "free some space: writes are about to fail")
    return Check("disk", "ok", found)


def _problem(name: str, error: Exception) -> Check:
    """Return an error as what was found and what to do about it."""
    found, _, advice = " ".join(str(error).split()).rpartition("; ")
    return Check(name, "problem", found or advice, advice if found else "")


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")

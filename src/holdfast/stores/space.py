"""The byte budget of a SQLite file: how it is split, and how it is kept at every instant.

A share goes to the write-ahead log, one or two 32 KiB pages to its shared index, the rest to the
database file, which `max_page_count` bounds. SQLite alone bounds only the last: a reader that pins
a snapshot makes the log grow without end. So checkpoints are ours, the length of the log is known,
and no transaction starts that might not fit; if a reader is in the way the writer waits, then
refuses with `StoreBusyError` rather than grow.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import Any

import apsw

from holdfast.errors import BudgetError, StorageFullError, StoreBusyError

PAGE = 4096
FRAME = PAGE + 24  # a page in the write-ahead log, with its header
SMALLEST_BUDGET = 640 * 1024
LARGEST_BUDGET = 2**40
LARGEST_EVENT = 16 * 1024 * 1024

_WAL_SMALLEST, _WAL_LARGEST = 256 * 1024, 4 * 1024 * 1024
_SHM_REGION, _FRAMES_PER_REGION = 32 * 1024, 4062
_OVERHEAD_PAGES = 30  # that a transaction may dirty beside what it writes: tail, trees, free list
_USUAL_PAGES = 54  # that a transaction should find room for: one that makes room needs them
_SEAL_PAGES = 8  # a block may be written before the rows it replaces are dropped
_BUSY_MS = 2000  # SQLite's own waiting, for programs that do not take our lock


class Space:
    """Accounts for every byte of one SQLite file, on its writing connection.

    `need` is always an upper bound on the bytes of pages that a transaction will dirty.
    """

    def __init__(self, db: apsw.Connection, path: Path, patience_s: float) -> None:
        self._db = db
        self._path = path
        self._patience_s = patience_s
        self._frames = 0  # in the log, at most
        self._used_at_most = 0.0  # bytes of database pages that hold something
        self._dirty = 0.0  # pages this transaction has dirtied, at most
        self._room = 0  # bytes of log this transaction may fill
        self._wide = False  # the log may be longer than its share
        self.budget = 0
        self.wal_cap = 0
        db.set_busy_timeout(_BUSY_MS)

    # ---- the split -------------------------------------------------------------------------

    def set_budget(self, budget: int) -> None:
        """Split another budget. What is on disk must fit it already."""
        self.budget = budget
        self.wal_cap = _wal_share(budget)
        pragma(self._db, f"max_page_count={self.capacity() // PAGE}")

    def capacity(self) -> int:
        """Bytes the database file may have."""
        return _database_share(self.budget, self.wal_cap)

    def largest_event(self) -> int:
        return _largest_event(self.budget)

    def batch_bytes(self) -> int:
        return self.wal_cap // 16

    def used(self) -> int:
        """Bytes of database pages that hold something."""
        pages = int(pragma(self._db, "page_count")) - int(pragma(self._db, "freelist_count"))
        self._used_at_most = pages * PAGE
        return pages * PAGE

    def excess(self, budget: int) -> int:
        return self.used() - _database_share(budget, _wal_share(budget))

    # ---- one transaction -------------------------------------------------------------------

    def begin(self, need: int) -> None:
        """Make sure that the log can take `need` bytes within the budget.

        Raises `StoreBusyError` if a reader keeps it from being reset for too long.
        """
        if self._wide:
            self._reset_log(0)
        if _wal_for(need) > self.wal_cap and self.room_for(need) >= 0:
            self._widen(need)
        else:
            usual = max(self.wal_cap // 2, min(_USUAL_PAGES * FRAME, self.wal_cap * 7 // 8))
            self._reset_log(max(usual, min(_wal_for(need), self.wal_cap)))
            self._room = self.wal_cap - self._frames * FRAME
        self._dirty = 0.0

    def end(self) -> None:
        """After a commit: move the log into the database when it has grown."""
        # The commit is durable by now. If the disk refuses a checkpoint, the log stays as it is
        # and the next one is tried when the next transaction needs the room.
        with contextlib.suppress(apsw.Error):
            if self._wide:
                self._narrow()
            elif self._frames * FRAME > self.wal_cap // 2:
                self._checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def touch(self, pages: float) -> None:
        """Count pages about to be dirtied; refuse what the log could not take."""
        self._dirty += pages
        self._used_at_most += pages * PAGE
        if self._dirty * FRAME > self._room:
            raise StorageFullError(
                f"one transaction would write about {self._dirty:.0f} pages but its log has room "
                f"for {self._room // FRAME}; nothing was written, write less at a time"
            )

    @property
    def dirty(self) -> float:
        return self._dirty

    def room_for(self, need: int) -> int:
        most = _database_share(self.budget, max(self.wal_cap, _wal_for(need)))
        most -= (pages_for(need) + _SEAL_PAGES) * PAGE
        if most >= self._used_at_most:  # no need to ask SQLite while even the bound fits
            return int(most - self._used_at_most)
        return most - self.used()

    def slack(self) -> int:
        return int(self._room - self._dirty * FRAME)

    def fits(self, need: int) -> bool:
        return self.room_for(need) >= 0 and self.slack() >= _wal_for(need) - PAGE

    # ---- the log ---------------------------------------------------------------------------

    @property
    def frames(self) -> int:
        return self._frames

    def on_commit(self, _db: apsw.Connection, _name: str, frames: int) -> int:
        """SQLite's hook: how long the log is after a commit of ours."""
        self._frames = frames
        return apsw.SQLITE_OK

    def look_again(self) -> None:
        """Another process wrote, or nobody has looked yet: the log may have any length."""
        length = size_of(f"{self._path}-wal")
        self._frames = -(-length // FRAME)
        self._wide = length > self.wal_cap
        self.used()

    def squeeze(self) -> None:
        """Give every free page back to the file system, a bounded step at a time."""
        while free := int(pragma(self._db, "freelist_count")):
            step = min(free, max(8, self.wal_cap // FRAME // 4))
            self._reset_log(step * 3 * FRAME)
            with self._db:
                pragma(self._db, f"incremental_vacuum({step})")
            self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def cut_log(self) -> None:
        """Empty the log file; raises `StoreBusyError` if a reader is in the way for too long."""
        self._wide = True
        self._reset_log(0)

    def shrink(self, budget: int) -> None:
        """Cut the files down until they fit another budget.

        Raises `BudgetError` if the pages in use do not, `StoreBusyError` if a reader is in the way.
        """
        share = _database_share(budget, _wal_share(budget))
        if self.excess(budget) > 0:
            raise BudgetError(
                f"{self._path.name} holds {self.used()} bytes of pages but a budget of {budget} "
                f"leaves {share} for them; open it with its own budget and resize() to evict"
            )
        self._vacuum(share)
        self.cut_log()

    def _vacuum(self, share: int) -> None:
        """Move pages to the front until the database fits `share`, a bounded step at a time."""
        step = max(8, self.wal_cap // FRAME // 4)
        while (excess := int(pragma(self._db, "page_count")) - share // PAGE) > 0:
            self._reset_log(step * 3 * FRAME)
            with self._db:
                pragma(self._db, f"incremental_vacuum({min(step, excess)})")
            self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)

    def _widen(self, need: int) -> None:
        """Give the log more than its usual share for one large transaction."""
        share = _database_share(self.budget, _wal_for(need))
        self._vacuum(share)
        self.cut_log()
        self._wide = True  # until the log is cut again, the database keeps to the smaller share
        self._room = _wal_for(need)
        pragma(self._db, f"max_page_count={share // PAGE}")

    def _narrow(self) -> bool:
        """Cut the log to nothing and give the database its usual share back; False if pinned."""
        if not self._checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE):
            return False
        self._wide = False
        self.set_budget(self.budget)
        return True

    def _reset_log(self, need: int) -> None:
        """Start the log over if `need` more might not fit; wait a bounded time for readers."""
        if self._frames * FRAME + need <= self.wal_cap and not self._wide:
            return
        deadline = time.monotonic() + self._patience_s
        while not self._started_over():
            if time.monotonic() > deadline:
                raise StoreBusyError(
                    f"a reader of {self._path.name} has pinned its log for over "
                    f"{self._patience_s:g} s and the budget leaves no room to go on; "
                    "nothing was written: end that reader's transaction and try again"
                )
            time.sleep(0.005)

    def _started_over(self) -> bool:
        if self._wide:
            return self._narrow()
        if not self._checkpoint(apsw.SQLITE_CHECKPOINT_RESTART):
            return False
        self._frames = 0
        return True

    def _checkpoint(self, mode: int) -> bool:
        """Copy the log into the database; whether all of it went (and, as asked, was reset)."""
        self._db.set_busy_timeout(0)  # whoever must wait does so in `_reset_log`
        try:
            frames, copied = self._db.wal_checkpoint(mode=mode)
        except apsw.BusyError:
            return False
        finally:
            self._db.set_busy_timeout(_BUSY_MS)
        if mode == apsw.SQLITE_CHECKPOINT_TRUNCATE:
            self._frames = 0
        return bool(frames == copied)


def pragma(db: apsw.Connection, text: str) -> Any:
    """Run one pragma to its end; the first value it gives, if any."""
    rows = db.execute(f"PRAGMA {text}").fetchall()
    return rows[0][0] if rows and rows[0] else None


def size_of(path: str | os.PathLike[str]) -> int:
    """Bytes of a file, 0 if it is not there."""
    try:
        return os.stat(path).st_size
    except FileNotFoundError:
        return 0


def pages_for(nbytes: int) -> int:
    """Upper bound on the pages one row of `nbytes` dirties: its own, its tree, its bookkeeping."""
    return nbytes // (PAGE - 4) + 7


def vector_pages(gap: int, nbytes: int) -> float:
    """Pages, at most, that a row of vectors dirties, `gap` rows away from the one before it."""
    own = (nbytes + 29) / 2048  # a page may be half empty
    return min(abs(gap) * own, 4 + own)


def check_size(budget: int) -> None:
    """Refuse a budget that could not hold the file's own structures, or that nobody has RAM for."""
    if budget > LARGEST_BUDGET:
        raise BudgetError(
            f"a budget is at most {LARGEST_BUDGET} bytes, for all that is kept is indexed in RAM; "
            "name a smaller one"
        )
    if budget < SMALLEST_BUDGET:
        raise BudgetError(
            f"a budget of {budget} bytes is too small for the file's own structures; "
            f"the smallest that works is {SMALLEST_BUDGET}"
        )


def _wal_for(need: int) -> int:
    return (need // (PAGE - 4) + _OVERHEAD_PAGES) * FRAME


def _wal_share(budget: int) -> int:
    return min(max(budget // 16, _WAL_SMALLEST), _WAL_LARGEST)


def _largest_event(budget: int) -> int:
    return min(LARGEST_EVENT, (budget - SMALLEST_BUDGET // 2) // 4)


def _database_share(budget: int, wal: int) -> int:
    """Bytes the database file may have beside a log of `wal` bytes."""
    longest = max(wal, _wal_for(_largest_event(budget)))
    regions = 1 + longest // FRAME // _FRAMES_PER_REGION  # they never shrink while open
    return budget - wal - regions * _SHM_REGION

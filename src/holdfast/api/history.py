"""Time travel: snapshots, forks, what differs between two moments, and the way back."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from holdfast.api.base import Parts, Time, moment_of
from holdfast.errors import ConflictError, InvalidEventError, NotFoundError
from holdfast.mirror import Mirror
from holdfast.records import Tier
from holdfast.rewrite import ROLLBACK, begin_rollback, roll_back
from holdfast.state.asked import Asked, Note
from holdfast.state.fold import State
from holdfast.state.patch import diff as json_diff
from holdfast.state.records import Belief, Trust
from holdfast.stores.space import size_of
from holdfast.stores.sqlite import SqliteStore
from holdfast.stores.translate import sync_folder
from holdfast.trust.log import new_origin

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A named, immutable point in a memory's history, in a file of its own.

    It holds every event with a number up to `seq`, as it was kept when the snapshot was taken at
    `at`.
    """

    name: str
    seq: int
    at: float
    nbytes: int
    path: Path


@dataclass(frozen=True, slots=True)
class Difference:
    """What changed from one moment of a memory to another.

    `began` and `ended` are beliefs that hold at one of the two moments only. `documents` has the
    JSON Patch (RFC 6902) for each document that changed, None for one that is gone, by scope and
    name; `automata` the states before and after. Events are counted: recorded since, no longer
    kept, and kept at a lower tier.
    """

    began: tuple[Belief, ...]
    ended: tuple[Belief, ...]
    documents: Mapping[tuple[str, str], list[dict[str, Any]] | None]
    automata: Mapping[tuple[str, str], tuple[str | None, str | None]]
    events_added: int
    events_gone: int
    events_lowered: int


@dataclass(frozen=True, slots=True)
class _Moment:
    """What a memory held at one moment."""

    state: State
    at: float
    tiers: Mapping[int, int]  # of each kept event


class HistoryApi(Parts):
    """The methods of a memory that are about moments of its past."""

    def snapshot(self, name: str, *, by: str = "") -> Snapshot:
        """Keep this moment under a name.

        Notes
        -----
        The snapshot is a file of its own beside the memory, no larger than the memory's budget and
        not counted in it: a full memory could never be kept inside itself, and deleting the file
        gives its bytes back at once. `Usage.snapshots` adds them up. O(bytes), about 0.1 s for
        64 MiB; writers wait.

        Raises
        ------
        ConflictError
            If there is a snapshot of that name.
        """
        path = self._snapshot_path(name)
        if path.exists():
            raise ConflictError(f"snapshot {name!r} exists; choose another name, or delete it")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        note = Note("snapshot", name)
        self._change_state(f"snapshot {name}", "", Asked((note,), by, Trust.OWNER))
        with self._committer.still():
            size = self._mirror.next_seq - self._mirror.audit.first
            with self._store.transaction() as tx:
                self._mirror.audit.keep_snapshot(tx, self._store, size, name)
            self._drop_drafts()
            self._store.copy_to(path)
        return self._snapshot(name)

    def snapshots(self) -> list[Snapshot]:
        """Every snapshot, oldest first."""
        found = [self._snapshot(path.stem) for path in self._snapshot_files()]
        return sorted(found, key=lambda one: (one.seq, one.name))

    def delete_snapshot(self, name: str, *, by: str = "") -> int:
        """Delete a snapshot; the bytes that this gave back.

        Raises `NotFoundError` if there is none of that name.
        """
        with self._committer.still():  # nobody is going back to it, then
            found = self._snapshot(name)
            for suffix in ("", "-wal", "-shm", "-lock"):
                found.path.with_name(found.path.name + suffix).unlink(missing_ok=True)
            sync_folder(found.path.parent)
            with self._store.transaction() as tx:
                self._mirror.audit.forget_snapshot(tx, self._store, name)
        note = Note("delete_snapshot", name)
        self._change_state(f"delete snapshot {name}", "", Asked((note,), by, Trust.OWNER))
        return found.nbytes

    def fork(self, path: str | os.PathLike[str], *, snapshot: str | None = None) -> Self:
        """Another memory that starts as this one, or as one of its snapshots, and diverges.

        It keeps the numbers of its events, its budget and its history, and has a name of its own
        in the audit log. Opened with the same settings.

        Raises
        ------
        ConflictError
            If there is a file at that path.

        Notes
        -----
        Copies the file and what is in RAM, which need not be worked out again: well under a second
        for 64 MiB. From a snapshot the copy has to be opened, which takes longer. Writers of this
        memory wait meanwhile.
        """
        target = Path(path)
        if target.exists():
            raise ConflictError(f"{target} exists; fork to another path")
        with self._committer.still():
            if snapshot is None:
                self._store.copy_to(target, new_origin())
                twin = self._twin(target)
            else:
                with self._opened(snapshot) as store:
                    store.copy_to(target, new_origin())
        if snapshot is not None:
            twin = self._reopened(target)
        note = Note("fork", self._mirror.audit.origin)
        twin._change_state("fork", "", Asked((note,), "", Trust.OWNER))
        return twin

    def rollback(self, name: str, *, by: str = "") -> int:
        """Make the content what it was at a snapshot; how many kept events that withdrew.

        Their numbers are not used again, and the audit log keeps their leaves. The snapshot stays.
        What had been evicted since is back.

        Raises
        ------
        NotFoundError
            If there is no snapshot of that name.
        BudgetError
            If it does not fit the present budget; nothing has changed then.

        Notes
        -----
        Many transactions, each within the budget; if it is interrupted, the next to open the
        memory finishes it. Writers and other processes wait meanwhile.
        """
        with self._opened(name) as snapshot, self._committer.rewriting():
            since, columns = self._snapshot(name).seq, self._mirror.columns
            withdrawn = int(np.count_nonzero(columns.alive & (columns.seq > since)))
            begin_rollback(self._mirror, self._store, snapshot, name)
            roll_back(self._committer, self._mirror, self._store, snapshot, name)
        note = Note("rollback", name)
        self._change_state(f"rollback to {name}", "", Asked((note,), by, Trust.OWNER))
        self._changed()
        return withdrawn

    def diff(self, a: str | Time, b: str | Time = None) -> Difference:
        """What changed from one moment to another: names of snapshots, or times; None is now.

        At a time, events that have been evicted since count as never kept.

        Raises
        ------
        NotFoundError
            If there is no snapshot of that name.
        """
        before, after = self._moment(a), self._moment(b)
        then, now = _current(before), _current(after)
        documents: dict[tuple[str, str], list[dict[str, Any]] | None] = {}
        automata: dict[tuple[str, str], tuple[str | None, str | None]] = {}
        for scope, name in _documents(before) | _documents(after):
            old, new = _value(before, scope, name), _value(after, scope, name)
            if old != new:
                documents[scope, name] = None if new is None else json_diff(*_json(old, new))
        for scope, name in _automata(before) | _automata(after):
            pair = _state(before, scope, name), _state(after, scope, name)
            if pair[0] != pair[1]:
                automata[scope, name] = pair
        return Difference(
            began=tuple(now[key] for key in sorted(now.keys() - then.keys())),
            ended=tuple(then[key] for key in sorted(then.keys() - now.keys())),
            documents=documents,
            automata=automata,
            events_added=len(after.tiers.keys() - before.tiers.keys()),
            events_gone=len(before.tiers.keys() - after.tiers.keys()),
            events_lowered=sum(
                before.tiers[seq] < after.tiers[seq]
                for seq in before.tiers.keys() & after.tiers.keys()
            ),
        )

    # ---- inside ----------------------------------------------------------------------------

    def _snapshot_path(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidEventError(
                f"{name!r} cannot name a snapshot; use up to 64 letters, digits, '.', '_' and '-'"
            )
        store = self._store.path
        return store.with_name(store.name + "-snapshots") / f"{name}.holdfast"

    def _snapshot(self, name: str) -> Snapshot:
        path = self._snapshot_path(name)
        if not path.exists():
            raise NotFoundError(f"there is no snapshot {name!r}; known: {self._known_snapshots()}")
        with self._mirror.lock:
            taken = _taken(self._mirror.state, name)
        if taken is None:  # the memory was rolled back to before it: only its own file knows
            with closing(SqliteStore(path)) as store, store.exclusive():
                taken = _taken(Mirror(store, None).state, name)
        seq, at = taken or (0, path.stat().st_mtime)
        return Snapshot(name, seq, at, size_of(path), path)

    @contextmanager
    def _opened(self, name: str) -> Iterator[SqliteStore]:
        store = SqliteStore(self._snapshot(name).path)
        try:
            yield store
        finally:
            store.close()

    def _moment(self, when: str | Time) -> _Moment:
        self._refresh()
        if isinstance(when, str) and self._snapshot_exists(when):
            with self._opened(when) as store, store.exclusive():
                mirror = Mirror(store, None)
            at = self._snapshot(when).at
            return _Moment(mirror.state, at, _tiers(mirror, mirror.next_seq))
        try:
            given = moment_of(when)
        except InvalidEventError:
            raise NotFoundError(
                f"{when!r} is neither a time nor a snapshot; known: {self._known_snapshots()}"
            ) from None
        cut = 1 << 62 if given is None else self._mirror.recorded_after(given)
        with self._mirror.lock:
            latest = self._mirror.last_recorded  # clocks are set back
            moment = max(self._clock(), latest) if given is None else given
            past = self._mirror.state.without(lambda entry: entry.seq >= cut)
            return _Moment(past, moment + 0.001, _tiers(self._mirror, cut))

    def _finish_rewriting(self) -> None:
        """Go on with what was cut short; writers are kept out."""
        name = self._store.meta(ROLLBACK)
        if name is not None:
            with self._opened(name) as snapshot:
                roll_back(self._committer, self._mirror, self._store, snapshot, name)

    def _known_snapshots(self) -> str:
        return ", ".join(path.stem for path in self._snapshot_files()) or "none"

    def _snapshot_exists(self, name: str) -> bool:
        return bool(_NAME.fullmatch(name)) and self._snapshot_path(name).exists()


def _taken(state: State, name: str) -> tuple[int, float] | None:
    """The event that took a snapshot, and when."""
    found = [one for one in state.entries.values() if one.op == "snapshot" and one.what == name]
    return (found[-1].seq, found[-1].recorded_at) if found else None


def _tiers(mirror: Mirror, cut: int) -> dict[int, int]:
    columns = mirror.columns
    kept: npt.NDArray[np.bool_] = columns.alive & (columns.seq < cut)
    kept &= columns.tier < Tier.EVICTED
    return dict(zip(columns.seq[kept].tolist(), columns.tier[kept].tolist(), strict=True))


def _current(moment: _Moment) -> dict[str, Belief]:
    found = (belief for slot, _ in moment.state.statements() for belief in moment.state.of(slot))
    return {belief.id: belief for belief in found if belief.holds(moment.at)}


def _documents(moment: _Moment) -> set[tuple[str, str]]:
    return {(entry.scope, entry.what) for entry in moment.state.entries.values()
            if entry.op == "document"}  # fmt: skip


def _automata(moment: _Moment) -> set[tuple[str, str]]:
    return {(entry.scope, entry.what) for entry in moment.state.entries.values()
            if entry.op in ("declare", "step")}  # fmt: skip


def _value(moment: _Moment, scope: str, name: str) -> tuple[Any] | None:
    """A document's value, in a tuple of one; None if there is none."""
    try:
        return (moment.state.documents.get(name, scope).value,)
    except NotFoundError:
        return None


def _json(old: tuple[Any] | None, new: tuple[Any]) -> tuple[Any, Any]:
    return (None if old is None else old[0]), new[0]


def _state(moment: _Moment, scope: str, name: str) -> str | None:
    try:
        return moment.state.automata.state(name, scope).state
    except NotFoundError:
        return None

"""What all of a memory's methods share: its parts, and how times and scopes are written."""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self, TypeVar

import numpy as np

from holdfast import read, write
from holdfast.backlog import Backlog
from holdfast.commit import Committer
from holdfast.erase import Erased
from holdfast.errors import InvalidEventError
from holdfast.mirror import Mirror
from holdfast.records import Event, Receipt, Tier
from holdfast.state.asked import Asked
from holdfast.stores.sqlite import SqliteStore

Time = float | datetime | str | None
Scopes = str | Sequence[str]
_T = TypeVar("_T")


class Parts:
    """The parts of an open memory. `Memory` sets them; its methods use them."""

    _store: SqliteStore
    _clock: Callable[[], float]
    _mirror: Mirror
    _committer: Committer
    _reader: read.Reader
    _writer: write.Writer
    _backlog: Backlog | None
    _settings: dict[str, Any]  # what it was opened with, beside its store
    _vfs: str | None
    _finished: list[Erased]  # erasures that were cut short and are done now, not yet recorded

    def _reopened(self, path: Path) -> Self:
        """Another memory, opened with the same settings."""
        raise NotImplementedError

    def _twin(self, path: Path) -> Self:
        """A memory like this one in a file that is a copy of this one's, writers kept out."""
        raise NotImplementedError

    def _change_state(self, text: str, scope: str, asked: Asked, key: str | None = None,
                      parents: tuple[int, ...] = (), at: Time = None) -> Receipt:  # fmt: skip
        """Record an event that says how state is changed, and change it."""
        event = Event(
            text, speaker=asked.source or None, kind="state", at=seconds(at),
            scope=scope.strip("/"), metadata={"trust": int(asked.trust)}, key=key, parents=parents,
        )  # fmt: skip
        return write.observe(self._writer, event, asked)

    def _snapshot_files(self) -> list[Path]:
        """The files of all snapshots."""
        folder = self._store.path.with_name(self._store.path.name + "-snapshots")
        return sorted(folder.glob("*.holdfast")) if folder.is_dir() else []

    def _drop_drafts(self) -> None:
        """Delete copies that a crash left unfinished; writers are kept out."""
        folder = self._store.path.with_name(self._store.path.name + "-snapshots")
        for path in folder.glob("*.holdfast.tmp*") if folder.is_dir() else ():
            path.unlink()

    def _refresh(self) -> None:
        """Take over what other processes wrote, unless this one is writing at this moment."""
        self._committer.refresh()

    def _changed(self) -> None:
        if self._backlog is not None:
            self._backlog.wake()

    def _run(self, path: Generator[read.Embed, read.Embedding, _T]) -> _T:
        """Drive a read path, answering what it asks of a model."""
        try:
            wish = next(path)
            while True:
                wish = path.send(self._embed(wish))
        except StopIteration as end:
            answer: _T = end.value
            return answer

    def _embed(self, wish: read.Embed) -> read.Embedding:
        return self._backlog.ask(wish.text) if self._backlog else read.Embedding(None)

    def _filters(
        self,
        scope: Scopes = "",
        since: Time = None,
        until: Time = None,
        before: int | None = None,
        as_of: Time = None,
        valid_at: Time = None,
    ) -> read.Filters:
        moment, valid, end = moment_of(as_of), moment_of(valid_at), moment_of(until)
        if moment is not None:
            cut = self._mirror.recorded_after(moment)
            before = cut if before is None else min(before, cut)
        if valid is not None:
            after = float(np.nextafter(valid, np.inf))  # what happened at that very time counts
            end = after if end is None else min(end, after)
        return read.Filters(scopes(scope), moment_of(since), end, before, moment, valid)

    def _lost(self, filters: read.Filters) -> int:
        """Events that a past state had and that are not whole.

        Of those that were lowered, only the ones in the scopes asked for count; of those that were
        evicted nobody knows any more where they were.
        """
        with self._mirror.lock:
            columns = self._mirror.columns
            cut = self._mirror.next_seq if filters.before is None else filters.before
            then = columns.alive & (columns.seq < cut)
            evicted = cut - 1 - int(np.count_nonzero(then))
            lowered = then & (columns.tier != Tier.VERBATIM)
            visible = columns.visible(filters.scopes, None, None, None)
            if filters.scoped and visible is not None:
                lowered &= visible
            return evicted + int(np.count_nonzero(lowered))


def scopes(scope: Scopes) -> tuple[str, ...]:
    """One scope or several, each without outer slashes; several none of which is everything."""
    given = (scope,) if isinstance(scope, str) else tuple(scope)
    if not given:
        raise InvalidEventError("no scope is given; name at least one, or '' for all of them")
    return tuple(dict.fromkeys(one.strip("/") for one in given))


def moment_of(when: Time) -> float | None:
    """As `seconds`, of a moment to look at: raises `InvalidEventError` beyond the year 10000."""
    moment = seconds(when)
    if moment is not None and not abs(moment) < write.LATEST:
        raise InvalidEventError(f"{when!r} is no time; give POSIX seconds (UTC)")
    return moment


def seconds(when: Time) -> float | None:
    """POSIX seconds from a number, a datetime or an ISO 8601 text; naive times are UTC."""
    if when is None or isinstance(when, (int, float)):
        return when
    try:
        parsed = datetime.fromisoformat(when) if isinstance(when, str) else when
    except ValueError:
        raise InvalidEventError(
            f"{when!r} is not a time; write it like 2026-03-01T09:30:00+01:00"
        ) from None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return parsed.timestamp()

"""Memory: the one object most people need. It opens the parts and delegates to the paths."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Any, Self

from holdfast import exchange, read, write
from holdfast.api.audit import AuditApi
from holdfast.api.base import Scopes, Time, seconds
from holdfast.api.beliefs import BeliefsApi
from holdfast.api.fidelity import FidelityApi
from holdfast.api.forgetting import ForgettingApi
from holdfast.api.history import HistoryApi
from holdfast.api.sharing import SharingApi
from holdfast.api.world import WorldApi
from holdfast.backlog import Backlog
from holdfast.budget import parse_bytes
from holdfast.codec import to_record
from holdfast.commit import Committer
from holdfast.derive.tokens import count_tokens
from holdfast.errors import NotFoundError
from holdfast.exchange import Progress
from holdfast.extract.base import Extractor
from holdfast.mirror import Mirror
from holdfast.models.base import Embedder
from holdfast.recall.weights import Weights
from holdfast.records import (
    BulkReceipt,
    Context,
    Episode,
    Event,
    Hit,
    Kind,
    Receipt,
    Record,
    ScopeHit,
    Tier,
    Usage,
)
from holdfast.registry import resolve
from holdfast.retain import Retainer
from holdfast.retention.base import Policy
from holdfast.stores.sqlite import Durability, SqliteStore
from holdfast.verify import Verification, verify


class Memory(BeliefsApi, WorldApi, SharingApi, HistoryApi, AuditApi, FidelityApi, ForgettingApi):
    """A bounded, durable memory in one file.

    Use `Memory.open`. Every method is safe to call from any thread, and several processes may
    have the same file open.

    Examples
    --------
    >>> import tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "ana.holdfast")
    >>> with Memory.open(path, budget="1 MiB") as memory:
    ...     receipt = memory.observe("The spare key is under the blue pot.", speaker="Ana")
    ...     context = memory.recall("where is the spare key?")
    >>> [(item.citation, item.text) for item in context.items]
    [('e1[0:36]', 'The spare key is under the blue pot.')]
    """

    def __init__(
        self,
        store: SqliteStore,
        *,
        retention: Policy,
        embedder: Embedder | None,
        clock: Callable[[], float],
        counter: Callable[[str], int],
        weights: Weights,
        extractor: Extractor | None,
        like: Memory | None = None,
    ) -> None:
        self._store = store
        self._clock = clock
        self._finished = []
        with store.exclusive():
            self._mirror = Mirror(
                store, embedder.dimensions if embedder else None, like._mirror if like else None
            )
        self._committer = Committer(
            store, self._mirror, Retainer(retention), clock, store.durability == "full",
            like._committer if like else None,
        )  # fmt: skip
        self._committer.go_on = self._go_on
        self._reader = read.Reader(self._mirror, weights, counter, clock)
        self._writer = write.Writer(
            self._committer, counter, extractor, clock, store.largest_event, store.batch_bytes
        )
        self._backlog: Backlog | None = None
        if embedder is not None:
            self._backlog = Backlog(embedder, self._mirror, self._committer)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        budget: int | str | None = None,
        *,
        retention: Policy | str = "demand",
        embedder: Embedder | str | None = None,
        extractor: Extractor | str | None = "rules",
        durability: Durability = "full",
        clock: Callable[[], float] = time.time,
        counter: Callable[[str], int] = count_tokens,
        weights: Weights | None = None,
        vfs: str | None = None,
    ) -> Self:
        """Open the memory in a file, or make one.

        Parameters
        ----------
        path
            The file. Beside it live ``-wal``, ``-shm`` (while open) and an empty ``-lock``.
        budget
            Bytes for everything on disk, as a number or "64 MiB". Required to make a memory; given
            for one that exists, it is adopted if what is kept fits (`resize` evicts down to it).
        retention
            A policy or its name; see `holdfast.registry.RETENTION`.
        embedder
            An embedder or its name; None recalls without a model.
        extractor
            Tells what an event claims, on the write path; "rules" needs no model, None leaves it
            to `believe`.
        durability
            "full" (each receipt survives power loss), "normal", or "off".
        clock, counter
            Where the time comes from, and how tokens are counted.

        Raises
        ------
        BudgetError
            If the budget is too small; the message names the smallest that works.
        NotFoundError
            If there is no such file and no budget was given.
        CorruptStoreError, UnsafeFilesystemError, StoreBusyError
            If the file cannot be used safely.
        """
        policy = resolve("retention", retention) if isinstance(retention, str) else retention
        model = resolve("embedder", embedder) if isinstance(embedder, str) else embedder
        claims = resolve("extractor", extractor) if isinstance(extractor, str) else extractor
        store = SqliteStore(
            path, None if budget is None else parse_bytes(budget), durability, vfs=vfs
        )
        try:
            settings: dict[str, Any] = {
                "retention": policy, "embedder": model, "extractor": claims, "clock": clock,
                "counter": counter, "weights": weights or Weights.default(),
            }  # fmt: skip
            memory = cls(store, **settings)
            memory._settings, memory._vfs = settings, vfs
            memory._finish()
            return memory
        except BaseException:  # an interrupt, too, gives the file back
            store.close()
            raise

    def _go_on(self) -> None:
        """Finish what somebody was about to do to the whole; writers are kept out."""
        self._finish_rewriting()
        self._finish_erasing()

    def _finish(self) -> None:
        """Finish it now, and record that it was done."""
        with self._committer.still():
            pass
        self._changed()

    def _changed(self) -> None:
        super()._changed()
        with contextlib.suppress(IndexError):  # another thread may have recorded the last one
            while self._finished:
                self._note_erased(self._finished.pop())

    def _reopened(self, path: Path) -> Self:
        return self.open(path, durability=self._store.durability, vfs=self._vfs, **self._settings)

    def _twin(self, path: Path) -> Self:
        store = SqliteStore(path, None, self._store.durability, vfs=self._vfs)
        try:
            twin = type(self)(store, **self._settings, like=self)
        except BaseException:  # as in `open`
            store.close()
            raise
        twin._settings, twin._vfs = self._settings, self._vfs
        return twin

    # ---- writing ---------------------------------------------------------------------------

    def observe(
        self,
        content: str | bytes | Event,
        *,
        speaker: str | None = None,
        role: str | None = None,
        channel: str | None = None,
        kind: Kind = "message",
        at: Time = None,
        scope: str = "",
        metadata: Mapping[str, Any] | None = None,
        key: str | None = None,
        parents: tuple[int, ...] = (),
        pinned: bool = False,
    ) -> Receipt:
        """Store one event; it is durable and findable when this returns.

        Takes an `Event`, or its content with the event's other fields as keywords.

        Raises
        ------
        InvalidEventError, EventTooLargeError
            If the event breaks a rule; nothing is stored.
        IdempotencyError
            If `key` was used before with another body.
        BudgetError, StorageFullError, StoreBusyError, StoreError
            If it could not be stored; nothing is stored, and the memory goes on.

        Notes
        -----
        One synced write, shared with all callers that arrive meanwhile. O(1) in the length of the
        stream.
        """
        if isinstance(content, Event):
            event = content
        else:
            event = Event(
                content, speaker, role, channel, kind, seconds(at), scope.strip("/"),
                metadata or {}, key, parents, pinned,
            )  # fmt: skip
        receipt = write.observe(self._writer, event)
        self._changed()
        return receipt

    def observe_many(
        self,
        events: Iterable[Event | str | bytes],
        progress: Callable[[int], None] | None = None,
    ) -> BulkReceipt:
        """Store many events, a batch to a synced write; `progress` is told how many are in.

        Stops at the first event that breaks a rule: batches before it are stored, its own is not.
        """
        try:
            return write.observe_many(self._writer, write.to_events(events), progress)
        finally:
            self._changed()

    # ---- reading ---------------------------------------------------------------------------

    def recall(
        self,
        query: str,
        *,
        tokens: int = 1000,
        scope: Scopes = "",
        since: Time = None,
        until: Time = None,
        before: int | None = None,
        as_of: Time = None,
        valid_at: Time = None,
        limit: int = 50,
        explain: bool = False,
        speaker: str | None = None,
        previous: Context | None = None,
        hops: int = 0,
        beliefs: int = 8,
    ) -> Context:
        """What the memory can say about a query, within `tokens`, every line cited.

        An empty context means that nothing matched, never that something broke.

        Parameters
        ----------
        query
            A question or some words, in any language.
        tokens
            Bound on the context's text, envelope included, as `counter` counts.
        scope, since, until, before
            See only events inside a scope (or any of several), of a span of time, or before a
            sequence number.
        as_of
            See the memory as it stood at that moment: what was recorded by then. What has been
            lowered or evicted since is counted in `Context.lost`.
        valid_at
            See only what had happened by then, and the beliefs that held at that time.
        limit
            At most so many matches; neighbours come on top.
        explain
            Give each item the parts of its score.
        speaker
            Who asks, by the name they speak under. It matters for a query that is no question but
            the next line of a conversation.
        previous
            The context before this one in a conversation. As much of its beginning as costs little
            evidence stays in front, byte for byte, so that a model's prompt cache can use it
            again; what is new follows, the strongest last. Without it, all is in order of time.
        hops
            How often to ask again with the names that the best matches brought up, for a question
            whose answer lies a step away from its words. Each costs as much as one ranking; on
            public questions they changed recall by 0.2 points, so there are none by default.
        beliefs
            At most so many of the beliefs that match, in at most a quarter of the tokens.
        """
        self._refresh()
        filters = self._filters(scope, since, until, before, as_of, valid_at)
        found = self._run(
            read.recall(
                self._reader, query, filters, tokens, limit, explain, speaker, previous, hops,
                beliefs,
            )
        )  # fmt: skip
        return found if as_of is None else replace(found, lost=self._lost(filters))

    def rank(
        self,
        query: str,
        *,
        limit: int = 50,
        scope: Scopes = "",
        since: Time = None,
        until: Time = None,
        before: int | None = None,
        as_of: Time = None,
        valid_at: Time = None,
        speaker: str | None = None,
    ) -> list[Hit]:
        """The best events for a query, best first, before any packing."""
        self._refresh()
        filters = self._filters(scope, since, until, before, as_of, valid_at)
        return self._run(read.rank(self._reader, query, filters, limit, speaker))

    def rank_scopes(
        self,
        query: str,
        *,
        limit: int = 10,
        scope: Scopes = "",
        since: Time = None,
        until: Time = None,
        before: int | None = None,
        as_of: Time = None,
        valid_at: Time = None,
        speaker: str | None = None,
    ) -> list[ScopeHit]:
        """The best scopes for a query, best first: the sessions to open, not the lines to quote.

        A scope is judged by all of its events that the query may see, so one that is about the
        query throughout comes before one that mentions it once. Linear in the kept events, and it
        reads some events of the best scopes: about ten times the cost of `rank`.
        """
        self._refresh()
        filters = self._filters(scope, since, until, before, as_of, valid_at)
        return self._run(read.rank_scopes(self._reader, query, filters, limit, speaker))

    def why_not(
        self,
        seq: int,
        query: str,
        *,
        tokens: int = 1000,
        scope: Scopes = "",
        since: Time = None,
        until: Time = None,
        before: int | None = None,
        as_of: Time = None,
        valid_at: Time = None,
    ) -> str:
        """Why an event does not come back for a query, in one sentence."""
        self._refresh()
        filters = self._filters(scope, since, until, before, as_of, valid_at)
        return self._run(read.why_not(self._reader, seq, query, filters, tokens))

    def get(self, seq: int) -> Record:
        """One event, at the tier it is kept. Raises `NotFoundError` if it is not (any more)."""
        self._refresh()
        row = self._mirror.row(seq)
        if row is None:
            raise NotFoundError(f"event {seq} is not in this memory; it was evicted or never was")
        return to_record(row)

    def log(
        self, after: int = 0, scope: Scopes = "", *, as_of: Time = None, valid_at: Time = None
    ) -> Iterator[Record]:
        """Every kept event with a sequence number over `after`, oldest first."""
        self._refresh()
        filters = self._filters(scope, as_of=as_of, valid_at=valid_at)
        for row in self._mirror.rows(after):
            if filters.before is not None and row.seq >= filters.before:
                return
            if not filters.covers(row.who.scope):
                continue
            if filters.until is None or row.at / 1e6 < filters.until:
                yield to_record(row)

    def episodes(self) -> Iterator[Episode]:
        """The runs of events in one scope, in order of their first event."""
        self._refresh()
        with self._mirror.lock:
            found = list(self._mirror.columns.episodes())
        yield from found

    def __len__(self) -> int:
        """Events still held, at whatever tier."""
        self._refresh()
        return len(self._mirror.columns)

    # ---- the whole -------------------------------------------------------------------------

    def usage(self) -> Usage:
        """Where the bytes are, and how many events are kept at which tier."""
        self._refresh()
        held = self._store.usage()
        with self._mirror.lock:
            columns = self._mirror.columns
            counts = {tier.name.lower(): 0 for tier in Tier}
            for tier in Tier:
                counts[tier.name.lower()] = int(((columns.tier == tier) & columns.alive).sum())
            gone = self._mirror.next_seq - 1 - len(columns)
            lost = self._mirror.ledger.totals.public(gone)
            counts |= {"evicted": lost.evicted, "erased": lost.erased, "withdrawn": lost.withdrawn}
            episodes = columns.episode_count
        return Usage(
            budget=self._store.budget,
            disk=held.disk,
            database=held.database,
            wal=held.wal,
            shm=held.shm,
            free=held.free,
            log=held.log,
            index=held.index,
            vectors=held.vectors,
            ledger=held.ledger,
            state=held.state,
            audit=held.audit,
            snapshots=sum(one.nbytes for one in self.snapshots()),
            events=counts,
            episodes=episodes,
        )

    def resize(self, budget: int | str) -> None:
        """Adopt another budget, evicting down to it first; all or nothing of the new budget.

        Raises
        ------
        BudgetError
            If pinned events, or the file's own structures, do not fit the new budget.
        """
        self._committer.resize(parse_bytes(budget))

    def verify(self) -> Verification:
        """Read everything there is and check it: pages, checksums, columns and index.

        Writers wait meanwhile. Linear in what is kept.
        """
        with self._committer.still():
            problems = verify(self._mirror, self._store)
            events, blocks = len(self._mirror.columns), len(self._mirror.firsts)
        return Verification(not problems, tuple(problems), events, blocks)

    def export(self, out: IO[str], *, lossless: bool = False, progress: Progress = None) -> int:
        """Write every kept event as a line of JSON; how many. `lossless`: all, for `restore`."""
        if not lossless:
            return exchange.export(self.log(), out, progress)
        left_out = [path.stem for path in self._snapshot_files()]
        with self._committer.still():
            return exchange.export_whole(self._mirror, self._store, out, left_out, progress)

    def import_(self, lines: Iterable[str], progress: Progress = None) -> int:
        """Observe an export, all of it checked first: `InvalidEventError` names a bad line. What is
        stored before a full disk or a crash stays: once more stores the rest, keyless lines again.
        """
        keys = exchange.known_keys(self._store)
        events = list(exchange.parse(lines, self._store.largest_event(), keys))
        return self.observe_many(events, progress).events

    def settle(self, timeout_s: float = 60.0) -> bool:
        """Wait until every event has its vector; whether that was reached in time."""
        return self._backlog.settle(timeout_s) if self._backlog else True

    def close(self) -> None:
        """Finish what is under way and close the file. Closing twice is fine."""
        self._stop_meter()
        if self._backlog is not None:
            self._backlog.close()
        self._committer.close()
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

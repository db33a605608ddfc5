"""Probes: a bounded sample of everything ever observed, with what to ask and what to expect."""

from __future__ import annotations

import struct
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, Self

import numpy as np

from holdfast.codec import Row
from holdfast.errors import CorruptStoreError
from holdfast.fidelity.cells import Cells
from holdfast.fidelity.probe import PROBE_BYTES, Probe, sealed, unpack, unsealed
from holdfast.fidelity.sample import FEWEST, MOST, Sample, draws
from holdfast.fidelity.tally import Tally
from holdfast.fidelity.worth import HEAVIEST, worth_of, worths
from holdfast.recall.columns import Columns
from holdfast.records import KINDS
from holdfast.stores.base import Store, Transaction

_SHARE = 64  # of a budget, one part in so many is for probes
_HEAD_ID, NOTES_ID, _FIRST_ID = 0, 1, 2  # cells: the head, what the meter found, the probes
_HEAD_BYTES = 1280  # of the head, at the most
_BESIDE = 11  # bytes that a probe takes in its cell, and what the meter found of it elsewhere
_HEAD = struct.Struct("<QqdQ")  # seed, last event looked at, threshold, hash of the latest erasure
_FLUSH_EVERY = 256  # events
_CELL_BYTES = 24 * 1024  # of a transaction's log, at the most, that writing a cell takes
_STATE = KINDS.index("state")


class Log(Protocol):
    """What is asked of the log when it is opened."""

    columns: Columns
    next_seq: int

    def row(self, seq: int) -> Row | None:
        """One kept event."""


@dataclass(frozen=True, slots=True)
class Sampled:
    """What a meter works with, as it stands at one moment.

    The first so many `probes` are a sample of all, as good as one that was never larger.
    """

    probes: tuple[Probe, ...]
    below: float
    tally: Tally


class Probes:
    """The sample of one memory, and how much there ever was to sample from.

    Its owner holds the writer's lock; only `now` may be called beside it.

    Notes
    -----
    At most one part in 64 of the budget and 512 probes, at least 64. What is new stays in RAM for
    up to 256 events and is then written along with an event, so nothing is written for probes
    alone. A crash loses nothing of the sample: which events are in it is decided by their hashes,
    so those since the last writing are looked at again when the file is opened. An event that had
    been lowered by then has a probe without a question; one that had been evicted by then, within
    256 events of its arrival and before a crash, was never counted.
    """

    def __init__(self, store: Store, seed: int, since: int) -> None:
        self._store = store
        self._sample = Sample(seed)
        self._tally = Tally(since)
        self._cells = Cells()
        self._written = since - 1  # the last event that what is stored knows of
        self._seen = since - 1
        self._founded = False  # whether it is stored since when events are looked at
        self._erased = 0
        self._lock = threading.Lock()
        self.notes = b""
        """What the meter found last, for it to go on from."""
        self.problems: list[str] = []
        """Stored probes that could not be read and are left out."""

    @classmethod
    def load(cls, store: Store, log: Log, origin: str) -> Self:
        """What a store holds, brought up to its log; the seed of a new one comes from `origin`."""
        cells = dict(store.cells("probe"))
        seed = blake2b(f"{origin} probes".encode(), digest_size=8).digest()
        found = cls(store, int.from_bytes(seed, "little"), log.next_seq)
        if _HEAD_ID in cells:
            found._restore(cells)
        found._catch_up(log)
        return found

    def __len__(self) -> int:
        return len(self._sample)

    def now(self) -> Sampled:
        """The probes, the lowest rank first, and what they were drawn from."""
        with self._lock:
            probes = tuple(self._cells[seq] for seq in self._sample.seqs())
            return Sampled(probes, self._sample.below, self._tally.copy())

    # ---- new events ------------------------------------------------------------------------

    def observe(self, tx: Transaction, rows: Sequence[Row]) -> None:
        """New events come by: take some into the sample, in the transaction that stores them."""
        if not rows:
            return
        add, last = self._tally.add, rows[-1].seq
        for row in rows:
            if row.kind != _STATE:
                add(row.seq, worth_of(row))
        if last >= self._sample.due:
            first = rows[0].seq
            with self._lock:
                for seq, drawn in self._sample.candidates(first, last):
                    self._offer(rows[seq - first], drawn)
        self._seen = last
        if last - self._written >= _FLUSH_EVERY or not self._founded:
            self._flush(tx)

    def _offer(self, row: Row, drawn: float) -> None:
        if row.kind == _STATE:
            return
        if self._sample.offer(row.seq, drawn * HEAVIEST / worth_of(row)):
            self._shrink()
            if row.seq in self._sample and row.seq not in self._cells:
                self._cells.put(Probe.of(row, drawn * 4096 % 1.0))

    def _most(self) -> int:
        room = self._store.budget // _SHARE - _HEAD_BYTES
        return min(MOST, max(FEWEST, room // (PROBE_BYTES + _BESIDE)))

    def _shrink(self) -> None:
        for seq in self._sample.shrink(self._most()):
            self._cells.drop(seq)

    # ---- stored ----------------------------------------------------------------------------

    def _flush(self, tx: Transaction) -> None:
        """Write what changed, as far as the transaction has room; the head comes last."""
        self._shrink()
        for id, data in self._due():
            if tx.slack() < _CELL_BYTES or tx.room_for(len(data)) < 0:
                return
            tx.put_cell("probe", id, data)
            self._is_written(id)

    def _due(self) -> Iterator[tuple[int, bytes]]:
        for cell in sorted(self._cells.changed):
            yield _FIRST_ID + cell, self._cells.pack(cell, self._sample.below)
        head = _HEAD.pack(self._sample.seed, self._seen, self._sample.below, self._erased)
        yield _HEAD_ID, sealed(head + self._tally.to_bytes())

    def _is_written(self, id: int) -> None:
        if id == _HEAD_ID:
            self._written, self._founded = self._seen, True
        else:
            self._cells.changed.discard(id - _FIRST_ID)

    def _restore(self, cells: dict[int, bytes]) -> None:
        """Take over what is stored; what is damaged is left out, and `problems` says so."""
        try:
            head = unsealed(cells[_HEAD_ID], _HEAD_ID)
        except CorruptStoreError as error:
            self.problems.append(str(error))
            return
        seed, self._written, below, self._erased = _HEAD.unpack_from(head)
        self._seen, self._founded = self._written, True
        self._tally = Tally.from_bytes(head[_HEAD.size :])
        stored: dict[int, list[Probe]] = {}
        for id in sorted(cells.keys() - {_HEAD_ID, NOTES_ID}):
            try:
                under, stored[id - _FIRST_ID] = unpack(cells[id], id)
                below = min(below, under)  # a crash may have come before the head was written
            except CorruptStoreError as error:
                self.problems.append(str(error))
        self._sample = Sample(seed, below)
        for cell, probes in stored.items():
            self._cells.restore(cell, probes)
            for probe in probes:
                self._restore_one(probe)
        self.notes = cells.get(NOTES_ID, b"")

    def _restore_one(self, probe: Probe) -> None:
        drawn = float(draws(np.array([probe.seq]), self._sample.seed)[0])
        if not self._sample.offer(probe.seq, drawn * HEAVIEST / probe.worth):
            self._cells.drop(probe.seq)

    def _catch_up(self, log: Log) -> None:
        """Look at the events that came since what is stored was written."""
        columns = log.columns
        new = columns.alive & (columns.seq > self._written) & (columns.kind != _STATE)
        rows = np.flatnonzero(new)
        seqs = columns.seq[rows]
        for seq, worth in zip(seqs.tolist(), worths(columns, rows).tolist(), strict=True):
            self._tally.add(seq, worth)
        known = set(seqs.tolist())
        for seq, drawn in self._sample.candidates(self._written + 1, log.next_seq - 1):
            row = log.row(seq) if seq in known else None
            if row is not None:
                self._offer(row, drawn)
        self._shrink()
        self._seen = log.next_seq - 1

    # ---- erasure ---------------------------------------------------------------------------

    def forget(self, columns: Columns, seqs: Iterable[int]) -> Iterator[tuple[int, bytes]]:
        """Let go of every probe of some events, and count those that are kept no more.

        Yields the cells to write, in this order and then each in a transaction of its own if need
        be; doing it again with the same events, before or after they went, changes nothing.
        """
        gone = sorted(seqs)
        mark = _hash_of(gone)
        with self._lock:
            for seq in gone:
                if seq in self._sample:
                    self._sample.remove(seq)
                    self._cells.drop(seq)
            # Of what is gone nobody knows any more whether it was among what is named.
            self._cells.blank_lost(lambda seq: columns.find(seq) is not None)
            if mark != self._erased:
                self._uncount(columns, gone)
                self._erased = mark
            due = list(self._due())
        for id, data in due:
            yield id, data
            self._is_written(id)

    def _uncount(self, columns: Columns, seqs: Sequence[int]) -> None:
        rows = [row for seq in seqs if (row := columns.find(seq)) is not None]
        held = np.array([row for row in rows if columns.kind[row] != _STATE], np.int64)
        known = held[columns.seq[held] >= self._tally.since]
        pairs = zip(columns.seq[known].tolist(), worths(columns, known).tolist(), strict=True)
        for seq, worth in pairs:
            self._tally.add(seq, -worth, events=-1)


def _hash_of(seqs: Sequence[int]) -> int:
    """A number that tells one set of events from another; never 0."""
    found = blake2b(np.array(seqs, "<i8").tobytes(), digest_size=8).digest()
    return int.from_bytes(found, "little") | 1

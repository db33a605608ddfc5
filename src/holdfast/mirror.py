"""The log as it is in RAM: columns and an index over everything the store holds.

The store is the truth; a mirror can always be rebuilt from it, and `load` does just that. Changes
reach a mirror only after the transaction that made them has committed, so a reader never sees
what is not durable.
"""

from __future__ import annotations

import contextlib
import threading
import time
from bisect import bisect_right, insort
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from holdfast.codec import Block, BlockCodec, Row, decode_tail
from holdfast.derive import passages
from holdfast.errors import CorruptStoreError
from holdfast.fidelity.probes import Probes
from holdfast.heap import give_back
from holdfast.ledger.book import Ledger
from holdfast.ledger.kept import KeptWords
from holdfast.lower import row_terms
from holdfast.recall.codes import from_bytes
from holdfast.recall.columns import Columns, Rows
from holdfast.recall.look import Index
from holdfast.recall.postings import Postings
from holdfast.recall.shelf import Shelf
from holdfast.recall.vectors import Vectors
from holdfast.records import Tier
from holdfast.state.compact import Cut
from holdfast.state.fold import Draft, State
from holdfast.state.journal import Entry, decode, encode
from holdfast.stores.base import Store, Transaction
from holdfast.trust.log import AuditLog
from holdfast.uses import Uses

_COPIED = (
    "columns", "postings", "shelf", "vectors", "blocks", "firsts", "tail", "tail_bytes", "trained",
    "next_seq", "_evicted", "_raw", "_packed", "_blocked",
)  # fmt: skip
_LEAST_CACHED, _MOST_CACHED = 32, 1024  # decoded blocks, some 20 to 80 KiB each
_BUDGET_PER_CACHED = 1024 * 1024  # bytes of budget for which one more is kept
_MOST_MISSES, _MISS_S = 1000, 0.002  # looks for a block that is not there, and between them
_GIVE_BACK_EVERY = 20_000  # evicted events
# Index terms of an average document, for BM25. Fixed: following the stream made recall worse where
# turns are long (BEAM, coverage@10 .70 against .63), since short turns then lost their edge.
_PIVOT = 24.0


@dataclass(frozen=True, slots=True)
class BlockEntry:
    """Where a run of events lies, and what it weighs."""

    first: int
    last: int
    nbytes: int  # compressed
    raw: int  # bodies, uncompressed
    rows: int


@dataclass
class Changes:
    """What one transaction does, laid over the mirror until it has committed."""

    appended: list[tuple[Row, Sequence[int]]] = field(default_factory=list)  # row, index terms
    lowered: list[tuple[Row, Sequence[int]]] = field(default_factory=list)
    evicted: list[int] = field(default_factory=list)  # sequence numbers
    blocks: dict[int, tuple[BlockEntry, Block] | None] = field(default_factory=dict)
    tail: tuple[list[Row], int] | None = None  # its rows and the bytes of their bodies
    vectors: list[Sequence[tuple[int, bytes]]] = field(default_factory=list)
    dictionary: bytes | None = None
    shelved: tuple[int, Rows] | None = None  # a new index segment and the rows it holds
    unshelved: list[int] = field(default_factory=list)  # index segments that are gone
    draft: Draft = field(default_factory=Draft)  # what is done to state
    journaled: int = 0  # bytes that the journal of state grew by
    put: list[Entry] = field(default_factory=list)  # entries of it that stand for others
    trimmed: list[int] = field(default_factory=list)  # ids of those it let go of
    horizon: int = 0  # before which event it may lack some


class _NotThereError(Exception):
    """A block is listed, but the store has it no more."""


class Mirror:
    """Everything recall and retention look at, rebuilt from a store and kept beside it.

    `lock` guards all of it: held by the writer while it applies changes, by readers while scoring.
    """

    journal_bytes: int
    state_horizon: int  # before which event the journal may lack entries

    def __init__(self, store: Store, dimensions: int | None, like: Mirror | None = None) -> None:
        self.lock = threading.RLock()
        self._grown = threading.Condition(self.lock)  # told when state changes
        self._store = store
        self._dimensions = dimensions
        self.rewriting = False  # the store is being rewritten as a whole: blocks may stay away
        if like is None:
            self.load()
        else:
            self._take(like)

    @property
    def index(self) -> Index:
        """What a query is held against; hold the lock while using it."""
        return Index(self.columns, self.postings, self.vectors)

    def differs(self) -> bool:
        """Whether the store holds another log than this mirror: cheap, by its outline."""
        blocks = [(info.first, info.last) for info in self._store.blocks()]
        tail = [seq for seq, _ in self._store.tail()]
        mine = [(first, self.blocks[first].last) for first in self.firsts]
        return blocks != mine or tail != [row.seq for row in self.tail]

    # ---- building --------------------------------------------------------------------------

    def load(self) -> None:
        """Rebuild everything from the store.

        Raises `CorruptStoreError` if something in it cannot be read.
        """
        try:
            self._load()
        except CorruptStoreError:
            raise
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            # Damaged numbers and lengths surface as any of these; the file is what is wrong.
            raise CorruptStoreError(f"the log cannot be read: {error}; run verify") from error

    def _load(self) -> None:
        with self.lock:
            self.columns = Columns()
            self.postings = Postings(pivot=_PIVOT)
            self.shelf = Shelf(self._store.batch_bytes(), self._store.budget)
            self.vectors = Vectors(self._dimensions) if self._dimensions else None
            self.blocks: dict[int, BlockEntry] = {}
            self.firsts: list[int] = []
            self.tail: list[Row] = []
            self.tail_bytes = 0
            self._cache: OrderedDict[int, Block] = OrderedDict()
            self.generation = 0
            room = self._store.budget // _BUDGET_PER_CACHED
            self._cached = min(max(room, _LEAST_CACHED), _MOST_CACHED)
            self._evicted = 0  # since memory was last handed back
            self._raw = self._packed = self._blocked = 0
            self.codec = BlockCodec(self._store.dictionaries())
            self.trained = bool(self.codec.dictionaries)
            self.next_seq = int(self._store.meta("next_seq") or 1)
            self._load_blocks()
            self._load_tail(after=0)
            self._add_vectors(self._store.vectors())
            self.load_state()
            self.load_books()

    def _take(self, like: Mirror) -> None:
        """Be as the mirror of a store that this one is a copy of: no more than copying arrays."""
        with like.lock:
            for name in _COPIED:
                setattr(self, name, deepcopy(getattr(like, name)))
            self.codec, self._cached, self._dimensions = like.codec, like._cached, like._dimensions
            self._cache, self.generation = OrderedDict(), 0
            self._entries = list(like.state.entries.values())
            self._state: State | None = None
            self.state_horizon, self.journal_bytes = like.state_horizon, like.journal_bytes
            self.cut = Cut()
        self.load_books()

    @property
    def state(self) -> State:
        """What is held to be true; folded from the journal when it is first asked for."""
        if self._state is None:
            with self.lock:
                if self._state is None:
                    self._state, self._entries = State(self._entries), []
        return self._state

    def _load_blocks(self) -> None:
        self.shelf.load(self._store.segments())
        blocks: list[Block] = []
        for info in self._store.blocks():
            data = self._store.block(info.first)
            if data is None:  # the writer's lock is held, so none can vanish
                raise CorruptStoreError(f"block {info.first} is listed but not there; run verify")
            block = self.codec.decode(data)
            raw = len(block.bodies)
            self._note_block(BlockEntry(info.first, info.last, len(data), raw, len(block)))
            blocks.append(replace(block, bodies=b""))  # the bodies of all would fill the RAM
        self.columns.load(blocks)
        covered = self.shelf.place(self.columns, self.postings)
        at = 0
        for first, block in zip(self.firsts, blocks, strict=True):
            bare = np.flatnonzero(~covered[at : at + len(block)]).tolist()
            for i, row in self._some_rows(first, bare):
                self.postings.add(at + i, row_terms(row), row.length)
            at += len(block)
        if blocks:
            self.next_seq = max(self.next_seq, int(self.columns.seq[-1]) + 1)

    def _some_rows(self, first: int, places: list[int]) -> Iterator[tuple[int, Row]]:
        block = self.read_block(first) if places else None
        if block is not None:
            yield from ((i, block.row(i)) for i in places)

    def _load_tail(self, after: int) -> None:
        for seq, data in self._store.tail(after):
            row = decode_tail(data)
            self.tail.append(row)
            self.tail_bytes += len(row.body)
            self._append(row, row_terms(row))
            self.next_seq = max(self.next_seq, seq + 1)

    def load_books(self) -> None:
        """Read anew what is kept beside the log about all of it."""
        self.audit = AuditLog.load(self._store, self.next_seq)
        self.uses = Uses.load(self._store, self._are_kept)
        gone = self.next_seq - 1 - len(self.columns)
        self.ledger = Ledger.load(self._store, KeptWords(self.columns, self.postings), gone)
        self.probes = Probes.load(self._store, self, self.audit.origin)

    def load_state(self) -> None:
        """Fold the state anew from its journal."""
        cells = list(self._store.cells("state"))
        entries = [decode(id, data) for id, data in cells]
        with self.lock:
            self.journal_bytes, self.cut = sum(len(data) for _, data in cells), Cut()
            self.state_horizon = int(self._store.meta("state_horizon") or 0)
            self._entries, self._state = entries, None

    def _add_vectors(self, codes: Iterable[tuple[int, bytes]]) -> None:
        """Take over stored vectors of events that are kept, a page at a time."""
        if self.vectors is None:
            return
        size = self.vectors.dimensions + 4
        sizes = {n * size for n in range(1, passages.MOST + 1)}  # others: another embedder's
        pairs = iter(codes)
        while page := list(islice(pairs, 4096)):
            held = [(self.columns.find(seq), code) for seq, code in page if len(code) in sizes]
            known = [(row, code) for row, code in held if row is not None]
            rows = [row for row, _ in known]
            if rows:
                stored = from_bytes([code for _, code in known], self.vectors.dimensions)
                self.vectors.add_codes(rows, *stored)

    # ---- applying --------------------------------------------------------------------------

    def apply(self, changes: Changes) -> None:
        """Take over what a transaction has committed."""
        with self.lock:
            for id in changes.unshelved:
                self.shelf.drop(id, self.columns)
            if changes.shelved is not None:
                self.shelf.note(*changes.shelved, self.columns)
            for first, block in changes.blocks.items():
                if first in self.blocks:
                    self._forget_block(first)
                if block is not None:
                    self._note_block(block[0])
            if changes.dictionary is not None:
                self.codec = BlockCodec(self._store.dictionaries())
            for row, terms in changes.appended:
                self._append(row, terms)
                self.next_seq = row.seq + 1
            for row, terms in changes.lowered:
                self._lower(row, terms)
            if changes.evicted:
                self._evict(changes.evicted)
                self._evicted += len(changes.evicted)
                if self._evicted > _GIVE_BACK_EVERY:
                    self._evicted = 0
                    give_back()
            for codes in changes.vectors:
                self._add_vectors(codes)
            if changes.trimmed or changes.put:
                self._trim(changes)
            if changes.draft.entries:
                self.state.apply(changes.draft.entries)
                self.journal_bytes += changes.journaled
                if any(entry.op == "revoke" for entry in changes.draft.entries):
                    self.cut = Cut()  # planned for another state: what was spare may be held now
                self._grown.notify_all()
            if changes.tail is not None:
                self.tail, self.tail_bytes = changes.tail
            if changes.lowered or changes.evicted:
                self.generation += 1
            if self.columns.dead > max(1024, len(self.columns) // 16):
                self._compact()
            self.uses.forget(changes.evicted)
            self.ledger.settle()

    def use(self, tx: Transaction, seqs: Sequence[int], changes: Changes, now: int) -> int:
        """Store that events were of use when the stream was at `now`; how many are kept."""
        gone = set(changes.evicted)
        kept = {seq for seq in seqs if seq not in gone and self.columns.find(seq) is not None}
        self.uses.used(tx, sorted(kept), now)
        return len(kept)

    def _are_kept(self, seqs: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
        columns = self.columns
        kept: npt.NDArray[np.bool_] = np.isin(seqs, columns.seq[columns.alive])
        return kept

    def _append(self, row: Row, terms: Sequence[int]) -> None:
        at = self.columns.append(row)
        self.postings.add(at, terms, row.length)

    def _lower(self, row: Row, terms: Sequence[int]) -> None:
        at = self.columns.find(row.seq)
        if at is None:
            return  # evicted later in the same transaction
        self.shelf.leave(np.array([at]), self.columns)
        self.columns.change(at, row.tier, row.length, row.tokens)
        self.postings.add(at, terms, row.length)
        if self.vectors is not None and row.tier >= Tier.TRACE:
            self.vectors.remove([at])

    def _evict(self, seqs: Sequence[int]) -> None:
        rows = self.columns.find_all(np.array(seqs, np.int64))
        self.shelf.leave(rows, self.columns)
        self.columns.remove(rows)
        self.postings.remove(rows.tolist())
        if self.vectors is not None:
            self.vectors.remove(rows)

    def _trim(self, changes: Changes) -> None:
        held = self.state.entries
        old = [*changes.trimmed, *(entry.id for entry in changes.put)]
        self.journal_bytes -= sum(len(encode(held[id])) for id in old if id in held)
        self.journal_bytes += sum(len(encode(entry)) for entry in changes.put)
        self.state.replace(changes.put)
        self.state.drop(changes.trimmed)
        self.cut.done(len(changes.trimmed))
        self.state_horizon = max(self.state_horizon, changes.horizon)

    def _compact(self) -> None:
        moved = self.columns.compact()
        self.postings.rekey(moved)
        if self.vectors is not None:
            self.vectors.rekey(moved)
        del moved
        give_back()

    def _note_block(self, entry: BlockEntry) -> None:
        self.blocks[entry.first] = entry
        insort(self.firsts, entry.first)
        self._raw += entry.raw
        self._packed += entry.nbytes
        self._blocked += entry.rows
        self._cache.pop(entry.first, None)

    def _forget_block(self, first: int) -> None:
        entry = self.blocks.pop(first)
        del self.firsts[bisect_right(self.firsts, first) - 1]
        self._raw -= entry.raw
        self._packed -= entry.nbytes
        self._blocked -= entry.rows
        self._cache.pop(first, None)

    # ---- reading ---------------------------------------------------------------------------

    @property
    def packed(self) -> tuple[int, int, int]:
        """Of all blocks: bytes of bodies, compressed bytes, and events."""
        return self._raw, self._packed, self._blocked

    @property
    def dimensions(self) -> int:
        """Numbers in a vector; 0 if there are none."""
        return self._dimensions or 0

    def block_of(self, seq: int) -> int | None:
        """The first event of the block that spans `seq`, if one does."""
        i = bisect_right(self.firsts, seq) - 1
        if i < 0 or seq > self.blocks[self.firsts[i]].last:
            return None
        return self.firsts[i]

    def read_block(self, first: int) -> Block | None:
        """A decoded block, from a bounded cache or the store; None if it is gone by now."""
        with self.lock:
            block = self._cache.get(first)
            if block is not None:
                self._cache.move_to_end(first)
                return block
            generation = self.generation
        data = self._store.block(first)
        if data is None:
            return None
        block = self.codec.decode(data)
        with self.lock:
            if generation == self.generation:
                self._cache[first] = block
                while len(self._cache) > self._cached:
                    self._cache.popitem(last=False)
        return block

    def wait(self, seconds: float) -> None:
        """Wait until state changes, or for so long."""
        with self._grown:
            self._grown.wait(seconds)

    def recorded_after(self, moment: float) -> int:
        """The first kept event that was recorded after a moment; the next to come if none was.

        Record times never fall along the log. Reads a logarithmic number of blocks.
        """
        missing = 0
        while True:
            with self.lock, contextlib.suppress(_NotThereError):
                return self._first_after(round(moment * 1e6))
            missing = self._await_block(missing)

    def _first_after(self, micros: int) -> int:
        tail = [row.seq for row in self.tail if row.recorded > micros]
        if self.tail and self.tail[0].recorded <= micros:
            return tail[0] if tail else self.next_seq
        i = bisect_right(self.firsts, micros, key=lambda first: self._times(first)["recorded"][0])
        if i:
            head = self._times(self.firsts[i - 1])
            later = head["seq"][head["recorded"] > micros]
            if len(later):
                return int(later[0])
        if i < len(self.firsts):
            return self.firsts[i]
        return tail[0] if tail else self.next_seq

    def _times(self, first: int) -> npt.NDArray[np.void]:
        block = self.read_block(first)
        if block is None:
            raise _NotThereError
        return block.head

    def _await_block(self, missing: int) -> int:
        """Wait for what a block was rewritten to, which we are about to learn; or it is lost."""
        if missing >= _MOST_MISSES and not self.rewriting:
            raise CorruptStoreError("a block of the log is missing; run verify")
        time.sleep(_MISS_S)
        return missing + 1

    @property
    def last_recorded(self) -> float:
        """When the newest kept event was recorded; 0 if there is none."""
        with self.lock:
            if self.tail:
                return self.tail[-1].recorded / 1e6
            if not self.firsts:
                return 0.0
            block = self.read_block(self.firsts[-1])
            return int(block.head["recorded"][-1]) / 1e6 if block is not None else 0.0

    def row(self, seq: int) -> Row | None:
        """One kept event, read from the log; None if it is not kept (any more)."""
        with self.lock:
            if self.tail and seq >= self.tail[0].seq:
                found = [row for row in self.tail if row.seq == seq]
                return found[0] if found else None
            first = self.block_of(seq)
        if first is None:
            return None
        block = self.read_block(first)
        i = block.find(seq) if block is not None else None
        return block.row(i) if block is not None and i is not None else None

    def rows(self, after: int = 0) -> Iterator[Row]:
        """Every kept event with ``seq > after``, oldest first; fails if a block stays away."""
        missing = 0
        while True:
            with self.lock:
                i = max(0, bisect_right(self.firsts, after) - 1)
                pending = [f for f in self.firsts[i : i + 2] if self.blocks[f].last > after]
                tail = [row for row in self.tail if row.seq > after]
            if not pending:
                yield from tail
                return
            block = self.read_block(pending[0])
            last = self.blocks[pending[0]].last if pending[0] in self.blocks else None
            if block is None or last is None:
                missing = self._await_block(missing)
                continue
            missing = 0
            yield from (row for row in block.rows() if row.seq > after)
            after = last

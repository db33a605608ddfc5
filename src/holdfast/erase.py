"""Erasing: how what is to go leaves every table of a file, and then every byte of it.

What had been retired by a claim that is erased is held again, since state is folded from the claims
that are left. The audit log keeps the leaves, without the salts that could tell what they were.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from typing import NamedTuple

import numpy as np

from holdfast.codec import Block, BlockCodec, Row, encode_tail
from holdfast.commit import Committer
from holdfast.errors import CorruptStoreError
from holdfast.ledger.words import words_of
from holdfast.lower import text_of
from holdfast.mirror import Changes, Mirror
from holdfast.records import Scope, Tier
from holdfast.retain import drop_block, put_block
from holdfast.rewrite import drop, in_steps
from holdfast.selector import LASTING, Doomed, Selector
from holdfast.state.journal import Entry, encode
from holdfast.stores.base import Shelf, Transaction
from holdfast.stores.sqlite import SqliteStore

ERASING = "erasing"
"""The mark: what is being erased."""
_SPAN = 512  # numbers that one step may span: leaves so near share two or three rows
_LEAVES_BYTES = 12 * 4096  # that the leaves of one step dirty
_COUNT_BYTES = 5 * 4096  # that counting what is erased dirties
_BUCKETS = 4  # of salts that one step destroys; each has those of 32 events
_SALTS_BYTES = 16 * 4096  # that such a step dirties


@dataclass(frozen=True, slots=True)
class Erased:
    """What one file lost: events, entries of the journal, and the leaves of the events."""

    events: int
    entries: int
    leaves: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Mark:
    """What is under way, as it is kept in the file itself until that is done.

    The selector is there for as long as there are other files to erase it from.
    """

    doomed: Doomed
    selector: Selector | None = None

    def to_text(self) -> str:
        line: dict[str, object] = {
            "s": _packed(self.doomed.seqs), "e": _packed(self.doomed.entries),
        }  # fmt: skip
        if self.selector is not None:
            line["w"] = asdict(self.selector) | {"events": _packed(self.selector.events)}
        return json.dumps(line)

    @classmethod
    def from_text(cls, text: str) -> Mark:
        """The inverse of `to_text`; raises `CorruptStoreError` if it is damaged."""
        try:
            line = json.loads(text)
            wanted = line.get("w")
            if wanted is not None:
                wanted = Selector(**wanted | {"events": _unpacked(wanted["events"])})
            return cls(Doomed(_unpacked(line["s"]), _unpacked(line["e"])), wanted)
        except (ValueError, LookupError, TypeError, zlib.error) as error:
            raise CorruptStoreError(f"what is being erased cannot be read: {error}") from None


def begin(committer: Committer, store: SqliteStore, mark: Mark) -> None:
    """Leave a mark, so that whatever happens the erasure is finished."""
    text = mark.to_text()
    committer.make_room(2 * len(text))
    with store.transaction(2 * len(text)) as tx:
        tx.set_meta(ERASING, text)


def erase(
    committer: Committer,
    mirror: Mirror,
    store: SqliteStore,
    doomed: Doomed,
    chosen: Selector | None = None,
) -> Erased:
    """Remove events and entries from every table, then from every page. Linear in what is kept.

    `chosen` is what named them, as long as there may be something left that it names. The caller
    keeps writers out and has left a mark. May be done again after a crash.
    """
    told = _Told.of(mirror, doomed)
    leaves = tuple(_leaves(mirror, doomed))
    found = sum(mirror.columns.find(seq) is not None for seq in doomed.seqs)
    dropped = len(doomed.entries & mirror.state.entries.keys())
    _from_probes(committer, mirror, store, doomed)
    _from_log(committer, mirror, store, doomed)
    _from_tail(committer, mirror, store, doomed)
    _from_state(mirror, store, doomed)
    _from_index(store, doomed)
    _from_books(committer, mirror, store, doomed, chosen, told)
    mirror.load()
    _renew_dictionary(committer, mirror, store)
    for seqs in _by_buckets(sorted(doomed.seqs)):
        committer.make_room(_SALTS_BYTES)
        with store.transaction(_SALTS_BYTES) as tx:
            mirror.audit.destroy_salts(tx, seqs)
    begin(committer, store, Mark(doomed))  # names nothing, unlike the one that is there
    store.scrub()
    with store.transaction() as tx:
        tx.delete_meta(ERASING)
    mirror.load()
    committer.relearn()
    return Erased(found, dropped, leaves)


def _leaves(mirror: Mirror, doomed: Doomed) -> Iterator[bytes]:
    for seq in sorted(doomed.seqs):
        row = mirror.row(seq)
        if row is not None and row.tier == Tier.VERBATIM and seq >= mirror.audit.first:
            yield mirror.audit.leaf(row)


def _from_probes(committer: Committer, mirror: Mirror, store: SqliteStore, doomed: Doomed) -> None:
    """First of all: what is still kept of an event tells how much less there is to sample from."""
    for id, data in mirror.probes.forget(mirror.columns, doomed.seqs):
        committer.make_room(2 * len(data) + 4096)
        with store.transaction(2 * len(data) + 4096) as tx:
            tx.put_cell("probe", id, data)


def _from_log(committer: Committer, mirror: Mirror, store: SqliteStore, doomed: Doomed) -> None:
    """Rewrite each block without its doomed events, a stretch of near ones at a time."""
    seqs = np.array(sorted(doomed.seqs), np.int64)
    for seq in seqs.tolist():
        while (first := _holder(mirror, seq)) is not None:
            entry = mirror.blocks[first]
            committer.make_room(entry.nbytes + _LEAVES_BYTES)
            block = mirror.read_block(first) if first in mirror.blocks else None
            if block is not None and block.find(seq) is not None:
                gone = np.isin(block.head["seq"], seqs) & (block.head["seq"] < seq + _SPAN)
                _take_out(mirror, store, block, np.flatnonzero(gone).tolist())


def _holder(mirror: Mirror, seq: int) -> int | None:
    """The block that holds an event; None if none does (any more)."""
    return None if mirror.columns.find(seq) is None else mirror.block_of(seq)


def _take_out(mirror: Mirror, store: SqliteStore, block: Block, places: list[int]) -> None:
    changes = Changes()
    kept = np.ones(len(block), np.bool_)
    kept[places] = False
    with store.transaction(len(block.bodies) + _LEAVES_BYTES + _COUNT_BYTES) as tx:
        _lose(mirror, tx, map(block.row, places))
        mirror.ledger.erased(tx, len(places))
        left = block.keep(kept)
        if not len(left) or left.first != block.first:
            drop_block(tx, changes, block.first)
        if len(left):
            put_block(tx, mirror, changes, left)
        changes.evicted = block.head["seq"][places].tolist()
    mirror.apply(changes)


def _from_tail(committer: Committer, mirror: Mirror, store: SqliteStore, doomed: Doomed) -> None:
    left = [row for row in mirror.tail if row.seq not in doomed.seqs]
    gone = [row for row in mirror.tail if row.seq in doomed.seqs]
    if not gone:
        return
    need = 2 * sum(len(row.body) for row in left) + _LEAVES_BYTES + _COUNT_BYTES
    committer.make_room(need)
    changes = Changes()
    with store.transaction(need) as tx:
        _lose(mirror, tx, gone)
        mirror.ledger.erased(tx, len(gone))
        tx.clear_tail(mirror.tail[-1].seq)
        for row in left:
            tx.put_tail(row.seq, encode_tail(row))
        tx.set_meta("next_seq", str(mirror.next_seq))
        changes.tail = (left, sum(len(row.body) for row in left))
        changes.evicted = [row.seq for row in gone]
    mirror.apply(changes)


def _lose(mirror: Mirror, tx: Transaction, rows: Iterable[Row]) -> None:
    audit = mirror.audit
    whole = [row for row in rows if row.tier == Tier.VERBATIM]
    audit.lose(tx, [row for row in whole if not audit.lost.covers(row.seq - audit.first)])


def _from_state(mirror: Mirror, store: SqliteStore, doomed: Doomed) -> None:
    held = mirror.state.entries
    gone = sorted(doomed.entries & held.keys())
    drop(store, gone, lambda tx, id: tx.delete_cells("state", [id]))
    bared = [
        bare
        for entry in held.values()
        if entry.id not in doomed.entries and (bare := _bared(entry, doomed.seqs)) is not None
    ]
    in_steps(
        store, ((one.id, encode(one)) for one in bared), lambda pair: 2 * len(pair[1]),
        lambda tx, pair: tx.put_cell("state", *pair),
    )  # fmt: skip


def _bared(entry: Entry, seqs: frozenset[int]) -> Entry | None:
    """A claim without the evidence that is erased, a lasting operation without who asked for it.

    None if it has nothing such.
    """
    if entry.op in LASTING:
        return replace(entry, source="") if entry.seq in seqs and entry.source else None
    evidence = entry.body.get("e", ()) if entry.op == "claim" else ()
    left = [piece for piece in evidence if piece[0] not in seqs]
    if len(left) == len(evidence):
        return None
    return replace(entry, body={**entry.body, "e": left})


def _from_index(store: SqliteStore, doomed: Doomed) -> None:
    vectors = sorted(doomed.seqs & {seq for seq, _ in store.vectors()})
    in_steps(store, vectors, lambda _: 4096, lambda tx, seq: tx.delete_vectors([seq]))
    keys = sorted(doomed.seqs & {seq for _, seq, _, _ in store.idempotency_keys()})
    drop(store, keys, lambda tx, seq: tx.delete_keys([seq]))
    segments = [id for id, _ in store.segments()]  # they are derived again from what is left
    drop(store, segments, lambda tx, id: tx.delete_segment(id))


_BOOKS: tuple[Shelf, ...] = ("ledger", "filter", "use")
_Row = tuple[Shelf, int, bytes | None]  # of a book: to be put, or deleted


class _Told(NamedTuple):
    """What the books may tell of doomed events, before anything is done."""

    whole: frozenset[int]  # those that were never lowered: nothing yet
    lowered: int  # events that ever were
    words: frozenset[int]  # of what is kept of them

    @classmethod
    def of(cls, mirror: Mirror, doomed: Doomed) -> _Told:
        rows = [row for seq in doomed.seqs if (row := mirror.row(seq)) is not None]
        whole = (row.seq for row in rows if row.tier == Tier.VERBATIM)
        said = words_of([part for row in rows for part in (text_of(row), row.who.speaker or "")])
        return cls(frozenset(whole), mirror.ledger.totals.lowered, frozenset(said))


def _from_books(
    committer: Committer,
    mirror: Mirror,
    store: SqliteStore,
    doomed: Doomed,
    chosen: Selector | None,
    told: _Told,
) -> None:
    """Remove what feedback, ledger and filter tell of doomed events, after they are gone.

    The filter forgets the words of what is kept. Of an event that was lowered nobody knows which
    others were its: the filter forgets all words of its time. If what was evicted long ago may be
    among what is named, it forgets all there are. The ledger forgets the names of scopes in which
    nothing is kept any more.
    """
    while True:  # making room, if it takes any, changes the books again
        rows = list(_rows_without(mirror, doomed, chosen, told))
        held = {(shelf, id): len(data) for shelf in _BOOKS for id, data in store.cells(shelf)}
        grown = sum(max(0, len(data or b"") - held.get((s, id), 0)) for s, id, data in rows)
        if store.room_for(grown) >= 0:
            break
        committer.make_room(grown)
    in_steps(store, rows, lambda row: 2 * len(row[2] or b""), _put_or_delete)
    mirror.load_books()


def _rows_without(
    mirror: Mirror, doomed: Doomed, chosen: Selector | None, told: _Told
) -> Iterator[_Row]:
    ledger, everything = mirror.ledger, False
    if chosen is not None and ledger.totals.lowered:
        everything = chosen.source is not None or chosen.subject is not None
        everything |= chosen.scope is not None and ledger.may_have_lost(Scope(chosen.scope))
    safe = told.whole if ledger.totals.lowered == told.lowered else frozenset()
    lowered = None if everything else doomed.seqs - safe
    columns = mirror.columns
    used = {columns.whos[who].scope for who in np.unique(columns.who[columns.alive]).tolist()}
    yield from (("ledger", *row) for row in ledger.without(used))
    yield from (("use", *row) for row in mirror.uses.without(doomed.seqs))
    if lowered is None or lowered or told.words:
        yield from (("filter", *row) for row in ledger.words.without(lowered, told.words))


def _put_or_delete(tx: Transaction, row: _Row) -> None:
    shelf, id, data = row
    if data is None:
        tx.delete_cells(shelf, [id])
    else:
        tx.put_cell(shelf, id, data)


def _renew_dictionary(committer: Committer, mirror: Mirror, store: SqliteStore) -> None:
    """What a dictionary learnt from may be what was erased: learn from what is left."""
    old = store.dictionaries()
    if not old:
        return
    sample = [mirror.read_block(first) for first in mirror.firsts[-96:]]
    learnt = mirror.codec.train([block for block in sample if block is not None])
    if learnt:
        committer.make_room(2 * len(learnt))
        with store.transaction(len(learnt)) as tx:
            tx.put_dictionary(learnt)
    mirror.codec = BlockCodec(store.dictionaries(), plain=learnt is None)
    for first in list(mirror.firsts):
        if first not in mirror.blocks:
            continue  # evicted to make room meanwhile
        committer.make_room(mirror.blocks[first].nbytes + 16_384)
        block = mirror.read_block(first) if first in mirror.blocks else None
        if block is not None:
            data = mirror.codec.encode(block)
            with store.transaction(len(data)) as tx:
                tx.put_block(block.first, block.last, data)
    with store.transaction(64 * 1024) as tx:  # at once: no block may ever lack its dictionary
        tx.delete_dictionaries()
        if learnt:
            tx.put_dictionary(learnt)
    mirror.load()


def summary(erased: Erased) -> Mapping[str, object]:
    """What the audit log says of an erasure: how much, and a hash over the leaves."""
    digest = hashlib.sha256(b"".join(erased.leaves)).hexdigest()
    return {"events": erased.events, "entries": erased.entries, "leaves": digest}


def _by_buckets(seqs: list[int]) -> Iterator[list[int]]:
    """Numbers whose salts can be destroyed together: those of a few buckets that lie close."""
    batch: list[int] = []
    for seq in seqs:
        if batch and (
            seq >> 13 != batch[0] >> 13 or len({s >> 5 for s in (*batch, seq)}) > _BUCKETS
        ):
            yield batch
            batch = []
        batch.append(seq)
    if batch:
        yield batch


def _packed(numbers: Iterable[int]) -> str:
    """Numbers as text: the steps between them, by byte planes, compressed."""
    steps = np.diff(np.array(sorted(numbers), "<i8"), prepend=0)
    planes = steps.view(np.uint8).reshape(-1, 8).T
    return base64.b85encode(zlib.compress(planes.tobytes())).decode()


def _unpacked(text: str) -> frozenset[int]:
    planes = np.frombuffer(zlib.decompress(base64.b85decode(text)), np.uint8)
    steps = planes.reshape(8, -1).T.copy().view("<i8")[:, 0]
    return frozenset(np.cumsum(steps).tolist())

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

import numpy as np

from holdfast.codec import Block, BlockCodec, Row, encode_tail
from holdfast.commit import Committer
from holdfast.errors import CorruptStoreError
from holdfast.mirror import Changes, Mirror
from holdfast.records import Tier
from holdfast.retain import drop_block, put_block
from holdfast.rewrite import drop, in_steps
from holdfast.selector import LASTING, Doomed, Selector
from holdfast.state.journal import Entry, encode
from holdfast.stores.base import Transaction
from holdfast.stores.sqlite import SqliteStore

ERASING = "erasing"
"""The mark: what is being erased."""
_SPAN = 512  # numbers that one step may span: leaves so near share two or three rows
_LEAVES_BYTES = 12 * 4096  # that the leaves of one step dirty
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


def erase(committer: Committer, mirror: Mirror, store: SqliteStore, doomed: Doomed) -> Erased:
    """Remove events and entries from every table, then from every page. Linear in what is kept.

    The caller keeps writers out and has left a mark. May be done again after a crash.
    """
    leaves = tuple(_leaves(mirror, doomed))
    found = sum(mirror.columns.find(seq) is not None for seq in doomed.seqs)
    dropped = len(doomed.entries & mirror.state.entries.keys())
    _from_log(committer, mirror, store, doomed)
    _from_tail(committer, mirror, store, doomed)
    _from_state(mirror, store, doomed)
    _from_index(store, doomed)
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
    with store.transaction(len(block.bodies) + _LEAVES_BYTES) as tx:
        _lose(mirror, tx, map(block.row, places))
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
    need = 2 * sum(len(row.body) for row in left) + _LEAVES_BYTES
    committer.make_room(need)
    changes = Changes()
    with store.transaction(need) as tx:
        _lose(mirror, tx, gone)
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

"""Erasing: what goes with what, and how it leaves every table of the file.

Erasing an event takes along every claim that rests on it alone, and the events that recorded those
claims. What the erased had retired is held again, since state is folded from the claims that are
left. The audit log keeps the leaves, without the salts that could tell what they were.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from holdfast.codec import BlockCodec, Row, encode_tail, to_record
from holdfast.commit import Committer
from holdfast.mirror import Mirror
from holdfast.records import KINDS, Scope, Tier
from holdfast.rewrite import in_steps
from holdfast.state.journal import Entry, encode
from holdfast.state.slots import plain
from holdfast.stores.base import Transaction
from holdfast.stores.sqlite import SqliteStore
from holdfast.trust.levels import source_of

ERASING = "erasing"
"""The mark: the events and entries that are being erased, by number."""
_STATE = KINDS.index("state")


@dataclass(frozen=True, slots=True)
class Selector:
    """What to erase: everything that any of these names."""

    events: frozenset[int] = frozenset()
    scope: str | None = None
    subject: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Doomed:
    """Events and journal entries to erase, by number."""

    seqs: frozenset[int]
    entries: frozenset[int]

    def to_text(self) -> str:
        return json.dumps({"s": list(_runs(self.seqs)), "e": list(_runs(self.entries))})

    @classmethod
    def from_text(cls, text: str) -> Doomed:
        line = json.loads(text)
        return cls(*(frozenset(n for a, b in line[key] for n in range(a, b)) for key in "se"))


@dataclass(frozen=True, slots=True)
class Erased:
    """What one file lost: events, entries of the journal, and the leaves of the events."""

    events: int
    entries: int
    leaves: tuple[bytes, ...]


def select(mirror: Mirror, selector: Selector) -> Doomed:
    """Everything that a selector names, and all that rests on it alone. Linear in what is kept."""
    state = mirror.state
    seqs = {row.seq for row in mirror.rows() if _names(selector, row)}
    seqs |= {seq for seq in selector.events if 0 < seq < mirror.next_seq}  # evicted, but quoted
    entries = {entry.id for entry in state.entries.values() if _names_entry(selector, entry)}
    if selector.subject is not None:
        for id in entries:
            seqs |= {piece[0] for piece in state.entries[id].body.get("e", ())}
    changed = True
    while changed:
        changed = False
        for entry in state.entries.values():
            if entry.id not in entries and _falls(entry, seqs):
                entries.add(entry.id)
                changed = True
        for id in entries:
            seq = state.entries[id].seq
            if seq not in seqs and _is_state(mirror, seq):
                seqs.add(seq)
                changed = True
    return Doomed(frozenset(seqs), frozenset(entries))


def _names(selector: Selector, row: Row) -> bool:
    if row.seq in selector.events:
        return True
    if selector.scope is not None and Scope(selector.scope).covers(row.who.scope):
        return True
    if selector.source is None and selector.subject is None:
        return False
    event = to_record(row).event
    if selector.source is not None and source_of(event) == selector.source:
        return True
    if selector.subject is None:
        return False
    said = [to_record(row).text, event.speaker or "", event.scope, json.dumps(dict(event.metadata))]
    return any(map(_mention(selector.subject).search, said))


def _names_entry(selector: Selector, entry: Entry) -> bool:
    if entry.op in ("erase", "revoke"):
        return False
    if selector.scope is not None and Scope(selector.scope).covers(entry.scope):
        return True
    if selector.source is not None and selector.source in entry.sources:
        return True
    if selector.subject is None:
        return False
    return bool(_mention(selector.subject).search(json.dumps(entry.body, ensure_ascii=False)))


def _mention(name: str) -> re.Pattern[str]:
    """A name as a word of its own, whatever its case."""
    bare = re.escape(plain(name)).replace(r"\ ", r"\s+")
    return re.compile(rf"(?<!\w){bare}(?!\w)", re.IGNORECASE)


def _falls(entry: Entry, seqs: set[int]) -> bool:
    """Whether an entry goes with some events: one of them brought it, or all it rests on goes."""
    if entry.seq in seqs:
        return True
    evidence = entry.body.get("e", ()) if entry.op == "claim" else ()
    return bool(evidence) and all(piece[0] in seqs for piece in evidence)


def _is_state(mirror: Mirror, seq: int) -> bool:
    row = mirror.columns.find(seq)
    return row is not None and int(mirror.columns.kind[row]) == _STATE


def erase(committer: Committer, mirror: Mirror, store: SqliteStore, doomed: Doomed) -> Erased:
    """Remove events and entries from every table, then from every page. Linear in what is kept.

    The caller keeps writers out. May be done again after a crash, by the mark it leaves.
    """
    leaves = list(_leaves(mirror, doomed))
    found = sum(mirror.columns.find(seq) is not None for seq in doomed.seqs)
    dropped = len(doomed.entries & mirror.state.entries.keys())
    with store.transaction() as tx:
        tx.set_meta(ERASING, doomed.to_text())
    _from_log(mirror, store, doomed)
    _from_state(mirror, store, doomed)
    _from_index(store, doomed)
    mirror.load()
    _renew_dictionary(committer, mirror, store)
    in_steps(
        store, _batched(sorted(doomed.seqs), 32), lambda _: 48 * 1024,
        lambda tx, seqs: mirror.audit.destroy_salts(tx, seqs),
    )  # fmt: skip
    store.scrub()
    with store.transaction() as tx:
        tx.delete_meta(ERASING)
    mirror.load()
    committer.relearn()
    return Erased(found, dropped, tuple(leaves))


def _leaves(mirror: Mirror, doomed: Doomed) -> Iterator[bytes]:
    for seq in sorted(doomed.seqs):
        row = mirror.row(seq)
        if row is not None and row.tier == Tier.VERBATIM and seq >= mirror.audit.first:
            yield mirror.audit.leaf(row)


def _from_log(mirror: Mirror, store: SqliteStore, doomed: Doomed) -> None:
    seqs = np.array(sorted(doomed.seqs), np.int64)
    for first in list(mirror.firsts):
        block = mirror.read_block(first)
        assert block is not None, "writers are kept out"
        gone = np.isin(block.head["seq"], seqs)
        if not gone.any():
            continue
        with store.transaction(len(block.bodies)) as tx:
            rows = [block.row(i) for i in np.flatnonzero(gone).tolist()]
            _lose(mirror, tx, rows)
            left = block.keep(~gone)
            if not len(left) or left.first != first:
                tx.delete_block(first)
            if len(left):
                tx.put_block(left.first, left.last, mirror.codec.encode(left))
    tail = [row for row in mirror.tail if row.seq not in doomed.seqs]
    if len(tail) < len(mirror.tail):
        size = sum(len(row.body) for row in mirror.tail)
        with store.transaction(2 * size + 64 * 1024) as tx:
            _lose(mirror, tx, [row for row in mirror.tail if row.seq in doomed.seqs])
            tx.clear_tail(mirror.tail[-1].seq)
            for row in tail:
                tx.put_tail(row.seq, encode_tail(row))
            tx.set_meta("next_seq", str(mirror.next_seq))


def _lose(mirror: Mirror, tx: Transaction, rows: Iterable[Row]) -> None:
    audit = mirror.audit
    audit.lose(
        tx,
        [
            row
            for row in rows
            if row.tier == Tier.VERBATIM and not audit.lost.covers(row.seq - audit.first)
        ],
    )


def _from_state(mirror: Mirror, store: SqliteStore, doomed: Doomed) -> None:
    held = mirror.state.entries
    in_steps(
        store, sorted(doomed.entries & held.keys()), lambda _: 512,
        lambda tx, id: tx.delete_cells("state", [id]),
    )  # fmt: skip
    bared = [
        bare
        for entry in held.values()
        if entry.id not in doomed.entries and (bare := _bared(entry, doomed.seqs)) is not None
    ]
    in_steps(
        store, bared, lambda _: 4096, lambda tx, one: tx.put_cell("state", one.id, encode(one))
    )


def _bared(entry: Entry, seqs: frozenset[int]) -> Entry | None:
    """A claim without the evidence that is erased; None if it has none such."""
    evidence = entry.body.get("e", ()) if entry.op == "claim" else ()
    left = [piece for piece in evidence if piece[0] not in seqs]
    if len(left) == len(evidence):
        return None
    return replace(entry, body={**entry.body, "e": left})


def _from_index(store: SqliteStore, doomed: Doomed) -> None:
    in_steps(store, sorted(doomed.seqs), lambda _: 4096, lambda tx, seq: tx.delete_vectors([seq]))
    in_steps(store, sorted(doomed.seqs), lambda _: 512, lambda tx, seq: tx.delete_keys([seq]))
    in_steps(  # they are derived again from what is left
        store, [id for id, _ in store.segments()], lambda _: 512,
        lambda tx, id: tx.delete_segment(id),
    )  # fmt: skip


def _renew_dictionary(committer: Committer, mirror: Mirror, store: SqliteStore) -> None:
    """What a dictionary learnt from may be what was erased: learn from what is left."""
    old = store.dictionaries()
    if not old:
        return
    sample = [mirror.read_block(first) for first in mirror.firsts[-96:]]
    learnt = mirror.codec.train([block for block in sample if block is not None])
    if learnt:
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


def _batched(numbers: list[int], n: int) -> Iterator[list[int]]:
    """Numbers, at most so many at a time."""
    for start in range(0, len(numbers), n):
        yield numbers[start : start + n]


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Numbers as half-open runs."""
    start = end = None
    for number in sorted(numbers):
        if end is not None and number == end:
            end = number + 1
            continue
        if start is not None and end is not None:
            yield start, end
        start, end = number, number + 1
    if start is not None and end is not None:
        yield start, end

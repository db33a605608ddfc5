"""The check that everything a memory holds can be read, and that its index agrees with its log."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice

import numpy as np
import numpy.typing as npt

from holdfast.codec import Row, content_bytes, to_record
from holdfast.errors import AuditError, CorruptStoreError
from holdfast.ledger.book import Ledger
from holdfast.ledger.kept import KeptWords
from holdfast.lower import row_terms
from holdfast.mirror import Mirror
from holdfast.recall.segment_codec import decode_segment
from holdfast.records import Tier
from holdfast.state.journal import decode
from holdfast.stores.base import Store
from holdfast.trust.log import AuditLog, checkpoints
from holdfast.uses import Uses
from holdfast.written import receipt_from

_MOST = 20  # problems of one kind that are told apart


@dataclass(frozen=True, slots=True)
class Verification:
    """What `Memory.verify` found."""

    ok: bool
    problems: tuple[str, ...]
    events: int
    blocks: int


def verify(mirror: Mirror, store: Store) -> list[str]:
    """Problems found by reading every event and comparing it with the columns and the index.

    The caller keeps writers out. Linear in the log.
    """
    problems = list(store.check())
    seen: set[int] = set()
    for rows in _runs(mirror, store, problems):
        seen.update(row.seq for row in rows)
        readable = []
        for row in rows:
            try:
                problems += _check_row(row)
            except (ValueError, LookupError, struct.error) as error:
                problems.append(f"event {row.seq} cannot be read: {error}")
            else:
                readable.append(row)
        problems += _check_index(mirror, readable)
    problems += _check_audit(mirror, store)
    problems += _check_rest(mirror, store)
    problems += mirror.probes.problems
    problems += _check_books(mirror, store)
    known = set(mirror.columns.seq[mirror.columns.alive].tolist())
    for seq in sorted(known ^ seen)[:_MOST]:
        where = "the log but not in RAM" if seq in seen else "RAM but not in the log"
        problems.append(f"event {seq} is in {where}")
    return problems


def _check_audit(mirror: Mirror, store: Store) -> list[str]:
    """Whether every event is in the audit log, and every checkpoint still fits it."""
    if not mirror.audit.saved:
        return []
    try:
        audit = AuditLog.load(store, mirror.next_seq)
        rows = chain.from_iterable(_runs(mirror, store, []))
        tree = audit.tree(rows, mirror.next_seq)
        problems = [f"audit log: {problem}" for problem in islice(tree.problems(), _MOST)]
        for checkpoint, _ in checkpoints(store):
            if tree.root(checkpoint.size) != checkpoint.root:
                problems.append(f"the log is not the one of the checkpoint of {checkpoint.size}")
    except (AuditError, CorruptStoreError) as error:
        return [f"audit log: {error}"]
    return problems


def _check_rest(mirror: Mirror, store: Store) -> list[str]:
    """Whether the journal, receipts, vectors and the index's segments can be read."""
    try:
        for id, data in store.cells("state"):
            decode(id, data)
        for _, _, _, receipt in store.idempotency_keys():
            receipt_from(receipt)
        for _ in store.vectors():
            pass
        for _, data in store.segments():
            decode_segment(data)
    except (CorruptStoreError, ValueError, LookupError, TypeError) as error:
        return [str(error)]
    return []


def _check_books(mirror: Mirror, store: Store) -> list[str]:
    """Whether ledger, lost words and feedback can be read, and the ledger is the one in RAM."""
    try:
        mine, kept = mirror.ledger, KeptWords(mirror.columns, mirror.postings)
        theirs = Ledger.load(store, kept, mine.totals.before)
        Uses.load(store, lambda seqs: np.ones(len(seqs), np.bool_))
    except CorruptStoreError as error:
        return [str(error)]
    same = theirs.totals == mine.totals and theirs.words.events == mine.words.events
    return [] if same else ["the ledger is not the one in RAM"]


def _runs(mirror: Mirror, store: Store, problems: list[str]) -> Iterator[Sequence[Row]]:
    """The log a block at a time, read from the store; what cannot be read is a problem."""
    last = 0
    for info in store.blocks():
        try:
            rows = mirror.codec.decode(store.block(info.first) or b"").rows()
        except CorruptStoreError as error:
            problems.append(f"block {info.first}: {error}")
            continue
        if (rows[0].seq, rows[-1].seq) != (info.first, info.last):
            problems.append(f"block {info.first} says it ends at {info.last} but does not")
        if rows[0].seq <= last:
            problems.append(f"block {info.first} begins before the one before it ends, at {last}")
        last = max(last, rows[-1].seq)
        yield rows
    if mirror.tail:
        yield mirror.tail


def _check_row(row: Row) -> list[str]:
    record = to_record(row)
    problems = []
    if record.tier == Tier.VERBATIM and len(content_bytes(record.event.content)) != record.size:
        problems.append(f"event {row.seq} is not as long as it was")
    for quote in record.quotes:
        if len(content_bytes(quote.text)) != quote.end - quote.start:
            problems.append(f"event {row.seq} has a quote of the wrong length")
    return problems


def _check_index(mirror: Mirror, rows: Sequence[Row]) -> list[str]:
    """Compare the terms the index holds for some events with those their text has."""
    places = [mirror.columns.find(row.seq) for row in rows]
    held = [(at, row) for at, row in zip(places, rows, strict=True) if at is not None]
    expected = [_pairs(at, np.unique(np.array(row_terms(row), np.uint32))) for at, row in held]
    segment, found = mirror.postings.extract(np.array([at for at, _ in held], np.int64))
    terms = np.repeat(segment.terms, np.diff(segment.offsets))
    actual = _pairs(found[segment.docs], terms)
    empty = np.zeros(0, np.uint64)
    wrong = np.setxor1d(np.concatenate([empty, *expected]), actual) >> np.uint64(32)
    return [
        f"event {int(mirror.columns.seq[at])} is not in the index under exactly its terms"
        for at in np.unique(wrong).tolist()[:_MOST]
    ]


def _pairs(
    rows: int | npt.NDArray[np.int64], terms: npt.NDArray[np.uint32]
) -> npt.NDArray[np.uint64]:
    """Rows and terms as single numbers."""
    high = np.asarray(rows).astype(np.uint64) << np.uint64(32)
    return np.asarray(high | terms.astype(np.uint64))

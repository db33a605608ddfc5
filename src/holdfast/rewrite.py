"""Operations that rewrite a memory as a whole: going back to a snapshot, and erasing.

Both take many transactions, each inside the budget. A mark in the store says what is under way, so
that whoever opens the memory next finishes it: every step may be done again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from typing import TypeVar

from holdfast.commit import Committer
from holdfast.errors import BudgetError, CorruptStoreError
from holdfast.mirror import Mirror
from holdfast.records import Tier
from holdfast.stores.base import Shelf, Transaction
from holdfast.stores.sqlite import SqliteStore
from holdfast.trust.lost import LostLeaves

ROLLBACK = "rollback"
"""The mark of going back: the name of the snapshot."""
_CONTENT: tuple[Shelf, ...] = ("state", "probe", "ledger", "filter", "use")
"""Shelves that go back with the content; the others are about the whole of the audit log."""
_PAGE = 4096
_T = TypeVar("_T")


def in_steps(
    store: SqliteStore,
    items: Iterable[_T],
    size: Callable[[_T], int],
    do: Callable[[Transaction, _T], None],
    find_room: Callable[[int], None] = lambda _: None,
) -> None:
    """Do something with each item, as many to a transaction as its log takes.

    `find_room` is told beforehand how many bytes each transaction is to have room for.
    """
    for batch in _batches(items, size, store.batch_bytes()):
        find_room(sum(map(size, batch)))
        with store.transaction(sum(size(item) + 4 * _PAGE for item in batch)) as tx:
            for item in batch:
                do(tx, item)


def drop(store: SqliteStore, ids: Iterable[int], do: Callable[[Transaction, int], None]) -> None:
    """Delete small rows, or rows whose pages need not be written, by their numbers."""
    in_steps(store, ids, lambda _: 512, do)


def _batches(items: Iterable[_T], size: Callable[[_T], int], most: int) -> Iterator[list[_T]]:
    batch: list[_T] = []
    total = 0
    for item in items:
        weight = size(item) + 4 * _PAGE
        if batch and total + weight > most:
            yield batch
            batch, total = [], 0
        batch.append(item)
        total += weight
    if batch:
        yield batch


def begin_rollback(mirror: Mirror, store: SqliteStore, snapshot: SqliteStore, name: str) -> None:
    """Leave a mark, so that whatever happens the way back is gone to its end.

    Raises
    ------
    BudgetError
        If the snapshot does not fit the present budget; nothing has changed then.
    """
    if snapshot.excess(store.budget) > 0:
        raise BudgetError(
            f"snapshot {name!r} does not fit the present budget of {store.budget} bytes; "
            "raise the budget first: nothing was changed"
        )
    with store.transaction() as tx:
        tx.set_meta(ROLLBACK, name)
        tx.set_meta("next_seq", str(mirror.next_seq))


def roll_back(
    committer: Committer, mirror: Mirror, store: SqliteStore, snapshot: SqliteStore, name: str
) -> None:
    """Put the content of a snapshot in the place of what is there; numbers are not used again.

    What was recorded since is withdrawn: its leaves stay in the audit log, so that it can be told
    that there was more. The caller keeps writers out and has left a mark; may be done again after a
    crash. What does not fit beside the present audit log is evicted.
    """
    size = _next_seq(snapshot)
    _lose_since(mirror, store, size)
    _wipe(store)
    _join_trees(mirror, store, snapshot, size)
    _copy(committer, mirror, store, snapshot)
    with store.transaction() as tx:
        read = {*store.metas("extract:"), *snapshot.metas("extract:")}  # how far models came
        for key in ("state_horizon", "embedder", *sorted(read)):
            if (value := snapshot.meta(key)) is not None:
                tx.set_meta(key, value)
            else:
                tx.delete_meta(key)
        tx.delete_meta(ROLLBACK)
    mirror.load()
    committer.relearn()


def _next_seq(store: SqliteStore) -> int:
    """The number that comes after the newest event of a store at rest."""
    newest = max([0, *(seq for seq, _ in store.tail()), *(info.last for info in store.blocks())])
    return max(newest + 1, int(store.meta("next_seq") or 1))


def _lose_since(mirror: Mirror, store: SqliteStore, size: int) -> None:
    """Keep the leaves of all events since the snapshot: they are about to go."""
    audit = mirror.audit
    rows = (
        row
        for row in mirror.rows(size - 1)
        if row.tier == Tier.VERBATIM and not audit.lost.covers(row.seq - audit.first)
    )
    in_steps(store, rows, lambda _: 200, lambda tx, row: audit.lose(tx, [row]))


def _wipe(store: SqliteStore) -> None:
    """Empty the log, its index and the state; what identifies the memory stays."""
    blocks = (info.first for info in store.blocks())
    segments = (id for id, _ in store.segments())
    vectors = (seq for seq, _ in store.vectors())
    keys = (seq for _, seq, _, _ in store.idempotency_keys())
    drop(store, blocks, lambda tx, first: tx.delete_block(first))
    with store.transaction() as tx:
        tx.clear_tail(1 << 62)
    drop(store, segments, lambda tx, id: tx.delete_segment(id))
    drop(store, vectors, lambda tx, seq: tx.delete_vectors([seq]))
    for shelf in _CONTENT:
        rows = (id for id, _ in store.cells(shelf))
        drop(store, rows, partial(_delete_cell, shelf))
    drop(store, keys, lambda tx, seq: tx.delete_keys([seq]))
    with store.transaction() as tx:
        tx.delete_dictionaries()


def _copy(committer: Committer, mirror: Mirror, store: SqliteStore, snapshot: SqliteStore) -> None:
    """Bring over everything but what identifies the memory and its audit log."""
    for data in snapshot.dictionaries():
        with store.transaction(len(data)) as tx:
            tx.put_dictionary(data)
    in_steps(store, snapshot.tail(), lambda row: 2 * len(row[1]), lambda tx, row: tx.put_tail(*row))
    for shelf in _CONTENT:
        _copy_cells(store, snapshot.cells(shelf), shelf)
    in_steps(
        store, snapshot.idempotency_keys(), lambda row: 2 * len(row[3]) + 256,
        lambda tx, row: tx.put_key(*row),
    )  # fmt: skip
    find_room = partial(_find_room, committer, mirror, store)
    in_steps(
        store, _blocks(snapshot), lambda row: len(row[2]), lambda tx, row: tx.put_block(*row),
        find_room,
    )  # fmt: skip
    in_steps(
        store, snapshot.vectors(), lambda row: 2 * len(row[1]),
        lambda tx, row: tx.put_vectors([row]), find_room,
    )  # fmt: skip
    for id, data in snapshot.segments():
        if store.room_for(len(data)) < 0:
            break  # they are derived again from the log
        with store.transaction(len(data)) as tx:
            tx.put_segment(id, data)


def _blocks(snapshot: SqliteStore) -> Iterator[tuple[int, int, bytes]]:
    for info in snapshot.blocks():
        block = snapshot.block(info.first)
        if block is None:
            raise CorruptStoreError(f"block {info.first} of a snapshot is missing; run verify")
        yield info.first, info.last, block


def _find_room(committer: Committer, mirror: Mirror, store: SqliteStore, need: int) -> None:
    """Evict some of what is there by now, if it would not fit."""
    if store.room_for(need) < 0:
        mirror.load()
        committer.make_room(need)


def _delete_cell(shelf: Shelf, tx: Transaction, id: int) -> None:
    tx.delete_cells(shelf, [id])


def _copy_cells(store: SqliteStore, rows: Iterable[tuple[int, bytes]], shelf: Shelf) -> None:
    in_steps(store, rows, lambda row: 2 * len(row[1]), lambda tx, row: tx.put_cell(shelf, *row))


def _join_trees(mirror: Mirror, store: SqliteStore, snapshot: SqliteStore, size: int) -> None:
    """The snapshot's lost leaves up to its size, and from there on our own."""
    first = mirror.audit.first
    edge = size - first
    kept = [at for at, _ in store.cells("checkpoint")]
    mine = LostLeaves.load((row for _, row in store.cells("tree")), kept)
    old = LostLeaves.load((row for _, row in snapshot.cells("tree")), kept)
    joined = LostLeaves.of(
        chain(
            (node for node in old.subtrees() if node[1] << node[0] < edge),
            (node for node in mine.subtrees() if node[1] << node[0] >= edge),
        ),
        kept,
    )
    # What is written first holds all of ours already, so this can be done twice.
    rows = [(id, joined.chapter(id) or b"") for id in joined.chapters()]
    _copy_cells(store, rows, "tree")
    gone = {id for id, _ in store.cells("tree")} - set(joined.chapters())
    drop(store, sorted(gone), lambda tx, id: tx.delete_cells("tree", [id]))

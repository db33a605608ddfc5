"""What a commit does beside: making room, learning a dictionary, keeping stretches of the index."""

from __future__ import annotations

from collections.abc import Iterable

from holdfast.codec import DICTIONARY_BLOCKS
from holdfast.errors import BudgetError
from holdfast.mirror import Changes, Mirror
from holdfast.pins import ERASING_BYTES, pinned_bytes
from holdfast.retain import Losses, Retainer, trim
from holdfast.state.compact import SHARE
from holdfast.stores.base import Store, Transaction
from holdfast.written import Append, Written

_PAGE = 4096


def spare_for(changes: Iterable[Written], mirror: Mirror) -> int:
    """Bytes to leave free for an erasure to work in, where something comes that only it removes.

    None, while there are events that it could let go of instead.
    """
    states = (one.asked for one in changes if isinstance(one, Append))
    if not any(asked is not None and asked.stays for asked in states):
        return 0
    log = sum(one.nbytes for one in mirror.blocks.values()) - pinned_bytes(mirror)
    return ERASING_BYTES if log < 2 * ERASING_BYTES else 0


def let_go(
    retainer: Retainer, tx: Transaction, store: Store, mirror: Mirror, changes: Changes, need: int,
    spare: int = 0,
) -> Losses:  # fmt: skip
    """Make room: in the journal of state, if it is over its share, and otherwise in the log.

    `spare` bytes are to be left beside what is needed.

    Raises
    ------
    BudgetError
        If nothing in either may go.
    """

    def missing() -> int:
        return -tx.room_for(need + spare)

    over = mirror.journal_bytes > store.capacity() * SHARE
    if over and (missing() > 0 or not tx.fits(need)):
        trim(tx, store, mirror, changes, 0, store.capacity())
    if changes.trimmed:
        return Losses()
    try:
        return retainer.make_room(tx, mirror, changes, missing)
    except BudgetError:
        mirror.cut.again = 0  # it was not worth another look; now it is
        trim(tx, store, mirror, changes, 0, store.capacity())
        if not changes.trimmed:
            raise
        return Losses()


def train(mirror: Mirror, store: Store, tx: Transaction, changes: Changes) -> None:
    """Once there is enough to learn from, keep a dictionary if it pays for itself."""
    if mirror.trained or len(mirror.firsts) < DICTIONARY_BLOCKS:
        return
    mirror.trained = True
    blocks = [mirror.read_block(first) for first in mirror.firsts[-DICTIONARY_BLOCKS:]]
    data = mirror.codec.train([block for block in blocks if block is not None])
    pays = data is not None and len(data) < store.capacity() // 64
    if data is not None and pays and tx.fits(len(data)):
        tx.put_dictionary(data)
        changes.dictionary = data


def shelve(mirror: Mirror, tx: Transaction, changes: Changes) -> None:
    """Keep a stretch of the index in the store, and let go of what has become stale."""
    sealed = mirror.tail[0].seq if mirror.tail else mirror.next_seq
    segment = mirror.shelf.next_segment(mirror.columns, mirror.postings, sealed)
    if segment is not None:
        id, data, rows = segment
        if tx.slack() > len(data) + 8 * _PAGE and tx.room_for(len(data)) >= 0:
            tx.put_segment(id, data)
            changes.shelved = (id, rows)
    for id in mirror.shelf.stale():
        if tx.slack() < 8 * _PAGE:
            break  # the rest goes with the next segment
        tx.delete_segment(id)
        changes.unshelved.append(id)

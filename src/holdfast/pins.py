"""How much of a budget may be pinned: what is never let go must leave room for all else."""

from __future__ import annotations

import numpy as np

from holdfast.charge import Charges
from holdfast.errors import BudgetError
from holdfast.mirror import Mirror
from holdfast.stores.base import Store

ERASING_BYTES = 24 * 4096
"""Left free by what is never let go of, for an erasure to work in."""
_SHARE = 1 / 2  # of the rest; the other half is for what is new, and for state


def most_pinned(store: Store) -> int:
    """Bytes that pinned events may take in a file."""
    return int((store.capacity() - ERASING_BYTES) * _SHARE)


def pinned_bytes(mirror: Mirror) -> int:
    """What pinned events take, about: their content as well as the blocks are compressed. O(n)."""
    blocks = mirror.blocks.values()
    raw = sum(one.raw for one in blocks)
    packed = sum(one.nbytes for one in blocks) / raw if raw else 1.0
    columns = mirror.columns
    content = int(columns.size[columns.alive & columns.pinned].sum(dtype=np.int64))
    return int(content * min(1.0, packed))


def too_much_pinned(most: int) -> BudgetError:
    """What to tell who would pin more than that."""
    return BudgetError(
        f"pinned events may take {most} bytes here, about half of the room in the file, and with "
        "this one they would take more; raise the budget, or observe it unpinned"
    )


def refuse_if_pinned(store: Store, mirror: Mirror, budget: int) -> None:
    """Raise `BudgetError` if what may not be lowered is too much for another budget."""
    columns = mirror.columns
    fixed = columns.alive & columns.pinned
    cost = Charges(mirror).costs(np.arange(columns.n))[np.arange(columns.n), columns.tier]
    held = int(cost[fixed].sum()) + sum(len(row.body) for row in mirror.tail)
    over = store.excess(budget)
    droppable = int(cost[columns.alive & ~fixed].sum())
    if over > 0 and held and over > 0.8 * droppable:
        raise BudgetError(
            f"{held} bytes are pinned or not yet sealed and cannot fit a budget of {budget}; "
            "unpin something or choose a larger one: nothing was changed"
        )

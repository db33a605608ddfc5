"""Make room inside a transaction: ask the policy once, carry its plan out block by block.

A plan covers a slice of the budget, and blocks are rewritten only as fast as room is needed, so no
write waits for a whole plan. What is left of a plan is dropped when the world it was made for
changes (another process wrote, a transaction failed); it is then simply made again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from holdfast.codec import Row
from holdfast.errors import BudgetError
from holdfast.lower import to_tier
from holdfast.mirror import BlockEntry, Changes, Mirror, raw_size
from holdfast.recall.columns import Rows
from holdfast.records import Tier
from holdfast.retention.base import Policy, Tiers, View
from holdfast.stores.base import Transaction

_SLICE = 1 / 64  # share of the kept bytes that one plan frees beyond what is needed now
BLOCK_BYTES = 16384
_BLOCK_ROWS = 512
_REWRITE_BYTES = 28 * 4120  # of the journal that rewriting one block and its neighbour may take
_GIST_SHARE = 0.35  # bytes a gist is expected to keep of its event, beside its head
_GIST_HEAD = 30.0
_TRACE_COST = 44.0
_SHORTEST_GIST = 160  # bytes of content under which a gist saves too little over a trace

Step = tuple[int, int]  # sequence number, tier it goes to


@dataclass
class Losses:
    """What retention has done so far, for receipts and the ledger."""

    demoted: int = 0
    evicted: int = 0

    def __add__(self, other: Losses) -> Losses:
        return Losses(self.demoted + other.demoted, self.evicted + other.evicted)

    def __bool__(self) -> bool:
        return bool(self.demoted or self.evicted)


class Retainer:
    """Carries out a policy's plans against the blocks of a log."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._plan: deque[tuple[int, list[Step]]] = deque()

    def forget_plan(self) -> None:
        """Drop what is left of the current plan."""
        self._plan.clear()

    def make_room(
        self, tx: Transaction, mirror: Mirror, changes: Changes, short: Callable[[], int]
    ) -> Losses:
        """Demote and evict until nothing is `short`, or until the transaction is full.

        `short` tells how many bytes are still missing. The caller asks it again afterwards and
        goes on in a next transaction if it must.

        Raises
        ------
        BudgetError
            If nothing that may be lowered is left.
        """
        losses = Losses()
        planned = False
        while (missing := short()) > 0 and tx.slack() > _REWRITE_BYTES:
            if not self._plan:
                if planned and not losses.demoted + losses.evicted:
                    raise BudgetError(
                        f"{missing} bytes are needed but everything kept is pinned or already at "
                        "its smallest; raise the budget or unpin something"
                    )
                self._make_plan(mirror, changes, missing)
                planned = True
                if not self._plan:
                    raise BudgetError(
                        f"{missing} bytes are needed but nothing kept may be lowered; "
                        "raise the budget or unpin something"
                    )
            first, steps = self._plan.popleft()
            self._rewrite(tx, mirror, changes, first, steps, losses)
        return losses

    # ---- the plan --------------------------------------------------------------------------

    def _make_plan(self, mirror: Mirror, changes: Changes, short: int) -> None:
        columns = mirror.columns
        sealed = mirror.tail[0].seq if mirror.tail else mirror.next_seq
        rows = np.flatnonzero(columns.alive & (columns.seq < sealed))
        gone = set(changes.evicted) | {row.seq for row, _ in changes.lowered}
        if gone:  # already changed in this transaction, not yet in the mirror
            rows = rows[~np.isin(columns.seq[rows], list(gone))]
        if not len(rows):
            return
        view = view_of(mirror, rows)
        spent = view.spent()
        floor = float(view.cost[view.pinned, view.tier[view.pinned]].sum())
        limit = max(floor, spent - 1.25 * short - _SLICE * spent)
        plan = self._policy.plan(view, limit)
        self._queue(mirror, columns.seq[rows], view.tier, plan)

    def _queue(self, mirror: Mirror, seqs: Rows, now: Tiers, plan: Tiers) -> None:
        moved = np.flatnonzero(plan != now)
        firsts = np.array(mirror.firsts, np.int64)
        owner = firsts[np.searchsorted(firsts, seqs[moved], side="right") - 1]
        steps: dict[int, list[Step]] = {}
        for first, seq, tier in zip(
            owner.tolist(), seqs[moved].tolist(), plan[moved].tolist(), strict=True
        ):
            steps.setdefault(first, []).append((seq, tier))
        self._plan.extend(sorted(steps.items()))

    # ---- carrying it out -------------------------------------------------------------------

    def _rewrite(
        self,
        tx: Transaction,
        mirror: Mirror,
        changes: Changes,
        first: int,
        steps: list[Step],
        losses: Losses,
    ) -> None:
        """Rewrite one block with some of its events lowered; join it to a small neighbour."""
        rows = _rows_of(mirror, changes, first)
        if rows is None:
            return  # merged away since the plan was made: its events wait for the next plan
        wanted = dict(steps)
        kept: list[Row] = []
        for row in rows:
            tier = wanted.get(row.seq, row.tier)
            if tier <= row.tier:
                kept.append(row)
            elif tier == Tier.EVICTED:
                changes.evicted.append(row.seq)
                losses.evicted += 1
            else:
                lowered, terms = to_tier(row, tier)
                changes.lowered.append((lowered, terms))
                losses.demoted += 1
                kept.append(lowered)
        if mirror.vectors is not None:
            tx.delete_vectors(seq for seq, tier in steps if tier >= Tier.TRACE)
        _drop(tx, changes, first)
        before = _neighbour(mirror, changes, first)
        if before is not None and kept and _fits(before, kept):
            kept = (_rows_of(mirror, changes, before.first) or []) + kept
            _drop(tx, changes, before.first)
        if kept:
            put_block(tx, mirror, changes, kept)


def view_of(mirror: Mirror, rows: Rows) -> View:
    """The columns a policy may look at, for the given rows.

    What a row cost at tiers it has left behind is estimated from the size it had.
    """
    columns = mirror.columns
    tier = columns.tier[rows]
    cost = columns.cost[rows].astype(np.float64)
    size = columns.size[rows].astype(np.float64)
    whole = np.where(tier == Tier.VERBATIM, cost, np.maximum(cost, mirror.whole_cost(size)))
    gist = np.where(size >= _SHORTEST_GIST, _GIST_SHARE * mirror.ratio * size + _GIST_HEAD, whole)
    gist = np.where(tier == Tier.GIST, cost, np.minimum(gist, whole))
    trace = np.where(tier == Tier.TRACE, cost, np.minimum(_TRACE_COST, gist))
    return View(
        position=columns.seq[rows],
        now=mirror.next_seq,
        cost=np.column_stack([whole, np.maximum(gist, trace), trace, np.zeros(len(rows))]),
        tier=tier,
        surprise=columns.surprise[rows].astype(np.float64),
        uses=columns.uses[rows].astype(np.float64),
        pinned=columns.pinned[rows],
        group=columns.scope_ids()[columns.who[rows]],
    )


def cut(tail: list[Row], tail_bytes: int, new: list[Row]) -> tuple[list[list[Row]], list[Row], int]:
    """Rows as full blocks, what is left over, and the bytes of its bodies."""
    rows = tail + new
    blocks, start, size = [], 0, tail_bytes
    for end, row in enumerate(new, len(tail) + 1):
        if len(row.body) >= BLOCK_BYTES and end - 1 > start:
            blocks.append(rows[start : end - 1])  # a large event gets a block of its own
            start, size = end - 1, 0
        size += len(row.body)
        if size >= BLOCK_BYTES or end - start >= _BLOCK_ROWS:
            blocks.append(rows[start:end])
            start, size = end, 0
    return blocks, rows[start:], size


def put_block(tx: Transaction, mirror: Mirror, changes: Changes, rows: list[Row]) -> None:
    first, last = rows[0].seq, rows[-1].seq
    data = mirror.codec.encode(rows)
    tx.put_block(first, last, data)
    entry = BlockEntry(first, last, len(data), raw_size(rows), len(rows))
    changes.blocks[first] = (entry, rows)


def _drop(tx: Transaction, changes: Changes, first: int) -> None:
    tx.delete_block(first)
    changes.blocks[first] = None


def _rows_of(mirror: Mirror, changes: Changes, first: int) -> list[Row] | None:
    """A block's rows as this transaction sees them; None if the block is gone."""
    if first in changes.blocks:
        written = changes.blocks[first]
        return written[1] if written else None
    block = mirror.read_block(first) if first in mirror.blocks else None
    return block.rows() if block is not None else None


def _neighbour(mirror: Mirror, changes: Changes, first: int) -> BlockEntry | None:
    """The block just before `first`, as this transaction sees it."""
    i = bisect_left(mirror.firsts, first) - 1
    while i >= 0:
        before = mirror.firsts[i]
        if before not in changes.blocks:
            return mirror.blocks[before]
        if (written := changes.blocks[before]) is not None:
            return written[0]
        i -= 1
    return None


def _fits(before: BlockEntry, rows: list[Row]) -> bool:
    return before.raw + raw_size(rows) <= BLOCK_BYTES and before.rows + len(rows) <= _BLOCK_ROWS

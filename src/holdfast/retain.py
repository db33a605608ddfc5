"""Make room inside a transaction: ask the policy once, carry its plan out block by block.

A plan covers a good part of the budget, but blocks are rewritten only as fast as room is needed: no
write waits for a whole plan, and each block, once opened, gives up all it is going to for a while.
What is left of a plan is dropped when the world it was made for
changes (another process wrote, a transaction failed); it is then simply made again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from holdfast.codec import Block, Row
from holdfast.derive import passages
from holdfast.errors import BudgetError
from holdfast.heap import give_back
from holdfast.lower import to_tier
from holdfast.mirror import BlockEntry, Changes, Mirror
from holdfast.recall.columns import Rows
from holdfast.records import Tier
from holdfast.retention.base import Policy, Tiers, View
from holdfast.state.compact import SHARE, plan_cut
from holdfast.state.journal import encode
from holdfast.stores.base import Store, Transaction

_SLICE = 1 / 3  # share of the kept bytes that one plan is to free, by and by
_PLANNED_AT_ONCE = 65_536  # events whose columns a policy sees together; bounds its RAM
_PAGE = 4096
_TRIMMED_AT_ONCE = 512  # entries of the journal that one transaction deletes at the most
BLOCK_BYTES = 16384
_BLOCK_ROWS = 512
_SPAN = 512  # numbers that one rewriting may span: leaves so near share two or three rows
_FEWEST = 2  # events that a rewriting may span at least; `_REWRITE_BYTES` has room for so few
_REWRITE_BYTES = 44 * 4120  # of the journal that rewriting one block may take


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
        self._plan = _NO_PLAN

    def forget_plan(self) -> None:
        """Drop what is left of the current plan."""
        self._plan = _NO_PLAN

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
        planned: Losses | None = None  # what had been done when the latest plan was made
        while (missing := short()) > 0 and tx.slack() > _REWRITE_BYTES:
            step = self._plan.next(_most(tx, mirror))
            if step is not None:
                self._rewrite(tx, mirror, changes, step, losses)
            elif planned != losses:
                self._plan = self._make_plan(mirror, changes, missing)
                planned = replace(losses)
            elif losses:
                break  # the next transaction may find more, or that there is none
            else:
                raise BudgetError(
                    f"{missing} bytes are needed but nothing kept may be lowered; "
                    "raise the budget or unpin something"
                )
        return losses

    def _make_plan(self, mirror: Mirror, changes: Changes, missing: int) -> _Plan:
        columns = mirror.columns
        sealed = mirror.tail[0].seq if mirror.tail else mirror.next_seq
        rows = np.flatnonzero(columns.alive & (columns.seq < sealed))
        gone = set(changes.evicted) | {row.seq for row, _ in changes.lowered}
        if gone:  # already changed in this transaction, not yet in the mirror
            rows = rows[~np.isin(columns.seq[rows], list(gone))]
        if not len(rows):
            return _NO_PLAN
        tiers = columns.tier[rows]
        parts = -(-len(rows) // _PLANNED_AT_ONCE)
        for i in range(parts):  # every so many-th event: each part is like the whole
            view = view_of(mirror, rows[i::parts])
            spent = view.spent()
            floor = float(view.cost[view.pinned, view.tier[view.pinned]].sum())
            limit = max(floor, (1 - _SLICE) * spent - 2 * missing / parts)
            tiers[i::parts] = self._policy.plan(view, limit)
        moved = np.flatnonzero(tiers != columns.tier[rows])
        give_back()
        firsts, rows = np.array(mirror.firsts, np.int64), rows[moved]
        return _Plan(firsts, rows, columns.seq[rows], tiers[moved])

    def _rewrite(
        self, tx: Transaction, mirror: Mirror, changes: Changes, step: _Step, losses: Losses
    ) -> None:
        """Rewrite one block with some of its events lowered; join it to a small neighbour."""
        block = _block_of(mirror, changes, step.first)
        if block is None:
            return  # merged away since the plan was made: its events wait for the next plan
        at = np.minimum(np.searchsorted(block.head["seq"], step.seqs), len(block) - 1)
        valid = (block.head["seq"][at] == step.seqs) & (block.head["tier"][at] < step.tiers)
        at, tiers = at[valid], step.tiers[valid]
        if not len(at):
            return
        whole = at[block.head["tier"][at] == Tier.VERBATIM].tolist()
        mirror.audit.lose(tx, map(block.row, whole))
        out = at[tiers == Tier.EVICTED]
        gone = block.head["seq"][out].tolist()
        kept = np.ones(len(block), np.bool_)
        kept[out] = False
        if len(out) < len(at):
            block = self._lower(block, at, tiers, changes)
        if mirror.vectors is not None:
            tx.delete_vectors(step.seqs[step.tiers >= Tier.TRACE].tolist())
        changes.evicted += gone
        losses.evicted += len(gone)
        losses.demoted += len(at) - len(gone)
        left = block.keep(kept) if gone else block
        before = _neighbour(mirror, changes, step.first)
        if len(left) and before is not None and _fits(before, left):
            earlier = _block_of(mirror, changes, before.first)
            if earlier is not None:
                drop_block(tx, changes, step.first)
                put_block(tx, mirror, changes, earlier.join(left))
                return
        if not len(left) or left.first != step.first:
            drop_block(tx, changes, step.first)
        if len(left):
            put_block(tx, mirror, changes, left)

    def _lower(self, block: Block, at: Rows, tiers: Tiers, changes: Changes) -> Block:
        """The block with some rows at lower tiers; those to be evicted are left as they are."""
        rows = block.rows()
        for i, tier in zip(at.tolist(), tiers.tolist(), strict=True):
            if tier != Tier.EVICTED:
                rows[i], terms = to_tier(rows[i], tier)
                changes.lowered.append((rows[i], terms))
        return Block.of(rows)


class _Step(NamedTuple):
    """The events of one block that a plan lowers, and where each goes."""

    first: int
    seqs: Rows
    tiers: Tiers


class _Plan:
    """A plan's moves by block, oldest first, handed out one block at a time."""

    def __init__(self, firsts: Rows, rows: Rows, seqs: Rows, tiers: Tiers) -> None:
        owner = np.searchsorted(firsts, seqs, side="right") - 1
        self._starts = np.flatnonzero(np.diff(owner, prepend=-1))
        self._ends = np.append(self._starts[1:], len(seqs))[: len(self._starts)]
        self._firsts = firsts[owner[self._starts]]
        self._rows, self._seqs, self._tiers = rows, seqs, tiers
        self._at = 0

    def next(self, most: int) -> _Step | None:
        """The next block's moves; None when none is left.

        Those of a block with over `most` events come in several steps, the newest first: a block
        goes by the name of its oldest event.
        """
        i = self._at
        if i >= len(self._firsts):
            return None
        start, end = self._starts[i], self._ends[i]
        near = self._rows[start:end] > self._rows[end - 1] - most
        near &= self._seqs[start:end] > self._seqs[end - 1] - _SPAN
        run = slice(end - int(near.sum()), end)
        self._ends[i] = run.start
        self._at += int(run.start == start)
        return _Step(int(self._firsts[i]), self._seqs[run], self._tiers[run])


_NONE = np.zeros(0, np.int64)
_NO_PLAN = _Plan(_NONE, _NONE, _NONE, np.zeros(0, np.uint8))


def view_of(mirror: Mirror, rows: Rows) -> View:
    """The columns a policy may look at, for the given rows."""
    columns = mirror.columns
    return View(
        position=columns.seq[rows],
        now=mirror.next_seq,
        cost=mirror.costs(rows),
        tier=columns.tier[rows],
        surprise=columns.surprise[rows].astype(np.float64),
        uses=np.zeros(len(rows)),
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


def trim(
    tx: Transaction, store: Store, mirror: Mirror, changes: Changes, need: int, room: int
) -> None:
    """While the journal of state is over its share of `room` bytes, delete more than is added.

    `need` bytes of pages are left for what else the transaction writes.
    """
    share = int(room * SHARE)
    if mirror.journal_bytes <= max(share, 0 if mirror.cut.drop else mirror.cut.again):
        return
    if not mirror.cut.drop:
        at_once = max(8, min(_TRIMMED_AT_ONCE, store.batch_bytes() // 2048))
        spare = max(0, tx.slack() - need) // 16  # an entry dirties up to four times its bytes
        mirror.cut = plan_cut(mirror.state, share, at_once, spare, mirror.lock)
        mirror.cut.again = 0 if mirror.cut.drop else mirror.journal_bytes + share // 8
        changes.put, changes.horizon = mirror.cut.put, mirror.cut.horizon
        for entry in mirror.cut.put:
            tx.put_cell("state", entry.id, encode(entry))
        tx.set_meta("state_horizon", str(max(mirror.state_horizon, mirror.cut.horizon)))
    most = max(0, (tx.slack() - need) // (2 * _PAGE) - 4)
    changes.trimmed = mirror.cut.first(min(most, _TRIMMED_AT_ONCE))
    tx.delete_cells("state", changes.trimmed)


def refuse_if_pinned(store: Store, mirror: Mirror, budget: int) -> None:
    """Raise `BudgetError` if what may not be lowered is too much for another budget."""
    columns = mirror.columns
    fixed = columns.alive & columns.pinned
    cost = mirror.costs(np.arange(columns.n))[np.arange(columns.n), columns.tier]
    held = int(cost[fixed].sum()) + sum(len(row.body) for row in mirror.tail)
    over = store.excess(budget)
    droppable = int(cost[columns.alive & ~fixed].sum())
    if over > 0 and held and over > 0.8 * droppable:
        raise BudgetError(
            f"{held} bytes are pinned or not yet sealed and cannot fit a budget of {budget}; "
            "unpin something or choose a larger one: nothing was changed"
        )


def put_block(tx: Transaction, mirror: Mirror, changes: Changes, block: Block) -> None:
    """Write a block, in place of the one that starts at the same event."""
    data = mirror.codec.encode(block)
    tx.put_block(block.first, block.last, data)
    entry = BlockEntry(block.first, block.last, len(data), len(block.bodies), len(block))
    changes.blocks[block.first] = (entry, block)


def drop_block(tx: Transaction, changes: Changes, first: int) -> None:
    """Delete a block."""
    tx.delete_block(first)
    changes.blocks[first] = None


def _most(tx: Transaction, mirror: Mirror) -> int:
    """Events that one rewriting may span: the journal must take the pages of their vectors, too."""
    if mirror.vectors is None:
        return _BLOCK_ROWS
    size = 2 * passages.MOST * (mirror.vectors.dimensions + 16)  # pages may be half empty
    return max(_FEWEST, (tx.slack() - _REWRITE_BYTES) // size)


def _block_of(mirror: Mirror, changes: Changes, first: int) -> Block | None:
    """A block as this transaction sees it; None if it is gone."""
    if first in changes.blocks:
        written = changes.blocks[first]
        return written[1] if written else None
    return mirror.read_block(first) if first in mirror.blocks else None


def _neighbour(mirror: Mirror, changes: Changes, first: int) -> BlockEntry | None:
    """The block just before `first`, as this transaction sees it."""
    written = [f for f, block in changes.blocks.items() if block is not None and f < first]
    newest = max(written, default=0)
    i = bisect_left(mirror.firsts, first) - 1
    while i >= 0 and mirror.firsts[i] > newest:
        if mirror.firsts[i] not in changes.blocks:
            return mirror.blocks[mirror.firsts[i]]
        i -= 1
    found = changes.blocks.get(newest)
    return found[0] if found else None


def _fits(before: BlockEntry, block: Block) -> bool:
    together = before.raw + len(block.bodies)
    return together <= BLOCK_BYTES and before.rows + len(block) <= _BLOCK_ROWS

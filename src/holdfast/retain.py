"""Make room inside a transaction: ask the policy once, carry its plan out block by block.

A plan covers a good part of the budget, but blocks are rewritten only as fast as room is needed: no
write waits for a whole plan, and each block, once opened, gives up all it is going to for a while.
What is left of a plan is dropped when the world it was made for
changes (another process wrote, a transaction failed); it is then simply made again.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import reduce
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.charge import Charges
from holdfast.codec import Block, Row
from holdfast.derive import passages
from holdfast.errors import BudgetError
from holdfast.heap import give_back
from holdfast.ledger.book import BOOKS_BYTES, Lowered
from holdfast.lower import to_tier
from holdfast.mirror import BlockEntry, Changes, Mirror
from holdfast.recall.columns import Rows
from holdfast.recall.sketch import sketches
from holdfast.records import Tier
from holdfast.registry import RETENTION
from holdfast.retention.base import Need, Policy
from holdfast.retention.view import View
from holdfast.salience import salience
from holdfast.state.compact import SHARE, plan_cut
from holdfast.state.journal import encode
from holdfast.stores.base import Store, Transaction
from holdfast.trust.levels import level_of

Tiers = npt.NDArray[np.uint8]

_SLICE = 1 / 4
_PLANNED_AT_ONCE = 65_536  # events whose columns a policy sees together; bounds its RAM
_PAGE = 4096
_TRIMMED_AT_ONCE = 512  # entries of the journal that one transaction deletes at the most
BLOCK_BYTES = 16384
_BLOCK_ROWS = 512
_PACKED_BYTES = 72 * 1024  # of a block that was written anew: a fifth fewer bytes than four
_PACKED_ROWS = 2048
_SPAN = 512  # numbers that one rewriting may span: leaves so near share two or three rows
_FEWEST = 2  # events that a rewriting may span at least; `_REWRITE_BYTES` has room for so few
_REWRITE_BYTES = 44 * 4120 + BOOKS_BYTES  # of the journal: rewriting one block, and its record


@dataclass
class Losses:
    """What retention has done so far, for receipts and the ledger."""

    demoted: int = 0
    evicted: int = 0
    packed: int = 0  # blocks that were written smaller, which loses nothing

    def __add__(self, other: Losses) -> Losses:
        both = zip(astuple(self), astuple(other), strict=True)
        return Losses(*(a + b for a, b in both))

    def __bool__(self) -> bool:
        """Whether anything was done."""
        return any(astuple(self))


class Retainer:
    """Carries out a policy's plans against the blocks of a log."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._name = name_of(policy)
        self._plan = _NO_PLAN
        self._told = 0  # up to where in the stream the policy knows of use
        self._groups: list[list[int]] = []  # blocks to be packed, by their first events

    def forget_plan(self) -> None:
        """Drop what is left of the current plan."""
        self._plan, self._groups = _NO_PLAN, []

    def make_room(
        self, tx: Transaction, mirror: Mirror, changes: Changes, short: Callable[[], int]
    ) -> Losses:
        """Pack, then demote and evict, until nothing is `short`, or the transaction is full.

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
            if self._pack(tx, mirror, changes):
                losses.packed += 1
                continue
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
        if losses:
            at = mirror.last_recorded
            mirror.ledger.write(tx, self._name, at, mirror.next_seq)
            mirror.uses.write(tx)
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
        into, scores = np.full(len(rows), -1), np.full(len(rows), np.nan)
        freed = np.zeros(len(rows))
        charges = Charges(mirror)
        parts = -(-len(rows) // _PLANNED_AT_ONCE)
        for i in range(parts):  # every so many-th event: each part is like the whole
            some = rows[i::parts]
            view = view_of(mirror, some, self._policy.needs, charges)
            self._learn(view)
            limit = (1 - _SLICE) * float(view.spent()) - 2 * missing / parts
            plan = self._policy.plan(view, max(float(view.held()), limit))
            tiers[i::parts] = plan.tier
            freed[i::parts] = view.costs() - view.costs(plan.tier)
            if plan.into is not None:
                there = columns.seq[some[np.maximum(plan.into, 0)]]
                into[i::parts] = np.where(plan.into >= 0, there, -1)
            if plan.score is not None:
                scores[i::parts] = plan.score
        moved = np.flatnonzero(tiers != columns.tier[rows])
        give_back()
        firsts, rows = np.array(mirror.firsts, np.int64), rows[moved]
        moves = _Moves(columns.seq[rows], tiers[moved], into[moved], scores[moved])
        return _Plan(firsts, rows, moves, freed[moved])

    def _learn(self, view: View) -> None:
        """Tell the policy which entries were of use since it was last told."""
        used = (view.uses > 0) & (view.used_at >= self._told)
        if used.any():
            self._policy = self._policy.learn(view, used)
            self._told = int(view.used_at[used].max()) + 1

    def _pack(self, tx: Transaction, mirror: Mirror, changes: Changes) -> bool:
        """Write some small blocks as one, which takes fewer bytes and loses nothing."""
        self._groups = self._groups or _small_blocks(mirror, changes)
        while self._groups:
            firsts = self._groups.pop()
            blocks = [_block_of(mirror, changes, first) for first in firsts]
            found = [block for block in blocks if block is not None]
            if len(found) < len(firsts) or not _fit_together(found):
                continue  # something happened to them since
            for first in firsts:
                drop_block(tx, changes, first)
            put_block(tx, mirror, changes, reduce(Block.join, found), packed=True)
            return True
        return False

    def _rewrite(
        self, tx: Transaction, mirror: Mirror, changes: Changes, step: _Step, losses: Losses
    ) -> None:
        """Rewrite one block with some of its events lowered; join it to a small neighbour."""
        block = _block_of(mirror, changes, step.first)
        if block is None:
            return  # merged away since the plan was made: its events wait for the next plan
        seqs, tiers = step.moves.seqs, step.moves.tiers
        at = np.minimum(np.searchsorted(block.head["seq"], seqs), len(block) - 1)
        valid = (block.head["seq"][at] == seqs) & (block.head["tier"][at] < tiers)
        at, (seqs, tiers, into, scores) = at[valid], step.moves.at(valid)
        if not len(at):
            return
        rows = [block.row(i) for i in at.tolist()]
        mirror.audit.lose(tx, [row for row in rows if row.tier == Tier.VERBATIM])
        into = _still_there(mirror, changes, into)
        if (into >= 0).any():
            pairs = zip(seqs[into >= 0].tolist(), into[into >= 0].tolist(), strict=True)
            mirror.uses.merged(list(pairs))
        out = at[tiers == Tier.EVICTED]
        gone = block.head["seq"][out].tolist()
        kept = np.ones(len(block), np.bool_)
        kept[out] = False
        if len(out) < len(at):
            block = self._lower(block, at, tiers, changes)
        sizes = np.where(tiers == Tier.EVICTED, 0, block.head["nbytes"][at])
        mirror.ledger.note(Lowered(rows, tiers, into, scores, sizes))
        if mirror.vectors is not None:
            tx.delete_vectors(seqs[tiers >= Tier.TRACE].tolist())
        changes.evicted += gone
        losses.evicted += len(gone)
        losses.demoted += len(at) - len(gone)
        left = block.keep(kept) if gone else block
        before = _neighbour(mirror, changes, step.first)
        if len(left) and before is not None and _fits(before, left):
            earlier = _block_of(mirror, changes, before.first)
            if earlier is not None:
                drop_block(tx, changes, step.first)
                put_block(tx, mirror, changes, earlier.join(left), packed=True)
                return
        if not len(left) or left.first != step.first:
            drop_block(tx, changes, step.first)
        if len(left):
            put_block(tx, mirror, changes, left, packed=True)

    def _lower(self, block: Block, at: Rows, tiers: Tiers, changes: Changes) -> Block:
        """The block with some rows at lower tiers; those to be evicted are left as they are."""
        rows = block.rows()
        for i, tier in zip(at.tolist(), tiers.tolist(), strict=True):
            if tier != Tier.EVICTED:
                rows[i], terms = to_tier(rows[i], tier)
                changes.lowered.append((rows[i], terms))
        return Block.of(rows)


class _Moves(NamedTuple):
    """Events that a plan lowers: where each goes, what it is merged into, and what it is worth."""

    seqs: Rows
    tiers: Tiers
    into: Rows
    scores: npt.NDArray[np.float64]

    def at(self, which: Rows | slice | npt.NDArray[np.bool_]) -> _Moves:
        """Some of them."""
        return _Moves(self.seqs[which], self.tiers[which], self.into[which], self.scores[which])


class _Step(NamedTuple):
    """The events of one block that a plan lowers."""

    first: int
    moves: _Moves


class _Plan:
    """A plan's moves by block, handed out one block at a time.

    Blocks that give up most come first, of about equal ones the oldest. Once half of the bytes are
    freed the rest is dropped: by then there are newer blocks that might give up more.
    """

    def __init__(
        self, firsts: Rows, rows: Rows, moves: _Moves, freed: npt.NDArray[np.float64]
    ) -> None:
        owner = np.searchsorted(firsts, moves.seqs, side="right") - 1
        self._starts = np.flatnonzero(np.diff(owner, prepend=-1))
        self._ends = np.append(self._starts[1:], len(rows))[: len(self._starts)]
        self._firsts = firsts[owner[self._starts]]
        self._rows, self._moves = rows, moves
        gains = np.add.reduceat(freed, self._starts) if len(rows) else np.zeros(0)
        self._order = np.argsort(-np.floor(np.log2(np.maximum(gains, 1.0))), kind="stable")
        before = np.cumsum(gains[self._order]) - gains[self._order]
        self._order = self._order[before <= gains.sum() / 2]
        self._at = 0

    def next(self, most: int) -> _Step | None:
        """The next block's moves; None when none is left.

        Those of a block with over `most` events come in several steps, the newest first: a block
        goes by the name of its oldest event.
        """
        if self._at >= len(self._order):
            return None
        i = int(self._order[self._at])
        start, end = self._starts[i], self._ends[i]
        near = self._rows[start:end] > self._rows[end - 1] - most
        seqs = self._moves.seqs
        near &= seqs[start:end] > seqs[end - 1] - _SPAN
        run = slice(end - int(near.sum()), end)
        self._ends[i] = run.start
        self._at += int(run.start == start)
        return _Step(int(self._firsts[i]), self._moves.at(run))


_NONE = np.zeros(0, np.int64)
_NO_PLAN = _Plan(
    _NONE, _NONE, _Moves(_NONE, np.zeros(0, np.uint8), _NONE, np.zeros(0)), np.zeros(0)
)


def view_of(
    mirror: Mirror,
    rows: Rows,
    needs: frozenset[Need] = frozenset(),
    charges: Charges | None = None,
) -> View:
    """The columns a policy may look at, for the given rows."""
    columns = mirror.columns
    position = columns.seq[rows]
    uses = mirror.uses.columns(position)
    who = columns.who[rows]
    return View(
        position=position,
        now=mirror.next_seq,
        cost=(charges or Charges(mirror)).costs(rows),
        tier=columns.tier[rows],
        surprise=columns.surprise[rows].astype(np.float64),
        salience=salience(mirror, rows),
        uses=uses.uses,
        used_at=uses.used_at,
        gap=uses.gap,
        pinned=columns.pinned[rows],
        cited=np.isin(position, np.fromiter(mirror.state.cited(), np.int64)),
        trust=np.array([float(level_of(one)) for one in columns.whos])[who],
        mass=uses.mass,
        scope=columns.scope_ids()[who],
        vector=sketches(mirror.postings, rows) if "vector" in needs else None,
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


def put_block(
    tx: Transaction, mirror: Mirror, changes: Changes, block: Block, packed: bool = False
) -> None:
    """Write a block, in place of the one that starts at the same event."""
    data = mirror.codec.encode(block, packed)
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


def _still_there(mirror: Mirror, changes: Changes, into: Rows) -> Rows:
    """What others may still be merged into; what has gone since the plan was made takes nobody."""
    gone = set(changes.evicted)
    kept = [seq >= 0 and seq not in gone and mirror.columns.find(seq) is not None for seq in into]
    return np.where(kept, into, -1) if len(into) else into


def name_of(policy: Policy) -> str:
    """How the ledger names a policy: its name in the registry, else its class."""
    path = f"{type(policy).__module__}:{type(policy).__name__}"
    return next((name for name, known in RETENTION.items() if known == path), type(policy).__name__)


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
    return together <= _PACKED_BYTES and before.rows + len(block) <= _PACKED_ROWS


def _fit_together(blocks: Sequence[Block]) -> bool:
    raw, rows = sum(len(one.bodies) for one in blocks), sum(map(len, blocks))
    return raw <= _PACKED_BYTES and rows <= _PACKED_ROWS


def _small_blocks(mirror: Mirror, changes: Changes) -> list[list[int]]:
    """Runs of the newest blocks that are worth packing, newest first.

    A block joins those before it unless these are over twice as large together: so each byte is
    packed a few times and not more.
    """
    run: list[BlockEntry] = []
    for first in reversed(mirror.firsts):
        entry = mirror.blocks[first]
        if entry.raw > _PACKED_BYTES * 3 // 4 or first in changes.blocks:
            break
        run.append(entry)
    groups: list[list[int]] = []
    group: list[int] = []
    raw = rows = 0
    for entry in reversed(run):
        full = raw + entry.raw > _PACKED_BYTES or rows + entry.rows > _PACKED_ROWS
        if group and (full or raw > 2 * entry.raw):
            groups.append(group)
            group, raw, rows = [], 0, 0
        group.append(entry.first)
        raw, rows = raw + entry.raw, rows + entry.rows
    groups.append(group)
    return [one for one in reversed(groups) if len(one) > 1]

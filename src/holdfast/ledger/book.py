"""The ledger of losses: what was demoted, merged and evicted, when, by which policy, for what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.codec import Row
from holdfast.ledger.entries import Moves, Totals, bounds, coarser, decode, encode, named
from holdfast.ledger.kept import KeptWords
from holdfast.ledger.lost import LostWords
from holdfast.ledger.records import Action, Loss
from holdfast.paged import FRAME, seal, unseal
from holdfast.records import Scope, Tier
from holdfast.stores.base import Store, Transaction

_SHARE = 128  # of a budget, one part in so many is for the ledger
_SMALLEST = 8192
_PAGE_BYTES = 1024
_MERGING_BYTES = 16 * FRAME  # of a transaction's log that must be left to make pages fewer
BOOKS_BYTES = 9 * FRAME
"""Bytes of a transaction's log that are enough for a page of the ledger and something beside."""


class Lowered(NamedTuple):
    """Some events of one block that are lowered.

    `rows` are as they were; `tiers` where they go; `into` the event that an evicted one is merged
    into, -1 if none; `scores` what the policy judged them worth; `left` bytes of their bodies then.
    """

    rows: Sequence[Row]
    tiers: npt.NDArray[np.uint8]
    into: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    left: npt.NDArray[np.int64]


class _Page(NamedTuple):
    """A page of the ledger as it is stored, and how many transactions it adds up."""

    row: bytes
    times: int


@dataclass
class _Noted:
    """What became of some events in one transaction."""

    events: int = 0
    nbytes: int = 0
    seqs: list[int] = field(default_factory=list)
    times: list[int] = field(default_factory=list)  # microseconds
    scopes: Counter[str] = field(default_factory=Counter)
    scores: list[float] = field(default_factory=list)


class Ledger:
    """What one memory let go of. Not safe for threads: its owner holds the writer's lock; only
    `settle` changes what is told.

    The newest losses are exact. Once they take over one part in 128 of the budget, two neighbouring
    pages of them become one by adding up pairs of losses, those whose span is least beside their
    age: so the record gets coarser with age and never ends. The totals stay exact.

    Notes
    -----
    One small row for a transaction that lowers anything. O(1) amortised.
    """

    def __init__(self, store: Store, words: LostWords) -> None:
        self._store = store
        self.words = words
        self._pages: dict[int, _Page] = {}  # by number, oldest first
        self._totals = Totals()
        self._noted: dict[Action, _Noted] = {}  # in this transaction
        self._events: Moves = Counter()  # as of `Totals`, in this transaction
        self._nbytes: Moves = Counter()
        self._changed = True
        self._told: tuple[list[tuple[int, _Page]], Totals] = ([], self._totals)

    @classmethod
    def load(cls, store: Store, kept: KeptWords, gone: int) -> Ledger:
        """What a store holds; `gone` events were recorded and are not kept.

        Raises `CorruptStoreError` if it is damaged.
        """
        ledger = cls(store, LostWords.load(store, kept))
        ledger._totals = Totals(before=gone)  # of a file from before there was a ledger
        for id, row in store.cells("ledger"):
            losses, ledger._totals = decode(unseal(row, id, "ledger"), id)
            ledger._pages[id] = _Page(row, sum(loss.times for loss in losses))
        ledger.settle()
        return ledger

    # ---- what was lost ---------------------------------------------------------------------

    @property
    def totals(self) -> Totals:
        """What was ever lost."""
        return self._told[1]

    def losses(self, after: int, scopes: Sequence[Scope]) -> Iterator[Loss]:
        """What was let go of for events after one, and may have lain in some scopes."""
        for id, page in self._told[0]:
            for loss in decode(unseal(page.row, id, "ledger"), id)[0]:
                names = loss.scopes
                inside = any(scope.covers(name) for scope in scopes for name in names)
                if loss.write > after and (inside or loss.elsewhere):
                    yield loss

    def may_have_lost(self, scope: Scope) -> bool:
        """Whether anything in a scope was ever lowered, as far as that can be told."""
        return bool(self.totals.before) or any(True for _ in self.losses(0, [scope]))

    # ---- changes ---------------------------------------------------------------------------

    def note(self, lowered: Lowered) -> None:
        """Take note of events that are lowered in this transaction; `write` stores it."""
        rows, tiers = lowered.rows, lowered.tiers
        freed = np.array([len(row.body) for row in rows]) - lowered.left
        moves = np.array([row.tier for row in rows]) * 4 + tiers
        for move, n in Counter(moves.tolist()).items():
            before, after = divmod(move, 4)
            self._events[before, after] += n
            self._nbytes[before, after] += int(freed[moves == move].sum())
        gone = tiers == Tier.EVICTED
        merged = gone & (lowered.into >= 0)
        became: dict[Action, npt.NDArray[np.bool_]] = {
            "gist": tiers == Tier.GIST,
            "trace": tiers == Tier.TRACE,
            "merged": merged,
            "evicted": gone & ~merged,
        }
        for action, which in became.items():
            at = which.nonzero()[0].tolist()
            if at:
                noted = self._noted.setdefault(action, _Noted())
                noted.events += len(at)
                noted.nbytes += int(freed[which].sum())
                noted.seqs += [rows[i].seq for i in at]
                noted.times += [rows[i].at for i in at]
                noted.scopes.update([rows[i].who.scope for i in at])
                noted.scores += lowered.scores[which].tolist()
        self.words.note(rows)

    def write(self, tx: Transaction, policy: str, at: float, write: int) -> None:
        """Store what was noted: by which policy, when, and to make room for which event."""
        if self._noted:
            losses = [
                _loss(action, policy, at, write, noted) for action, noted in self._noted.items()
            ]
            merged = self._noted["merged"].events if "merged" in self._noted else 0
            before = self._totals
            totals = replace(
                before, events=_sum(before.events, self._events),
                nbytes=_sum(before.nbytes, self._nbytes), merged=before.merged + merged,
            )  # fmt: skip
            self._append(tx, losses, totals)
            self._noted, self._events, self._nbytes = {}, Counter(), Counter()
        self.words.write(tx)

    def erased(self, tx: Transaction, n: int) -> None:
        """Kept events are erased in this transaction."""
        self._append(tx, [], replace(self._totals, erased=self._totals.erased + n))

    def found(self, tx: Transaction) -> None:
        """A new memory has its first event: nothing was lost before."""
        self._append(tx, [], self._totals)

    def settle(self) -> None:
        """What was written is committed: tell it."""
        if self._changed:
            self._told, self._changed = (list(self._pages.items()), self._totals), False

    def without(self, known: Collection[str]) -> Iterator[tuple[int, bytes]]:
        """The pages that name scopes which are not `known`, without those names.

        The owner loads them anew.
        """
        for id in self._pages:
            losses, totals = decode(unseal(self._pages[id].row, id, "ledger"), id)
            bare = [_bared(loss, known) for loss in losses]
            if bare != losses:
                yield id, seal(encode(bare, totals), id)

    # ---- inside ----------------------------------------------------------------------------

    def _read(self, id: int) -> list[Loss]:
        return decode(unseal(self._pages[id].row, id, "ledger"), id)[0]

    def _append(self, tx: Transaction, losses: list[Loss], totals: Totals) -> None:
        """Write losses to the newest page, or to a new one if it is full."""
        self._totals, self._changed = totals, True
        id = max((1, *self._pages))
        held = self._read(id) if id in self._pages else []
        page = held + losses
        if losses and held and not self._fits(page):
            while not self._has_room() and self._merge(tx):
                pass
            if self._has_room():
                id, page = id + 1, losses
            else:
                page = coarser(page, self._fits)
        self._put(tx, id, page)

    def _put(self, tx: Transaction, id: int, losses: Sequence[Loss]) -> None:
        row = seal(encode(losses, self._totals), id)
        tx.put_cell("ledger", id, row)
        self._pages[id] = _Page(row, sum(loss.times for loss in losses))

    def _fits(self, losses: Sequence[Loss]) -> bool:
        return len(encode(losses, self._totals)) <= _PAGE_BYTES

    def _has_room(self) -> bool:
        held = sum(len(page.row) for page in self._pages.values())
        return held + _PAGE_BYTES <= max(_SMALLEST, self._store.budget // _SHARE)

    def _merge(self, tx: Transaction) -> bool:
        """Make one page of two neighbours, none of them the newest; whether that could be done."""
        ids, times = list(self._pages), [page.times for page in self._pages.values()]
        if len(ids) < 3 or tx.slack() < _MERGING_BYTES:
            return False
        later = list(accumulate(reversed(times)))[::-1]  # transactions from each page on
        at = min(
            range(len(ids) - 2), key=lambda i: (times[i] + times[i + 1]) / max(1, later[i + 2])
        )
        earlier, id = ids[at], ids[at + 1]
        self._put(tx, id, coarser(self._read(earlier) + self._read(id), self._fits))
        tx.delete_cells("ledger", [earlier])
        del self._pages[earlier]
        return True


def _sum(one: Moves, other: Moves) -> Moves:
    both = Counter(one)
    both.update(other)  # unlike `+`, it keeps what is not above zero
    return both


def _loss(action: Action, policy: str, at: float, write: int, noted: _Noted) -> Loss:
    few, rest = named(noted.scopes)
    return Loss(
        action, policy, at, at, write, 1, noted.events, noted.nbytes, min(noted.seqs),
        max(noted.seqs), min(noted.times) / 1e6, max(noted.times) / 1e6, few, rest,
        bounds(noted.scores),
    )  # fmt: skip


def _bared(loss: Loss, known: Collection[str]) -> Loss:
    """A loss without the names of other scopes."""
    scopes = {name: n for name, n in loss.scopes.items() if name in known}
    gone = sum(loss.scopes.values()) - sum(scopes.values())
    return replace(loss, scopes=scopes, elsewhere=loss.elsewhere + gone)

"""The one door: every change to a memory goes through `Committer.submit`.

Whoever finds the door free walks through it as leader, with everybody who has queued up behind:
one transaction, one synced write, many receipts (group commit). Those who arrive meanwhile wait
for the next leader, which is one of them. A lone caller pays no thread switch.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy

from holdfast.codec import Block, Row, digest, encode_tail, to_row
from holdfast.derive.episodes import OPEN_SCOPES, Episodes
from holdfast.derive.surprise import Surprise
from holdfast.errors import BudgetError, ClosedError, HoldfastError, NotFoundError
from holdfast.mirror import Changes, Mirror
from holdfast.pins import most_pinned, pinned_bytes, refuse_if_pinned, too_much_pinned
from holdfast.recall.columns import NO_EPISODE
from holdfast.records import Receipt, Tier
from holdfast.retain import Losses, Retainer, cut, put_block, trim
from holdfast.state.asked import Asked, Place
from holdfast.state.journal import encode
from holdfast.state.records import Change
from holdfast.stores.base import Store, Transaction
from holdfast.upkeep import let_go, shelve, spare_for, train
from holdfast.written import (
    Embedded,
    Outcome,
    Ticket,
    Used,
    Written,
    body_digest,
    conflict,
    receipt_again,
    receipt_to,
    scheme,
)

_KEYS_KEPT = 65_536  # how many events back an idempotency key is remembered, and
_KEY_BYTES = 512  # that one takes with its receipt, of
_KEYS_SHARE = 1 / 8  # of a file at the most
_FOUNDING_BYTES = 17 * 4096  # that a new audit log and ledger dirty


class Committer:
    """Applies changes to a store and its mirror, in one order, inside the budget.

    A change is stored, indexed and paid for in one transaction, or not at all. `submit` is safe
    to call from any thread.
    """

    _surprise: Surprise
    _episodes: Episodes

    def __init__(
        self,
        store: Store,
        mirror: Mirror,
        retainer: Retainer,
        clock: Callable[[], float],
        durable: bool,
        like: Committer | None = None,
    ) -> None:
        self._store = store
        self._mirror = mirror
        self._retainer = retainer
        if like is None:
            self._learn()
        else:
            self._surprise, self._episodes = deepcopy((like._surprise, like._episodes))
        self._clock = clock
        self._durable = durable
        self._queue: list[Ticket] = []
        self._gate = threading.Lock()  # guards the queue and who leads
        self._leading = False
        self.writing = threading.Lock()  # held by whoever uses the store's writing half
        self._closed = False
        self._suspect = False  # a commit failed: what it left is to be looked at
        self._lost_track = False  # a rewriting of all failed: nothing in RAM counts any more
        self.go_on: Callable[[], None] = lambda: None
        """Finishes what another process, or a failure, cut short; called with writers kept out."""

    def _learn(self) -> None:
        """Set up what is derived in the order of the stream, from what the mirror holds."""
        columns = self._mirror.columns
        self._surprise = Surprise()
        self._surprise.learn(self._mirror.postings.totals())
        self._episodes = Episodes()
        newest = int(columns.episode.max(initial=0))
        self._episodes.restore({
            "next": newest + 1, "looks": 0, "usual": 0.0,
            "open": columns.open_episodes(OPEN_SCOPES),
        })  # fmt: skip

    # ---- group commit ----------------------------------------------------------------------

    def submit(self, changes: Sequence[Written]) -> list[Outcome]:
        """Commit some changes together; their outcomes, in order.

        Raises
        ------
        IdempotencyError
            If one of them reuses a key with another body; the others of the call are stored.
        ConflictError, PatchError, TransitionError, InvalidClaimError
            If what one of them does to state may not be done; likewise.
        StoreError, BudgetError
            If the transaction failed: then nothing of this call is stored.
        """
        ticket = Ticket(changes)
        with self._gate:
            if self._closed:
                raise ClosedError("the memory was closed; open it again")
            self._queue.append(ticket)
            lead = not self._leading
            self._leading = True
        if not lead:
            self._wait(ticket)
            lead = ticket.leads
        if lead:
            self._lead()
        if ticket.error is not None:
            raise ticket.error
        for outcome in ticket.outcome:
            if isinstance(outcome, HoldfastError):
                raise outcome
        return ticket.outcome  # type: ignore[return-value]  # errors were raised above

    def _wait(self, ticket: Ticket) -> None:
        """Wait until it is done or leads; one that is interrupted holds up nobody behind it."""
        try:
            ticket.done.acquire()
        except BaseException:  # an interrupt, of which the others must not learn by waiting
            with self._gate:
                if not ticket.leads:
                    self._queue = [one for one in self._queue if one is not ticket]
            if ticket.leads:
                self._lead()
            raise

    def _lead(self) -> None:
        """Commit what has queued up, then hand the door to the next in line."""
        with self._gate:
            batch = self._take()
        try:
            with self.writing:
                self._commit(batch)
        # Whatever it was, an interrupt included: every caller of the batch must get it, none hang.
        except BaseException as error:  # noqa: BLE001
            for ticket in batch:
                ticket.error = ticket.error or error
            self._retainer.forget_plan()
            self._suspect = True
        finally:
            with self._gate:
                heir = self._queue[0] if self._queue else None
                self._leading = heir is not None
                if heir is not None:
                    heir.leads = True
                    heir.done.release()
            for ticket in batch:
                if not ticket.leads:
                    ticket.done.release()

    def _take(self) -> list[Ticket]:
        """The front of the queue, as much as fits one transaction; at least one ticket."""
        size = taken = 0
        limit = self._store.batch_bytes()
        for ticket in self._queue:
            size += ticket.weight
            if taken and (size > limit or ticket.alone):
                break
            taken += 1
            if ticket.alone:
                break
        batch, self._queue = self._queue[:taken], self._queue[taken:]
        return batch

    def close(self) -> None:
        """Refuse further changes once those under way are done."""
        with self._gate:
            self._closed = True
        with self.writing:
            pass

    # ---- one transaction -------------------------------------------------------------------

    def _commit(self, batch: Sequence[Ticket]) -> None:
        flat = [change for ticket in batch for change in ticket.change]
        due = self._mirror.shelf.due(self._mirror.columns)
        need = sum(ticket.weight for ticket in batch) + (
            self._mirror.shelf.segment_bytes if due else 0
        )
        need += 0 if self._mirror.audit.saved else _FOUNDING_BYTES
        spare = spare_for(flat, self._mirror)
        total, done = Losses(), False
        if self._suspect or self._store.stale():
            with self._store.exclusive():
                self._catch_up()
                self._go_on()
        while not done:  # almost always once; again only if retention alone fills a transaction
            changes = Changes()
            with self._store.transaction(need) as tx:
                self._catch_up()
                losses = let_go(self._retainer, tx, self._store, self._mirror, changes, need, spare)
                total = total + losses
                done = tx.fits(need) and tx.room_for(need + spare) >= 0 and not changes.trimmed
                if done:
                    if not self._mirror.audit.saved:
                        self._mirror.audit.save(tx)  # with the first event
                        self._mirror.ledger.found(tx)
                    receipts = self._write(tx, changes, flat, total)
                    if due:
                        shelve(self._mirror, tx, changes)
                    train(self._mirror, self._store, tx, changes)
            self._mirror.audit.saved |= done
            self._mirror.apply(changes)
            if not (done or losses or changes.trimmed):
                raise BudgetError(f"{need} bytes do not fit the budget; nothing was written")
        i = 0
        for ticket in batch:
            ticket.outcome = receipts[i : i + len(ticket.change)]
            i += len(ticket.change)

    def resize(self, budget: int) -> None:
        """Evict down to another budget and adopt it.

        Raises
        ------
        BudgetError
            If what is pinned does not fit; then nothing has changed.
        """
        with self.writing:
            if self._closed:
                raise ClosedError("the memory was closed; open it again")
            self._store.check_budget(budget)
            refuse_if_pinned(self._store, self._mirror, budget)
            while (over := self._store.excess(budget)) > 0:
                changes = Changes()
                with self._doubting(), self._store.transaction() as tx:
                    self._catch_up()
                    trim(tx, self._store, self._mirror, changes, 0, budget)  # first what is over
                    losses = Losses() if changes.trimmed else self._retainer.make_room(
                        tx, self._mirror, changes, lambda: self._store.excess(budget)
                    )  # fmt: skip
                self._mirror.apply(changes)
                if not losses and not changes.trimmed:
                    raise BudgetError(
                        f"{over} bytes more than a budget of {budget} allows are held by what "
                        "cannot be lowered; choose a larger budget"
                    )
            self._store.resize(budget)
            self._retainer.forget_plan()

    def drop_vectors(self, embedder: str) -> None:
        """Forget every vector that another embedder than this one made, or of other passages."""
        mine = scheme(embedder)
        with self.writing:
            if self._store.meta("embedder") in (None, mine):
                return
            while self._store.meta("embedder") != mine:
                page, nbytes = [], 0
                for seq, code in self._store.vectors():
                    page.append(seq)
                    nbytes += len(code)
                    if nbytes > self._store.batch_bytes():
                        break
                with self._store.transaction() as tx:
                    tx.delete_vectors(page)
                    if not page:
                        tx.set_meta("embedder", mine)
            self._mirror.load()

    @property
    def newest(self) -> int:
        """The sequence number of the newest event; 0 if there is none."""
        return self._mirror.next_seq - 1

    @contextlib.contextmanager
    def still(self) -> Iterator[None]:
        """Keep every writer out, of this process and of others, so that all reads agree."""
        with self.writing, self._store.exclusive():
            self._catch_up()
            self._go_on()
            yield

    def _go_on(self) -> None:
        with self._doubting(everything=True):
            self.go_on()

    @contextlib.contextmanager
    def rewriting(self) -> Iterator[None]:
        """As `still`, for what takes many transactions: if it fails, RAM is made anew from disk."""
        with self.still(), self._doubting(everything=True):
            self._mirror.rewriting = True
            try:
                yield
            finally:
                self._mirror.rewriting = False

    def refresh(self) -> None:
        """Take over what other processes committed, unless this one is committing right now."""
        if not self.writing.acquire(blocking=False):
            return
        try:
            if self._store.stale():
                with self._store.exclusive():
                    self._catch_up()
                    self._go_on()
        finally:
            self.writing.release()

    def make_room(self, need: int) -> None:
        """Evict until so many bytes more would fit; the caller keeps writers out."""
        while (short := -self._store.room_for(need)) > 0:
            changes = Changes()
            with self._doubting(), self._store.transaction() as tx:
                losses = self._retainer.make_room(
                    tx, self._mirror, changes, lambda: -tx.room_for(need)
                )
            self._mirror.apply(changes)
            if not losses:
                raise BudgetError(f"{short} bytes are needed but nothing kept may be lowered")

    def relearn(self) -> None:
        """The log was rewritten: derive anew what depends on all of it."""
        self._learn()
        self._retainer.forget_plan()

    def _catch_up(self) -> None:
        """Another process wrote since we looked, or a commit failed: the store is the truth."""
        changed = self._store.changed()
        anew = changed or self._lost_track
        if self._suspect and not anew:
            self._mirror.load_state()
            self._mirror.load_books()
        if anew or (self._suspect and self._mirror.differs()):
            self._mirror.load()
            self._learn()
            self._retainer.forget_plan()
        self._suspect = self._lost_track = False

    @contextlib.contextmanager
    def _doubting(self, everything: bool = False) -> Iterator[None]:
        """If it fails, what was staged in RAM does not count; or nothing that is in RAM."""
        try:
            yield
        except BaseException:  # an interrupt leaves as much half done as an error; it goes on
            self._suspect = True
            self._lost_track |= everything
            self._retainer.forget_plan()
            raise

    def _write(
        self, tx: Transaction, changes: Changes, flat: Sequence[Written], losses: Losses
    ) -> list[Outcome | HoldfastError]:
        """Store new events, what they do to state, and vectors; answer each change."""
        outcomes, keyed = self._stage(tx, changes, flat)
        self._seal(tx, changes)
        self._mirror.probes.observe(tx, [row for row, _ in changes.appended])
        done = self._journal(tx, changes, flat)
        receipts = [
            self._receipt(outcome, losses, done) if isinstance(outcome, Row) else outcome
            for outcome in outcomes
        ]
        for key, body, i in keyed:
            receipt = receipts[i]
            assert isinstance(receipt, Receipt)
            tx.put_key(key, receipt.seq, body, receipt_to(receipt))
        if keyed:
            kept = min(_KEYS_KEPT, int(self._store.capacity() * _KEYS_SHARE) // _KEY_BYTES)
            tx.prune_keys(self._mirror.next_seq - kept, most=2 * len(keyed))
        return receipts

    def _stage(
        self, tx: Transaction, changes: Changes, flat: Sequence[Written]
    ) -> tuple[list[Row | Outcome | HoldfastError], list[tuple[bytes, bytes, int]]]:
        """Give each new event its place in the stream; look known keys up."""
        outcomes: list[Row | Outcome | HoldfastError] = []
        keyed: list[tuple[bytes, bytes, int]] = []
        here: dict[bytes, tuple[bytes, int]] = {}
        seq, pinned = self._mirror.next_seq, 0
        now = max(round(self._clock(), 3), self._mirror.last_recorded)  # clocks are set back
        for change in flat:
            if isinstance(change, Used):
                outcomes.append(self._mirror.use(tx, change.seqs, changes, seq))
                continue
            if isinstance(change, Embedded):
                kept = self._still_kept(change.codes, changes)
                tx.put_vectors(kept)
                tx.set_meta("embedder", scheme(change.embedder))
                changes.vectors.append(kept)
                outcomes.append(None)
                continue
            event = change.event
            if event.key is not None:
                key, body = digest(event.key.encode("utf-8", "surrogatepass")), body_digest(change)
                known = here.get(key)
                if known is not None:
                    outcomes.append(outcomes[known[1]] if known[0] == body else conflict(event.key))
                    continue
                stored = tx.key(key)
                if stored is not None:
                    same = stored[0] == body
                    again = receipt_again(stored[1], self._mirror.state.entries)
                    outcomes.append(again if same else conflict(event.key))
                    continue
            if event.pinned:
                pinned = (pinned or pinned_bytes(self._mirror)) + len(change.content)
                if pinned > (most := most_pinned(self._store)):
                    outcomes.append(too_much_pinned(most))
                    continue
            at = now if change.at is None else change.at
            if change.asked is not None:
                place = Place(seq, at, now, event.scope, change.content)
                try:
                    self._refuse_erased(change.asked)
                    self._mirror.state.stage(changes.draft, change.asked, place)
                except HoldfastError as error:  # the caller's; everybody else's changes go on
                    outcomes.append(error)
                    continue
            if event.key is not None:
                here[key] = (body, len(outcomes))
                keyed.append((key, body, len(outcomes)))
            surprise, episode = 0.0, NO_EPISODE
            if event.kind != "state":
                surprise = self._surprise.observe(change.terms)
                episode, _ = self._episodes.place(event.scope, at, change.terms)
            row = to_row(
                event, change.content, seq=seq, at=at, recorded_at=now, episode=episode,
                tokens=change.tokens, length=change.length, surprise=surprise, cues=change.cues,
            )  # fmt: skip
            seq += 1
            changes.appended.append((row, change.terms))
            outcomes.append(row)
        return outcomes, keyed

    def _refuse_erased(self, asked: Asked) -> None:
        """What was quoted may have been erased since: then nothing may rest on it."""
        for seq in asked.cited:
            if self._mirror.audit.erased(seq):
                raise NotFoundError(f"event {seq} was erased, so nothing can rest on it")

    def _still_kept(
        self, codes: Sequence[tuple[int, bytes]], changes: Changes
    ) -> list[tuple[int, bytes]]:
        """Vectors of events that have not been lowered out of reach while they were made."""
        columns = self._mirror.columns
        gone = {row.seq for row, _ in changes.lowered if row.tier >= Tier.TRACE}
        gone.update(changes.evicted)  # in this transaction: the mirror does not know yet
        rows = [(columns.find(seq), seq, code) for seq, code in codes if seq not in gone]
        return [(s, c) for r, s, c in rows if r is not None and columns.tier[r] < Tier.TRACE]

    def _seal(self, tx: Transaction, changes: Changes) -> None:
        """Write the new rows: full blocks at once, the rest to the tail."""
        new = [row for row, _ in changes.appended]
        if not new:
            return
        old = self._mirror.tail
        blocks, left, nbytes = cut(old, self._mirror.tail_bytes, new)
        if blocks:
            if old:
                tx.clear_tail(blocks[-1][-1].seq)
            for rows in blocks:
                put_block(tx, self._mirror, changes, Block.of(rows))
            tx.set_meta("next_seq", str(new[-1].seq + 1))
        for row in left:
            if row.seq >= new[0].seq:
                tx.put_tail(row.seq, encode_tail(row))
        changes.tail = (left, nbytes)

    def _journal(
        self, tx: Transaction, changes: Changes, flat: Sequence[Written]
    ) -> dict[int, tuple[Change, ...]]:
        """Write what was done to state; what each event changed."""
        done: dict[int, tuple[Change, ...]] = {}
        if changes.draft.entries:
            need = sum([one.weight for one in flat])
            trim(tx, self._store, self._mirror, changes, need, self._store.capacity())
        for entry in changes.draft.entries:
            data = encode(entry)
            tx.put_cell("state", entry.id, data)
            changes.journaled += len(data)
            done[entry.seq] = (*done.get(entry.seq, ()), entry.change)
        return done

    def _receipt(self, row: Row, losses: Losses, done: Mapping[int, tuple[Change, ...]]) -> Receipt:
        return Receipt(
            seq=row.seq,
            recorded_at=row.recorded / 1e6,
            episode=row.episode,
            tokens=row.tokens,
            durable=self._durable,
            findable=True,
            demoted=losses.demoted,
            evicted=losses.evicted,
            changes=done.get(row.seq, ()),
        )

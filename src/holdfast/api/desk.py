"""The desk of a memory: hands out its events to extraction with a model, and takes claims in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import accumulate, islice

import numpy as np

from holdfast.api.base import Parts
from holdfast.codec import BYTES, content_bytes, to_record
from holdfast.errors import IdempotencyError, InvalidClaimError
from holdfast.extract.desk import Extracted, Pending, Spent
from holdfast.extract.progress import Progress, Spending
from holdfast.records import KINDS, Record, Tier
from holdfast.state.admit import QUOTE_BYTES, admit
from holdfast.state.asked import Asked
from holdfast.state.records import Claim, Evidence, Trust
from holdfast.trust.levels import source_of, trust_of

_STATE = KINDS.index("state")
_LONGEST_NAME = 200  # characters
_LONGEST_SOURCE = 256  # characters, so at most 1,024 bytes
_PAGES = 8 * 4096  # beside its value, that writing one mark may dirty


class MemoryDesk:
    """The `Desk` of a memory: what `ModelExtractor` needs to read its events and state beliefs.

    Parameters
    ----------
    memory
        An open `Memory`.
    name
        Whose progress it is. Desks of one name share it, in whatever process and after reopening;
        desks of different names know nothing of each other, and each is given every event.

    Raises
    ------
    ValueError
        If the name is empty, over 200 characters, or not printable.

    Notes
    -----
    An event is handed out while every byte of it is kept, if it is text, no change of state, and
    not of a source that is revoked.
    Its claims are recorded with one event of kind "state" that has it as its parent, lies in its
    scope and happened when it did, so that an old event that is read late does not supersede what
    was said since. They are trusted as the event is, and never above `Trust.DERIVED`: a claim that
    a person's own words contradict is disputed, and so is every instruction.

    A claim is recorded only if its quote stands in the event, byte for byte. Of an event that was
    lowered meanwhile, the digest must be the one that the quote was taken under.

    Progress moves after the claims, in a transaction of its own. A crash between the two repeats
    the question; the claims of an event have an idempotency key, so its first ones stay and no
    others come. All of it is in the memory's file and within its budget. O(events after the
    cursor) to hand out, one synced write for each event with claims and one for the progress.

    Examples
    --------
    >>> import tempfile, os
    >>> from holdfast import Memory
    >>> from holdfast.extract.model import ModelExtractor
    >>> from holdfast.models.chat import OpenAIChat
    >>> from holdfast.models.scripted_chat import ChatReply, ScriptedChatServer
    >>> said = '{"claims": [{"event": 1, "quote": "handed Ana the kiln", "subject": "Ana", '
    >>> said += '"predicate": "owns", "value": "the kiln"}]}'
    >>> path = os.path.join(tempfile.mkdtemp(), "ana.holdfast")
    >>> with Memory.open(path, budget="1 MiB") as memory:
    ...     seq = memory.observe("Ben handed Ana the kiln.", speaker="Ben").seq
    ...     with ScriptedChatServer([ChatReply(text=said)]) as server:
    ...         with OpenAIChat("any", server.base_url) as chat:
    ...             report = ModelExtractor(chat, MemoryDesk(memory)).run_once()
    ...     (held,) = memory.beliefs("who owns the kiln?")
    >>> report.claims, held.text, held.sources, held.evidence[0].citation
    (1, 'Ana owns the kiln', ('openai/any',), 'e1[4:23]')
    """

    def __init__(self, memory: Parts, name: str = "model") -> None:
        if not 0 < len(name) <= _LONGEST_NAME or not name.isprintable():
            raise ValueError(f"a desk's name has 1 to {_LONGEST_NAME} printable characters")
        self._memory, self._name = memory, name
        self._key, self._purse = f"extract:{name}", f"spent:{name}"

    def progress(self) -> Progress:
        """How far this desk has come. Raises `ClosedError` if the memory was closed."""
        self._memory._refresh()
        with self._memory._committer.writing:  # the store's writing half is for one thread at once
            return self._progress()

    def pending(self, limit: int) -> Sequence[Pending]:
        """See `Desk.pending`. Settled events beyond the cursor are left out."""
        known = self.progress()
        mirror = self._memory._mirror
        with mirror.lock:
            columns = mirror.columns
            rest = slice(int(np.searchsorted(columns.seq, known.upto, side="right")), None)
            wanted = columns.alive[rest] & (columns.tier[rest] == Tier.VERBATIM)
            wanted &= (columns.flags[rest] & BYTES == 0) & (columns.kind[rest] != _STATE)
            seqs = map(int, columns.seq[rest][wanted])
        rows = map(mirror.row, (seq for seq in seqs if not known.has(seq)))
        whole = (to_record(row) for row in rows if row is not None and row.tier == Tier.VERBATIM)
        heard = (record for record in whole if not self._is_revoked(record))
        return [_pending(record) for record in islice(heard, limit)]

    def settle(self, results: Sequence[Extracted], upto: int, spent: Spent) -> None:
        """See `Desk.settle`; the cursor and the spending follow the claims.

        Raises
        ------
        StoreError, BudgetError
            If something could not be stored. Claims of some events may be; settling the same
            results again adds the others.
        """
        known = self.progress()
        fresh = [result for result in results if not known.has(result.seq)]
        self._note(sum(map(self._record, fresh), Progress(upto)), spent)

    def spent_on(self, day: str) -> Spent:
        """See `Desk.spent_on`. Days before the newest 32 are forgotten."""
        with self._memory._committer.writing:
            return self._spending().on(day)

    # ---- claims ----------------------------------------------------------------------------

    def _record(self, result: Extracted) -> Progress:
        """Record the claims of one event, all or nothing; what came of it."""
        here = (result.seq,)
        if result.skipped is not None:
            return Progress(ahead=here, skipped=1)
        row = self._memory._mirror.row(result.seq)
        if row is None or self._is_revoked(record := to_record(row)):
            return Progress(ahead=here, gone=1)
        claims = _accepted(result.claims, record, self._memory._store.largest_event() // 2)
        if not claims:
            return Progress(ahead=here, events=1, refused=len(result.claims))
        event, source = record.event, (result.by or self._name)[:_LONGEST_SOURCE]
        asked = Asked(claims, source, min(Trust.DERIVED, trust_of(event)))
        said, key = f"claims of event {result.seq}", f"{self._key}:{result.seq}"
        try:
            receipt = self._memory._change_state(said, event.scope, asked, key, here, event.at)
        except IdempotencyError:  # before a crash the answer was another: its claims stay
            return Progress(ahead=here, events=1)
        made, refused = len(receipt.changes), len(result.claims) - len(claims)
        return Progress(ahead=here, events=1, claims=made, refused=refused)

    def _is_revoked(self, record: Record) -> bool:
        """Whether nothing that its source says is to count."""
        return source_of(record.event) in self._memory._mirror.state.revoked

    # ---- progress --------------------------------------------------------------------------

    def _note(self, done: Progress, spent: Spent) -> None:
        """Move on in one transaction, from wherever another process may have come to."""
        committer, store = self._memory._committer, self._memory._store
        with committer.still():
            if store.room_for(0) < 0:
                committer.make_room(0)
            with store.transaction(_PAGES) as tx:
                tx.set_meta(self._key, (self._progress() + done).to_json())
                tx.set_meta(self._purse, (self._spending() + spent).to_json())

    def _progress(self) -> Progress:
        text = self._memory._store.meta(self._key)
        return Progress() if text is None else Progress.from_json(text)

    def _spending(self) -> Spending:
        text = self._memory._store.meta(self._purse)
        return Spending() if text is None else Spending.from_json(text)


def _pending(record: Record) -> Pending:
    event = record.event
    at = record.recorded_at if event.at is None else event.at
    return Pending(record.seq, event.text, event.speaker, event.role, at, event.scope)


def _accepted(claims: Iterable[Claim], record: Record, most: int) -> tuple[Claim, ...]:
    """The claims that may be recorded, tied to their event, in whose scope they hold.

    No more than the first that weigh `most`: what one transaction of a small memory can take.
    """
    content = content_bytes(record.event.content)
    tied = [
        replace(
            one,
            scope=None,
            evidence=tuple(replace(e, seq=record.seq, digest=record.digest) for e in one.evidence),
        )
        for one in claims
        if _is_sound(one) and all(_stands(piece, record, content) for piece in one.evidence)
    ]
    sums = accumulate(Asked((one,), "", 0).weight for one in tied)
    return tuple(one for one, total in zip(tied, sums, strict=True) if total <= most)


def _is_sound(claim: Claim) -> bool:
    """Whether a claim keeps the rules of its record, and says where it was said."""
    try:
        admit(claim)
    except InvalidClaimError:
        return False
    return bool(claim.evidence)


def _stands(piece: Evidence, record: Record, content: bytes) -> bool:
    """Whether a piece of evidence is of this event, and quotes what it says there."""
    quote, start, end = content_bytes(piece.quote), piece.start, piece.end
    if piece.seq not in (0, record.seq) or not 0 < len(quote) <= QUOTE_BYTES:
        return False
    if not 0 <= start == end - len(quote) <= record.size - len(quote):
        return False
    if record.tier == Tier.VERBATIM:
        return content[start:end] == quote
    return piece.digest == record.digest  # its text is lost, but it was taken from that very text

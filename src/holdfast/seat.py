"""A seat: a memory as one principal sees it, and no more of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, Unpack

from holdfast import write
from holdfast.api.base import Scopes, Time, seconds
from holdfast.api.beliefs import Proof, Wanted
from holdfast.codec import to_record
from holdfast.errors import NotFoundError
from holdfast.records import BulkReceipt, Context, Event, Hit, Kind, Receipt, Record, ScopeHit
from holdfast.rights import Bounds, Recalling, Rights, Stating, only
from holdfast.state.automaton import Automaton
from holdfast.state.automaton import State as AutomatonState
from holdfast.state.documents import Document, Edit
from holdfast.state.records import Belief, BeliefKind, Change, Claim, Trust


class Seat(Rights):
    """A memory as one principal sees it: its own scope, and what it was granted.

    `Memory.seat` makes one. The verbs are those of `Memory`, except that nobody else can be
    spoken for: the principal is the speaker of its events and the source of what it states.

    Parameters
    ----------
    memory
        An open memory; whoever holds it has every right.
    principal
        A name that is also a path, "agent/bo": the principal's home scope. It may read and write
        there, and in all scopes inside it. Everything else takes a grant (`Memory.grant`).

    Raises
    ------
    InvalidClaimError
        If the name is empty or holds a control character.

    Notes
    -----
    **Rights.** Writes go to the home scope unless a scope is given, and need "write" there. Reads
    of events, beliefs and changes see every readable scope, or the ones that are named, each of
    which must be readable; a document or an automaton is looked up at home unless a scope is
    given. To change a document, or to take a step, needs "read" too, since the answer tells what
    came of it. To state an instruction, or to end one, needs "directive", at home as well;
    instructions in the words of observed events are not taken for any without it. To tell that a
    belief was `used` needs only "read". Rights are those of the moment of the call, and for
    `log` and `watch` those of the moment when each answer is given.

    **Trust** never exceeds `Trust.USER`: not by asking, nor by a role that speaks for the owner,
    nor by promotion.

    **What lies outside** the readable scopes looks exactly as if it did not exist: by number or id
    it raises the `NotFoundError` that a number nobody ever used raises. What is written to a scope
    that may be written but not read has a receipt without changes, since they would tell what is
    held there. Idempotency keys of different principals are different keys.

    **What can be told all the same.** The numbers of events, and so of beliefs: that others wrote,
    and how much. Capacity: `demoted` and `evicted` of a receipt, `lost` of a context, a change
    "gap", errors of budget and store, which events were lowered or evicted and into which words,
    since the memory is one bounded whole. `partial` and `degraded` of a context, if an embedder is
    busy. A clock that is set back: record times never fall, whoever wrote last. Where episodes are
    cut in scopes of over 24 events, since the usual coherence of topics is learnt from all events;
    it moves scores a little. The time that a call takes. What a promoted belief quotes of its
    evidence is readable wherever it is promoted to: that is what promoting means.

    Differs from `Memory`: numbers of episodes, which count over all scopes, are given as 0.

    Cost: each verb that of `Memory`'s, and O(grants).

    Examples
    --------
    >>> import tempfile, os
    >>> from holdfast import Memory
    >>> path = os.path.join(tempfile.mkdtemp(), "team.holdfast")
    >>> with Memory.open(path, budget="1 MiB") as memory:
    ...     ana, bo = memory.seat("agent/ana"), memory.seat("agent/bo")
    ...     seq = ana.observe("The staging key is under the pot.").seq
    ...     unseen = bo.recall("where is the staging key?").items
    ...     _ = memory.grant("agent/bo", "read", "agent/ana")
    ...     seen = bo.recall("where is the staging key?").items
    >>> unseen, [(item.speaker, item.citation) for item in seen]
    ((), [('agent/ana', 'e1[0:33]')])

    References
    ----------
    Goguen and Meseguer, Security Policies and Security Models, doi:10.1109/SP.1982.10014:
    noninterference. Differs: of the content of all answers, not of their numbers and timing.
    """

    # ---- writing ---------------------------------------------------------------------------

    def observe(
        self, content: str | bytes | Event, *, role: str | None = None,
        channel: str | None = None, kind: Kind = "message", at: Time = None,
        scope: str | None = None, metadata: Mapping[str, Any] | None = None,
        key: str | None = None, parents: tuple[int, ...] = (), pinned: bool = False,
    ) -> Receipt:  # fmt: skip
        """As `Memory.observe`, spoken by the principal.

        An `Event` without a scope goes home; to write at the root, give ``scope=""`` beside text.

        Raises
        ------
        AccessError
            If the scope may not be written, the event has another speaker, or its role speaks for
            the owner.
        InvalidEventError
            If the event breaks a rule, or is of kind "state".
        """
        if isinstance(content, Event):
            event = self._spoken(content, content.scope or None)
        else:
            given = Event(
                content, None, role, channel, kind, seconds(at), "", metadata or {}, key, parents,
                pinned,
            )  # fmt: skip
            event = self._spoken(given, scope)
        receipt = write.observe(self._writer(), event)
        self._memory._changed()
        return self._told(receipt, event.scope)

    def observe_many(self, events: Iterable[Event | str | bytes]) -> BulkReceipt:
        """As `Memory.observe_many`; stops at the first event that may not be written."""
        spoken = (self._spoken(one, one.scope or None) for one in write.to_events(events))
        try:
            return write.observe_many(self._writer(), spoken)
        finally:
            self._memory._changed()

    # ---- reading ---------------------------------------------------------------------------

    def recall(
        self, query: str, *, scope: Scopes | None = None, speaker: str | None = None,
        **options: Unpack[Recalling],
    ) -> Context:  # fmt: skip
        """As `Memory.recall`; `speaker` is the principal unless another is given."""
        only(options, Recalling)
        return self._memory.recall(
            query, scope=self._readable(scope), speaker=speaker or self.principal, **options
        )

    def rank(
        self, query: str, *, limit: int = 50, scope: Scopes | None = None,
        **options: Unpack[Bounds],
    ) -> list[Hit]:  # fmt: skip
        """As `Memory.rank`."""
        only(options, Bounds)
        readable, speaker = self._readable(scope), self.principal
        return self._memory.rank(query, limit=limit, scope=readable, speaker=speaker, **options)

    def rank_scopes(
        self, query: str, *, limit: int = 10, scope: Scopes | None = None,
        **options: Unpack[Bounds],
    ) -> list[ScopeHit]:  # fmt: skip
        """As `Memory.rank_scopes`."""
        only(options, Bounds)
        readable, speaker = self._readable(scope), self.principal
        return self._memory.rank_scopes(
            query, limit=limit, scope=readable, speaker=speaker, **options
        )

    def why_not(
        self, seq: int, query: str, *, tokens: int = 1000, scope: Scopes | None = None,
        **options: Unpack[Bounds],
    ) -> str:  # fmt: skip
        """As `Memory.why_not`; raises `NotFoundError` as `get` does."""
        only(options, Bounds)
        readable = self._readable(scope)
        self._row(seq)
        return self._memory.why_not(seq, query, tokens=tokens, scope=readable, **options)

    def get(self, seq: int) -> Record:
        """One event. Raises `NotFoundError` if it is not kept or not in a readable scope."""
        return self._shown(to_record(self._row(seq)))

    def log(
        self, after: int = 0, scope: Scopes | None = None, *, as_of: Time = None,
        valid_at: Time = None,
    ) -> Iterator[Record]:  # fmt: skip
        """As `Memory.log`."""
        found = self._memory.log(after, self._readable(scope), as_of=as_of, valid_at=valid_at)
        return (self._shown(one) for one in found if self._may("read", one.event.scope))

    # ---- beliefs ---------------------------------------------------------------------------

    def believe(
        self, subject: str, predicate: str, value: str, *, kind: BeliefKind = "fact",
        scope: str | None = None, evidence: Sequence[Proof] = (), many: bool | None = None,
        trust: Trust = Trust.USER, key: str | None = None, **options: Unpack[Stating],
    ) -> Receipt:  # fmt: skip
        """As `Memory.believe`, stated by the principal.

        Raises
        ------
        AccessError
            If the scope may not be written, an instruction is stated or ended without "directive",
            or `trust` is over `Trust.USER`.
        NotFoundError
            If evidence names an event that is not kept or not in a readable scope.
        """
        only(options, Stating)
        where = self._writable(scope)
        self._admit(Claim(subject, predicate, value, kind, where, many=many), trust)
        pieces = self._cited(evidence)
        receipt = self._memory.believe(
            subject, predicate, value, kind=kind, scope=where, evidence=pieces, many=many,
            by=self.principal, trust=trust, key=self._key(key), **options,
        )  # fmt: skip
        return self._told(receipt, where)

    def retract(
        self, subject: str, predicate: str, value: str = "", *, scope: str | None = None,
        evidence: Sequence[Proof] = (), many: bool | None = None, trust: Trust = Trust.USER,
        valid_from: Time = None, at: Time = None, key: str | None = None,
    ) -> Receipt:  # fmt: skip
        """As `Memory.retract`; raises as `believe` does."""
        where = self._writable(scope)
        claim = Claim(subject, predicate, value, scope=where, stance="retract", many=many)
        self._admit(claim, trust)
        pieces = self._cited(evidence)
        receipt = self._memory.retract(
            subject, predicate, value, scope=where, evidence=pieces, many=many,
            by=self.principal, trust=trust, valid_from=valid_from, at=at, key=self._key(key),
        )  # fmt: skip
        return self._told(receipt, where)

    def beliefs(
        self, query: str | None = None, *, subject: str | None = None,
        predicate: str | None = None, kind: BeliefKind | None = None,
        scope: Scopes | None = None, status: Wanted = "current", as_of: Time = None,
        valid_at: Time = None, limit: int = 100,
    ) -> list[Belief]:  # fmt: skip
        """As `Memory.beliefs`."""
        return self._memory.beliefs(
            query, subject=subject, predicate=predicate, kind=kind, scope=self._readable(scope),
            status=status, as_of=as_of, valid_at=valid_at, limit=limit,
        )  # fmt: skip

    def history(
        self, subject: str, predicate: str | None = None, *, scope: Scopes | None = None,
        as_of: Time = None,
    ) -> list[Belief]:  # fmt: skip
        """As `Memory.history`."""
        return self._memory.history(subject, predicate, scope=self._readable(scope), as_of=as_of)

    def belief(self, id: str) -> Belief:
        """One belief. Raises `NotFoundError` if there is none of this id in a readable scope."""
        self._memory._refresh()
        with self._memory._mirror.lock:
            found = self._memory._mirror.state.belief(id)
        if found is None or not self._may("read", found.scope):
            raise NotFoundError(
                f"there is no belief {id} that {self.principal!r} may read; "
                "see beliefs() for what there is"
            )
        return found

    # ---- documents and automata ------------------------------------------------------------

    def document(
        self, name: str, *, scope: str | None = None, version: int | None = None,
        as_of: Time = None,
    ) -> Document:  # fmt: skip
        """As `Memory.document`."""
        return self._memory.document(name, scope=self._at(scope), version=version, as_of=as_of)

    def put_document(
        self, name: str, value: Any, *, scope: str | None = None, expect: int | None = None,
        key: str | None = None, text: str | None = None,
    ) -> Document:  # fmt: skip
        """As `Memory.put_document`; needs "read" and "write"."""
        mine = self._as_mine(scope, key)
        return self._memory.put_document(name, value, expect=expect, text=text, **mine)

    def patch_document(
        self, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], *,
        scope: str | None = None, expect: int | None = None, key: str | None = None,
    ) -> Document:  # fmt: skip
        """As `Memory.patch_document`; needs "read" and "write"."""
        return self._memory.patch_document(name, patch, expect=expect, **self._as_mine(scope, key))

    def delete_document(
        self, name: str, *, scope: str | None = None, expect: int | None = None,
        key: str | None = None,
    ) -> None:  # fmt: skip
        """As `Memory.delete_document`; needs "read" and "write"."""
        self._memory.delete_document(name, expect=expect, **self._as_mine(scope, key))

    def edit_documents(self, edits: Sequence[Edit], *, key: str | None = None) -> None:
        """As `Memory.edit_documents`; needs "read" and "write" in the scope of each."""
        for scope in {one.scope for one in edits}:
            self._as_mine(scope, None)
        self._memory.edit_documents(edits, by=self.principal, key=self._key(key))

    def documents(self, *, scope: str | None = None) -> list[str]:
        """As `Memory.documents`."""
        return self._memory.documents(scope=self._at(scope))

    def all_documents(self, *, scope: str | None = None, deleted: bool = False) -> list[Document]:
        """As `Memory.all_documents`."""
        return self._memory.all_documents(scope=self._at(scope), deleted=deleted)

    def document_history(self, name: str, *, scope: str | None = None) -> list[Document]:
        """As `Memory.document_history`."""
        return self._memory.document_history(name, scope=self._at(scope))

    def document_diff(
        self, name: str, a: int, b: int, *, scope: str | None = None
    ) -> list[dict[str, Any]]:
        """As `Memory.document_diff`."""
        return self._memory.document_diff(name, a, b, scope=self._at(scope))

    def declare(
        self, automaton: Automaton, *, scope: str | None = None, key: str | None = None
    ) -> AutomatonState:
        """As `Memory.declare`; needs "read" and "write"."""
        return self._memory.declare(automaton, **self._as_mine(scope, key))

    def step(
        self, name: str, event: str, *, scope: str | None = None, expect: str | None = None,
        key: str | None = None,
    ) -> AutomatonState:  # fmt: skip
        """As `Memory.step`; needs "read" and "write"."""
        return self._memory.step(name, event, expect=expect, **self._as_mine(scope, key))

    def automaton(
        self, name: str, *, scope: str | None = None, as_of: Time = None
    ) -> AutomatonState:
        """As `Memory.automaton`."""
        return self._memory.automaton(name, scope=self._at(scope), as_of=as_of)

    # ---- sharing ---------------------------------------------------------------------------

    def promote(self, id: str, to: str, *, key: str | None = None) -> Receipt:
        """As `Memory.promote`, on the principal's own record: nobody approves of themselves.

        Raises
        ------
        AccessError
            If `to` may not be written, or may not be given an instruction, or the principal's
            promotions are of too little use to others.
        NotFoundError
            If there is no such belief to be read, or it is not current.
        """
        where, found = self._writable(to), self.belief(id)
        with self._memory._mirror.lock:
            many = self._memory._many(id)
        claim = Claim(found.subject, found.predicate, found.value, found.kind, where, many=many)
        self._admit(claim, Trust.USER)
        receipt = self._memory._promote(id, where, self.principal, self._key(key), Trust.USER)
        return self._told(receipt, where)

    def used(self, id: str, query: str, *, helpful: bool = True, key: str | None = None) -> Receipt:
        """As `Memory.used`. Raises `NotFoundError` as `belief` does."""
        found = self.belief(id)
        receipt = self._memory.used(
            id, query, by=self.principal, helpful=helpful, key=self._key(key)
        )
        return self._told(receipt, found.scope)

    def changes(self, *, scope: Scopes | None = None, after: int = 0) -> list[Change]:
        """As `Memory.changes`."""
        return self._memory.changes(scope=self._readable(scope), after=after)

    def watch(
        self, *, scope: Scopes | None = None, after: int = 0, timeout_s: float | None = None
    ) -> Iterator[Change]:
        """As `Memory.watch`. What is granted or withdrawn meanwhile counts from then on.

        Raises `AccessError`, at once or later, when a scope that is named may not be read.
        """
        self._readable(scope)
        pages = self._pages(scope=scope, after=after, timeout_s=timeout_s)
        return (change for page in pages for change in page)

    def _pages(
        self, *, scope: Scopes | None = None, after: int = 0, timeout_s: float | None = None
    ) -> Iterator[list[Change]]:
        return self._memory._paged(partial(self.changes, scope=scope), after, timeout_s)

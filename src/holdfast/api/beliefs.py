"""Beliefs: stating what is true, taking it back, and asking what is, was and is thought to be."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from typing import Literal

from holdfast import read
from holdfast.api.base import Parts, Scopes, Time, seconds
from holdfast.errors import InvalidClaimError, NotFoundError
from holdfast.records import Item, Receipt
from holdfast.state.admit import admit, evidence_of
from holdfast.state.asked import Asked
from holdfast.state.query import Query
from holdfast.state.records import BELIEF_KINDS, Belief, BeliefKind, Claim, Evidence, Stance, Trust
from holdfast.trust.levels import trust_of

_ANY = 1 << 30  # more beliefs than there are
Wanted = Literal["current", "disputed", "retired", "all"]
_WANTED: tuple[Wanted, ...] = ("current", "disputed", "retired", "all")
Proof = Evidence | Item | str | int
"""A piece of evidence: itself, an item of a context, a citation ("e12[0:36]"), or an event."""


class BeliefsApi(Parts):
    """The methods of a memory that are about beliefs."""

    def believe(
        self,
        subject: str,
        predicate: str,
        value: str,
        *,
        kind: BeliefKind = "fact",
        scope: str = "",
        evidence: Sequence[Proof] = (),
        why_it_matters: str | None = None,
        aliases: Sequence[str] = (),
        confidence: float = 1.0,
        valid_from: Time = None,
        valid_until: Time = None,
        many: bool | None = None,
        corrects: bool = False,
        inferred: bool = False,
        by: str = "",
        trust: Trust = Trust.USER,
        at: Time = None,
        key: str | None = None,
    ) -> Receipt:
        """State that something is so; what it supersedes is closed and stays readable.

        Parameters
        ----------
        subject, predicate, value
            ``("Ana", "lives_in", "Porto")``. Of a predicate with one value, a later claim
            supersedes; of one with many (`state.predicates`), claims stand beside each other.
            "lives in" is another predicate than "lives_in".
        kind
            "fact", "preference", "decision", "instruction", "skill", "lesson" or "question".
        evidence
            Where it was said: citations ("e12[0:36]"), events, items of a context. Without any,
            the statement itself is recorded as an event and is the evidence.
        valid_from, valid_until
            When it began and ceases to be so; now, and open.
        many
            Whether the subject may have several values at once, if not as the predicate has it.
        corrects
            What was held before never was so.
        inferred
            Concluded from the evidence, not said in so many words.
        by, trust
            Who says so, and how far they are believed (a `holdfast.Trust`). The trust of the
            belief is the lowest of this and of its evidence's.
        at, key
            When it is said, and an idempotency key, as for `observe`.

        Returns
        -------
        Receipt
            `changes` says what it did ("add", "confirm", "supersede", "dispute" or "ignore"), to
            which belief, and which ones it retired.

        Raises
        ------
        InvalidClaimError
            If a field breaks its rule, or evidence is not in the event it names.
        NotFoundError
            If evidence names an event that is not kept.

        Notes
        -----
        One event and one entry of the journal, in one synced write. O(claims of the slot).

        Examples
        --------
        >>> import tempfile, os
        >>> from holdfast import Memory
        >>> path = os.path.join(tempfile.mkdtemp(), "a.holdfast")
        >>> with Memory.open(path, budget="1 MiB") as memory:
        ...     _ = memory.believe("Ana", "lives_in", "Lisbon", valid_from="2024-01-01")
        ...     done = memory.believe("Ana", "lives_in", "Porto", valid_from="2025-05-01")
        ...     now = [belief.value for belief in memory.beliefs(subject="Ana")]
        ...     then = [b.value for b in memory.beliefs(subject="Ana", valid_at="2024-06-01")]
        >>> done.changes[0].action, now, then
        ('supersede', ['Porto'], ['Lisbon'])

        References
        ----------
        Flynt, Tenure, arXiv:2605.11325 (typed beliefs with status, reason, aliases, scope and a
        link to what superseded them). Differs: valid time beside record time, evidence as byte
        spans, no model and no injection as instructions.
        """
        claim = Claim(
            subject, predicate, value, kind, scope.strip("/"),
            "correct" if corrects else "assert", inferred, many,
            why_it_matters=why_it_matters, aliases=tuple(aliases), confidence=confidence,
            valid_from=seconds(valid_from), valid_until=seconds(valid_until),
        )  # fmt: skip
        return self._state(claim, evidence, by, trust, at, key)

    def retract(
        self,
        subject: str,
        predicate: str,
        value: str = "",
        *,
        scope: str = "",
        evidence: Sequence[Proof] = (),
        many: bool | None = None,
        by: str = "",
        trust: Trust = Trust.USER,
        valid_from: Time = None,
        at: Time = None,
        key: str | None = None,
    ) -> Receipt:
        """State that something is no longer so. Without `value`: whatever is held.

        Raises as `believe` does. Retracting what is not held is no error; the change is "ignore".
        """
        claim = Claim(
            subject, predicate, value, scope=scope.strip("/"), stance="retract", many=many,
            valid_from=seconds(valid_from),
        )  # fmt: skip
        return self._state(claim, evidence, by, trust, at, key)

    def beliefs(
        self,
        query: str | None = None,
        *,
        subject: str | None = None,
        predicate: str | None = None,
        kind: BeliefKind | None = None,
        scope: Scopes = "",
        status: Wanted = "current",
        as_of: Time = None,
        valid_at: Time = None,
        limit: int = 100,
    ) -> list[Belief]:
        """What is held to be true.

        Parameters
        ----------
        query
            Words to match, best first; None: all, by scope, subject and time.
        subject, predicate, kind, scope
            Only beliefs with these; a scope includes what lies inside it.
        status
            "current": what holds at `valid_at`; "disputed": what somebody less trusted says
            against it; "retired": what was superseded or retracted; "all". A query matches current
            ones only.
        as_of
            As the record stood at that moment; what was learnt later plays no part.
        valid_at
            What was so at that time; None: now.

        Raises
        ------
        InvalidClaimError
            For a kind or a status that there is not, or a status beside a query.

        Notes
        -----
        With `as_of` and `valid_at` both, "what did we think in March about January?". O(slots).
        """
        if kind is not None and kind not in BELIEF_KINDS:
            raise InvalidClaimError(f"kind {kind!r} is none of {', '.join(BELIEF_KINDS)}")
        if status not in _WANTED or (query is not None and status != "current"):
            raise InvalidClaimError(
                f"status {status!r} is none of {', '.join(_WANTED)}, or is not current beside a "
                "query; leave one of them out"
            )
        self._refresh()
        filters = self._filters(scope, as_of=as_of, valid_at=valid_at)
        if query is not None:
            found = read.held(self._reader, query, filters, _ANY)
            wanted = Query(subject=subject, predicate=predicate, kind=kind)
            return [one for one in found if wanted.names(one)][:limit]
        wanted = Query(
            filters.scopes, subject, predicate, kind, as_of=filters.as_of, before=filters.before
        )
        with self._mirror.lock:
            at = read.moment(self._reader, filters)
            every = self._mirror.state.beliefs(wanted)
            return list(islice(_having(every, status, at), limit))

    def history(
        self,
        subject: str,
        predicate: str | None = None,
        *,
        scope: Scopes = "",
        as_of: Time = None,
    ) -> list[Belief]:
        """Every belief ever held or disputed about a subject, oldest first by valid time.

        One predicate after another. A superseded one keeps its `status` and names its successor in
        `superseded_by`. What the budget made the journal drop is not in it; `changes` then begins
        with a "gap".
        """
        self._refresh()
        filters = self._filters(scope, as_of=as_of)
        wanted = Query(filters.scopes, subject, predicate, None, filters.as_of, filters.before)
        with self._mirror.lock:
            found = list(self._mirror.state.beliefs(wanted))
        return sorted(found, key=lambda one: (one.predicate, one.valid_from, one.recorded_at))

    def belief(self, id: str) -> Belief:
        """One belief by its id ("b12.0"). Raises `NotFoundError` if there is none."""
        self._refresh()
        with self._mirror.lock:
            found = self._mirror.state.belief(id)
        if found is None:
            raise NotFoundError(f"belief {id} is not in this memory; see beliefs() for what is")
        return found

    def state_hash(self) -> str:
        """SHA-256 over everything that is held to be true and on what grounds, in hexadecimal.

        The same claims give the same hash, in whatever memory and under whatever event numbers.
        """
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.hash()

    def _state(
        self,
        claim: Claim,
        evidence: Sequence[Proof],
        by: str,
        trust: Trust,
        at: Time,
        key: str | None,
    ) -> Receipt:
        admit(claim)
        if trust not in tuple(Trust):
            known = ", ".join(f"Trust.{one.name}" for one in Trust)
            raise InvalidClaimError(f"trust {trust!r} is none of {known}")
        if evidence:
            self._refresh()
        pieces = [self._piece(proof, span) for proof in evidence for span in evidence_of(proof)[1]]
        lowest = min([trust, *(level for _, level in pieces)])
        claim = replace(claim, evidence=tuple(piece for piece, _ in pieces))
        asked = Asked((claim,), by, int(lowest))
        parents = tuple(dict.fromkeys(piece.seq for piece, _ in pieces))
        return self._change_state(_words(claim), claim.scope or "", asked, key, parents, at)

    def _piece(self, proof: Proof, span: tuple[int, int] | None) -> tuple[Evidence, Trust]:
        """A piece of evidence, checked against its event, and the trust of that event."""
        seq = evidence_of(proof)[0]
        row = self._mirror.row(seq)
        if row is None:
            raise NotFoundError(
                f"event {seq} is not kept, so nothing can rest on it; cite one that is"
            )
        piece, event = read.quote(row, span)
        if isinstance(proof, Evidence) and proof.quote != piece.quote:
            raise InvalidClaimError(
                f"the quote of {proof.citation} is not what event {seq} says there; cite its bytes"
            )
        return piece, trust_of(event)


def _having(every: Iterator[Belief], status: Wanted, at: float) -> Iterator[Belief]:
    """Those of a status at a time."""
    for one in every:
        disputed = one.status == "disputed"
        holds = one.holds(at)
        over = one.valid_until is not None and one.valid_until <= max(at, one.valid_from)
        if (
            status == "all"
            or (status == "disputed" and disputed)
            or (status == "current" and holds)
            or (status == "retired" and not disputed and over)
        ):
            yield one


def _words(claim: Claim) -> str:
    """A claim as the text of the event that records it."""
    text = f"{claim.subject} {claim.predicate.replace('_', ' ')} {claim.value}".strip()
    said: dict[Stance, str] = {
        "assert": text, "correct": f"Correction: {text}", "retract": f"No longer: {text}",
    }  # fmt: skip
    return said[claim.stance]

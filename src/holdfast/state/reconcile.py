"""What is true of one slot, given every claim ever made about it. Pure functions, no storage.

The beliefs of a slot are a function of the *set* of its claims: they are taken in the order in
which what they say began to be so, whatever the order in which they came in. So the order of
delivery cannot matter, and taking a claim away restores what it had retired.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from holdfast.state.records import Action, Belief, Claim, Evidence, Stance, Status, Trust
from holdfast.state.slots import Slot, named, rival_of

Held = Literal["nothing", "the same", "another"]
Weight = Literal["enough", "too little"]

RULES: dict[tuple[Stance, Held, Weight], Action] = {
    # A claim says … | its slot holds … | its trust, against what is held | so the claim will …
    ("assert", "nothing", "enough"): "add",
    ("assert", "nothing", "too little"): "dispute",  # somebody more trusted had it retracted
    ("assert", "the same", "enough"): "confirm",
    ("assert", "the same", "too little"): "confirm",
    ("assert", "another", "enough"): "supersede",
    ("assert", "another", "too little"): "dispute",
    ("retract", "nothing", "enough"): "ignore",
    ("retract", "nothing", "too little"): "ignore",
    ("retract", "the same", "enough"): "retract",
    ("retract", "the same", "too little"): "dispute",
    ("retract", "another", "enough"): "ignore",  # it is not what is held
    ("retract", "another", "too little"): "ignore",
    ("correct", "nothing", "enough"): "add",
    ("correct", "nothing", "too little"): "dispute",
    ("correct", "the same", "enough"): "confirm",
    ("correct", "the same", "too little"): "confirm",
    ("correct", "another", "enough"): "supersede",  # and what was held never was so
    ("correct", "another", "too little"): "dispute",
}
"""The whole of what Holdfast knows about deciding between claims.

"Too little" means a lower trust than that of what is held, however often it is said: claims are
never counted. Before any row applies, claims are put in order by valid time and, where that is
equal, by when they were recorded. A claim without a date says that something is so when it is said,
not since when: one that is said later and reaches further back comes after it. An instruction
below `Trust.USER` is always disputed.
"""

_SHOWN = 16  # pieces of evidence that a belief lists; the journal has them all


class Statement(NamedTuple):
    """A claim as it was recorded: when, by whom, and how far they are trusted."""

    claim: Claim
    seq: int
    n: int
    recorded_at: float
    observed_at: float  # when it was said
    source: str
    trust: int

    @property
    def valid_from(self) -> float:
        """Since when it is so: as it says, else when it was said."""
        given = self.claim.valid_from
        return self.observed_at if given is None else given

    @property
    def id(self) -> str:
        return f"b{self.seq}.{self.n}"


@dataclass(slots=True)
class _Span:
    """A run of statements that say the same, while it is being put together."""

    first: Statement
    rival: str
    valid_from: float
    statements: list[Statement]
    valid_until: float | None = None
    ended_by: Statement | None = None
    disputed: bool = False
    never: bool = False  # corrected: it never was so

    @property
    def trust(self) -> int:
        return max(one.trust for one in self.statements)

    @property
    def current(self) -> bool:
        """As `Belief.current`, without making the belief."""
        if self.disputed or self.never:
            return False
        by = self.ended_by
        if by is None or self.valid_until is None:
            return True
        return self.valid_until > max(_retired_at(self, by), self.valid_from)


class Outcome(NamedTuple):
    """What one statement did: to which belief, and which ones are no longer current."""

    action: Action
    belief: str
    retired: tuple[str, ...] = ()


def reconcile(slot: Slot, statements: Iterable[Statement], new: Statement) -> Outcome:
    """What a new statement changes in a slot.

    Parameters
    ----------
    statements
        Every statement about the slot that is known already, in any order.

    Examples
    --------
    >>> def says(value, at):
    ...     return Statement(Claim("Ana", "lives_in", value), at, 0, at, at, "ana", Trust.USER)
    >>> slot = Slot("", "ana", "lives_in")
    >>> reconcile(slot, [says("Lisbon", 1)], says("Porto", 2))
    Outcome(action='supersede', belief='b2.0', retired=('b1.0',))
    >>> settled = settle(slot, [says("Lisbon", 1), says("Porto", 2)])
    >>> [(belief.value, belief.current) for belief in settled]
    [('Lisbon', False), ('Porto', True)]
    """
    return Line(slot, statements).add(new)


def settle(slot: Slot, statements: Iterable[Statement]) -> tuple[Belief, ...]:
    """Every belief that some statements about a slot add up to, in order of valid time."""
    return Line(slot, statements).beliefs()


class Line:
    """Every statement about one slot, and what they add up to so far.

    Notes
    -----
    A statement that comes after all others in the order of what they say costs O(1), any other
    O(n log n) in the statements of the slot: then they are taken anew.
    """

    __slots__ = ("_floor", "_held", "_observed", "_place", "_spans", "_undated", "said", "slot")

    def __init__(self, slot: Slot, statements: Iterable[Statement] = ()) -> None:
        self.slot = slot
        self.said = list(statements)
        self._take_all()

    def copy(self) -> Line:
        """Another line that starts as this one; O(n), but only pointers."""
        twin = Line(self.slot)
        twin.said, twin._spans = list(self.said), list(self._spans)
        twin._floor, twin._place, twin._held = self._floor, self._place, self._held
        twin._observed, twin._undated = self._observed, self._undated
        if self._held is not None:
            twin._own(self._held)
        return twin

    def beliefs(self) -> tuple[Belief, ...]:
        """The beliefs of the slot, in order of valid time."""
        began = {id(span.first): span.first.id for span in self._spans}
        names = _aliases(span for span in self._spans if not span.disputed)
        return tuple(_belief(self.slot, span, began, names) for span in self._spans)

    def standing(self) -> list[tuple[Belief, list[Statement]]]:
        """The beliefs that are current, and what each rests on: its end, if one is announced, too.

        O(n) once the statements are taken, however many beliefs have ended.
        """
        began = {id(span.first): span.first.id for span in self._spans}
        names = _aliases(span for span in self._spans if not span.disputed)
        return [
            (
                _belief(self.slot, span, began, names),
                span.statements + ([] if span.ended_by is None else [span.ended_by]),
            )
            for span in self._spans
            if span.current
        ]

    def add(self, one: Statement) -> Outcome:
        """Take one more statement."""
        self.said.append(one)
        if self._follows(one):
            return self._take(one)
        before = {span.first.id for span in self._spans if span.current}
        done = self._take_all(one)
        held = {span.first.id for span in self._spans if span.current}
        return done._replace(retired=tuple(sorted(before - held)))

    def remove(self, one: Statement) -> None:
        """Take one away, as if it had never been said."""
        self.said.remove(one)
        self._take_all()

    def _follows(self, one: Statement) -> bool:
        """Whether it comes last in order, and leaves the order of the others as it is."""
        if one.observed_at < self._observed:
            return False
        if one.claim.valid_from is not None and self._undated:
            return False
        return (one.valid_from, one.seq, one.n) > self._place

    def _take_all(self, asked: Statement | None = None) -> Outcome:
        """Take every statement in order; what the one that is asked about did."""
        self._spans: list[_Span] = []
        self._held: _Span | None = None
        self._floor = 0  # trust of whoever emptied the slot
        self._place: tuple[float, int, int] = (-math.inf, 0, 0)
        self._observed, self._undated = -math.inf, False
        done = Outcome("ignore", "")
        for one in _in_order(self.slot, self.said):
            outcome = self._take(one)
            if asked is not None and (one.seq, one.n) == (asked.seq, asked.n):
                done = outcome
        return done

    def _take(self, one: Statement) -> Outcome:
        """Take the next statement in order, by the rule that fits."""
        self._place = max(self._place, (one.valid_from, one.seq, one.n))
        self._observed = max(self._observed, one.observed_at)
        self._undated = self._undated or one.claim.valid_from is None
        held = self._held
        if held is not None and held.valid_until is not None and (
            held.valid_until <= one.valid_from
        ):  # fmt: skip
            held, self._held, self._floor = None, None, 0  # it was to end by then
        rival = _rival(one, self.slot, held)
        action = _decide(one, rival, held, self._floor)
        match action:
            case "add" | "supersede":
                return self._begin(one, rival, action)
            case "confirm":
                assert held is not None
                _confirm(held, one)
                return Outcome(action, held.first.id)
            case "retract":
                assert held is not None
                was = held.current
                _end(held, one, one.valid_from)
                self._held, self._floor = None, one.trust
                ended = was and not held.current
                return Outcome(action, held.first.id, (held.first.id,) if ended else ())
            case "dispute" if one.claim.stance != "retract":
                return Outcome(action, self._dispute(one, rival))
        return Outcome(action, held.first.id if held is not None else one.id)

    def _begin(self, one: Statement, rival: str, action: Action) -> Outcome:
        """A belief begins; what was held ends, or never was so."""
        begins = one.valid_from
        retired: tuple[str, ...] = ()
        if (held := self._held) is not None:
            was = held.current
            if one.claim.stance == "correct":
                begins, held.never = held.valid_from, True
            _end(held, one, begins)
            retired = (held.first.id,) if was and not held.current else ()
        self._held = _Span(one, rival, begins, [one], one.claim.valid_until)
        self._spans.append(self._held)
        return Outcome(action, one.id, retired)

    def _dispute(self, one: Statement, rival: str) -> str:
        """A disputed claim joins those that say the same; it never becomes what is held."""
        for span in self._spans:
            if span.disputed and span.rival == rival:
                self._own(span).statements.append(one)
                return span.first.id
        self._spans.append(
            _Span(one, rival, one.valid_from, [one], one.claim.valid_until, disputed=True)
        )
        return one.id

    def _own(self, span: _Span) -> _Span:
        """A span of ours alone in the place of one that a copy may share."""
        mine = replace(span, statements=list(span.statements))
        self._spans[next(i for i, each in enumerate(self._spans) if each is span)] = mine
        if self._held is span:
            self._held = mine
        return mine


def _in_order(slot: Slot, statements: Sequence[Statement]) -> list[Statement]:
    """By when what they say began to be so, then by when they were recorded."""
    undated = [one for one in statements if one.claim.valid_from is None]

    def place(one: Statement) -> tuple[float, bool, int, int]:
        begins = one.valid_from
        if one.claim.valid_from is not None and undated:
            begins = max([begins, *(u.observed_at for u in undated if _outdates(slot, one, u))])
        return begins, begins > one.valid_from, one.seq, one.n  # after what it outdates

    return sorted(statements, key=place)


def _outdates(slot: Slot, one: Statement, undated: Statement) -> bool:
    """Whether a dated claim was said after one without a date that it contradicts."""
    if undated.observed_at >= one.observed_at:
        return False
    retracts = one.claim.stance == "retract"
    return retracts or rival_of(one.claim, slot) != rival_of(undated.claim, slot)


def _rival(one: Statement, slot: Slot, held: _Span | None) -> str:
    if one.claim.stance == "retract":
        if not one.claim.value and held is not None:
            return held.rival  # "no longer", whatever it was
        if slot.value and held is not None and named(one.claim.predicate) != held.rival:
            return named(one.claim.predicate)
    return rival_of(one.claim, slot)


def _decide(one: Statement, rival: str, held: _Span | None, floor: int) -> Action:
    if one.claim.kind == "instruction" and one.trust < Trust.USER:
        return "dispute"
    against = floor if held is None else held.trust
    has: Held = "nothing" if held is None else "the same" if rival == held.rival else "another"
    weighs: Weight = "enough" if one.trust >= against else "too little"
    return RULES[one.claim.stance, has, weighs]


def _confirm(span: _Span, one: Statement) -> None:
    """One more says the same; only whoever is trusted as much tells when it ceases to be so."""
    if one.trust > span.trust or (one.trust == span.trust and one.claim.valid_until is not None):
        span.valid_until = one.claim.valid_until
    span.statements.append(one)


def _end(span: _Span, by: Statement, at: float) -> None:
    span.ended_by = by
    if span.valid_until is None or span.valid_until > at:
        span.valid_until = max(at, span.valid_from)


def _retired_at(span: _Span, by: Statement) -> float:
    return max(by.recorded_at, span.first.recorded_at)


def _belief(slot: Slot, span: _Span, began: Mapping[int, str], names: tuple[str, ...]) -> Belief:
    said, ended = span.statements, span.ended_by
    told = [one.claim for one in said if one.trust == span.trust]  # the most trusted word it
    retired = None if ended is None else _retired_at(span, ended)
    next_id = None
    if ended is not None and ended.claim.stance != "retract":
        next_id = began.get(id(ended))
    return Belief(
        id=span.first.id,
        subject=told[0].subject,
        predicate=told[0].predicate,
        value=told[0].value,
        kind=told[0].kind,
        scope=slot.scope,
        status=_status(span),
        trust=span.trust,
        sources=tuple(sorted({one.source for one in said if one.source})),
        evidence=_evidence(said),
        valid_from=span.valid_from,
        valid_until=span.valid_until,
        recorded_at=span.first.recorded_at,
        retired_at=retired,
        superseded_by=next_id,
        why_it_matters=next((w for one in told[::-1] if (w := one.why_it_matters)), None),
        aliases=_aliases([span]) if span.disputed else names,
        confidence=told[-1].confidence,
    )


def _aliases(heard: Iterable[_Span]) -> tuple[str, ...]:
    """What people call it: aliases are of the slot, so a new value answers to the old ones."""
    names = (alias for each in heard for one in each.statements for alias in one.claim.aliases)
    return tuple(dict.fromkeys(names))


def _status(span: _Span) -> Status:
    if span.disputed:
        return "disputed"
    if span.never or (span.ended_by is not None and span.ended_by.claim.stance == "retract"):
        return "retracted"
    return "inferred" if all(one.claim.inferred for one in span.statements) else "asserted"


def _evidence(said: Sequence[Statement]) -> tuple[Evidence, ...]:
    """The first and the newest pieces, each once."""
    every = list(dict.fromkeys(piece for one in said for piece in one.claim.evidence))
    if len(every) <= _SHOWN:
        return tuple(every)
    return tuple(every[: _SHOWN // 2] + every[-_SHOWN // 2 :])

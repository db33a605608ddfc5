"""A plain model of what state promises: lists and dictionaries, folded anew for every question.

Written from the rule table of `holdfast.state.reconcile` and from docstrings, not from the code.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

MANY = {"likes": "opinion", "dislikes": "opinion", "visited": "visited"}
GATE = {
    ("shut", "push"): "open", ("open", "pull"): "shut", ("shut", "lock"): "locked",
    ("locked", "unlock"): "shut",
}  # fmt: skip


@dataclass(frozen=True)
class Said:
    """One claim as it was recorded."""

    seq: int
    recorded: float
    observed: float
    source: str
    trust: int
    scope: str
    subject: str
    predicate: str
    value: str
    kind: str = "fact"
    stance: str = "assert"
    valid_from: float | None = None
    valid_until: float | None = None
    rests_on: tuple[int, ...] = ()

    @property
    def begins(self) -> float:
        return self.observed if self.valid_from is None else self.valid_from

    @property
    def slot(self) -> tuple[str, ...]:
        if self.predicate in MANY:
            return self.scope, name(self.subject), MANY[self.predicate], name(self.value)
        return self.scope, name(self.subject), self.predicate, ""

    @property
    def id(self) -> str:
        return f"b{self.seq}.0"


@dataclass(frozen=True)
class Done:
    """One change of a document or automaton, one revocation, or something that changes nothing."""

    seq: int
    recorded: float
    source: str
    scope: str
    op: str
    what: str = ""
    body: Any = None


@dataclass
class Held:
    """A belief of the model."""

    said: list[Said]
    says: str  # the value or, where there may be many, the predicate
    begins: float
    until: float | None
    disputed: bool = False
    never: bool = False
    ended: Said | None = None

    @property
    def trust(self) -> int:
        return max(one.trust for one in self.said)

    def shape(self) -> tuple[Any, ...]:
        first, told = self.said[0], max(self.said, key=lambda one: one.trust)
        status = "asserted"
        if self.disputed:
            status = "disputed"
        elif self.never or (self.ended is not None and self.ended.stance == "retract"):
            status = "retracted"
        retired = None if self.ended is None else max(self.ended.recorded, first.recorded)
        pieces = list(dict.fromkeys(seq for one in self.said for seq in one.rests_on))
        shown = pieces if len(pieces) <= 16 else pieces[:8] + pieces[-8:]
        return (
            first.id, first.scope, told.subject, told.predicate, told.value, told.kind, status,
            self.trust, tuple(sorted({one.source for one in self.said} - {""})), tuple(shown),
            self.begins, self.until, first.recorded, retired,
        )  # fmt: skip

    def holds(self, at: float) -> bool:
        return not self.disputed and self.begins <= at and (self.until is None or at < self.until)


def name(text: str) -> str:
    """Names are compared without regard to case, articles and outer marks."""
    bare = text.strip(" .").casefold()
    return bare.removeprefix("the ") if bare.startswith("the ") else bare


def inside(scope: str, around: str) -> bool:
    return not around or scope == around or scope.startswith(around + "/")


def settle(claims: list[Said]) -> list[Held]:
    """What the claims about one slot add up to, by the table."""

    def place(one: Said) -> tuple[float, bool, int]:
        begins = one.begins
        if one.valid_from is not None:
            for other in claims:
                against = one.stance == "retract" or _says(one) != _says(other)
                if other.valid_from is None and other.observed < one.observed and against:
                    begins = max(begins, other.observed)
        return begins, begins > one.begins, one.seq

    beliefs: list[Held] = []
    held: Held | None = None
    floor = 0
    for one in sorted(claims, key=place):
        if held is not None and held.until is not None and held.until <= one.begins:
            held, floor = None, 0
        says = _says(one)
        if one.stance == "retract" and not one.value and held is not None:
            says = held.says
        same = held is not None and held.says == says
        enough = one.trust >= (floor if held is None else held.trust)
        if one.kind == "instruction" and one.trust < 2:
            if one.stance != "retract":
                _dispute(beliefs, one, says)
            continue
        if one.stance == "retract":
            if held is not None and same and enough:
                _end(held, one, one.begins)
                held, floor = None, one.trust
        elif held is not None and same:
            if one.trust > held.trust or (one.trust == held.trust and one.valid_until is not None):
                held.until = one.valid_until
            held.said.append(one)
        elif not enough:
            _dispute(beliefs, one, says)
        else:
            begins = one.begins
            if held is not None:
                if one.stance == "correct":
                    begins, held.never = held.begins, True
                _end(held, one, begins)
            held = Held([one], says, begins, one.valid_until)
            beliefs.append(held)
    return beliefs


def _says(one: Said) -> str:
    return one.predicate if one.predicate in MANY else name(one.value)


def _end(held: Held, by: Said, at: float) -> None:
    held.ended = by
    if held.until is None or held.until > at:
        held.until = max(at, held.begins)


def _dispute(beliefs: list[Held], one: Said, says: str) -> None:
    for other in beliefs:
        if other.disputed and other.says == says:
            other.said.append(one)
            return
    beliefs.append(Held([one], says, one.begins, one.valid_until, disputed=True))


ABSENT = object()


def edited(value: Any, form: str, body: Any) -> Any:
    """A document after an edit; None if it does not apply."""
    if form == "put":
        return (copy.deepcopy(body),)
    if form == "delete":
        return None if value is ABSENT else (ABSENT,)
    if form == "merge":
        base = dict(value) if isinstance(value, dict) else {}
        for key, new in body.items():
            if new is None:
                base.pop(key, None)
            else:
                base[key] = new
        return (base,)
    if not isinstance(value, dict) or "a" not in value:  # a patch, of what is at /a
        return None
    return ({**value, "a": body},)


@dataclass
class Model:
    """Everything that was said and done, and what it comes to at any moment."""

    claims: list[Said] = field(default_factory=list)
    done: list[Done] = field(default_factory=list)
    events: dict[int, tuple[str, str, str]] = field(default_factory=dict)  # scope, source, kind

    def revoked(self) -> set[str]:
        out: set[str] = set()
        for one in self.done:
            if one.op == "revoke":
                (out.add if one.body else out.discard)(one.what)
        return out

    def beliefs(self, as_of: float | None = None) -> list[Held]:
        slots: dict[tuple[str, ...], list[Said]] = {}
        gone = self.revoked()
        for one in self.claims:
            if one.source not in gone and (as_of is None or one.recorded <= as_of):
                slots.setdefault(one.slot, []).append(one)
        return [belief for slot in sorted(slots) for belief in settle(slots[slot])]

    def documents(self) -> dict[tuple[str, str], list[tuple[float, int, Any]]]:
        """Every version of each document: when, by which event, what."""
        found: dict[tuple[str, str], list[tuple[float, int, Any]]] = {}
        gone = self.revoked()
        for one in self.done:
            if one.op == "document" and one.source not in gone:
                line = found.get((one.scope, one.what), [])
                after = edited(line[-1][2] if line else ABSENT, *one.body)
                if after is not None:
                    found.setdefault((one.scope, one.what), []).append(
                        (one.recorded, one.seq, after[0])
                    )
        return found

    def gate(self) -> list[tuple[float, str]]:
        """Every state of the one automaton."""
        line: list[tuple[float, str]] = []
        gone = self.revoked()
        for one in self.done:
            if one.source in gone:
                continue
            if one.op == "declare":
                line.append((one.recorded, line[-1][1] if line else "shut"))
            elif one.op == "step" and line and (line[-1][1], one.body) in GATE:
                line.append((one.recorded, GATE[line[-1][1], one.body]))
        return line

    def erase(
        self, event: int | None = None, scope: str | None = None, source: str | None = None
    ) -> None:
        """Take out what is named, what rests on it alone, and the events that recorded that."""
        seqs = {
            seq
            for seq, (where, who, _) in self.events.items()
            if seq == event
            or (scope is not None and inside(where, scope))
            or (source is not None and who == source)
        } | ({event} if event is not None else set())
        every: list[Said | Done] = [*self.claims, *self.done]
        fallen = {
            one.seq
            for one in every
            if not (isinstance(one, Done) and one.op in ("revoke", "erase"))
            and (
                (scope is not None and inside(one.scope, scope))
                or (source is not None and one.source == source)
            )
        }
        while True:
            more = {
                one.seq
                for one in every
                if one.seq in seqs
                or (isinstance(one, Said) and one.rests_on and set(one.rests_on) <= seqs)
            } | fallen
            wider = seqs | {seq for seq in more if self.events.get(seq, ("", "", ""))[2] == "state"}
            if more == fallen and wider == seqs:
                break
            fallen, seqs = more, wider
        self.claims = [
            Said(**{**vars(one), "rests_on": tuple(s for s in one.rests_on if s not in seqs)})
            for one in self.claims
            if one.seq not in fallen
        ]
        lasting = ("revoke", "erase")  # what was revoked or erased remains so
        self.done = [one for one in self.done if one.seq not in fallen or one.op in lasting]
        self.events = {seq: what for seq, what in self.events.items() if seq not in seqs}

    def copy(self) -> Model:
        return Model(list(self.claims), list(self.done), dict(self.events))

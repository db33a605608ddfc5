"""The values that state is made of: claims go in, beliefs come out. All frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import Any, Literal

BeliefKind = Literal["fact", "preference", "decision", "instruction", "skill", "lesson", "question"]
BELIEF_KINDS: tuple[BeliefKind, ...] = (
    "fact", "preference", "decision", "instruction", "skill", "lesson", "question",
)  # fmt: skip

Stance = Literal["assert", "retract", "correct"]
STANCES: tuple[Stance, ...] = ("assert", "retract", "correct")

Status = Literal["asserted", "inferred", "disputed", "retracted"]

Action = Literal["add", "confirm", "supersede", "dispute", "retract", "ignore"]
"""What a claim did to the beliefs of its slot."""

_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Trust(IntEnum):
    """How far a source is believed. A lower one never retires what a higher one said."""

    UNTRUSTED = 0  # the web, tool output, imports, strangers
    DERIVED = 1  # an assistant's own words, and what a model concluded
    USER = 2  # the people the memory is for
    OWNER = 3  # whoever runs it


@dataclass(frozen=True, slots=True)
class Evidence:
    """An exact run of bytes of an event that a belief rests on.

    ``content[start:end]`` of event `seq`, in UTF-8 bytes; `digest` is BLAKE2b-64 of the whole
    content. The quote stays when the event is evicted. `seq` 0 means the event at hand, before it
    has a number.
    """

    seq: int
    start: int
    end: int
    quote: str
    digest: bytes = b""

    @property
    def citation(self) -> str:
        """As an item of a context cites: ``e12[0:36]``."""
        return f"e{self.seq}[{self.start}:{self.end}]"


@dataclass(frozen=True, slots=True)
class Claim:
    """One proposed belief, not yet reconciled.

    Parameters
    ----------
    subject, predicate, value
        What is said of whom: ``("Ana", "lives_in", "Lisbon")``. Names are compared without regard
        to case, white space and articles.
    kind
        One of `BELIEF_KINDS`.
    scope
        Where it holds; None: the scope of the event it comes with.
    stance
        "assert"; "retract" (no longer so; `value` may be empty for "whatever it is"); or "correct"
        (what was said before never was so).
    inferred
        Concluded from the evidence and not said in so many words.
    many
        Whether the subject may have several values at once; None: as the predicate usually has it
        (`state.predicates`).
    evidence
        Where it was said. None: the whole of the event it comes with.
    why_it_matters, aliases
        A reason to remember it, and other words under which people ask for it.
    confidence
        From 0 to 1, as whoever claims it sees it. Never decides between two claims.
    valid_from, valid_until
        When it began and ceased to be so, POSIX seconds; None: when its event happened, and not.
    """

    subject: str
    predicate: str
    value: str
    kind: BeliefKind = "fact"
    scope: str | None = None
    stance: Stance = "assert"
    inferred: bool = False
    many: bool | None = None
    evidence: tuple[Evidence, ...] = ()
    why_it_matters: str | None = None
    aliases: tuple[str, ...] = ()
    confidence: float = 1.0
    valid_from: float | None = None
    valid_until: float | None = None


@dataclass(frozen=True, slots=True)
class Belief:
    """A statement derived from events: since when, according to whom, and what became of it.

    Never edited: a later claim closes it and another belief begins. ``[valid_from, valid_until)``
    is when it was so, ``[recorded_at, retired_at)`` when this memory held it to be so; an end of
    None is open. `id` is ``b<event>.<n>`` of the claim that began it.
    """

    id: str
    subject: str
    predicate: str
    value: str
    kind: BeliefKind
    scope: str
    status: Status
    trust: int
    sources: tuple[str, ...]
    evidence: tuple[Evidence, ...]
    valid_from: float
    valid_until: float | None
    recorded_at: float
    retired_at: float | None
    superseded_by: str | None = None
    why_it_matters: str | None = None
    aliases: tuple[str, ...] = ()
    confidence: float = 1.0

    @property
    def current(self) -> bool:
        """Whether nothing has ended it yet: neither superseded, retracted nor only disputed.

        One whose end is announced, or whose `valid_until` was given, is current until `holds` says
        otherwise.
        """
        if self.valid_until is None:
            return self.status in ("asserted", "inferred")
        if self.status == "disputed" or self.retired_at is None:
            return self.status != "disputed"
        return self.valid_until > max(self.retired_at, self.valid_from)

    def holds(self, at: float) -> bool:
        """Whether it was so at a time, as far as is known; a disputed belief never is."""
        return (
            self.status != "disputed"
            and self.valid_from <= at
            and (self.valid_until is None or at < self.valid_until)
        )

    @property
    def text(self) -> str:
        """As a short sentence: ``Ana lives in Lisbon``."""
        return f"{self.subject} {self.predicate.replace('_', ' ')} {self.value}".strip()


@dataclass(frozen=True, slots=True)
class Change:
    """One change of state, as watchers see it and receipts list it.

    `seq` is the event that brought it and `n` its place among that event's changes: together they
    order all changes. `what` names what changed: a belief's id, a document, an automaton, a scope.
    `retired` are the ids of beliefs that ended with it.
    """

    seq: int
    n: int
    at: float
    action: str
    what: str
    scope: str = ""
    retired: tuple[str, ...] = ()
    detail: Mapping[str, Any] = field(default_factory=lambda: _EMPTY)

"""Which beliefs a question is about, and as the record stood when."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.records import Scope
from holdfast.state.journal import Entry
from holdfast.state.reconcile import Statement
from holdfast.state.records import Belief
from holdfast.state.slots import Slot, named, plain


@dataclass(frozen=True, slots=True)
class Query:
    """Which beliefs are wanted: None is any, and a scope includes what lies inside it."""

    scopes: tuple[str, ...] = ("",)
    subject: str | None = None
    predicate: str | None = None
    kind: str | None = None
    as_of: float | None = None  # as the record stood then
    before: int | None = None  # as the record stood before that event

    def sees(self, slot: Slot) -> bool:
        return (
            (self.subject is None or slot.subject == plain(self.subject))
            and any(Scope(scope).covers(slot.scope) for scope in self.scopes)
        )  # fmt: skip

    @property
    def timeless(self) -> bool:
        """Whether it is about the record as it stands."""
        return self.as_of is None and self.before is None

    def knew(self, said: Statement | Entry) -> bool:
        """Whether it was on record at the moment that is asked about."""
        return (self.as_of is None or said.recorded_at <= self.as_of) and (
            self.before is None or said.seq < self.before
        )

    def names(self, belief: Belief) -> bool:
        """Whether a belief is about the subject, and all else that is asked for."""
        wanted = self.subject is None or plain(belief.subject) == plain(self.subject)
        return wanted and self.wants(belief)

    def wants(self, belief: Belief) -> bool:
        return (self.predicate is None or named(belief.predicate) == named(self.predicate)) and (
            self.kind is None or belief.kind == self.kind
        )

"""What is asked of state: operations as they come with an event, not yet recorded."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, NamedTuple

from holdfast.state.access import Grant
from holdfast.state.aliases import Use
from holdfast.state.aliases import to_json as use_to
from holdfast.state.automaton import Declare, Step
from holdfast.state.documents import Edit
from holdfast.state.journal import claim_to
from holdfast.state.records import Claim

_ENTRY = 1200  # bytes that an entry takes beside its body, with its share of the pages above


@dataclass(frozen=True, slots=True)
class Revoke:
    """Leave out all that a source ever did to state, or (`revoked` False) take it back in."""

    source: str
    revoked: bool = True

    def to_json(self) -> dict[str, Any]:
        return {"s": self.source, "r": self.revoked}


@dataclass(frozen=True, slots=True)
class Note:
    """Something that was done to the memory as a whole: it changes no state, and is journaled."""

    action: str
    what: str
    detail: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return dict(self.detail)


Operation = Claim | Edit | Declare | Step | Grant | Note | Revoke | Use

OPS: Mapping[type[Operation], str] = {
    Claim: "claim", Edit: "document", Declare: "declare", Step: "step", Grant: "grant",
    Note: "note", Revoke: "revoke", Use: "use",
}  # fmt: skip


@dataclass(frozen=True)
class Asked:
    """Operations on state as they come with an event, not yet recorded.

    `promoted` is the belief that a claim copies from another scope.
    """

    operations: tuple[Operation, ...]
    source: str
    trust: int
    promoted: str | None = None
    read: bool = False  # by an extractor from what somebody said

    @property
    def alone(self) -> bool:
        """Whether it must be checked against a state that nothing uncommitted is laid over."""
        return not all(isinstance(one, (Claim, Use)) for one in self.operations)

    @property
    def stays(self) -> bool:
        """Whether it brings what is never let go of to make room: all but its past is kept."""
        return any(
            isinstance(one, Declare) or (isinstance(one, Edit) and one.form != "delete")
            for one in self.operations
        )

    def to_json(self) -> list[Any]:
        """What tells it from another, but for the events that its evidence is in."""
        bare = [replace(o, evidence=()) if isinstance(o, Claim) else o for o in self.operations]
        return [self.trust, *([OPS[type(one)], as_json(one)] for one in bare)]

    @property
    def cited(self) -> set[int]:
        """The other events that its claims rest on."""
        claims = (one for one in self.operations if isinstance(one, Claim))
        return {piece.seq for claim in claims for piece in claim.evidence} - {0}

    @cached_property
    def weight(self) -> int:
        """About the bytes of pages that journaling it dirties, and no fewer."""
        sizes = [len(json.dumps(as_json(one))) for one in self.operations]
        return sum(2 * size + _ENTRY for size in sizes)


class Place(NamedTuple):
    """Where and when an event is recorded, and the content that its evidence is in."""

    seq: int
    at: float
    recorded_at: float
    scope: str
    content: bytes


def as_json(one: Operation) -> Mapping[str, Any]:
    """An operation as a journal keeps it."""
    if isinstance(one, Claim):
        return claim_to(one)
    return use_to(one) if isinstance(one, Use) else one.to_json()

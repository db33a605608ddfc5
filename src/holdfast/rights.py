"""What a principal may do with a memory, and how what it may not see is kept from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

from holdfast import write
from holdfast.api.base import Scopes, Time, scopes
from holdfast.codec import Row
from holdfast.errors import AccessError, InvalidClaimError, InvalidEventError, NotFoundError
from holdfast.records import Context, Event, Receipt, Record
from holdfast.state.access import Right
from holdfast.state.admit import admit, evidence_of
from holdfast.state.records import Claim, Trust
from holdfast.state.slots import slot_of
from holdfast.trust.levels import trust_of

if TYPE_CHECKING:
    from holdfast.api.beliefs import Proof
    from holdfast.memory import Memory

_MARK = "\x1f"  # between a principal and its idempotency keys; no principal's name has it


class Bounds(TypedDict, total=False):
    """What a read may be narrowed by, as of `Memory.rank`."""

    since: Time
    until: Time
    before: int | None
    as_of: Time
    valid_at: Time


class Recalling(Bounds, total=False):
    """As of `Memory.recall`."""

    tokens: int
    limit: int
    explain: bool
    previous: Context | None
    hops: int
    beliefs: int


class Stating(TypedDict, total=False):
    """What may be said with a belief, as of `Memory.believe`."""

    why_it_matters: str | None
    aliases: Sequence[str]
    confidence: float
    valid_from: Time
    valid_until: Time
    corrects: bool
    inferred: bool
    at: Time


class Mine(TypedDict):
    """By whom and where state is changed."""

    scope: str
    by: str
    key: str | None


class Rights:
    """A memory and a principal; the methods say what that one may do there. See `Seat`."""

    def __init__(self, memory: Memory, principal: str) -> None:
        home = principal.strip("/")
        if not home or any(mark < " " or mark == "\x7f" for mark in home):
            raise InvalidClaimError(
                "a seat needs the name of a principal, without control characters; give one"
            )
        self._memory = memory
        self.principal = home

    # ---- rights ----------------------------------------------------------------------------

    def _may(self, right: Right, scope: str) -> bool:
        with self._memory._mirror.lock:
            return self._memory._mirror.state.access.may(self.principal, right, scope)

    def _require(self, right: Right, scope: str) -> str:
        self._memory._refresh()
        where = scope.strip("/")
        with self._memory._mirror.lock:
            self._memory._mirror.state.access.require(self.principal, right, where)
        return where

    def _readable(self, scope: Scopes | None) -> tuple[str, ...]:
        """The scopes of a read: those that are named, each checked, or all that may be read."""
        if scope is not None:
            return tuple(self._require("read", one) for one in scopes(scope))
        self._memory._refresh()
        with self._memory._mirror.lock:
            return self._memory._mirror.state.access.readable(self.principal)

    def _writable(self, scope: str | None) -> str:
        return self._require("write", self.principal if scope is None else scope)

    def _at(self, scope: str | None) -> str:
        """The one scope of a read."""
        return self._require("read", self.principal if scope is None else scope)

    def _as_mine(self, scope: str | None, key: str | None) -> Mine:
        self._at(scope)
        return {"scope": self._writable(scope), "by": self.principal, "key": self._key(key)}

    def _key(self, key: str | None) -> str | None:
        """An idempotency key that no other principal can have."""
        return None if key is None else f"{self.principal}{_MARK}{key}"

    def _admit(self, claim: Claim, trust: Trust) -> None:
        if trust > Trust.USER:
            raise AccessError(f"{self.principal!r} may state things at trust USER at the most")
        admit(claim)
        if self._directs(claim, claim.scope or ""):
            self._require("directive", claim.scope or "")

    def _directs(self, claim: Claim, scope: str) -> bool:
        """Whether a claim states an instruction, or bears on one that is held."""
        with self._memory._mirror.lock:
            held = self._memory._mirror.state.of(slot_of(claim, scope))
        return claim.kind == "instruction" or any(
            one.kind == "instruction" and one.current for one in held
        )

    def _cited(self, evidence: Sequence[Proof]) -> tuple[Proof, ...]:
        """The evidence, all of it in events that may be read."""
        pieces = tuple(evidence)
        for one in pieces:
            self._row(evidence_of(one)[0])
        return pieces

    def _writer(self) -> write.Writer:
        return replace(self._memory._writer, admits=self._admits)

    def _admits(self, event: Event, claim: Claim) -> bool:
        """Whether a claim in the words of an event may be taken up."""
        where = event.scope if claim.scope is None else claim.scope
        return self._may("write", where) and (
            not self._directs(claim, where) or self._may("directive", where)
        )

    def _spoken(self, event: Event, scope: str | None) -> Event:
        where = self._writable(scope)
        if event.speaker not in (None, self.principal):
            raise AccessError(f"{self.principal!r} speaks for nobody else; leave the speaker out")
        if event.kind == "state":
            raise InvalidEventError('events of kind "state" are made by changing state')
        spoken = replace(event, speaker=self.principal, scope=where, key=self._key(event.key))
        if not all(isinstance(one, str) for one in (event.role or "", event.channel or "")):
            raise InvalidEventError("role and channel must be text; name them")
        if trust_of(spoken) > Trust.USER:
            raise AccessError(f"{self.principal!r} may not speak for the owner; give another role")
        return spoken

    # ---- what is shown ---------------------------------------------------------------------

    def _row(self, seq: int) -> Row:
        self._memory._refresh()
        row = self._memory._mirror.row(seq)
        if row is None or not self._may("read", row.who.scope):
            raise NotFoundError(
                f"event {seq} is not here to be read: it was evicted, never was, or lies in a "
                f"scope that {self.principal!r} may not read"
            )
        return row

    def _shown(self, record: Record) -> Record:
        key, mine = record.event.key, self.principal + _MARK
        event = record.event
        if key is not None and key.startswith(mine):
            event = replace(event, key=key.removeprefix(mine))
        return replace(record, event=event, episode=0)

    def _told(self, receipt: Receipt, scope: str) -> Receipt:
        changes = receipt.changes if self._may("read", scope) else ()
        return replace(receipt, episode=0, changes=changes)


def only(options: Mapping[str, object], known: type) -> None:
    """Refuse what a seat does not let through, whatever `Memory` would do with it."""
    for name in options:
        if name not in known.__annotations__:
            raise TypeError(f"a seat takes no argument {name!r} here")

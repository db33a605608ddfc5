"""Who may do what where: private by default, widened by grants, each of them journaled."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from holdfast.errors import AccessError, InvalidClaimError
from holdfast.records import Scope

Right = Literal["read", "write", "directive"]
RIGHTS: tuple[Right, ...] = ("read", "write", "directive")


@dataclass(frozen=True, slots=True)
class Grant:
    """A right over a scope and all inside it, given to a principal or taken back."""

    principal: str
    right: Right
    scope: str
    given: bool = True

    def to_json(self) -> dict[str, Any]:
        return {"p": self.principal, "r": self.right, "s": self.scope, "g": self.given}

    @classmethod
    def from_json(cls, line: Mapping[str, Any]) -> Self:
        return cls(line["p"], line["r"], line["s"], line["g"])


class Access:
    """The fold of all grants.

    A principal has every right but "directive" over the scope that bears its name, and over what
    lies inside it; everything else needs a grant. "directive" is the right to state instructions.

    Examples
    --------
    >>> access = Access()
    >>> access.may("agent/bo", "read", "team/notes"), access.may("agent/bo", "write", "agent/bo/x")
    (False, True)
    >>> access.apply(Grant("agent/bo", "read", "team"))
    >>> access.may("agent/bo", "read", "team/notes"), access.may("agent/bo", "read", "teams")
    (True, False)
    """

    def __init__(self) -> None:
        self._given: set[tuple[str, Right, str]] = set()

    def check(self, grant: Grant) -> None:
        """Raises `InvalidClaimError` for a right that there is not."""
        if grant.right not in RIGHTS:
            raise InvalidClaimError(f"no right {grant.right!r}; it is one of {', '.join(RIGHTS)}")
        if not grant.principal:
            raise InvalidClaimError("a grant needs a principal; name who it is for")

    def apply(self, grant: Grant) -> None:
        """Take over one grant, or its end."""
        key = (grant.principal, grant.right, grant.scope.strip("/"))
        if grant.given:
            self._given.add(key)
        else:
            self._given.discard(key)

    def may(self, principal: str, right: Right, scope: str) -> bool:
        """Whether a principal has a right over a scope."""
        home = principal.strip("/")
        if right != "directive" and home and Scope(home).covers(scope):
            return True
        return any(
            who == principal and has == right and Scope(where).covers(scope)
            for who, has, where in self._given
        )

    def require(self, principal: str, right: Right, scope: str) -> None:
        """Raises `AccessError` if a principal lacks a right over a scope."""
        if not self.may(principal, right, scope):
            raise AccessError(
                f"{principal!r} may not {_VERBS[right]} scope {scope!r}; "
                f"grant it {right!r} over that scope, or over one around it"
            )

    def readable(self, principal: str) -> tuple[str, ...]:
        """The widest scopes that a principal may read."""
        mine = {where for who, has, where in self._given if who == principal and has == "read"}
        if home := principal.strip("/"):
            mine.add(home)
        return tuple(
            sorted(s for s in mine if not any(o != s and Scope(o).covers(s) for o in mine))
        )

    def grants(self) -> tuple[Grant, ...]:
        """What is granted now."""
        return tuple(Grant(*key) for key in sorted(self._given))

    def canonical(self) -> list[list[str]]:
        """For the state's hash."""
        return [list(key) for key in sorted(self._given)]


_VERBS = {"read": "read", "write": "write to", "directive": "state instructions in"}

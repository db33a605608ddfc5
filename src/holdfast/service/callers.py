"""Who is calling, and what that one may do: the outcome of a credential, whatever its kind."""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from holdfast.errors import AccessError

May = Literal["read", "write", "govern"]
LEVELS: tuple[May, ...] = ("read", "write", "govern")
"""Each includes those before it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """One who calls a service.

    Parameters
    ----------
    name
        What logs and errors call it.
    may
        The most it may do: "read", "write" or "govern".
    memories
        The names of memories it may use; ``*`` stands for any run of characters.
    principal
        Who it is inside each memory, as for `Memory.seat`. None: the owner, who sees all of it.

    Examples
    --------
    >>> bo = Caller("bo", "write", ("team-*",), "agent/bo")
    >>> bo.may_use("team-red"), bo.may_use("ana"), bo.allows("govern")
    (True, False, False)
    """

    name: str
    may: May = "read"
    memories: tuple[str, ...] = ()
    principal: str | None = None

    def may_use(self, memory: str) -> bool:
        """Whether it may use a memory of this name."""
        return any(fnmatchcase(memory, pattern) for pattern in self.memories)

    def allows(self, effect: str) -> bool:
        """Whether it may call operations of this effect."""
        return effect in LEVELS[: LEVELS.index(self.may) + 1]

    def only_memory(self) -> str:
        """The one memory that it may use.

        Raises
        ------
        AccessError
            If there may be several: then the caller has to name one.
        """
        if len(self.memories) == 1 and not set("*?[") & set(self.memories[0]):
            return self.memories[0]
        raise AccessError(
            f"{self.name} may use several memories; name one, or use a key for one memory"
        )


OWNER = Caller("the owner", "govern", ("*",))
"""Who has the files in hand and needs no credential."""

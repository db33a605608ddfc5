"""State by its journal: looks at what changed and what rests on what, each with a bound."""

from __future__ import annotations

from collections.abc import Collection
from itertools import islice

from holdfast.memory import Memory
from holdfast.records import Scope
from holdfast.seat import Seat
from holdfast.state.journal import Entry
from holdfast.state.records import Belief, Change

_OF_ONE_EVENT = 64  # beliefs that an event brought and that are looked for by their numbers


class Journal:
    """What a caller may see of how state came to be.

    Parameters
    ----------
    at
        A memory, or a seat in it: then only its readable scopes are there.

    Notes
    -----
    Each method tells at most so much, and whether there is more. The lock is held meanwhile, some
    tenths of a microsecond for each entry that is passed over.
    """

    def __init__(self, at: Memory | Seat) -> None:
        memory = at._memory if isinstance(at, Seat) else at
        memory._refresh()
        self._mirror = memory._mirror
        readable = at._readable(None) if isinstance(at, Seat) else ("",)
        self._scopes = [Scope(one) for one in readable]

    def moments(self, most: int) -> tuple[list[float], bool]:
        """When state changed, newest first."""
        with self._mirror.lock:
            entries = reversed(self._mirror.state.entries.values())
            found = list(
                islice((one.recorded_at for one in entries if self._sees(one.scope)), most + 1)
            )
        return found[:most], len(found) > most

    def receipts(self, actions: Collection[str], most: int) -> tuple[list[Change], bool]:
        """The changes of some kinds, newest first."""

        def wanted(entry: Entry) -> bool:
            return entry.action in actions and self._sees(entry.scope)

        with self._mirror.lock:
            entries = filter(wanted, reversed(self._mirror.state.entries.values()))
            found = [one.change for one in islice(entries, most + 1)]
        return found[:most], len(found) > most

    def resting_on(self, seq: int, most: int) -> tuple[list[Belief], bool]:
        """The beliefs that cite an event, or began with it. O(beliefs that do)."""
        with self._mirror.lock:
            state = self._mirror.state
            found = {one.id: one for one in state.resting_on(seq)}
            for id in (f"b{seq}.{n}" for n in range(_OF_ONE_EVENT)):
                began = state.belief(id)
                if began is not None and began.id == id:
                    found[id] = began
        seen = [one for one in found.values() if self._sees(one.scope)]
        return seen[:most], len(seen) > most

    def _sees(self, scope: str) -> bool:
        return any(one.covers(scope) for one in self._scopes)

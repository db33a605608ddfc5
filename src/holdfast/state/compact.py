"""What the journal lets go of when it outgrows its share: history first, what is held last."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any, TypeVar

from holdfast.state.fold import State
from holdfast.state.journal import Entry, encode
from holdfast.state.reconcile import Line, Statement
from holdfast.state.records import Belief
from holdfast.state.slots import Slot

SHARE = 1 / 8
"""Of the room in a file, that the journal may take."""
_FREED = 1 / 8  # of the share, at once
_GROUPS = 16  # of one slot, in one cut
_WHOLE = 16  # entries of a slot that always go together
_T = TypeVar("_T")


@dataclass
class Cut:
    """Entries to delete, entries that take the place of others, and where history now begins.

    `drop` has groups that go as a whole: in between, something else might be held. A journal of
    under `again` bytes is not worth another cut.
    """

    drop: list[list[int]] = field(default_factory=list)
    put: list[Entry] = field(default_factory=list)
    horizon: int = 0
    again: int = 0

    def first(self, most: int) -> list[int]:
        """The entries of the first groups, at most so many."""
        found: list[int] = []
        for group in self.drop:
            if len(found) + len(group) > most:
                break
            found += group
        return found

    def done(self, n: int) -> None:
        """So many entries from the front are deleted."""
        while n > 0:
            n -= len(self.drop.pop(0))


def plan_cut(
    state: State, share: int, at_once: int, room: int, lock: AbstractContextManager[Any]
) -> Cut:
    """Enough to free an eighth of the share, the least missed first.

    In this order: what is no longer held (superseded, retracted, disputed) and what only says again
    what is held, the longest ago first; older versions of documents and automata; uses, notes and
    grants that later ones undid, and what revoked sources said; and, if nothing else is left,
    beliefs, those that were only read from a text first, instructions and the most trusted last, as
    long as they take half of the share. What is
    held of a slot is the same before and after, unless the slot goes as a whole.

    Parameters
    ----------
    at_once
        Entries of one group, at the most; but a slot of a few goes as a whole.
    room
        Bytes of entries that may be put in the place of others.
    lock
        Held while the state itself is changed: older versions of documents are let go of at once.

    Notes
    -----
    O(entries), for each eighth of the share that is written.
    """
    wanted = int(share * _FREED)
    cut = Cut()
    freed = _take(cut, _past(state, at_once), wanted)
    if freed < wanted:
        with lock:
            compacted = list(state.compact_versions(room))
        for base, gone in compacted:
            freed += sum(len(encode(state.entries[id])) for id in gone)
            cut.put.append(base)
            cut.drop += _groups(gone, at_once)
            cut.horizon = max(cut.horizon, base.seq)
    for source in (_idle, _left_out):
        if freed < wanted:
            freed += _take(cut, source(state, at_once), wanted - freed)
    if freed < wanted:
        claims = sum(len(encode(e)) for e in state.entries.values() if e.op == "claim")
        spare = min(wanted - freed, claims - share // 2)
        freed += _take(cut, _held(state, max(at_once, _WHOLE)), spare)
    return cut


def _take(cut: Cut, found: Iterator[list[Entry]], wanted: int) -> int:
    """Add groups of entries to a cut until they free so many bytes; how many they do."""
    freed, taken = 0, {id for group in cut.drop for id in group}
    for entries in found:
        if freed >= wanted:
            break
        fresh = [entry for entry in entries if entry.id not in taken]
        if fresh:
            cut.drop.append([entry.id for entry in fresh])
            cut.horizon = max([cut.horizon, *(entry.seq for entry in fresh)])
            freed += sum(len(encode(entry)) for entry in fresh)
    return freed


def _groups(items: Sequence[_T], n: int) -> Iterator[list[_T]]:
    for start in range(0, len(items), n):
        yield list(items[start : start + n])


def _past(state: State, at_once: int) -> Iterator[list[Entry]]:
    """What each slot can do without, by when it was last said, the longest ago first."""
    found = [
        (min(one.recorded_at for one in spare), slot, statements, spare)
        for slot, statements in state.statements()
        if len(statements) > 1 and (spare := _spare(slot, statements))
    ]
    found.sort(key=lambda each: each[:2])
    for _, slot, statements, spare in found:
        left, before = list(statements), _current(slot, statements)
        for group in islice(_groups(spare, at_once), _GROUPS):
            gone = {one.id for one in group}
            left = [one for one in left if one.id not in gone]
            if len(spare) > at_once and _current(slot, left) != before:
                break
            yield [state.entry(one) for one in group]


def _spare(slot: Slot, statements: Sequence[Statement]) -> list[Statement]:
    """The statements without which the same is held, for the same reasons; in order of time."""
    standing = Line(slot, statements).standing()
    kept: dict[str, Statement] = {}
    for belief, grounds in standing:
        first, reason = grounds[0], belief.why_it_matters
        top = max(grounds, key=lambda one: one.trust)
        told = [one for one in grounds if one.trust == belief.trust]
        why = next((one for one in told[::-1] if one.claim.why_it_matters == reason), first)
        by_source = {(one.source, one.trust): one for one in grounds}  # the last of each
        begun = {(one.source, one.trust): one for one in grounds[::-1]}
        for one in (first, top, why, *by_source.values(), *begun.values()):
            kept[one.id] = one
    names: set[str] = set()
    for one in statements:
        if standing and not names.issuperset(one.claim.aliases):
            kept[one.id] = one
        names.update(one.claim.aliases)
    if not standing:
        last = max(statements, key=lambda one: (one.valid_from, one.seq, one.n))
        kept[last.id] = last  # a retraction keeps its weight
    spare = [one for one in statements if one.id not in kept]
    if not spare or _current(slot, list(kept.values())) != _current(slot, statements):
        return []
    return sorted(spare, key=lambda one: (one.valid_from, one.seq, one.n))


def _current(slot: Slot, statements: Sequence[Statement]) -> list[Belief]:
    """What is held, without what only adds to its evidence."""
    return [
        replace(belief, evidence=(), aliases=tuple(sorted(belief.aliases)))
        for belief, _ in Line(slot, statements).standing()
    ]


def _idle(state: State, at_once: int) -> Iterator[list[Entry]]:
    """The older half of all uses; notes, and grants and the like that later ones undid."""
    entries = state.entries.values()
    uses = [entry for entry in entries if entry.op == "use"]
    yield from _groups(uses[: len(uses) // 2], at_once)
    about: tuple[str, ...]
    last: dict[tuple[str, ...], int] = {}
    done = []
    for entry in state.entries.values():
        if state.leaves_out(entry):
            continue  # it undid nothing
        match entry.op:
            case "grant":
                about = entry.op, entry.body["p"], entry.body["r"], entry.body["s"]
            case "revoke":
                about = entry.op, entry.what
            case "snapshot" | "delete_snapshot":
                about = "snapshot", entry.what
            case "erase" | "rollback" | "fork":
                about = (entry.op,)
            case _:
                continue
        if about in last:
            done.append(state.entries[last[about]])
        last[about] = entry.id
    yield from _groups(done, at_once)


def _left_out(state: State, at_once: int) -> Iterator[list[Entry]]:
    """What revoked sources said, the longest ago first."""
    yield from _groups([e for e in state.entries.values() if state.leaves_out(e)], at_once)


def _held(state: State, at_once: int) -> Iterator[list[Entry]]:
    """Whole slots: what was only read before what was stated, instructions last.

    Of the same standing the least trusted go first, then the longest ago.
    """

    def rank(item: tuple[Slot, list[Statement]]) -> tuple[bool, bool, int, float]:
        said = item[1]
        stated = not all("x" in state.entry(one).body for one in said)
        told = stated and any(one.claim.kind == "instruction" for one in said)
        return told, stated, max(one.trust for one in said), max(one.recorded_at for one in said)

    for slot, statements in sorted(state.statements(), key=rank):
        grounds = {one.id for _, said in Line(slot, statements).standing() for one in said}
        order = sorted(statements, key=lambda one: (one.id in grounds, one.valid_from, one.seq))
        yield from _groups([state.entry(one) for one in order], at_once)

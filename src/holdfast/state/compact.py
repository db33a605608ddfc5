"""What the journal lets go of when it outgrows its share: history first, what is held last."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from holdfast.state.fold import State
from holdfast.state.journal import Entry, encode
from holdfast.state.reconcile import Statement, settle
from holdfast.state.records import Belief
from holdfast.state.slots import Slot

SHARE = 1 / 4
"""Of the room in a file, that the journal may take."""
_FREED = 1 / 8  # of the share, at once


@dataclass
class Cut:
    """Entries to delete, entries that take the place of others, and where history now begins."""

    drop: list[int] = field(default_factory=list)
    put: list[Entry] = field(default_factory=list)
    horizon: int = 0


def plan_cut(state: State, share: int) -> Cut:
    """Enough to free an eighth of the share, the least missed first.

    In this order: what is no longer held (superseded, retracted, disputed) and what only says again
    what is held, the longest ago first; older versions of documents and automata; uses; and, if
    nothing else is left, beliefs, instructions and the most trusted last. What is held of a slot
    is the same before and after, unless the slot goes as a whole.

    Notes
    -----
    O(entries), for each eighth of the share that is written.
    """
    wanted = int(share * _FREED)
    cut = Cut()
    freed = _take(cut, _past(state), wanted)
    if freed < wanted:
        for base, gone in state.compact_versions():
            freed += sum(len(encode(state.entries[id])) for id in gone)
            cut.put.append(base)
            cut.drop += gone
            cut.horizon = max(cut.horizon, base.seq)
    for source in (_uses, _held):
        if freed < wanted:
            freed += _take(cut, source(state), wanted - freed)
    return cut


def _take(cut: Cut, found: Iterator[list[Entry]], wanted: int) -> int:
    """Add entries to a cut until they free so many bytes; how many they do."""
    freed, taken = 0, set(cut.drop)
    for entries in found:
        if freed >= wanted:
            break
        for entry in entries:
            if entry.id not in taken:
                cut.drop.append(entry.id)
                cut.horizon = max(cut.horizon, entry.seq)
                freed += len(encode(entry))
    return freed


def _past(state: State) -> Iterator[list[Entry]]:
    """What each slot can do without, by when it was last said, the longest ago first."""
    found: list[tuple[float, Slot, list[Statement]]] = []
    for slot, statements in state.statements():
        if len(statements) > 1 and (spare := _spare(slot, statements)):
            found.append((max(one.recorded_at for one in spare), slot, spare))
    found.sort(key=lambda each: (each[0], each[1]))
    for _, _, spare in found:
        yield [state.entry(one) for one in spare]


def _spare(slot: Slot, statements: list[Statement]) -> list[Statement]:
    """The statements without which the same is held, for the same reasons."""
    before = _current(slot, statements)
    ids = {belief.id for belief in before}
    kept: dict[tuple[int, int], Statement] = {}
    if before:
        (value,) = {(belief.predicate, belief.value.casefold()) for belief in before[:1]}
        by_source: dict[str, list[Statement]] = {}
        for one in statements:
            same = (one.claim.predicate, one.claim.value.casefold()) == value
            if one.id in ids or (same and one.claim.stance != "retract"):
                by_source.setdefault(one.source, []).append(one)
        for said in by_source.values():
            said.sort(key=lambda one: (one.seq, one.n))
            for one in (said[0], said[-1]):
                kept[one.seq, one.n] = one
    else:
        last = max(statements, key=lambda one: (one.valid_from, one.seq, one.n))
        kept[last.seq, last.n] = last  # a retraction keeps its weight
    if len(kept) == len(statements) or _current(slot, list(kept.values())) != before:
        return []
    return [one for one in statements if (one.seq, one.n) not in kept]


def _current(slot: Slot, statements: list[Statement]) -> list[Belief]:
    """What is held, without what only adds to its evidence."""
    return [
        Belief(**{name: getattr(belief, name) for name in _COMPARED}, evidence=(), sources=())
        for belief in settle(slot, statements)
        if belief.current
    ]


_COMPARED = (
    "id", "subject", "predicate", "value", "kind", "scope", "status", "trust", "valid_from",
    "valid_until", "recorded_at", "retired_at",
)  # fmt: skip


def _uses(state: State) -> Iterator[list[Entry]]:
    uses = [entry for entry in state.entries.values() if entry.op == "use"]
    for entry in uses[: len(uses) // 2]:
        yield [entry]


def _held(state: State) -> Iterator[list[Entry]]:
    """Whole slots: the least trusted first, instructions last, the longest ago first."""

    def rank(item: tuple[Slot, list[Statement]]) -> tuple[bool, int, float]:
        said = item[1]
        told = any(one.claim.kind == "instruction" for one in said)
        return told, max(one.trust for one in said), max(one.recorded_at for one in said)

    for _, statements in sorted(state.statements(), key=rank):
        yield [state.entry(one) for one in statements]

"""Automata: which state a task is in, and which steps it may take from there.

No input or output and no clock: declarations and steps arrive in the order of their journal, with
their times. The same operations give the same states, so a restart or a fork is a replay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf
from typing import Any, TypeAlias

from holdfast.errors import InvalidClaimError, NotFoundError, TransitionError
from holdfast.state.documents import Journaled

Transition: TypeAlias = tuple[str, str, str]
"""State, event, next state."""


@dataclass(frozen=True, slots=True)
class Automaton:
    """A finite automaton as declared: deterministic, and without a state of its own.

    Parameters
    ----------
    name
        Unique within a scope.
    states, initial
        Every state, and the one it begins in.
    transitions
        State, event, next state; at most one for each state and event.
    final
        States in which the task is done. Steps may lead out of them.

    Raises
    ------
    InvalidClaimError
        If a name is empty or no text, one is declared twice, or a state is not declared.

    Examples
    --------
    >>> oven = Automaton("oven", ("idle", "hot"), "idle", (("idle", "heat", "hot"),))
    >>> oven.target("idle", "heat"), oven.target("hot", "heat"), oven.events("idle")
    ('hot', None, ('heat',))
    """

    name: str
    states: tuple[str, ...]
    initial: str
    transitions: tuple[Transition, ...]
    final: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        def refuse(why: str) -> None:
            raise InvalidClaimError(f"automaton {self.name!r} {why}")

        parts = (part for move in self.transitions for part in move)
        names = (self.name, self.initial, *self.states, *self.final, *parts)
        if not all(isinstance(name, str) and name for name in names):
            refuse("has a name that is empty or no text; name every state and event")
        if any(len(move) != 3 for move in self.transitions):
            refuse("has a transition that is no state, event and next state; give all three")
        moves = [move[:2] for move in self.transitions]
        for what, listed in (("state", self.states), ("final state", self.final), ("step", moves)):
            if len(set(listed)) != len(listed):
                refuse(f"declares a {what} twice; declare it once")
        used = {self.initial, *self.final, *(s for a, _, b in self.transitions for s in (a, b))}
        if unknown := sorted(used - set(self.states), key=repr):
            refuse(f"uses the undeclared state {unknown[0]!r}; add it to the states")

    def target(self, state: str, event: str) -> str | None:
        """Return the state to which `event` leads from `state`; None: it is illegal there."""
        return next((b for a, e, b in self.transitions if (a, e) == (state, event)), None)

    def events(self, state: str) -> tuple[str, ...]:
        """Return the events that are legal in `state`, as declared."""
        return tuple(event for source, event, _ in self.transitions if source == state)

    def to_json(self) -> dict[str, Any]:
        """Return it for the journal, keys sorted."""
        return {
            "f": list(self.final),
            "i": self.initial,
            "n": self.name,
            "q": list(self.states),
            "t": [list(move) for move in self.transitions],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Automaton:
        """Return what `to_json` wrote."""
        moves = tuple(tuple(move) for move in data["t"])
        return cls(data["n"], tuple(data["q"]), data["i"], moves, tuple(data["f"]))


@dataclass(frozen=True, slots=True)
class Declare(Journaled):
    """Declare an automaton in a scope, or declare it anew; as journaled.

    Parameters
    ----------
    automaton, scope
        What, and where.
    state, been, stands_for, others
        The state it is in instead of the initial one, those it has been in, how many versions this
        stands for, and sources of these besides `source`: only where `Automata.compact` made it.
    """

    automaton: Automaton
    scope: str
    state: str | None = None
    been: tuple[str, ...] = ()
    stands_for: int = 1
    others: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The automaton's name."""
        return self.automaton.name

    def to_json(self) -> dict[str, Any]:
        """Return it for the journal, keys sorted."""
        data: dict[str, Any] = {"a": self.automaton.to_json(), "s": self.scope}
        if self.state is not None:
            data |= {"b": list(self.been), "c": self.stands_for}
            data |= {"o": list(self.others), "q": self.state}
        return dict(sorted(data.items()))

    @classmethod
    def from_json(cls, data: Mapping[str, Any], **journal: Any) -> Declare:
        """Return what `to_json` wrote; `journal` is what `Journaled` has."""
        automaton = Automaton.from_json(data["a"])
        been, count, others = data.get("b", ()), data.get("c", 1), data.get("o", ())
        return cls(
            automaton, data["s"], data.get("q"), tuple(been), count, tuple(others), **journal
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step(Journaled):
    """One event of one automaton, as journaled.

    Parameters
    ----------
    name, scope
        Which automaton.
    event
        What happened.
    expect
        The state in which the caller believes it to be; None: whichever.
    """

    name: str
    scope: str
    event: str
    expect: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Return it for the journal, keys sorted.

        >>> Step("oven", "lab", "heat", expect="idle").to_json()
        {'e': 'heat', 'n': 'oven', 's': 'lab', 'x': 'idle'}
        """
        data = {"e": self.event, "n": self.name, "s": self.scope}
        return data if self.expect is None else {**data, "x": self.expect}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], **journal: Any) -> Step:
        """Return what `to_json` wrote; `journal` is what `Journaled` has."""
        return cls(data["n"], data["s"], data["e"], data.get("x"), **journal)


@dataclass(frozen=True, slots=True)
class State:
    """Where an automaton was left by one operation. `event` is None if that declared it."""

    automaton: Automaton  # as declared then
    scope: str
    state: str
    event: str | None
    version: int  # 1, 2, 3, …: the operations so far
    recorded_at: float
    seq: int
    n: int
    sources: tuple[str, ...]  # who said so; several where `compact` was
    been: frozenset[str]  # every state up to here

    @property
    def events(self) -> tuple[str, ...]:
        """The events that are legal from here."""
        return self.automaton.events(self.state)

    @property
    def final(self) -> bool:
        """Whether the task is done."""
        return self.state in self.automaton.final


class Automata:
    """The automata that a journal of declarations and steps makes.

    Notes
    -----
    One `State` for each kept operation. A step costs O(transitions), a redeclaration O(states) and
    `at` O(log operations).

    Differs from SciBORG: a failed tool call is no special case. Refused, a step leaves the state
    as it was; reported, it is an event with a transition of its own; and a step may say in which
    state the caller believes the task to be, so that nobody acts on a stale one.

    Examples
    --------
    >>> oven = Automaton("oven", ("idle", "hot"), "idle", (("idle", "heat", "hot"),))
    >>> automata = Automata()
    >>> _ = automata.apply(Declare(oven, "lab"))
    >>> automata.apply(Step("oven", "lab", "heat")).state
    'hot'
    >>> automata.check(Step("oven", "lab", "heat", expect="idle"))
    Traceback (most recent call last):
    holdfast.errors.TransitionError: automaton 'oven' in scope 'lab' was expected in 'idle' but \
is in 'hot'; legal events are: none

    References
    ----------
    Muhoberac et al., State and Memory is All You Need for Robust and Reliable AI Agents,
    arXiv:2507.00081
    """

    def __init__(self) -> None:
        self.voided = 0  # operations that did not apply
        self._lines: dict[tuple[str, str], list[State]] = {}

    def check(self, operation: Declare | Step) -> None:
        """Refuse an operation that is illegal now.

        Raises
        ------
        TransitionError
            If a step's event is illegal in the state it is in, or it is in another than the step
            expects; or if a declaration lacks a state in which the automaton is or has been.
        NotFoundError
            If a step's automaton is not declared.
        """
        if isinstance(operation, Step) and operation.expect is not None:
            now = self.state(operation.name, operation.scope)
            if now.state != operation.expect:
                raise TransitionError(
                    f"{_label(operation)} was expected in {operation.expect!r} "
                    f"but is in {_stands(now)}"
                )
        self._next(operation)

    def apply(self, operation: Declare | Step) -> State | None:
        """Add the journal's next operation; return where it leads, or None if it does not apply.

        Such an operation, say a step from where only a removed source had led, is skipped, counted
        in `voided` and takes no version. `expect` is for `check` and plays no part here. A
        recorded time before that of the operation it follows counts as that one.
        """
        try:
            after = None if operation.void else self._next(operation)
        except (TransitionError, NotFoundError):
            after = None
        if after is None:
            self.voided += 1
        else:
            key = operation.scope, operation.name
            line = self._lines.setdefault(key, [])
            if after.event is None and after.version == getattr(operation, "stands_for", 0) > 1:
                line.clear()  # it stands for all before
            line.append(after)
        return after

    def state(self, name: str, scope: str) -> State:
        """Return where an automaton is.

        Raises
        ------
        NotFoundError
            If there is none of that name in the scope.
        """
        if not (line := self._lines.get((scope, name))):
            raise NotFoundError(f"no automaton {name!r} in scope {scope!r}; declare it first")
        return line[-1]

    def at(self, name: str, scope: str, time: float) -> State | None:
        """Return where it was as recorded by `time`; None: not declared, or before `horizon`."""
        line = self._lines.get((scope, name), [])
        kept = bisect_right(line, time, key=lambda state: state.recorded_at)
        return line[kept - 1] if kept else None

    def horizon(self, name: str, scope: str) -> float | None:
        """Return the record time before which history is dropped; None if all of it is kept."""
        line = self._lines.get((scope, name), [])
        return line[0].recorded_at if line and line[0].version > 1 else None

    def history(self, name: str, scope: str) -> list[State]:
        """Return where every kept operation left it, oldest first."""
        return list(self._lines.get((scope, name), []))

    def names(self, scope: str) -> list[str]:
        """Return the automata of a scope, sorted."""
        return sorted(name for s, name in self._lines if s == scope)

    def compact(self, name: str, scope: str, keep_after_version: int) -> Declare | None:
        """Drop the versions before one; return the declaration that stands for them and it.

        As `Documents.compact`: the journal keeps it in place of what it has up to its seq and n.

        Raises
        ------
        NotFoundError
            If there is no such automaton, or no such version of it.
        """
        last, line = self.state(name, scope), self._lines[scope, name]
        dropped = keep_after_version - line[0].version
        if not 1 <= keep_after_version <= last.version:
            raise NotFoundError(f"no version {keep_after_version}; the last is {last.version}")
        if dropped <= 0:
            return None
        base, sources = line[dropped], {s for state in line[: dropped + 1] for s in state.sources}
        others = sorted(sources - {base.sources[0]})
        line[: dropped + 1] = [replace(base, event=None, sources=(base.sources[0], *others))]
        return Declare(
            base.automaton, scope, base.state, tuple(sorted(base.been)), base.version,
            tuple(others), seq=base.seq, n=base.n, recorded_at=base.recorded_at,
            source=base.sources[0],
        )  # fmt: skip

    def canonical(self) -> list[Any]:
        """Return ``[scope, name, version, state, declaration]`` of each, sorted, for a digest.

        Neither seq numbers nor times take part.
        """
        return [
            [scope, name, line[-1].version, line[-1].state, line[-1].automaton.to_json()]
            for (scope, name), line in sorted(self._lines.items(), key=lambda item: item[0])
        ]

    def _next(self, operation: Declare | Step) -> State:
        """Return where `operation` leads."""
        line = self._lines.get((operation.scope, operation.name))
        label, before = _label(operation), line[-1] if line else None
        if isinstance(operation, Declare) and operation.stands_for > 1:
            before = None  # it stands for all before
        been = before.been if before else frozenset()
        sources: tuple[str, ...] = (operation.source,)
        event, count = None, 1
        if isinstance(operation, Step):
            before, event = self.state(operation.name, operation.scope), operation.event
            automaton, target = before.automaton, before.automaton.target(before.state, event)
            if target is None:
                raise TransitionError(f"{label} has no step {event!r} from {_stands(before)}")
        else:
            automaton, count = operation.automaton, operation.stands_for
            sources = (operation.source, *operation.others)
            been |= set(operation.been)
            target = operation.state or (before.state if before else automaton.initial)
            if lacking := sorted((been | {target}) - set(automaton.states)):
                raise TransitionError(
                    f"{label} is or was in {lacking[0]!r}, which the new declaration lacks; "
                    f"keep that state, or declare another automaton"
                )
        version, floor = (before.version, before.recorded_at) if before else (0, -inf)
        return State(
            automaton, operation.scope, target, event, version + count,
            max(operation.recorded_at, floor), operation.seq, operation.n,
            sources, been if target in been else been | {target},
        )  # fmt: skip


def _label(operation: Declare | Step) -> str:
    return f"automaton {operation.name!r} in scope {operation.scope!r}"


def _stands(now: State) -> str:
    return f"{now.state!r}; legal events are: {', '.join(now.events) or 'none'}"

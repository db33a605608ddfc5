"""Automata against a dictionary model; declarations, replays, gaps and compaction."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from holdfast.errors import InvalidClaimError, NotFoundError, TransitionError
from holdfast.state.automaton import Automata, Automaton, Declare, State, Step, Transition
from holdfast.state.patch import encode

RUN = Automaton(
    "run",
    ("ready", "running", "failed", "done"),
    "ready",
    (
        ("ready", "call", "running"),
        ("running", "ok", "done"),
        ("running", "error", "failed"),
        ("failed", "retry", "ready"),
    ),
    final=("done",),
)
FEW = settings(max_examples=40)
EVENTS = ["go", "back", "stop"]


@st.composite
def automata(draw: st.DrawFn, name: str = "run") -> Automaton:
    states = tuple(draw(st.lists(st.sampled_from("pqrs"), min_size=1, max_size=4, unique=True)))
    moves = draw(
        st.dictionaries(
            st.tuples(st.sampled_from(states), st.sampled_from(EVENTS)),
            st.sampled_from(states),
            max_size=9,
        )
    )
    table: tuple[Transition, ...] = tuple((a, event, b) for (a, event), b in moves.items())
    final = draw(st.lists(st.sampled_from(states), unique=True))
    return Automaton(name, states, draw(st.sampled_from(states)), table, tuple(final))


@st.composite
def journals(draw: st.DrawFn) -> list[Declare | Step]:
    operations: list[Declare | Step] = []
    time = 0.0
    for seq in range(1, draw(st.integers(0, 40)) + 1):
        scope = draw(st.sampled_from(["lab", "lab", "home"]))
        time += draw(st.sampled_from([0.0, 1.0, 1.0, -1.0]))
        known: dict[str, Any] = {
            "seq": seq,
            "n": draw(st.integers(0, 2)),
            "recorded_at": time,
            "source": draw(st.sampled_from(["ann", "bob", "cy"])),
        }
        if draw(st.integers(0, 5)):
            expect = draw(st.none() | st.sampled_from("pqrs"))
            event = draw(st.sampled_from(EVENTS))
            operations.append(Step("run", scope, event, expect, **known))
        else:
            operations.append(Declare(draw(automata()), scope, **known))
    return operations


def replay(operations: list[Declare | Step]) -> Automata:
    folded = Automata()
    for operation in operations:
        folded.apply(operation)
    return folded


class Model(RuleBasedStateMachine):
    """Each automaton as a dictionary from (state, event), its states, and where it has been."""

    @initialize()
    def start(self) -> None:
        self.automata = Automata()
        self.tables: dict[str, dict[tuple[str, str], str]] = {}
        self.declared: dict[str, Automaton] = {}
        self.been: dict[str, list[str]] = {}
        self.journal: list[Declare | Step] = []

    def do(self, operation: Declare | Step, target: str | None) -> None:
        """`target`: the state it must lead to; None: it is illegal."""
        operation = replace(operation, seq=len(self.journal), recorded_at=len(self.journal))
        self.journal.append(operation)
        if target is None:
            with pytest.raises(TransitionError):
                self.automata.check(operation)
        else:
            self.automata.check(operation)
            made = self.automata.apply(operation)
            assert made is not None
            assert made.state == target
            self.been.setdefault(operation.name, []).append(target)

    @rule(name=st.sampled_from(["run", "oven"]), data=st.data())
    def declare(self, name: str, data: st.DataObject) -> None:
        automaton = data.draw(automata(name))
        been = self.been.get(name, [])
        legal = set(been) <= set(automaton.states)
        target = (been[-1] if been else automaton.initial) if legal else None
        self.do(Declare(automaton, "lab"), target)
        if legal:
            self.tables[name] = {(a, event): b for a, event, b in automaton.transitions}
            self.declared[name] = automaton

    @precondition(lambda self: self.been)
    @rule(data=st.data(), event=st.sampled_from(EVENTS))
    def step(self, data: st.DataObject, event: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.been)))
        self.do(Step(name, "lab", event), self.tables[name].get((self.been[name][-1], event)))

    @precondition(lambda self: self.been)
    @rule(data=st.data(), event=st.sampled_from(EVENTS), expect=st.sampled_from("pqrs"))
    def step_expecting(self, data: st.DataObject, event: str, expect: str) -> None:
        name = data.draw(st.sampled_from(sorted(self.been)))
        now = self.been[name][-1]
        target = self.tables[name].get((now, event)) if now == expect else None
        if target is None:
            with pytest.raises(TransitionError):
                self.automata.check(Step(name, "lab", event, expect))
        else:
            self.do(Step(name, "lab", event, expect), target)

    @precondition(lambda self: self.been)
    @rule(data=st.data())
    def compact_a_fork(self, data: st.DataObject) -> None:
        """What is folded to one declaration stands and goes on as before."""
        name = data.draw(st.sampled_from(sorted(self.been)))
        fork = replay(self.journal)
        last = len(self.been[name])
        keep = data.draw(st.integers(1, last))
        base = fork.compact(name, "lab", keep)
        if keep == 1:
            assert base is None
            return
        assert isinstance(base, Declare)
        known = {"seq": base.seq, "n": base.n, "recorded_at": base.recorded_at}
        assert Declare.from_json(base.to_json(), source=base.source, **known) == base
        mine = [o for o in self.journal if o.name == name and o.seq > base.seq]
        others = [o for o in self.journal if o.name != name]
        again = replay(sorted([base, *mine, *others], key=lambda o: o.seq))
        for folded in (fork, again):
            assert folded.canonical() == self.automata.canonical()
            kept = self.automata.history(name, "lab")[keep:]
            assert folded.history(name, "lab")[1:] == kept
            first = folded.history(name, "lab")[0]
            assert (first.version, first.state) == (keep, self.been[name][keep - 1])
            assert folded.horizon(name, "lab") == first.recorded_at
            assert folded.at(name, "lab", first.recorded_at - 0.5) is None
        assert fork.history(name, "lab") == again.history(name, "lab")

    @invariant()
    def equal(self) -> None:
        for name, been in getattr(self, "been", {}).items():
            now = self.automata.state(name, "lab")
            table = self.tables[name]
            assert (now.state, now.version) == (been[-1], len(been))
            assert set(now.events) == {event for state, event in table if state == been[-1]}
            assert now.final == (been[-1] in self.declared[name].final)
            assert [s.state for s in self.automata.history(name, "lab")] == been
            for past in self.automata.history(name, "lab"):
                assert self.automata.at(name, "lab", past.recorded_at) == past
            assert self.automata.at(name, "lab", -1.0) is None
            assert self.automata.horizon(name, "lab") is None

    @invariant()
    def a_replay_is_where_it_was(self) -> None:
        if getattr(self, "journal", None):  # refused operations, if journaled, are void
            assert replay(self.journal).canonical() == self.automata.canonical()


TestModel = Model.TestCase
TestModel.settings = settings(max_examples=30, stateful_step_count=25, deadline=None)


@FEW
@given(journals(), st.sampled_from(["ann", "bob", "cy"]))
def test_without_one_source_is_as_if_it_had_never_spoken(
    operations: list[Declare | Step], gone: str
) -> None:
    marked = replay([replace(o, void=o.source == gone) for o in operations])
    fresh = replay([o for o in operations if o.source != gone])
    assert marked.canonical() == fresh.canonical()
    for scope in ("lab", "home"):
        assert marked.history("run", scope) == fresh.history("run", scope)
    made = sum(len(marked.history("run", scope)) for scope in ("lab", "home"))
    assert marked.voided == len(operations) - made


@FEW
@given(journals())
def test_every_time_is_the_state_recorded_by_then(operations: list[Declare | Step]) -> None:
    folded = replay(operations)
    for scope in ("lab", "home"):
        history = folded.history("run", scope)
        times = [state.recorded_at for state in history]
        assert times == sorted(times)
        for time in range(-5, 45):
            known = [state for state in history if state.recorded_at <= time]
            assert folded.at("run", scope, time) == (known[-1] if known else None)


@FEW
@given(journals())
def test_the_journal_keeps_it_all(operations: list[Declare | Step]) -> None:
    for operation in operations:
        data = operation.to_json()
        assert encode(data) == encode(dict(sorted(data.items())))
        assert list(data) == sorted(data)
        known = {
            key: getattr(operation, key) for key in ("seq", "n", "recorded_at", "source", "void")
        }
        assert type(operation).from_json(data, **known) == operation


@FEW
@given(journals(), st.integers(-9, 9))
def test_the_canonical_form_knows_no_seq_and_no_time(
    operations: list[Declare | Step], shift: int
) -> None:
    moved = [replace(o, seq=o.seq + 7, recorded_at=o.recorded_at + shift) for o in operations]
    assert encode(replay(moved).canonical()) == encode(replay(operations).canonical())


def test_a_failed_call_leaves_or_returns_to_a_valid_state() -> None:
    automata = replay([Declare(RUN, "lab"), Step("run", "lab", "call")])
    with pytest.raises(TransitionError) as caught:
        automata.check(Step("run", "lab", "call"))
    assert str(caught.value) == (
        "automaton 'run' in scope 'lab' has no step 'call' from 'running'; "
        "legal events are: ok, error"
    )
    assert automata.state("run", "lab").state == "running"
    for event in ("error", "retry", "call", "ok"):
        automata.check(Step("run", "lab", event))
        automata.apply(Step("run", "lab", event))
    assert automata.state("run", "lab").final
    with pytest.raises(TransitionError, match="legal events are: none"):
        automata.check(Step("run", "lab", "retry"))


def test_a_stale_caller_is_told_where_it_is() -> None:
    automata = replay([Declare(RUN, "lab"), Step("run", "lab", "call")])
    with pytest.raises(TransitionError, match="was expected in 'ready' but is in 'running'"):
        automata.check(Step("run", "lab", "ok", expect="ready"))
    automata.check(Step("run", "lab", "ok", expect="running"))
    assert automata.apply(Step("run", "lab", "ok", expect="ready")) is not None  # a replay


def test_what_is_not_declared() -> None:
    automata = replay([Declare(RUN, "lab")])
    for ask in (
        lambda: automata.check(Step("run", "home", "call")),
        lambda: automata.check(Step("run", "home", "call", expect="ready")),
        lambda: automata.state("oven", "lab"),
        lambda: automata.compact("oven", "lab", 1),
        lambda: automata.compact("run", "lab", 2),
        lambda: automata.compact("run", "lab", 0),
    ):
        with pytest.raises(NotFoundError):
            ask()
    assert automata.apply(Step("run", "home", "call")) is None
    assert automata.voided == 1
    assert automata.names("lab") == ["run"]
    assert automata.names("home") == automata.history("run", "home") == []
    assert automata.at("run", "home", 9.0) is automata.horizon("run", "home") is None


def test_a_new_declaration_keeps_the_state_and_must_have_the_old_ones() -> None:
    automata = replay([Declare(RUN, "lab"), Step("run", "lab", "call", source="bob")])
    wider = Automaton("run", (*RUN.states, "lost"), "lost", (("running", "lose", "lost"),))
    narrower = Automaton("run", ("running",), "running", ())
    with pytest.raises(TransitionError, match="is or was in 'ready'"):
        automata.check(Declare(narrower, "lab"))
    assert automata.apply(Declare(narrower, "lab")) is None
    automata.check(Declare(wider, "lab"))
    assert automata.apply(Declare(wider, "lab")) == State(
        wider, "lab", "running", None, 3, 0.0, 0, 0, ("",), frozenset({"ready", "running"})
    )
    assert automata.at("run", "lab", 0.0) == automata.state("run", "lab")
    assert automata.history("run", "lab")[1].automaton == RUN
    assert automata.canonical() == [["lab", "run", 3, "running", wider.to_json()]]
    base = automata.compact("run", "lab", 3)
    assert base == Declare(wider, "lab", "running", ("ready", "running"), 3, ("bob",))
    assert automata.compact("run", "lab", 2) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "empty or no text"),
        ({"states": ("ready", "")}, "empty or no text"),
        ({"states": (*RUN.states, 7)}, "empty or no text"),
        ({"states": (*RUN.states, "ready")}, "declares a state twice"),
        ({"states": ()}, "undeclared state 'done'"),
        ({"initial": "lost"}, "undeclared state 'lost'"),
        ({"final": ("lost",)}, "undeclared state 'lost'"),
        ({"final": ("done", "done")}, "declares a final state twice"),
        ({"transitions": (("ready", "call", "lost"),)}, "undeclared state 'lost'"),
        ({"transitions": (("lost", "call", "ready"),)}, "undeclared state 'lost'"),
        ({"transitions": (("ready", "", "ready"),)}, "empty or no text"),
        ({"transitions": (("ready", "ready"),)}, "no state, event and next state"),
        (
            {"transitions": (("ready", "call", "ready"), ("ready", "call", "done"))},
            "declares a step twice",
        ),
    ],
)
def test_a_malformed_declaration(change: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidClaimError, match=message):
        replace(RUN, **change)

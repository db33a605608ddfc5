"""One machine drives the state of a memory and a plain model of it, forth and back in time."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from state_model import ABSENT, GATE, Done, Held, Model, Said, edited, inside

from holdfast import Memory, Tier
from holdfast.codec import BYTES
from holdfast.errors import (
    BudgetError,
    ConflictError,
    HoldfastError,
    InvalidClaimError,
    NotFoundError,
    TransitionError,
)
from holdfast.state.automaton import Automaton
from holdfast.state.predicates import predicate
from holdfast.state.records import Belief, Trust

T0 = 1_700_000_000.0
steps = 0  # over all runs in this process

subjects = st.sampled_from(["Ana", "the pot", "The Pot."])
predicates = st.sampled_from(["lives_in", "port", "likes", "dislikes", "visited"])
values = st.sampled_from(["Lisbon", "Porto", "the Rome", "rome"])
scopes = st.sampled_from(["", "user/ana", "user/ana/s1", "team"])
sources = st.sampled_from(["ana", "bo", "web"])
trusts = st.sampled_from(list(Trust))
moments = st.none() | st.sampled_from([-100.0, -1.0, 0.0, 2.5, 40.0, 1000.0]).map(T0.__add__)
documents = st.sampled_from(["desk", "plan"])
small = st.integers(0, 3)


def shape(one: Belief) -> tuple[Any, ...]:
    return (
        one.id, one.scope, one.subject, one.predicate, one.value, one.kind, one.status, one.trust,
        one.sources, tuple(piece.seq for piece in one.evidence), one.valid_from, one.valid_until,
        one.recorded_at, one.retired_at,
    )  # fmt: skip


def shapes(found: list[Belief] | list[Held]) -> list[tuple[Any, ...]]:
    return sorted((shape(b) if isinstance(b, Belief) else b.shape() for b in found), key=repr)


class StateMachine(RuleBasedStateMachine):
    """Every answer of the memory is that of the model, now and for every moment of the past."""

    budget = "2 MiB"

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "m.holdfast"
        self.now = T0
        self.model = Model()
        self.snapshots: dict[str, tuple[Model, str]] = {}
        self.answers: list[tuple[float, list[Any], str, tuple[int, int]]] = []
        self.forks = 0
        self.memory = self._open(self.path, self.budget)

    def _open(self, path: Path, budget: str | None = None) -> Memory:
        return Memory.open(path, budget, extractor=None, durability="off", clock=lambda: self.now)

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()
            self.folder.cleanup()

    # ---- what is done ----------------------------------------------------------------------

    def _recorded(self) -> tuple[int, float]:
        """The newest event's number and time, noted in the model."""
        record = self.memory.get(self.memory._committer.newest)
        event = record.event
        self.model.events[record.seq] = (event.scope, event.speaker or "", event.kind)
        self.answers = [one for one in self.answers if one[0] < record.recorded_at]
        return record.seq, record.recorded_at

    def _refused(self, *errors: type[HoldfastError]) -> Callable[[Callable[[], object]], bool]:
        """Whether a call raises one of these and then leaves nothing behind."""

        def call(do: Callable[[], object]) -> bool:
            newest, digest = self.memory._committer.newest, self.memory.state_hash()
            try:
                do()
            except errors:
                assert (self.memory._committer.newest, self.memory.state_hash()) == (newest, digest)
                return True
            return False

        return call

    @rule(step=st.sampled_from([0.0, 0.0004, 0.25, 1.0, 30.0, -0.5, -200.0]))
    def wait(self, step: float) -> None:
        self.now += step

    @rule(words=st.sampled_from(["kelp", "harbour light", "filler"]), scope=scopes, source=sources)
    def observe(self, words: str, scope: str, source: str) -> None:
        self.now += 1
        receipt = self.memory.observe(f"{words} {self.now}", scope=scope, speaker=source)
        assert receipt.changes == ()
        assert self._recorded()[0] == receipt.seq

    @rule(
        subject=subjects, predicate=predicates, value=values, kind=st.sampled_from(
            ["fact", "fact", "instruction"]
        ), scope=scopes, source=sources, trust=trusts, corrects=st.integers(0, 4),
        valid_from=moments, length=st.none() | st.sampled_from([1.0, 500.0]), at=moments,
        cited=st.integers(0, 6),
    )  # fmt: skip
    def believe(
        self, subject: str, predicate: str, value: str, kind: Any, scope: str, source: str,
        trust: Trust, corrects: int, valid_from: float | None, length: float | None,
        at: float | None, cited: int,
    ) -> None:  # fmt: skip
        self.now += 1
        until = None if valid_from is None or length is None else valid_from + length
        kept = [
            seq
            for seq, (_, _, event_kind) in self.model.events.items()
            if event_kind == "message" and self._keeps(seq)
        ]
        evidence = kept[-cited:] if kept and cited < 3 else []
        before = {b.said[0].id for b in self._beliefs() if self._current(b)}
        receipt = self.memory.believe(
            subject, predicate, value, kind=kind, scope=scope, by=source, trust=trust,
            corrects=not corrects, valid_from=valid_from, valid_until=until, at=at,
            evidence=[f"e{seq}" for seq in evidence],
        )  # fmt: skip
        seq, recorded = self._recorded()
        lowest = min([trust, *(Trust.USER for _ in evidence)])
        self.model.claims.append(
            Said(
                seq,
                recorded,
                recorded if at is None else at,
                source,
                int(lowest),
                scope,
                subject,
                predicate,
                value,
                kind,
                "assert" if corrects else "correct",
                valid_from,
                until,
                tuple(evidence) or (seq,),
            )
        )
        self._check_receipt(receipt.changes, before, seq)

    @rule(
        subject=subjects, predicate=predicates, value=values | st.just(""), scope=scopes,
        source=sources, trust=trusts, valid_from=moments,
    )  # fmt: skip
    def retract(
        self, subject: str, predicate: str, value: str, scope: str, source: str, trust: Trust,
        valid_from: float | None,
    ) -> None:  # fmt: skip
        self.now += 1

        def do() -> None:
            self.receipt = self.memory.retract(
                subject, predicate, value, scope=scope, by=source, trust=trust,
                valid_from=valid_from,
            )  # fmt: skip

        before = {b.said[0].id for b in self._beliefs() if self._current(b)}
        if self._refused(InvalidClaimError)(do):
            assert not value
            assert predicate in ("likes", "dislikes", "visited")
            return
        seq, recorded = self._recorded()
        self.model.claims.append(
            Said(
                seq,
                recorded,
                recorded,
                source,
                int(trust),
                scope,
                subject,
                predicate,
                value,
                stance="retract",
                valid_from=valid_from,
                rests_on=(seq,),
            )
        )
        self._check_receipt(self.receipt.changes, before, seq)

    def _check_receipt(self, changes: tuple[Any, ...], before: set[str], seq: int) -> None:
        (change,) = changes
        after = {b.said[0].id for b in self._beliefs() if self._current(b)}
        assert set(change.retired) == before - after
        if change.action in ("add", "supersede"):
            assert change.what == f"b{seq}.0"

    @rule(
        name=documents, scope=scopes, source=sources, form=st.sampled_from(
            ["put", "merge", "patch", "delete"]
        ), a=small, wrong=st.integers(0, 3),
    )  # fmt: skip
    def edit(self, name: str, scope: str, source: str, form: str, a: int, wrong: int) -> None:
        self.now += 1
        line = self.model.documents().get((scope, name), [])
        now = line[-1][2] if line else ABSENT
        expect = {0: len(line), 1: len(line) + 1}.get(wrong)
        body: Any = {"put": {"a": a, "b": [a]}, "merge": {"a": a or None, "c": a}}.get(form, a)
        call: dict[str, Callable[..., object]] = {
            "put": lambda **more: self.memory.put_document(name, body, **more),
            "merge": lambda **more: self.memory.patch_document(name, body, **more),
            "patch": lambda **more: self.memory.patch_document(
                name, [{"op": "replace", "path": "/a", "value": a}], **more
            ),
            "delete": lambda **more: self.memory.delete_document(name, **more),
        }
        legal = edited(now, form, body) is not None and wrong != 1
        if source in self.model.revoked():
            legal = False
        refused = self._refused(HoldfastError)(
            lambda: call[form](scope=scope, by=source, expect=expect)
        )
        assert refused != legal
        if legal:
            seq, recorded = self._recorded()
            self.model.done.append(
                Done(seq, recorded, source, scope, "document", name, (form, body))
            )

    @rule(
        event=st.sampled_from(["declare", "push", "pull", "lock", "unlock"]), source=sources,
        expect=st.none() | st.sampled_from(["shut", "open"]),
    )  # fmt: skip
    def gate(self, event: str, source: str, expect: str | None) -> None:
        self.now += 1
        line = self.model.gate()
        state = line[-1][1] if line else None
        moves = tuple((a, e, b) for (a, e), b in GATE.items())
        automaton = Automaton("gate", ("shut", "open", "locked"), "shut", moves)
        if event == "declare":
            legal = True
            refused = self._refused(HoldfastError)(
                lambda: self.memory.declare(automaton, scope="team", by=source)
            )
        else:
            legal = (state, event) in GATE and expect in (None, state)
            refused = self._refused(TransitionError, NotFoundError, HoldfastError)(
                lambda: self.memory.step("gate", event, scope="team", by=source, expect=expect)
            )
        legal = legal and source not in self.model.revoked()
        assert refused != legal
        if legal:
            seq, recorded = self._recorded()
            op = "declare" if event == "declare" else "step"
            self.model.done.append(Done(seq, recorded, source, "team", op, "gate", event))

    @precondition(lambda self: self._beliefs())
    @rule(nth=st.integers(0, 9), query=st.sampled_from(["where is she", "whose flat"]), by=sources)
    def use(self, nth: int, query: str, by: str) -> None:
        self.now += 1
        current = [b for b in self._beliefs() if self._current(b)]
        if not current or by in self.model.revoked():
            return
        used = current[nth % len(current)]
        self.memory.used(used.said[0].id, query, by=by)
        seq, recorded = self._recorded()
        self.model.done.append(Done(seq, recorded, by, used.said[0].scope, "use"))

    # ---- what is undone --------------------------------------------------------------------

    @rule(source=sources, back=st.booleans())
    def revoke(self, source: str, back: bool) -> None:
        self.now += 1
        (self.memory.reinstate if back else self.memory.revoke)(source)
        seq, recorded = self._recorded()
        self.model.done.append(Done(seq, recorded, "", "", "revoke", source, not back))
        self.answers = []

    @rule(data=st.data(), rarely=st.integers(0, 2))
    def erase(self, data: st.DataObject, rarely: int) -> None:
        if rarely:
            return
        self.now += 1
        which = data.draw(
            st.sampled_from([{"scope": "user/ana"}, {"scope": "user/ana/s1"}, {"source": "bo"}])
            | st.sampled_from([{"event": seq} for seq in list(self.model.events)[-8:]] or [{}])
        )
        if not which:
            return
        self.memory.erase(**which)  # type: ignore[arg-type]
        for model in (self.model, *(model for model, _ in self.snapshots.values())):
            model.erase(**which)  # type: ignore[arg-type]
        self._recorded()
        seq = self.memory._committer.newest
        self.model.done.append(Done(seq, self.now, "", "", "erase"))
        self.snapshots = {name: (model, "") for name, (model, _) in self.snapshots.items()}
        self.answers = []

    @rule(name=st.sampled_from(["one", "two"]), by=st.just(""))
    def snapshot(self, name: str, by: str) -> None:
        self.now += 1
        digest = self.memory.state_hash()
        refused = self._refused(ConflictError)(lambda: self.memory.snapshot(name, by=by))
        assert refused == (name in self.snapshots)
        if not refused:
            seq, recorded = self._recorded()
            self.model.done.append(Done(seq, recorded, by, "", "note"))
            self.snapshots[name] = (self.model.copy(), digest)

    @precondition(lambda self: self.snapshots)
    @rule(nth=small)
    def delete_snapshot(self, nth: int) -> None:
        self.now += 1
        name = sorted(self.snapshots)[nth % len(self.snapshots)]
        assert self.memory.delete_snapshot(name) > 0
        self._recorded()
        del self.snapshots[name]

    @precondition(lambda self: self.snapshots)
    @rule(nth=small)
    def rollback(self, nth: int) -> None:
        self.now += 1
        name = sorted(self.snapshots)[nth % len(self.snapshots)]
        model, digest = self.snapshots[name]
        newest = self.memory._committer.newest
        self.memory.rollback(name)
        assert self.memory._committer.newest == newest + 1
        assert not digest or self.memory.state_hash() == digest
        self.model = model.copy()
        self.answers = []
        self._recorded()

    @rule(nth=small, stay=st.booleans())
    def fork(self, nth: int, stay: bool) -> None:
        self.now += 1
        names = sorted(self.snapshots)
        name = names[nth % len(names)] if names and nth else None
        model = (self.snapshots[name][0] if name else self.model).copy()
        self.forks += 1
        mine, events = self.memory.state_hash(), len(self.memory)
        twin = self.memory.fork(self.path.with_name(f"fork{self.forks}.holdfast"), snapshot=name)
        twin.believe("Ana", "lives_in", "the fork", trust=Trust.OWNER)
        twin.put_document("desk", {"a": "fork"})
        assert (self.memory.state_hash(), len(self.memory)) == (mine, events), "forks share"
        twin.close()
        if stay:
            return
        self.memory.close()
        self.path = twin._store.path
        self.snapshots = {}
        self.answers = []
        self.model = model
        self.memory = self._open(self.path)
        for record in self.memory.log():
            event = record.event
            known = (event.scope, event.speaker or "", event.kind)
            assert self.model.events.setdefault(record.seq, known) == known
        *_, claim, edit = self.memory.log()
        self.model.claims.append(
            Said(
                claim.seq,
                claim.recorded_at,
                claim.recorded_at,
                "",
                3,
                "",
                "Ana",
                "lives_in",
                "the fork",
                rests_on=(claim.seq,),
            )
        )
        self.model.done.append(
            Done(edit.seq, edit.recorded_at, "", "", "document", "desk", ("put", {"a": "fork"}))
        )

    @rule()
    def reopen(self) -> None:
        digest = self.memory.state_hash()
        self.memory.close()
        self.memory = self._open(self.path)
        assert self.memory.state_hash() == digest

    @rule(rarely=small)
    def verify(self, rarely: int) -> None:
        if not rarely:
            found = self.memory.verify()
            assert found.ok, found.problems

    # ---- what is asked ---------------------------------------------------------------------

    def _keeps(self, seq: int) -> bool:
        row = self.memory._mirror.row(seq)
        return row is not None and row.tier == Tier.VERBATIM and not row.flags & BYTES

    def _beliefs(self) -> list[Held]:
        return self.model.beliefs()

    def _current(self, one: Held) -> bool:
        if one.disputed or one.until is None:
            return not one.disputed
        retired = one.shape()[-1]
        return retired is None or one.until > max(retired, one.begins)

    def _moment(self) -> float:
        """When it is: never before what was recorded last."""
        return max(self.now, self.memory._mirror.last_recorded) + 0.001

    @rule(words=st.sampled_from(["kelp", "where does Ana live", "Lisbon harbour"]))
    def answer(self, words: str) -> None:
        """Keep an answer, to be asked for again later."""
        self.now = max(self.now, self.memory._mirror.last_recorded)
        text = self.memory.recall(words).text
        self.answers.append((self.now, shapes(self.memory.beliefs()), words, self._kept()))
        self.texts = {**getattr(self, "texts", {}), (self.now, words): text}
        self.now += 0.002

    def _kept(self) -> tuple[int, int]:
        columns = self.memory._mirror.columns
        return len(columns), int((columns.tier[columns.alive] > 0).sum())

    @invariant()
    def every_answer_is_given_again(self) -> None:
        global steps
        steps += 1
        for at, believed, words, _ in self.answers[-2:]:
            assert shapes(self.memory.beliefs(as_of=at)) == believed
            if self._kept()[1] == 0 and self.memory.usage().events["evicted"] == 0:
                assert self.memory.recall(words, as_of=at).text == self.texts[at, words]

    @invariant()
    def beliefs_are_the_models(self) -> None:
        if not hasattr(self, "memory"):
            return
        memory, limit = self.memory, 10_000
        expected = self._beliefs()
        found = memory.beliefs(status="all", limit=limit)
        assert shapes(found) == shapes(expected)
        assert all(a.scope <= b.scope for a, b in pairwise(found))
        for at in (None, T0 - 50, T0 + 3, T0 + 2000):
            now = self._moment() if at is None else at
            holding = [b for b in expected if b.holds(now)]
            assert shapes(memory.beliefs(valid_at=at, limit=limit)) == shapes(holding)
            if at is not None:
                continue
            over = [
                b for b in expected
                if not b.disputed and b.until is not None and b.until <= max(now, b.begins)
            ]  # fmt: skip
            assert shapes(memory.beliefs(status="retired", limit=limit)) == shapes(over)
        disputed = [b for b in expected if b.disputed]
        assert shapes(memory.beliefs(status="disputed", limit=limit)) == shapes(disputed)
        for one in found:
            if one.superseded_by is not None:
                assert one.superseded_by in {other.id for other in found}
            assert memory.belief(one.id) == one

    @invariant()
    def the_past_is_the_models(self) -> None:
        if not hasattr(self, "memory"):
            return
        times = sorted({one.recorded for one in self.model.claims})
        for as_of in times[len(times) // 2 :][:1] + times[-1:]:
            expected = self.model.beliefs(as_of)
            found = self.memory.beliefs(status="all", as_of=as_of, limit=10_000)
            assert shapes(found) == shapes(expected)
            about = self.memory.history("the pot", scope=["user", "team"], as_of=as_of)
            wanted = [
                b for b in expected
                if b.said[0].slot[1] == "pot" and any(
                    inside(b.said[0].scope, where) for where in ("user", "team")
                )
            ]  # fmt: skip
            assert shapes(about) == shapes(wanted)

    @invariant()
    def documents_are_the_models(self) -> None:
        if not hasattr(self, "memory"):
            return
        expected = self.model.documents()
        for (scope, name), line in expected.items():
            kept = self.memory.document_history(name, scope=scope)
            assert [(d.version, d.recorded_at, d.seq, d.deleted) for d in kept] == [
                (n, at, seq, value is ABSENT) for n, (at, seq, value) in enumerate(line, 1)
            ]
            assert [d.value for d in kept] == [None if v is ABSENT else v for _, _, v in line]
            middle = line[len(line) // 2][0]
            then = [value for at, _, value in line if at <= middle][-1]
            try:
                assert self.memory.document(name, scope=scope, as_of=middle).value == then
            except NotFoundError:
                assert then is ABSENT
        for scope in ("", "team"):
            named = {
                n for (s, n), line in expected.items() if s == scope and line[-1][2] is not ABSENT
            }
            assert self.memory.documents(scope=scope) == sorted(named)
        line = self.model.gate()
        assert self.memory.automata(scope="team") == (["gate"] if line else [])
        if line:
            kept_states = self.memory.automaton_history("gate", scope="team")
            assert [(s.recorded_at, s.state) for s in kept_states] == line
            middle = line[len(line) // 2][0]
            then_state = [state for at, state in line if at <= middle][-1]
            found = self.memory.automaton("gate", scope="team", as_of=middle)
            assert found.state == then_state

    @invariant()
    def nothing_of_state_or_of_the_revoked_comes_back(self) -> None:
        if not hasattr(self, "memory"):
            return
        gone = self.model.revoked()
        believed = {b.said[0].id for b in self._beliefs() if b.holds(self._moment())}
        context = self.memory.recall("kelp harbour Ana lives Lisbon erased used", tokens=800)
        for item in context.items:
            _, source, kind = self.model.events[item.seq]
            assert kind != "state"
            assert source not in gone
        assert {belief.id for belief in context.beliefs} <= believed
        found = self.memory.recall("kelp Lisbon Ana", scope="team")
        assert all(item.scope == "team" for item in found.items)
        assert all(inside(belief.scope, "team") for belief in found.beliefs)

    @invariant()
    def the_log_is_the_models_and_fits(self) -> None:
        if not hasattr(self, "memory"):
            return
        kept = {
            record.seq: (record.event.scope, record.event.speaker or "", record.event.kind)
            for record in self.memory.log()
        }
        if self.memory._mirror.generation == 0 and not self._kept()[1]:
            assert kept.keys() <= self.model.events.keys()
        for seq, what in kept.items():
            assert self.model.events[seq] == what
        disk = sum(
            os.stat(f"{self.path}{suffix}").st_size
            for suffix in ("", "-wal", "-shm")
            if os.path.exists(f"{self.path}{suffix}")
        )
        assert disk <= self.memory.usage().budget


class FullMachine(StateMachine):
    """The same where events must make room, and the budget changes."""

    budget = "640 KiB"

    @rule(n=st.integers(1, 12), scope=scopes)
    def fill(self, n: int, scope: str) -> None:
        self.now += 1
        for _ in range(n):
            self.memory.observe(os.urandom(6000), scope=scope, speaker="filler")
            self._recorded()

    @rule(budget=st.sampled_from(["640 KiB", "800 KiB", "1 MiB"]))
    def resize(self, budget: str) -> None:
        with contextlib.suppress(BudgetError):
            self.memory.resize(budget)


class TalkingMachine(RuleBasedStateMachine):
    """Where an extractor reads what is said, the laws hold, whatever it makes of the texts."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "m.holdfast"
        self.now = T0
        self.said: list[str] = []
        self.memory = self._open("1 MiB")

    def _open(self, budget: str | None = None) -> Memory:
        return Memory.open(self.path, budget, durability="off", clock=lambda: self.now)

    def teardown(self) -> None:
        if hasattr(self, "memory"):
            self.memory.close()
            self.folder.cleanup()

    @rule(
        verb=st.sampled_from(["moved to", "live in", "like", "hate", "no longer live in", "have"]),
        what=st.sampled_from(["Lisbon", "Porto", "coffee", "a dog", "two cats"]),
        speaker=st.sampled_from(["Ana", "Bo", "assistant"]), scope=scopes,
        channel=st.sampled_from([None, None, "web"]),
    )  # fmt: skip
    def talk(self, verb: str, what: str, speaker: str, scope: str, channel: str | None) -> None:
        self.now += 1
        receipt = self.memory.observe(
            f"I {verb} {what}.", speaker=speaker, scope=scope, channel=channel
        )
        if speaker == "assistant" or channel == "web":
            assert receipt.changes == ()
        self.said += [change.what for change in receipt.changes if change.action == "add"]

    @rule(source=st.sampled_from(["Ana", "Bo"]))
    def revoke_and_reinstate(self, source: str) -> None:
        self.now += 1
        digest = self.memory.state_hash()
        self.memory.revoke(source)
        for belief in self.memory.beliefs(status="all", limit=1000):
            assert source not in belief.sources
        self.memory.reinstate(source)
        assert self.memory.state_hash() == digest

    @rule()
    def reopen(self) -> None:
        digest = self.memory.state_hash()
        self.memory.close()
        self.memory = self._open()
        assert self.memory.state_hash() == digest

    @invariant()
    def laws_hold(self) -> None:
        if not hasattr(self, "memory"):
            return
        every = self.memory.beliefs(status="all", limit=1000)
        assert set(self.said) <= {belief.id for belief in every}, "something is lost"
        current: set[tuple[str, ...]] = set()
        for belief in every:
            if belief.holds(self.now + 1) and not predicate(belief.predicate).many:
                key = (belief.scope, belief.subject.casefold(), belief.predicate)
                assert key not in current, "two values of one at once"
                current.add(key)
            for piece in belief.evidence:
                text = self.memory.get(piece.seq).event.text
                assert text.encode()[piece.start : piece.end].decode() == piece.quote

    @rule()
    def verify(self) -> None:
        found = self.memory.verify()
        assert found.ok, found.problems


def run(machine: type[RuleBasedStateMachine], examples: int, length: int) -> None:
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        machine,
        settings=settings(
            max_examples=examples, stateful_step_count=length, deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=(Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink),
        ),
    )  # fmt: skip


@pytest.mark.parametrize("machine", [StateMachine, FullMachine])
def test_state_is_what_a_plain_model_says(machine: type[StateMachine]) -> None:
    run(machine, 12, 30)


def test_the_laws_hold_whatever_an_extractor_reads() -> None:
    run(TalkingMachine, 6, 25)


@pytest.mark.slow
@pytest.mark.parametrize("machine", [StateMachine, FullMachine])
def test_state_is_what_a_plain_model_says_for_ten_thousand_steps(
    machine: type[StateMachine],
) -> None:
    before = steps
    run(machine, 210, 60)
    assert steps - before >= 10_000

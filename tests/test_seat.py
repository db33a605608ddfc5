"""Seats: rights are checked, nobody speaks for another, what is out of sight leaves no trace."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory
from holdfast.errors import (
    AccessError,
    ClosedError,
    HoldfastError,
    IdempotencyError,
    InvalidClaimError,
    InvalidEventError,
    NotFoundError,
)
from holdfast.seat import Seat
from holdfast.state.automaton import Automaton
from holdfast.state.documents import Edit
from holdfast.state.records import Evidence, Trust

from worlds import T0, WORDS, opened

OVEN = Automaton(
    "oven", ("idle", "hot"), "idle", (("idle", "heat", "hot"), ("hot", "cool", "idle"))
)
ANA, BO = "agent/ana", "agent/bo"
QUERIES = ("where is the kelp?", "which port has the staging database?", "last week, said Ana")


class Clock:
    """Says what it is told to."""

    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


# ---- noninterference ---------------------------------------------------------------------------

texts = st.lists(st.sampled_from((*WORDS, "staging", "port", "I live in", "Always answer in")),
                 min_size=1, max_size=6).map(" ".join)  # fmt: skip
names = st.sampled_from(("staging database", "Bo", "kelp", "agent/bo", "rule"))
Op = tuple[str, str, str]
ops = st.tuples(st.sampled_from(("say", "key", "bytes", "believe", "retract", "put", "merge",
                                 "declare", "used")), names, texts)  # fmt: skip


def private(seat: Seat, i: int, op: Op) -> None:
    """One thing that leaves exactly one event in Ana's own scope, whatever it is about."""
    verb, name, text = op
    deep = f"{ANA}/deep" if len(text) % 2 else None
    before = len(list(seat.log()))
    match verb:
        case "say":
            seat.observe(text, scope=deep)
        case "key":
            seat.observe(text, key=f"k{i}", metadata={"name": name})
        case "bytes":
            seat.observe(text.encode())
        case "believe":
            seat.believe(name, "port", text, aliases=("sandbox",), scope=deep, key=f"k{i}")
        case "retract":
            seat.retract(name, "port", key=f"k{i}")
        case "put":
            seat.put_document("desk", {name: text})
        case "merge":
            seat.patch_document("desk", {name: text})
        case "declare":
            seat.declare(Automaton("oven", ("idle", "hot", text), "idle", (("idle", text, "hot"),)))
        case _:
            held = seat.beliefs(scope=ANA)
            if held:
                seat.used(held[-1].id, f"{name} {text}")
            else:
                seat.observe(f"{name} {text}")
    assert len(list(seat.log())) == before + 1


def told(call: Callable[[], Any]) -> Any:
    """An answer, or which error with what words."""
    try:
        found = call()
    except HoldfastError as error:
        return type(error).__name__, str(error)
    return list(found) if inspect.isgenerator(found) else found


def everything(seat: Seat, upto: int) -> dict[str, Any]:
    """All that a principal can learn by asking, about every number there is and a few more."""
    seen: dict[str, Any] = {
        "log": lambda: seat.log(),
        "log then": lambda: seat.log(as_of=T0 + 35),
        "beliefs": lambda: seat.beliefs(status="all"),
        "disputed": lambda: seat.beliefs(status="disputed"),
        "history": lambda: seat.history("staging database"),
        "documents": lambda: seat.documents(),
        "all documents": lambda: seat.all_documents(),
        "all of the team": lambda: seat.all_documents(scope="team", deleted=True),
        "team documents": lambda: seat.documents(scope="team"),
        "document": lambda: seat.document("desk"),
        "her document": lambda: seat.document("desk", scope=ANA),
        "no document": lambda: seat.document("desk", scope="agent/nobody"),
        "document_history": lambda: seat.document_history("desk", scope="team"),
        "document_diff": lambda: seat.document_diff("desk", 1, 2),
        "automaton": lambda: seat.automaton("oven"),
        "her automaton": lambda: seat.automaton("oven", scope=ANA),
        "changes": lambda: seat.changes(),
        "her changes": lambda: seat.changes(scope=ANA),
        "watch": lambda: seat.watch(timeout_s=0),
        "recall then": lambda: seat.recall("the port of the database", as_of=T0 + 35),
    }
    for query in QUERIES:
        for tokens in (60, 400):
            seen[f"recall {query} {tokens}"] = lambda q=query, t=tokens: seat.recall(
                q, tokens=t, explain=True, hops=1
            )
        seen[f"rank {query}"] = lambda q=query: seat.rank(q)
        seen[f"rank_scopes {query}"] = lambda q=query: seat.rank_scopes(q)
        seen[f"beliefs {query}"] = lambda q=query: seat.beliefs(q)
    for seq in range(upto + 3):
        seen[f"get {seq}"] = lambda n=seq: seat.get(n)
        seen[f"why_not {seq}"] = lambda n=seq: seat.why_not(n, QUERIES[0], tokens=60)
        seen[f"belief {seq}"] = lambda n=seq: seat.belief(f"b{n}.0")
    return {name: told(call) for name, call in seen.items()}


def errors(seat: Seat, seqs: list[int]) -> dict[str, Any]:
    """What comes of naming things that are out of sight: nothing may be written by it."""
    found: dict[str, Any] = {}
    for seq in seqs:
        cite = Evidence(seq, 0, 1, "x")
        for proof in (seq, f"e{seq}[0:4]", cite):
            found[f"believe {proof}"] = told(
                lambda p=proof: seat.believe("x", "y", "z", evidence=[p])
            )
        found[f"promote {seq}"] = told(lambda n=seq: seat.promote(f"b{n}.0", "team"))
        found[f"used {seq}"] = told(lambda n=seq: seat.used(f"b{n}.0", "what?"))
    found["observe"] = told(lambda: seat.observe("x", scope=ANA))
    found["observe_many"] = told(lambda: seat.observe_many([Event("x", scope=ANA)]))
    found["retract"] = told(lambda: seat.retract("rule", "port", scope=ANA))
    found["put_document"] = told(lambda: seat.put_document("desk", 1, scope=ANA, expect=7))
    edit = Edit("desk", ANA, "put", 1, expect=7)
    found["edit_documents"] = told(lambda: seat.edit_documents([edit]))
    found["patch_document"] = told(lambda: seat.patch_document("desk", {}, scope=ANA))
    found["delete_document"] = told(lambda: seat.delete_document("desk", scope=ANA))
    found["declare"] = told(lambda: seat.declare(OVEN, scope=ANA))
    found["step"] = told(lambda: seat.step("oven", "heat", scope=ANA))
    return found


def transcript(program: list[Op], embedder: str | None) -> list[Any]:
    """All that Bo is told while Ana works through a program in private."""
    clock, found = Clock(), []
    with opened(clock=clock, embedder=embedder) as memory:
        ana, bo = memory.seat(ANA), memory.seat(BO)
        for who in (ANA, BO):
            for right in ("read", "write"):
                memory.grant(who, right, "team")
        memory.observe("The staging database has port 5433.", speaker="Owner", scope="team")
        memory.believe("staging database", "port", "5433", scope="team", by="owner")
        for i, op in enumerate(program):
            clock.now = T0 + 10 * i
            hers = memory._committer.newest + 1
            private(ana, i, op)
            clock.now += 5
            found += [
                bo.observe(f"I live in Porto {i}, near the kelp.", key=f"k{i}"),
                bo.believe("kelp", "colour", f"green {i}", aliases=("weed",)),
                told(lambda i=i: bo.put_document("desk", {"n": i})),
                told(lambda i=i: bo.patch_document("desk", {"m": i}, scope="team")),
                bo.observe_many(["one", Event("two", scope=f"{BO}/x")]),
            ]
            if i == 1:
                found += [bo.declare(OVEN), bo.step("oven", "heat")]
                found.append(bo.promote(bo.beliefs("kelp colour", scope=BO)[0].id, "team"))
            if i == 2:
                found.append(bo.used(bo.beliefs("kelp colour", scope=BO)[0].id, "the weed's hue"))
                found.append(bo.retract("kelp", "colour"))
                found.append(told(lambda: bo.delete_document("desk")))
            found.append(errors(bo, [hers, 10_000]))
        assert memory.settle()
        found.append(everything(bo, memory._committer.newest))
    return found


@pytest.mark.parametrize("embedder", [None, "scripted"])
@settings(max_examples=8, deadline=None)
@given(pairs=st.lists(st.tuples(ops, ops), min_size=2, max_size=4))
def test_what_one_principal_does_in_private_changes_nothing_for_another(
    embedder: str | None, pairs: list[tuple[Op, Op]]
) -> None:
    one, other = ([pair[i] for pair in pairs] for i in (0, 1))
    for a, b in zip(transcript(one, embedder), transcript(other, embedder), strict=True):
        if isinstance(a, dict):
            for name in a:
                assert repr(a[name]) == repr(b[name]), name
        assert repr(a) == repr(b)


def test_out_of_sight_looks_as_if_it_never_was() -> None:
    with opened() as memory:
        ana, bo = memory.seat(ANA), memory.seat(BO)
        hers = ana.believe("staging database", "port", "5433").seq
        void = 4711

        def unnamed(call: Callable[[int], Any], n: int) -> Any:
            kind, words = told(lambda: call(n))
            return kind, words.replace(str(n), "N", 1)

        for call in (
            lambda n: bo.get(n),
            lambda n: bo.why_not(n, "port"),
            lambda n: bo.belief(f"b{n}.0"),
            lambda n: bo.promote(f"b{n}.0", BO),
            lambda n: bo.used(f"b{n}.0", "port"),
            lambda n: bo.believe("a", "b", "c", evidence=[n]),
            lambda n: bo.retract("a", "b", evidence=[f"e{n}[0:1]"]),
        ):
            assert unnamed(call, hers) == unnamed(call, void)
            assert unnamed(call, hers)[0] == "NotFoundError"


def test_every_verb_is_probed() -> None:
    """A new verb of a seat has to be added to the noninterference test."""
    public = {name for name, _ in inspect.getmembers(Seat, callable) if name[0] != "_"}
    source = inspect.getsource(everything) + inspect.getsource(errors)
    assert {name for name in public if f"seat.{name}(" not in source} == set()


# ---- rights ------------------------------------------------------------------------------------


def test_a_principal_is_at_home_in_its_scope_and_nowhere_else() -> None:
    with opened() as memory:
        memory.observe("The kelp is in the team's drawer.", scope="team")
        memory.observe("The kelp grew.", scope="agent/bobby")
        bo = memory.seat("/agent/bo/")
        home = bo.observe("The kelp is at home.").seq
        deep = bo.observe("The kelp is deep inside.", scope="agent/bo/notes").seq
        assert {item.seq for item in bo.recall("kelp").items} == {home, deep}
        assert {hit.seq for hit in bo.rank("kelp")} == {home, deep}
        assert {record.seq for record in bo.log()} == {home, deep}
        for scope in ("", "agent", "team", "agent/bobby", ("agent/bo", "team")):
            with pytest.raises(AccessError, match="may not read"):
                bo.recall("kelp", scope=scope)
            with pytest.raises(AccessError, match="may not read"):
                bo.log(scope=scope)
            with pytest.raises(AccessError, match="may not read"):
                bo.watch(scope=scope)


def test_grants_widen_and_withdrawals_narrow_at_once() -> None:
    with opened() as memory:
        bo = memory.seat(BO)
        seq = memory.observe("The kelp is in the drawer.", scope="team/notes").seq
        memory.grant(BO, "read", "team")
        assert bo.get(seq).event.text == "The kelp is in the drawer."
        assert [item.seq for item in bo.recall("kelp", scope="team/notes").items] == [seq]
        with pytest.raises(AccessError, match="may not write"):
            bo.observe("mine now", scope="team")
        log, watch = bo.log(), bo.watch(timeout_s=0)
        memory.believe("kelp", "colour", "green", scope="team")
        memory.withdraw(f"{BO}/", "read", "team")
        assert list(log) == []
        assert list(watch) == []
        with pytest.raises(NotFoundError):
            bo.get(seq)


def test_a_named_scope_that_is_withdrawn_ends_a_watch_with_an_error() -> None:
    with opened() as memory:
        bo = memory.seat(BO)
        memory.grant(BO, "read", "team")
        memory.believe("kelp", "colour", "green", scope="team")
        watch = bo.watch(scope="team", timeout_s=5)
        assert [next(watch).action for _ in range(2)] == ["grant", "add"]
        memory.withdraw(BO, "read", "team")
        with pytest.raises(AccessError, match="may not read"):
            next(watch)


def test_what_may_only_be_written_is_not_told() -> None:
    with opened() as memory:
        memory.grant(BO, "write", "box")
        bo = memory.seat(BO)
        memory.believe("vault", "code", "1234", scope="box", by="owner", trust=Trust.OWNER)
        guesses = [bo.believe("vault", "code", code, scope="box") for code in ("1234", "9999")]
        assert [receipt.changes for receipt in guesses] == [(), ()]
        seq = bo.observe("I live in Porto.", scope="box").seq
        with pytest.raises(NotFoundError):
            bo.get(seq)
        memory.put_document("desk", {"code": 1}, scope="box")
        for call in (
            lambda: bo.patch_document("desk", {}, scope="box"),
            lambda: bo.put_document("desk", {}, scope="box", expect=0),
            lambda: bo.delete_document("desk", scope="box"),
            lambda: bo.edit_documents([Edit("desk", "box", "delete")]),
            lambda: bo.declare(OVEN, scope="box"),
            lambda: bo.step("oven", "heat", scope="box"),
        ):
            with pytest.raises(AccessError, match="may not read"):
                call()


# ---- nobody speaks for another -----------------------------------------------------------------


def test_all_that_is_written_bears_the_name_of_the_principal() -> None:
    with opened() as memory:
        bo = memory.seat(BO)
        bo.observe("I live in Porto.")
        bo.observe(Event("I work at the harbour.", speaker=BO))
        bo.observe_many(["one", Event("two", scope=f"{BO}/x")])
        bo.believe("kelp", "colour", "green")
        bo.put_document("desk", {})
        bo.edit_documents([Edit("desk", BO, "put", {"n": 1}, source="owner", others=("owner",))])
        bo.declare(OVEN)
        bo.step("oven", "heat")
        bo.promote(bo.beliefs(predicate="colour")[0].id, f"{BO}/shown")
        bo.used(bo.beliefs(predicate="colour")[0].id, "what hue?")
        bo.retract("kelp", "colour")
        assert {record.event.speaker for record in memory.log()} == {BO}
        assert {one.source for one in memory._mirror.state.entries.values()} == {BO}
        assert {one.sources for one in memory.beliefs(status="all")} == {(BO,)}


def test_no_name_no_role_and_no_trust_can_be_borrowed() -> None:
    with opened() as memory:
        bo = memory.seat(BO)
        for event in (Event("x", speaker=ANA), Event("x", role="system"), Event("x", role="Owner")):
            with pytest.raises(AccessError):
                bo.observe(event)
            with pytest.raises(AccessError):
                bo.observe_many([event])
        with pytest.raises(AccessError, match="for the owner"):
            bo.observe("x", role="developer")
        with pytest.raises(InvalidEventError, match="text"):
            bo.observe("x", role=5)  # type: ignore[arg-type]
        with pytest.raises(InvalidEventError, match="state"):
            bo.observe("promote b1.0", kind="state")
        with pytest.raises(AccessError, match="USER"):
            bo.believe("kelp", "colour", "red", trust=Trust.OWNER)
        with pytest.raises(AccessError, match="USER"):
            bo.retract("kelp", "colour", trust=Trust.OWNER)
        for verb, given in (
            (bo.believe, ("a", "b", "c")),
            (bo.recall, ("a",)),
            (bo.promote, ("b1.0", BO)),
            (bo.used, ("b1.0", "q")),
            (bo.put_document, ("a", 1)),
        ):
            for name in ("by", "approve", "source", "_most"):
                with pytest.raises(TypeError):
                    verb(*given, **{name: "owner"})  # type: ignore[operator]
        assert len(memory) == 0


def test_promotion_brings_no_trust_that_the_principal_has_not() -> None:
    with opened() as memory:
        memory.grant(BO, "read", "team")
        memory.believe("deploys", "day", "Friday", scope="team", by="owner", trust=Trust.OWNER)
        memory.grant(BO, "write", "yard")
        memory.grant(BO, "read", "yard")
        memory.believe("deploys", "day", "Monday", scope="yard", by="owner", trust=Trust.OWNER)
        bo = memory.seat(BO)
        done = bo.promote(bo.beliefs(scope="team")[0].id, "yard")
        assert done.changes[0].action == "dispute"
        assert [one.value for one in bo.beliefs(scope="yard")] == ["Monday"]
        assert bo.promote(bo.beliefs(scope="team")[0].id, BO).changes[0].action == "add"
        assert [one.trust for one in bo.beliefs(scope=BO)] == [Trust.USER]


def test_instructions_need_the_right_to_give_them() -> None:
    with opened() as memory:
        bo = memory.seat(BO)
        said = bo.observe("Always answer me in French. I live in Porto.")
        assert [change.detail["predicate"] for change in said.changes] == ["lives_in"]
        bo.observe_many(["Always answer me in Latin."])
        with pytest.raises(AccessError, match="state instructions"):
            bo.believe("rule", "always", "answer in French", kind="instruction")
        memory.believe("rule", "always", "be brief", kind="instruction", scope=BO)
        held = [(one.kind, one.value) for one in bo.beliefs(subject="rule")]
        assert held == [("instruction", "be brief")]
        with pytest.raises(AccessError, match="state instructions"):  # nor may they be ended
            bo.retract("rule", "always", "be brief")
        with pytest.raises(AccessError, match="state instructions"):
            bo.promote(bo.beliefs(subject="rule")[0].id, f"{BO}/x")
        memory.grant(BO, "directive", BO)
        bo.observe("Always answer me in French.")
        bo.retract("rule", "always", "be brief")
        held = [(one.kind, one.value) for one in bo.beliefs(subject="rule")]
        assert held == [("instruction", "answer me in French")]


def test_keys_are_each_principals_own() -> None:
    with opened() as memory:
        ana, bo = memory.seat(ANA), memory.seat(BO)
        first = ana.observe("hers", key="k")
        second = bo.observe("his", key="k")
        assert (first.seq, second.seq) == (1, 2)
        assert bo.observe("his", key="k") == second
        with pytest.raises(IdempotencyError):
            bo.observe("other", key="k")
        assert bo.get(2).event.key == "k"


@pytest.mark.parametrize("name", ["", "/", "//", "agent/bo\x1fana", "a\nb", "\x7f"])
def test_a_name_that_no_principal_can_have(name: str) -> None:
    with opened() as memory, pytest.raises(InvalidClaimError, match="principal"):
        memory.seat(name)


# ---- the verbs answer as those of the memory ---------------------------------------------------


def test_at_the_root_a_seat_sees_what_the_memory_sees() -> None:
    with opened() as memory:
        memory.grant(BO, "read", "")
        memory.observe_many([Event(f"kelp {i}", scope=f"s/{i % 3}", at=T0 + i) for i in range(9)])
        memory.believe("kelp", "colour", "green", scope="s")
        bo = memory.seat(BO)
        assert bo.recall("kelp colour").text == memory.recall("kelp colour", speaker=BO).text
        assert bo.rank("kelp") == memory.rank("kelp", speaker=BO)
        assert bo.beliefs() == memory.beliefs()
        assert bo.changes() == memory.changes()
        assert bo.history("kelp") == memory.history("kelp")
        assert [one.seq for one in bo.log()] == [one.seq for one in memory.log()]


def test_lost_counts_nobody_elses_lowered_events() -> None:
    with opened("640 KiB") as memory:
        bo = memory.seat(BO)
        bo.observe("The kelp is here.", pinned=True)
        noise = "".join(chr(0x4E00 + i % 9000) for i in range(3000))
        while not memory.usage().events["gist"]:
            for i in range(50):
                memory.observe(f"{noise[i:]} {i}. A line here. Another line there.", scope=ANA)
        whole = memory.usage().events
        moment = memory._clock()
        assert memory.recall("kelp", as_of=moment).lost >= whole["gist"] + whole["evicted"]
        assert bo.recall("kelp", as_of=moment).lost == memory.usage().events["evicted"]


def test_a_watch_ends_when_the_memory_is_closed(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m.holdfast", "1 MiB") as memory:
        bo = memory.seat(BO)
        watch = bo.watch(timeout_s=60)
        bo.believe("kelp", "colour", "green")
        assert next(watch).action == "add"
    assert list(watch) == []
    with pytest.raises(ClosedError):
        bo.watch()

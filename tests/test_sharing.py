"""Sharing through a memory: who may, who promoted what, who made use of it, and who is told."""

from __future__ import annotations

import threading
from itertools import groupby
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Memory
from holdfast.errors import AccessError, InvalidClaimError, NotFoundError
from holdfast.state.access import Grant
from holdfast.state.records import Change, Trust

from worlds import T0, opened


def share(memory: Memory, n: int, by: str) -> str:
    """Believe something in private and promote it; the id of the promoted belief."""
    made = memory.believe(f"lesson {n}", "says", f"use {n}", scope=by, by=by).changes[0].what
    return memory.promote(made, "team", by=by).changes[0].what


# ---- every act of sharing is an event ----------------------------------------------------------


def test_each_act_leaves_an_event_that_names_who_and_where() -> None:
    with opened() as memory:
        said = memory.believe("db", "port", "5433", scope="agent/ana", by="agent/ana")
        memory.grant("agent/bo", "read", "team", by="owner")
        done = memory.promote(said.changes[0].what, "/team/", by="agent/ana")
        memory.used(done.changes[0].what, "which port?", by="agent/bo")
        memory.used(done.changes[0].what, "which lamp?", by="agent/bo", helpful=False)
        memory.withdraw("agent/bo", "read", "team", by="owner")
        log = [(r.event.kind, r.event.speaker, r.event.scope, r.event.text) for r in memory.log(1)]
        assert log == [
            ("state", "owner", "team", "grant read over team: agent/bo"),
            ("state", "agent/ana", "team", "promote b1.0: db port 5433"),
            ("state", "agent/bo", "team", "used b3.0"),
            ("state", "agent/bo", "team", "not helped by b3.0"),
            ("state", "owner", "team", "withdraw read over team: agent/bo"),
        ]
        changes = [(one.seq, one.action, one.what) for one in memory.changes(scope="team")]
        assert changes == [
            (2, "grant", "agent/bo"), (3, "add", "b3.0"), (4, "use", "b3.0"), (5, "use", "b3.0"),
            (6, "grant", "agent/bo"),
        ]  # fmt: skip
        (promoted,) = (one for one in memory.changes(scope="team") if "from" in one.detail)
        assert promoted.detail["from"] == "b1.0"


def test_the_very_first_change_is_told_of_and_each_resumption_is_exact() -> None:
    with opened() as memory:
        for n in range(5):
            memory.believe("kelp", "height", f"{n} m")
        every = memory.changes()
        assert [one.seq for one in every] == [1, 2, 3, 4, 5]
        for after in range(7):
            assert memory.changes(after=after) == [one for one in every if one.seq > after]


def test_grants_outlive_the_process(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "1 MiB") as memory:
        memory.grant("/agent/bo/", "read", "/team/")
        memory.grant("agent/bo", "write", "team")
        memory.withdraw("agent/bo/", "write", "team/")
    with Memory.open(path) as memory:
        assert memory.grants() == (Grant("agent/bo", "read", "team"),)
        with pytest.raises(InvalidClaimError, match="no right"):
            memory.grant("agent/bo", "own", "team")  # type: ignore[arg-type]
        with pytest.raises(InvalidClaimError, match="principal"):
            memory.grant("/", "read", "team")


# ---- promotion ---------------------------------------------------------------------------------


@pytest.mark.parametrize("trust", list(Trust))
def test_promotion_keeps_trust_evidence_and_validity(trust: Trust) -> None:
    with opened() as memory:
        seq = memory.observe("The db answers on 5433.", speaker="agent/ana", scope="agent/ana").seq
        memory.believe(
            "db", "port", "5433", scope="agent/ana", by="agent/ana", trust=trust,
            evidence=[f"e{seq}[18:22]"], valid_from=T0 - 99, why_it_matters="deploys",
            aliases=("staging",), confidence=0.7,
        )  # fmt: skip
        (own,) = memory.beliefs(subject="db", scope="agent/ana")
        done = memory.promote(own.id, "team")
        (shared,) = memory.beliefs(subject="db", scope="team")
        assert done.changes[0].what == shared.id != own.id
        assert shared.scope == "team"
        for name in ("value", "trust", "evidence", "sources", "valid_from", "valid_until", "kind",
                     "status", "why_it_matters", "aliases", "confidence"):  # fmt: skip
            assert getattr(shared, name) == getattr(own, name), name
        assert shared.trust == min(trust, Trust.USER)  # of its evidence
        assert [piece.quote for piece in shared.evidence] == ["5433"]
        assert memory.belief(own.id) == own


def test_what_is_not_held_cannot_be_promoted_or_used() -> None:
    with opened() as memory:
        old = memory.believe("db", "port", "1").changes[0].what
        memory.believe("db", "port", "2")
        for id in (old, "b99.0", "nonsense"):
            with pytest.raises(NotFoundError, match="not held now"):
                memory.promote(id, "team")
            with pytest.raises(NotFoundError, match="not held now"):
                memory.used(id, "port?")
        assert memory.changes(scope="team") == []


def test_a_poor_record_needs_approval_until_it_is_better() -> None:
    with opened() as memory:
        n = 0
        while memory.credit("bo") >= 0.25:
            share(memory, n, "bo")
            n += 1
        assert n <= 16
        made = memory.believe("lesson", "says", "once more", scope="bo", by="bo").changes[0].what
        before = len(memory)
        with pytest.raises(AccessError, match=r"weight 0\.\d\d, 0\.25 is needed"):
            memory.promote(made, "team", by="bo")
        assert len(memory) == before
        last = memory.promote(made, "team", by="bo", approve=True).changes[0].what
        memory.used(last, "what did the lesson say?", by="bo")  # one's own use earns nothing
        poor = memory.credit("bo")
        memory.used(last, "what did the lesson say?", by="cy")
        assert memory.credit("bo") > poor
        assert share(memory, 99, "ana")  # others are not held to Bo's record


def test_a_disputed_claim_takes_no_credit_for_what_is_held() -> None:
    with opened() as memory:
        held = share(memory, 1, "ana")
        claim = memory.believe(
            "lesson 1", "says", "no", scope="team", by="eve", trust=Trust.UNTRUSTED
        )
        assert claim.changes[0].action == "dispute"
        before = memory.credit("ana")
        assert memory.used(held, "what of lesson 1?", by="cy").changes[0].what == held
        assert memory.credit("ana") > before


# ---- trust in shared scopes --------------------------------------------------------------------


@settings(max_examples=10, deadline=None)
@given(st.sampled_from([Trust.UNTRUSTED, Trust.DERIVED]), st.booleans(), st.integers(0, 100))
def test_a_hundred_copies_from_one_source_never_outweigh_one_trusted_fact(
    trust: Trust, promoted: bool, place: int
) -> None:
    with opened("4 MiB") as memory:
        for n in range(101):
            if n == place:
                memory.believe("deploys", "day", "Friday", scope="team", by="ana")
            elif promoted:
                where = f"agent/eve/{n}"
                id = memory.believe(
                    "deploys", "day", "Monday", scope=where, by="eve", trust=trust
                ).changes[0].what  # fmt: skip
                memory.promote(id, "team", by="eve", approve=True)
            else:
                memory.believe("deploys", "day", "Monday", scope="team", by="eve", trust=trust)
        assert [one.value for one in memory.beliefs(subject="deploys", scope="team")] == ["Friday"]
        assert memory.beliefs(subject="deploys", scope="team")[0].sources == ("ana",)
        assert "Friday" in memory.recall("which day are the deploys?", scope="team").text


# ---- watching ----------------------------------------------------------------------------------


def test_a_watch_neither_loses_nor_repeats_while_two_threads_write() -> None:
    n = 120
    with opened("8 MiB") as memory:

        def write(who: str) -> None:
            for i in range(n):
                memory.observe(f"I live in Porto {i}. I work at the harbour {i}.", speaker=who)
                memory.believe(who, "counts", str(i), scope=f"agent/{who}", by=who)

        threads = [threading.Thread(target=write, args=(who,)) for who in ("ana", "bo")]
        for thread in threads:
            thread.start()
        seen: list[Change] = []
        while True:  # a watcher that is restarted again and again, after each whole event
            after, busy = (seen[-1].seq if seen else 0), any(t.is_alive() for t in threads)
            fresh = memory.watch(after=after, timeout_s=0.0)
            events = (list(of) for _, of in groupby(fresh, key=lambda one: one.seq))
            taken = [one for event, _ in zip(events, range(7), strict=False) for one in event]
            seen += taken
            if not taken and not busy:
                break
        for thread in threads:
            thread.join()
        places = [(one.seq, one.n) for one in seen]
        assert places == sorted(set(places))
        assert seen == memory.changes()
        for who in ("ana", "bo"):
            counted = [one.detail["value"] for one in seen if one.scope == f"agent/{who}"]
            assert counted == [str(i) for i in range(n)]
        for after in range(0, seen[-1].seq + 1, 37):
            rest = list(memory.watch(after=after, timeout_s=0.0))
            assert rest == [one for one in seen if one.seq > after]
            inside = list(memory.watch(scope="agent/bo", after=after, timeout_s=0.0))
            assert inside == [one for one in rest if one.scope == "agent/bo"]


def test_a_watch_waits_for_what_another_thread_writes() -> None:
    with opened() as memory:
        waiting = memory.watch(timeout_s=30)
        later = threading.Timer(0.1, lambda: memory.believe("kelp", "height", "1 m"))
        later.start()
        assert next(waiting).detail["value"] == "1 m"
        later.join()


def test_a_watch_sees_what_another_memory_on_the_file_writes(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "1 MiB") as here, Memory.open(path) as there:
        waiting = here.watch(timeout_s=30)
        there.believe("kelp", "height", "1 m")
        assert next(waiting).detail["value"] == "1 m"


def test_a_journal_that_was_cut_says_so_before_anything_else() -> None:
    with opened("640 KiB") as memory:
        n = 0
        while not memory._mirror.state_horizon:
            memory.believe("kelp", "height", f"{n} m", by=f"diver {n}")
            n += 1
            assert n < 20_000
        first, *rest = memory.changes()
        horizon = memory._mirror.state_horizon
        assert (first.action, first.seq) == ("gap", horizon)
        assert memory.changes(scope="elsewhere") == [first]
        assert memory.changes(after=horizon) == [one for one in rest if one.seq > horizon]
        assert next(memory.watch(timeout_s=0.0)) == first

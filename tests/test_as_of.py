"""What was answered at a moment is answered again, byte for byte, whatever was written since."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from holdfast import Event, Memory, Tier
from holdfast.errors import InvalidEventError, NotFoundError
from holdfast.state.automaton import Automaton
from holdfast.state.records import Trust

from worlds import T0, WORDS, large_events, opened, prose

QUERIES = (
    "where does Ana live", "kelp and copper", "what did Bo say yesterday about the harbour",
    "last week", "who is Cleo?", "violin 31", "the nest", "thunder meadow compass",
)  # fmt: skip
SCOPES = ("", "user/ana", "team")


class Clock:
    def __init__(self) -> None:
        self.now = T0

    def __call__(self) -> float:
        return self.now


def write(memory: Memory, clock: Clock, rng: random.Random, n: int) -> None:
    """Events of several speakers, and claims about them."""
    towns = ("Lisbon", "Porto", "Rome", "Oslo")
    for i in range(n):
        clock.now += rng.choice((1.0, 60.0, 3600.0))
        speaker, scope = rng.choice(("Ana", "Bo", "Cleo")), rng.choice(SCOPES)
        memory.observe(prose(rng, rng.randrange(4, 60)), speaker=speaker, scope=scope)
        if i % 3 == 0:
            done = memory.believe(
                speaker, "lives_in", rng.choice(towns), scope=scope, by=speaker,
                aliases=[rng.choice(WORDS)], trust=rng.choice((Trust.USER, Trust.DERIVED)),
            )  # fmt: skip
            held = memory.beliefs(subject=speaker, scope=scope, limit=1)
            if held:
                memory.used(held[0].id, f"the {rng.choice(WORDS)} nest", by=rng.choice("xyz"))
            assert done.changes
        if i % 10 == 0:
            memory.retract(speaker, "lives_in", scope=scope, by=speaker)
            memory.put_document("desk", {"i": rng.random()}, scope=scope)


def answers(memory: Memory, **when: Any) -> dict[str, Any]:
    """Everything that can be asked, as it is answered."""
    found: dict[str, Any] = {}
    for scope in (*SCOPES, ("user/ana", "team"), ["team", "nowhere"]):
        for text in QUERIES:
            key = f"{scope} {text}"
            for tokens in (120, 900, 100_000):
                context = memory.recall(text, scope=scope, tokens=tokens, **when)
                found[f"{key} {tokens}"] = (
                    context.text, context.tokens, context.items, context.beliefs, context.omissions,
                    context.whole, context.confidence,
                )  # fmt: skip
            found[f"rank {key}"] = memory.rank(text, scope=scope, limit=200, **when)
            found[f"scopes {key}"] = memory.rank_scopes(text, scope=scope, **when)
            found[f"beliefs {key}"] = memory.beliefs(text, scope=scope, **when)
        found[f"log {scope}"] = list(memory.log(scope=scope, **when))
        for status in ("current", "disputed", "retired", "all"):
            found[f"{status} {scope}"] = memory.beliefs(
                status=status,  # type: ignore[arg-type]
                scope=scope,
                limit=1000,
                **when,
            )
        found[f"history {scope}"] = memory.history("Ana", scope=scope, **when)
    found["desk"] = memory.document("desk", **when)
    return found


def differing(then: dict[str, Any], again: dict[str, Any]) -> list[str]:
    return [key for key in then if then[key] != again[key]]


def test_nothing_that_is_written_later_changes_a_past_answer() -> None:
    rng, clock = random.Random(1), Clock()
    with opened("16 MiB", clock=clock) as memory:
        write(memory, clock, rng, 90)
        moments = []
        for _ in range(2):
            moments.append((clock.now, answers(memory)))
            write(memory, clock, rng, 60)
        assert memory.usage().events["verbatim"] == len(memory), "something was lowered"
        assert memory.usage().events["evicted"] == 0
        for at, then in moments:
            assert differing(then, answers(memory, as_of=at)) == []
            assert memory.recall("kelp", as_of=at).lost == 0
        memory.verify()


def test_a_past_answer_survives_reopening(tmp_path: Path) -> None:
    rng, clock, path = random.Random(2), Clock(), tmp_path / "a.holdfast"
    options: dict[str, Any] = {"durability": "off", "clock": clock}
    with Memory.open(path, "16 MiB", **options) as memory:
        write(memory, clock, rng, 60)
        at, then = clock.now, answers(memory)
        write(memory, clock, rng, 60)
    with Memory.open(path, **options) as memory:
        assert differing(then, answers(memory, as_of=at)) == []
        twin = memory.fork(tmp_path / "twin.holdfast")
        clock.now += 10
        assert differing(then, answers(twin, as_of=at)) == []
        twin.close()


def test_the_moment_itself_counts_and_the_next_does_not() -> None:
    clock = Clock()
    with opened(clock=clock) as memory:
        memory.believe("Ana", "lives_in", "Lisbon")
        memory.observe("The kelp is green.")
        clock.now = T0 + 1
        memory.believe("Ana", "lives_in", "Porto")
        memory.observe("The kelp is brown.")

        def values(**when: Any) -> list[str]:
            return [belief.value for belief in memory.beliefs(subject="Ana", **when)]

        for as_of, town, kelp in (
            (T0, ["Lisbon"], 1), (T0 + 0.999, ["Lisbon"], 1), (T0 + 1, ["Porto"], 2),
            (T0 - 0.001, [], 0), (T0 + 99, ["Porto"], 2),
        ):  # fmt: skip
            assert values(as_of=as_of) == town
            assert [b.value for b in memory.recall("Ana lives", as_of=as_of).beliefs] == town
            assert len(memory.rank("kelp", as_of=as_of)) == kelp
        then = memory.beliefs(subject="Ana", as_of=T0)
        assert (then[0].valid_until, then[0].retired_at, then[0].superseded_by) == (None,) * 3


def test_valid_time_and_record_time_are_two() -> None:
    """What did we think in March about January?"""
    clock = Clock()
    january, march, may = T0 - 1000.0, T0, T0 + 1000.0
    with opened(clock=clock) as memory:
        memory.believe("Ana", "lives_in", "Lisbon", valid_from=january - 500)
        clock.now = may
        memory.believe("Ana", "lives_in", "Porto", valid_from=january - 100)

        def values(**when: Any) -> list[str]:
            direct = [b.value for b in memory.beliefs(subject="Ana", **when)]
            recalled = [b.value for b in memory.recall("where does Ana live", **when).beliefs]
            asked = [b.value for b in memory.beliefs("where does Ana live", **when)]
            assert direct == recalled == asked
            return direct

        assert values() == ["Porto"]
        assert values(valid_at=january) == ["Porto"]
        assert values(valid_at=january - 200) == ["Lisbon"]
        assert values(as_of=march) == values(as_of=march, valid_at=january) == ["Lisbon"]
        assert values(as_of=may, valid_at=january) == ["Porto"]
        assert values(valid_at=january - 501) == []


def test_valid_at_hides_what_had_not_happened() -> None:
    with opened(clock=Clock()) as memory:
        for day in range(5):
            memory.observe(f"kelp day {day}", at=T0 + 86_400 * day)
        for day in range(5):
            at = T0 + 86_400 * day
            seen = [item.text for item in memory.recall("kelp", valid_at=at).items]
            assert seen == [f"kelp day {n}" for n in range(day + 1)]
            assert len(memory.rank("kelp", valid_at=at)) == day + 1
            assert len(list(memory.log(valid_at=at))) == day + 1
        assert memory.recall("kelp", valid_at=T0 - 1).items == ()


def test_a_question_about_yesterday_is_about_the_day_before_it_was_asked() -> None:
    clock, day = Clock(), 86_400.0
    with opened(clock=clock) as memory:
        for n in range(6):
            clock.now = T0 + day * n
            memory.observe(f"Lunch number {n}: soup again.", speaker="Ana")
            if n == 3:
                then = memory.rank("what was for lunch yesterday?")
        assert memory.rank("what was for lunch yesterday?", as_of=T0 + 3 * day) == then
        assert then[0].seq == 3
        assert memory.rank("what was for lunch yesterday?")[0].seq == 5


def test_clocks_that_are_set_back_hide_nothing() -> None:
    clock = Clock()
    with opened(clock=clock) as memory:
        memory.believe("Ana", "lives_in", "Lisbon")
        memory.put_document("desk", {"lamp": "off"})
        clock.now = T0 - 3600
        assert [b.value for b in memory.beliefs(subject="Ana")] == ["Lisbon"]
        done = memory.believe("Ana", "lives_in", "Porto")
        edited = memory.put_document("desk", {"lamp": "on"})
        assert done.recorded_at == edited.recorded_at == T0, "the record never goes back"
        assert [b.value for b in memory.beliefs(subject="Ana")] == ["Porto"]
        assert [b.value for b in memory.recall("where does Ana live").beliefs] == ["Porto"]
        assert memory.beliefs(subject="Ana", as_of=T0 - 3600) == []
        assert [b.value for b in memory.beliefs(subject="Ana", as_of=T0)] == ["Porto"]
        assert memory.document("desk", as_of=T0).value == {"lamp": "on"}
        with pytest.raises(NotFoundError, match="there was none"):
            memory.document("desk", as_of=T0 - 1)
        clock.now = T0 + 5
        memory.believe("Ana", "lives_in", "Rome")
        assert [b.value for b in memory.beliefs(subject="Ana", as_of=T0 + 4)] == ["Porto"]
        values = [b.value for b in memory.history("Ana")]
        assert values == ["Lisbon", "Porto", "Rome"]


def test_what_was_evicted_since_is_counted() -> None:
    clock = Clock()
    with opened("640 KiB", clock=clock, retention="oldest") as memory:
        memory.observe("The kelp is under the rock.", scope="small", speaker="Ana")
        seqs = [memory.observe(event).seq for event in large_events(25)]
        at, then = clock.now, memory.recall("kelp rock tide", tokens=400)
        assert memory.recall("kelp rock tide", tokens=400, as_of=at).lost == 0
        assert memory.recall("kelp rock tide", tokens=400, as_of=at).text == then.text
        clock.now += 10
        memory.observe_many(large_events(180, seed=8))
        lowered = memory.usage().events["evicted"] + memory.usage().events["trace"]
        assert lowered > 20
        whole = [record.seq for record in memory.log() if record.tier == Tier.VERBATIM]
        expected = len([seq for seq in (1, *seqs) if seq not in whole])
        assert expected > 0
        assert memory.recall("kelp rock tide", as_of=at).lost >= expected
        assert memory.recall("kelp rock tide", as_of=clock.now).lost >= expected
        assert memory.recall("kelp rock tide").lost == 0
        assert memory.recall("kelp", as_of=at, scope="nowhere").lost > 0


def test_beliefs_of_evicted_events_are_answered_as_of_then() -> None:
    clock = Clock()
    with opened("640 KiB", clock=clock, retention="oldest") as memory:
        said = memory.observe("I moved to the lighthouse of Porto.", speaker="Ana").seq
        memory.believe("Ana", "home", "the lighthouse", evidence=[said], by="Ana")
        at, then = clock.now, memory.beliefs(subject="Ana", status="all")
        clock.now += 10
        memory.observe_many(large_events(180))
        memory.believe("Ana", "home", "a boat")
        with pytest.raises(NotFoundError):
            memory.get(said)
        assert memory.beliefs(subject="Ana", status="all", as_of=at) == then
        (old,) = (b for b in memory.history("Ana", "home") if b.value == "the lighthouse")
        assert old.evidence[0].quote == "I moved to the lighthouse of Porto."


def test_documents_and_automata_of_every_moment() -> None:
    clock = Clock()
    moves = (("a", "go", "b"), ("b", "go", "a"))
    with opened(clock=clock) as memory:
        memory.declare(Automaton("gate", ("a", "b"), "a", moves))
        past: list[tuple[float, Any, str]] = []
        for n in range(20):
            clock.now += 1
            memory.patch_document("desk", {"n": n, f"k{n % 3}": n})
            state = memory.step("gate", "go").state
            past.append((clock.now, memory.document("desk"), state))
        for at, document, state in past:
            assert memory.document("desk", as_of=at) == document
            assert memory.document("desk", as_of=at + 0.5) == document
            assert memory.automaton("gate", as_of=at).state == state
        with pytest.raises(NotFoundError):
            memory.document("desk", as_of=T0)
        with pytest.raises(NotFoundError):
            memory.automaton("gate", as_of=T0 - 1)


@pytest.mark.parametrize(
    "ask",
    [
        lambda memory: memory.recall("kelp", scope=[]),
        lambda memory: memory.beliefs(scope=()),
        lambda memory: memory.history("Ana", scope=[]),
        lambda memory: memory.rank("kelp", scope=[]),
        lambda memory: list(memory.log(scope=[])),
    ],
)
def test_no_scope_at_all_is_refused(ask: Callable[[Memory], object]) -> None:
    with opened() as memory, pytest.raises(InvalidEventError, match="no scope is given"):
        ask(memory)


def test_several_scopes_see_what_each_sees_and_no_more() -> None:
    with opened() as memory:
        for scope in ("a", "a/b", "ab", "c", ""):
            memory.observe(Event(f"kelp in {scope or 'the root'}", scope=scope))
            memory.believe("kelp", "grows_in", scope or "the root", scope=scope)

        def seen(scope: Any) -> set[str]:
            events = {item.scope for item in memory.recall("kelp", scope=scope).items}
            beliefs = {belief.scope for belief in memory.beliefs(scope=scope)}
            asked = {belief.scope for belief in memory.beliefs("kelp grows", scope=scope)}
            logged = {record.event.scope for record in memory.log(scope=scope)}
            assert events == beliefs == asked == logged
            return events

        assert seen(["a", "c"]) == {"a", "a/b", "c"}
        assert seen(("/a/b/", "nowhere")) == {"a/b"}
        assert seen(["c", ""]) == {"a", "a/b", "ab", "c", ""}
        assert seen("a") == {"a", "a/b"}


def test_a_past_state_has_what_another_process_wrote_by_then(tmp_path: Path) -> None:
    clock, path = Clock(), tmp_path / "m.holdfast"
    with Memory.open(path, "1 MiB", clock=clock) as one, Memory.open(path, clock=clock) as other:
        one.observe("The kiln is cold.")
        other.observe("The kiln is red.")
        found = one.recall("kiln", as_of=clock.now + 10)
        assert [item.seq for item in found.items] == [1, 2]


def test_a_block_that_is_just_being_rewritten_is_waited_for() -> None:
    with opened() as memory:
        memory.observe_many(large_events(40))
        first = memory._mirror.firsts[0]
        (info,) = [info for info in memory._store.blocks() if info.first == first]
        block = memory._store.block(first)
        assert block is not None
        with memory._store.transaction() as tx:
            tx.delete_block(first)
        memory._mirror._cache.clear()

        def put_back() -> None:
            with memory._committer.writing, memory._store.transaction() as tx:
                tx.put_block(first, info.last, block)

        later = threading.Timer(0.05, put_back)
        later.start()
        assert memory._mirror.recorded_after(0.0) == 1
        later.join()


def test_a_difference_up_to_now_counts_what_a_clock_of_before_does_not() -> None:
    clock = Clock()
    with opened(clock=clock) as memory:
        memory.believe("Ana", "lives_in", "Lisbon")
        memory.snapshot("then")
        clock.now -= 1000.0
        memory.believe("Ana", "likes", "tea")
        found = memory.diff("then")
        assert ([b.value for b in found.began], found.ended) == (["tea"], ())

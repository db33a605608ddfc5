"""The journal keeps to its share, and what is held stays held, for the same reasons."""

from __future__ import annotations

import random
from contextlib import nullcontext
from itertools import accumulate
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from journals import Journal, journal, picture, tellings

from holdfast import Memory
from holdfast.state.asked import Revoke
from holdfast.state.automaton import Automaton
from holdfast.state.compact import SHARE, _held, plan_cut
from holdfast.state.fold import State
from holdfast.state.journal import encode
from holdfast.state.reconcile import Line
from holdfast.state.records import Claim, Trust

from worlds import T0

BUDGET = "1 MiB"
ENDLESS = 1 << 40


def held(state: State) -> list[tuple[Any, ...]]:
    """What is current in each slot, and why: all but the evidence and sources of it."""
    return sorted(
        (
            b.id, b.subject, b.predicate, b.value, b.kind, b.scope, b.status, b.trust,
            b.valid_from, b.valid_until, b.recorded_at, b.retired_at, b.why_it_matters,
            tuple(sorted(b.aliases)), b.confidence,
        )
        for slot, _ in state.statements()
        for b in state.of(slot)
        if b.current
    )  # fmt: skip


@given(tellings, st.sampled_from([1, 2, 8]))
@settings(max_examples=150)
def test_what_is_held_stays_held_after_every_group(several: list[Any], at_once: int) -> None:
    made = journal(several)
    before, state = held(made.state), made.state
    current = {row[0] for row in before}
    digest_parts = state.documents.canonical(), state.automata.canonical(), state.access.canonical()
    cut = plan_cut(state, 8 * ENDLESS, at_once, ENDLESS, nullcontext())
    state.replace(cut.put)
    for group in cut.drop:
        assert 1 <= len(group) <= at_once
        whole = any(f"b{id >> 12}.{id & 4095}" in current for id in group)
        if whole:
            break  # from here on beliefs go, which an endless cut lets happen
        state.drop(group)
        assert held(state) == before
        again = State(state.entries.values())
        assert {**picture(again), "credit": 0} == {**picture(state), "credit": 0}
        parts = again.documents.canonical(), again.automata.canonical(), again.access.canonical()
        assert parts == digest_parts
        assert again.revoked == state.revoked


def test_a_cut_is_handed_out_in_whole_groups() -> None:
    made = Journal()
    for n in range(50):
        made.tell(Claim("stock", "count", str(n)))
    cut = plan_cut(made.state, ENDLESS, 8, ENDLESS, nullcontext())
    assert [len(group) for group in cut.drop[:6]] == [8, 8, 8, 8, 8, 8]
    assert len(cut.first(20)) == 16
    assert cut.first(7) == []
    cut.done(16)
    assert len(cut.first(10**6)) == 49 - 16


def test_the_oldest_goes_first_and_instructions_last() -> None:
    made = Journal()
    made.tell(Claim("rule", "says", "be kind", kind="instruction"), trust=3)
    made.tell(Claim("web", "says", "rumour"), "web", 0)
    for n in range(6):
        made.tell(Claim("stock", "count", str(n)))
    made.tell(Claim("Ana", "lives_in", "Porto"), trust=3)
    size = sum(len(encode(entry)) for entry in made.entries)
    groups = plan_cut(made.state, 10 * size, 1, ENDLESS, nullcontext()).drop
    assert [id >> 12 for group in groups for id in group] == [3, 4, 5, 6, 7]
    made.state.drop(entry.id for entry in made.entries[2:7])
    groups = plan_cut(made.state, 16, 1, ENDLESS, nullcontext()).drop
    assert [id >> 12 for group in groups for id in group] == [2]
    groups = list(_held(made.state, 1))
    assert [entry.seq for group in groups for entry in group] == [2, 8, 9, 1]


def test_a_wrong_order_never_shows_through_between_two_groups() -> None:
    """Without what came between, Ana would have lived in Rome ever since."""
    made = Journal()
    made.tell(Claim("Ana", "lives_in", "Porto", valid_from=-8.0))
    made.tell(Claim("Ana", "lives_in", "Rome", valid_from=-9.0))
    made.tell(Claim("Ana", "lives_in", "Rome", valid_from=-1.0))
    before = held(made.state)
    assert [row[0] for row in before] == ["b3.0"]
    wrong = State(made.entries)
    wrong.drop([made.entries[0].id])
    assert [row[0] for row in held(wrong)] == ["b2.0"]
    for at_once in (1, 2):
        state = State(made.entries)
        groups = plan_cut(state, ENDLESS, at_once, ENDLESS, nullcontext()).drop
        assert len(groups) == 3 - at_once
        for group in groups:
            state.drop(group)
            assert held(state) == before
        assert len(state) == 1


def test_a_revoked_source_cannot_fill_the_journal() -> None:
    made = Journal()
    made.tell(Revoke("web"))
    for n in range(20):
        made.tell(Claim(f"spam {n}", "is", "x"), "web", 0)
    made.tell(Claim("Ana", "lives_in", "Porto"))
    groups = plan_cut(made.state, ENDLESS, 8, ENDLESS, nullcontext()).drop
    assert [id >> 12 for group in groups for id in group] == list(range(2, 22))


def share_of(memory: Memory) -> int:
    return int(memory._store.capacity() * SHARE)


def stored(memory: Memory) -> int:
    return memory.usage().state


def drive(memory: Memory, rng: random.Random, n: int) -> tuple[dict[str, str], list[int]]:
    """Thousands of claims, edits, steps and uses; the newest value of each subject, and sizes."""
    memory.declare(Automaton("gate", ("a", "b"), "a", (("a", "go", "b"), ("b", "go", "a"))))
    newest: dict[str, str] = {}
    sizes = []
    used = ""
    for i in range(n):
        subject = f"subject {rng.randrange(12)}"
        match i % 8:
            case 0 | 1 | 2 | 3:
                value = f"value {rng.randrange(10**9)}"
                done = memory.believe(
                    subject, "is_at", value, trust=Trust.USER, aliases=[f"nick {rng.randrange(5)}"]
                )
                newest[subject], used = value, done.changes[0].what
            case 4 | 5:
                memory.patch_document(
                    f"doc {rng.randrange(3)}", {f"k{i % 7}": rng.randrange(10**9)}
                )
            case 6:
                memory.step("gate", "go")
            case 7:
                memory.used(
                    used, f"where is the {rng.choice(['pot', 'key', 'boat'])}", by=f"u{i % 5}"
                )
        if i % 50 == 49:
            sizes.append(stored(memory))
    return newest, sizes


def test_the_journal_keeps_to_its_share_and_reopens_the_same(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    clock = accumulate(iter(lambda: 1.0, 0.0), initial=T0).__next__
    options: dict[str, Any] = {"durability": "off", "extractor": None, "clock": clock}
    rng = random.Random(5)
    with Memory.open(path, BUDGET, **options) as memory:
        first = memory.believe("Ana", "lives_in", "Porto", trust=Trust.OWNER)
        newest, sizes = drive(memory, rng, 3600)
        share = share_of(memory)
        assert memory._mirror.state_horizon > 0, "nothing had to go: the test is too small"
        assert max(sizes) <= 1.02 * share
        assert memory._mirror.journal_bytes == stored(memory)
        assert memory.usage().disk <= memory.usage().budget
        for subject, value in newest.items():
            assert [b.value for b in memory.beliefs(subject=subject)] == [value]
        assert [b.value for b in memory.beliefs(subject="Ana")] == ["Porto"]
        digest, shown = memory.state_hash(), picture(memory._mirror.state)
        versions = {name: memory.document(name).version for name in memory.documents()}
        gate = memory.automaton("gate").version
        assert sum(versions.values()) == 900
        gap, *rest = memory.changes(after=first.seq)
        assert (gap.action, gap.seq) == ("gap", memory._mirror.state_horizon)
        assert all(change.seq > first.seq for change in rest)
        recent = memory._mirror.state_horizon
        assert all(one.action != "gap" for one in memory.changes(after=recent))
        (page,) = [next(iter(memory.watch(after=first.seq, timeout_s=0.0)))]
        assert page.action == "gap"
        assert memory.verify().ok
    with Memory.open(path, **options) as memory:
        assert memory.state_hash() == digest
        assert picture(memory._mirror.state) == shown
        assert {name: memory.document(name).version for name in memory.documents()} == versions
        assert memory.automaton("gate").version == gate
        drive_more = [memory.believe("Ana", "lives_in", f"town {n}") for n in range(30)]
        assert all(done.changes[0].action == "dispute" for done in drive_more)
        assert memory.state_hash() != digest


def test_it_may_be_closed_at_any_moment_of_a_cut(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    options: dict[str, Any] = {"durability": "off", "extractor": None}
    rng = random.Random(6)
    with Memory.open(path, "640 KiB", **options) as memory:
        drive(memory, rng, 900)
        memory.put_document("big", {"text": "kelp " * 2000})
    for _ in range(25):
        with Memory.open(path, **options) as memory:
            for _ in range(6):
                memory.patch_document(f"doc {rng.randrange(3)}", {"k0": rng.randrange(10**9)})
                memory.believe(f"subject {rng.randrange(12)}", "is_at", f"v {rng.randrange(10**9)}")
            shown, digest = picture(memory._mirror.state), memory.state_hash()
            assert stored(memory) <= 1.02 * share_of(memory)
        with Memory.open(path, **options) as memory:
            assert memory.state_hash() == digest
            assert picture(memory._mirror.state) == shown
    with Memory.open(path, **options) as memory:
        assert memory._mirror.state_horizon > 0
        assert memory.verify().ok


def test_large_documents_are_compacted_inside_the_budget(tmp_path: Path) -> None:
    rng = random.Random(7)
    options: dict[str, Any] = {"durability": "off", "extractor": None}
    with Memory.open(tmp_path / "a.holdfast", "1 MiB", **options) as memory:
        for i in range(400):
            name = f"doc {i % 40}"
            text = "".join(rng.choices("abcdefghijklmnopqrstuvwxyz ", k=6000))
            memory.put_document(name, {"text": text})
            assert memory.document(name).version == i // 40 + 1
            assert memory.usage().disk <= memory.usage().budget
        digest = memory.state_hash()
        assert memory._mirror.journal_bytes == stored(memory)
    with Memory.open(tmp_path / "a.holdfast", **options) as memory:
        assert memory.state_hash() == digest
        assert [memory.document(f"doc {i}").version for i in range(40)] == [10] * 40


def test_standing_is_what_is_current() -> None:
    made = Journal()
    for n in range(9):
        made.tell(Claim("Ana", "lives_in", "LPR"[n % 3], aliases=(f"a{n}",)), trust=1 + n % 2)
    for slot, statements in made.state.statements():
        line = Line(slot, statements)
        assert [b for b, _ in line.standing()] == [b for b in line.beliefs() if b.current]


def test_a_cut_ends_when_a_source_is_taken_back_in(tmp_path: Path) -> None:
    rng = random.Random(1)
    with Memory.open(tmp_path / "m.holdfast", "640 KiB", durability="off") as memory:
        for n in range(150):
            memory.believe(f"s{n}", "is", rng.randbytes(40).hex(), by="web")
        memory.revoke("web")
        while not memory._mirror.cut.drop:
            memory.believe(f"t{rng.randrange(40)}", "is", rng.randbytes(40).hex())
        memory.reinstate("web")
        assert memory._mirror.cut.drop == []

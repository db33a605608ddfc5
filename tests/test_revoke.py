"""Revoking a source: what is held is what would be held if it had never spoken."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Memory
from holdfast.errors import HoldfastError
from holdfast.state.automaton import Automaton

T0 = 1_700_000_000.0
OVEN = Automaton("oven", ("on", "off"), "off", (("on", "flip", "off"), ("off", "flip", "on")))
WHO = ("Ana", "Bo", "Mallory")
Act = tuple[str, str, int]
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["claim", "retract", "say", "put", "merge", "step", "declare", "use"]),
        st.sampled_from(WHO),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=25,
)


def tell(memory: Memory, act: Act, n: int) -> None:
    what, who, k = act
    at = T0 + n
    try:
        if what == "claim":
            predicate = ("lives_in", "likes", "works_at")[k % 3]
            memory.believe("Ana", predicate, f"Place {k // 2}", by=who, at=at, confidence=0.9)
        elif what == "retract":
            memory.retract("Ana", "lives_in", by=who, at=at)
        elif what == "say":
            memory.observe(f"I live in Town{k}.", speaker=who, at=at)
        elif what == "put":
            memory.put_document("d", {"k": k}, by=who)
        elif what == "merge":
            memory.patch_document("d", {who: k}, by=who)
        elif what == "step":
            memory.step("oven", "flip", by=who)
        elif what == "declare":
            memory.declare(OVEN, by=who)
        elif what == "use" and (held := memory.beliefs(subject="Ana")):
            memory.used(held[k % len(held)].id, f"where is the hut number {k}?", by=who)
    except HoldfastError:
        pass  # a step of what is not declared, say: refused, and nothing was recorded


class Told:
    """A memory whose clock says what it is told."""

    def __init__(self, folder: str) -> None:
        self.now = T0
        options: dict[str, Any] = {"durability": "off", "clock": lambda: self.now}
        self.memory = Memory.open(Path(folder) / "m.holdfast", "2 MiB", **options)

    def live(self, acts: list[Act], without: str | None = None) -> None:
        for n, act in enumerate(acts):
            self.now = T0 + n
            if act[1] != without:
                tell(self.memory, act, n)


def hash_without(acts: list[Act], source: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        told = Told(folder)
        told.live(acts, source)
        with told.memory as memory:
            return memory.state_hash()


@settings(max_examples=40)
@given(acts=ACTS)
def test_a_revoked_source_never_spoke(acts: list[Act]) -> None:
    acts = [act for act in acts if act[0] != "use"]  # whose uses are of beliefs is told below
    with tempfile.TemporaryDirectory() as folder:
        told = Told(folder)
        told.live(acts)
        with told.memory as memory:
            whole = memory.state_hash()
            memory.revoke("Mallory", by="Ana")
            assert memory.state_hash() == hash_without(acts, "Mallory")
            found = memory.recall("where does anybody live in a town?", tokens=2000)
            assert all(memory.get(i.seq).event.speaker != "Mallory" for i in found.items)
            memory.reinstate("Mallory", by="Ana")
            assert memory.state_hash() == whole


@settings(max_examples=25)
@given(acts=ACTS)
def test_uses_of_a_revoked_source_go_and_come_back(acts: list[Act]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        told = Told(folder)
        told.live(acts)
        with told.memory as memory:
            whole = memory.state_hash()
            memory.revoke("Mallory")
            alone = memory.state_hash()
            assert memory.verify().ok
            memory.reinstate("Mallory")
            assert memory.state_hash() == whole
            memory.erase(source="Mallory")
            if not any(act[0] == "use" for act in acts):
                assert memory.state_hash() == alone


def test_what_was_promoted_goes_with_the_only_one_who_said_it(tmp_path: Path) -> None:
    with Memory.open(tmp_path / "m.holdfast", "1 MiB", durability="off") as memory:
        memory.believe("Ana", "lives_in", "Rome", by="Mallory", scope="a")
        memory.believe("Ana", "works_at", "Kiln", by="Mallory", scope="a")
        memory.believe("Ana", "works_at", "Kiln", by="Bo", scope="a")
        for held in memory.beliefs(scope="a"):
            memory.promote(held.id, "team", by="Cleo")
        for held in memory.beliefs(scope="team"):
            memory.promote(held.id, "all", by="Dee")
        memory.revoke("Mallory")
        assert [held.value for held in memory.beliefs(scope=("team", "all"))] == ["Kiln", "Kiln"]
        memory.reinstate("Mallory")
        assert len(memory.beliefs(scope=("team", "all"))) == 4

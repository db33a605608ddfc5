"""Follow-up probes: an answer a step away is reached, and the pool only grows."""

from __future__ import annotations

import pytest

from holdfast import Memory
from holdfast.recall.pool import STEP_COST, join, unread
from holdfast.records import Hit

from worlds import T0, opened


def _two_hops(memory: Memory) -> int:
    """An answer that shares no word with the question, only a name with what does."""
    memory.observe("My piano teacher is called Odalys.", scope="a", at=T0)
    for i in range(60):
        memory.observe(f"Nothing much on day {i}, only rain{i} and tea{i}.", scope=f"d/{i}", at=T0)
    return memory.observe("We met Odalys in Trondheim, where she was born.", scope="b", at=T0).seq


def test_an_answer_a_step_away_is_reached_by_the_name_on_the_way() -> None:
    question = "Which city is my piano teacher from?"
    with opened() as memory:
        answer = _two_hops(memory)
        alone = memory.recall(question, tokens=120)
        followed = memory.recall(question, tokens=120, hops=1, explain=True)
    assert answer not in [item.seq for item in alone.items]
    found = {item.seq: item for item in followed.items}
    assert answer in found
    assert found[answer].parts["step"] == -STEP_COST
    assert sum(found[answer].parts.values()) == pytest.approx(found[answer].score)


def test_hops_end_where_nothing_new_is_brought_up() -> None:
    with opened() as memory:
        _two_hops(memory)
        few = memory.recall("piano teacher", tokens=120, hops=2)
        many = memory.recall("piano teacher", tokens=120, hops=50)
    assert [item.seq for item in few.items] == [item.seq for item in many.items]


def test_names_of_other_scopes_lead_nowhere() -> None:
    """What a query may not see changes nothing, the probes' choice of terms included."""
    question = "Which city is my piano teacher from?"
    contexts = []
    for noisy in (False, True):
        with opened() as memory:
            memory.observe("My piano teacher is called Odalys.", scope="me/a", at=T0)
            memory.observe("We met Odalys in Trondheim.", scope="me/b", at=T0)
            for i in range(60):
                memory.observe(f"Only rain{i} and tea{i} here.", scope=f"me/d{i}", at=T0)
            for i in range(30 * noisy):
                memory.observe(f"Odalys again, Odalys {i}.", scope=f"you/{i}", at=T0)
            contexts.append(memory.recall(question, tokens=150, scope="me", hops=2).text)
    assert contexts[0] == contexts[1]


def test_the_pool_only_grows_and_names_nothing_twice() -> None:
    pool = [Hit(1, 5.0, {"bm25": 5.0}), Hit(2, 4.0, {"bm25": 4.0})]
    found = [Hit(3, 4.5, {"bm25": 4.5}), Hit(1, 5.5, {"bm25": 5.5}), Hit(2, 9.0, {"bm25": 9.0})]
    joined = join(pool, found, 1, 10)
    assert [hit.seq for hit in joined] == [2, 1, 3]
    assert {hit.seq: hit.score for hit in joined} == {2: 8.0, 1: 5.0, 3: 3.5}
    assert "step" not in joined[1].parts
    read: set[int] = set()
    assert unread(joined, read) == [2, 1, 3]
    assert unread(joined, read) == []

"""Index segments kept in the store: opening from them and opening without them is one index."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import apsw
import pytest

from holdfast import Event, Memory
from holdfast.recall.columns import NO_SEGMENT

from worlds import large_events, prose, ticking


def _ranked(memory: Memory) -> list[Any]:
    queries = ("kelp harbour", "orchard 77 said Ana", "violin")
    return [[(h.seq, round(h.score, 9)) for h in memory.rank(q)] for q in queries]


def _build(path: Path, budget: str, n: int) -> tuple[list[Any], int]:
    """Write until segments are kept; what ranks how, and how many segments there are."""
    rng = random.Random(4)
    with Memory.open(path, budget, durability="off", clock=ticking()) as memory:
        for _ in range(n):
            memory.observe_many([Event(prose(rng, 60), speaker="Ana") for _ in range(100)])
        return _ranked(memory), len(list(memory._store.segments()))


def test_opening_from_segments_changes_no_ranking(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    ranked, segments = _build(path, "8 MiB", 12)
    assert segments > 0, "nothing was kept, so this would prove nothing"
    with Memory.open(path, clock=ticking()) as memory:
        columns = memory._mirror.columns
        assert (columns.segment != NO_SEGMENT).mean() > 0.3
        assert _ranked(memory) == ranked
        found = memory.verify()
        assert found.ok, found.problems


@pytest.mark.parametrize("damage", ["flipped", "gone", "empty"])
def test_a_damaged_segment_costs_time_only(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "m.holdfast"
    ranked, segments = _build(path, "8 MiB", 12)
    with Memory.open(path) as memory:
        (id, data), *_ = memory._store.segments()
        spoilt = {
            "flipped": data[:-20] + bytes([data[-20] ^ 0xFF]) + data[-19:],
            "gone": None,
            "empty": b"",
        }[damage]
        with memory._store.transaction() as tx:
            if spoilt is None:
                tx.delete_segment(id)
            else:
                tx.put_segment(id, spoilt)
    with Memory.open(path, clock=ticking()) as memory:
        assert _ranked(memory) == ranked
        problems = memory.verify().problems
        assert [p for p in problems if "index segment" in p] == list(problems)
        assert bool(problems) == (damage != "gone"), "damage is reported, and costs only time"
        # What was in it is shelved again with the next segments.
        rng = random.Random(9)
        for _ in range(5):
            memory.observe_many([prose(rng, 60) for _ in range(100)])
        assert memory._mirror.shelf.damaged == []
        assert len(list(memory._store.segments())) >= segments
        ranked = _ranked(memory)
    with Memory.open(path, clock=ticking()) as memory:
        assert _ranked(memory) == ranked
        assert memory.verify().ok


def test_segments_follow_what_is_demoted_and_evicted(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    rng = random.Random(6)
    made = set()
    with Memory.open(path, "4 MiB", durability="off", clock=ticking()) as memory:
        for _ in range(120):
            memory.observe_many([Event(prose(rng, 120)) for _ in range(100)])
            made |= {id for id, _ in memory._store.segments()}
        memory.observe_many(large_events(30))
        assert memory.usage().events["evicted"] > 0
        ranked, kept = _ranked(memory), {id for id, _ in memory._store.segments()}
    assert made - kept, "no stale segment was ever dropped"
    with Memory.open(path, clock=ticking()) as memory:
        assert _ranked(memory) == ranked
        assert memory.verify().ok


def test_no_event_is_in_two_segments(tmp_path: Path) -> None:
    from holdfast.recall.segment_codec import decode_segment

    path = tmp_path / "m.holdfast"
    _build(path, "8 MiB", 12)
    with Memory.open(path) as memory:
        keys = [decode_segment(data)[1].tolist() for _, data in memory._store.segments()]
    found = [key for part in keys for key in part]
    assert len(found) == len(set(found)) > 0
    assert apsw.Connection(str(path)).execute("PRAGMA integrity_check").fetchall() == [("ok",)]

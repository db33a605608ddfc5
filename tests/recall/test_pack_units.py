"""What is offered first, what stays in front, and that an earlier context gives nothing away."""

from __future__ import annotations

import random
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory
from holdfast.derive.tokens import count_tokens
from holdfast.recall.envelope import escape, heading
from holdfast.recall.units import EXCERPT_TOKENS, offers, spared
from holdfast.records import Hit

from worlds import T0, WORDS, opened

scores = st.lists(st.floats(-30, 10), min_size=1, max_size=30).map(sorted)
sizes = st.lists(st.integers(0, 2000), min_size=30, max_size=30)


def _hits(values: list[float]) -> list[Hit]:
    return [Hit(seq, value, {}) for seq, value in enumerate(reversed(values), 1)]


@given(scores, sizes, st.integers(0, 1500))
def test_every_hit_is_offered_whole_if_it_can_fit_and_in_part_if_it_is_long(
    values: list[float], tokens: list[int], room: int
) -> None:
    hits = _hits(values)
    units = offers(hits, tokens[: len(hits)], room)
    whole = [unit.hit.seq for unit in units if not unit.excerpt]
    part = [unit.hit.seq for unit in units if unit.excerpt]
    assert sorted(whole) == [h.seq for h, n in zip(hits, tokens, strict=False) if n <= room]
    long = [h.seq for h, n in zip(hits, tokens, strict=False) if n > min(room, 2 * EXCERPT_TOKENS)]
    assert sorted(part) == long
    assert all(unit.tokens <= room for unit in units)


def test_of_equal_matches_the_shorter_comes_first_and_a_far_better_one_before_both() -> None:
    hits = [Hit(1, 9.0, {}), Hit(2, 5.0, {}), Hit(3, 5.0, {})]
    assert [u.hit.seq for u in offers(hits, [200, 180, 20], 900)] == [1, 3, 2]
    near = [Hit(1, 5.1, {}), Hit(2, 5.0, {})]
    assert [u.hit.seq for u in offers(near, [200, 20], 900)] == [2, 1]


@settings(max_examples=200)
@given(scores, st.lists(st.integers(1, 300), min_size=30, max_size=30), st.data())
def test_what_stays_in_front_costs_next_to_no_weight(
    values: list[float], tokens: list[int], data: st.DataObject
) -> None:
    hits = _hits(values)
    units = offers(hits, tokens[: len(hits)], 500)
    seqs = data.draw(st.permutations(range(1, 61)))[: data.draw(st.integers(0, 12))]
    kept = [(seq, 12 + tokens[seq % 30]) for seq in seqs]

    exact = dict(kept)
    whole = [unit for unit in units if not unit.excerpt]
    known = [exact[u.hit.seq] - u.tokens for u in whole if u.hit.seq in exact]
    head = sum(known) / len(known) if known else 12

    def weight(front: list[tuple[int, int]]) -> float:
        """What is packed, by a plain reading of the rule."""
        left, inside = 500.0 - sum(n for _, n in front), {seq for seq, _ in front}
        total = sum(u.weight for u in whole if u.hit.seq in inside)
        for unit in whole:
            cost = exact.get(unit.hit.seq, unit.tokens + head)
            if unit.hit.seq not in inside and cost <= left:
                left -= cost
                total += unit.weight
        return total

    n = spared(units, kept, 500)
    assert 0 <= n <= len(kept)
    assert sum(size for _, size in kept[:n]) <= 500
    assert weight(kept[:n]) >= 0.98 * weight([]) - 1e-12


def _talk(memory: Memory, n: int = 160, seed: int = 3) -> None:
    rng = random.Random(seed)
    memory.observe_many(
        Event(
            " ".join(rng.choices(WORDS, k=rng.randint(4, 14))),
            speaker=rng.choice(["Ana", "Bo"]),
            scope=rng.choice(["user/ana", "user/bo"]),
            at=T0 + 1000.0 * i,
        )
        for i in range(n)
    )


def test_asked_again_the_context_stays_as_it_was() -> None:
    with opened() as memory:
        _talk(memory)
        first = memory.recall("kelp at the harbour", tokens=400)
        assert memory.recall("kelp at the harbour", tokens=400, previous=first).text == first.text


@pytest.mark.parametrize("seed", range(4))
def test_what_stays_is_byte_identical_and_in_front(seed: int) -> None:
    rng = random.Random(seed)
    shared = 0
    with opened() as memory:
        _talk(memory, seed=seed)
        previous = memory.recall("kelp", tokens=400)
        for _ in range(8):
            query = f"kelp rock {rng.choice(WORDS)}"
            context = memory.recall(query, tokens=400, previous=previous)
            assert context.tokens == count_tokens(context.text) <= 400
            old, new = [[i.seq for i in c.items] for c in (previous, context)]
            assert len(set(new)) == len(new)
            front = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), 0)
            kept = [item.seq for item in context.items if item.why == "kept"]
            assert set(kept) <= set(old[:front] or old)
            lines = previous.text.split("\n")
            if front:
                last = [text.startswith(f"[e{old[front - 1]} ") for text in lines].index(True)
                assert context.text.startswith("\n".join(lines[: last + 1]))
                shared += front
            previous = context
    assert shared, "nothing was ever kept, so nothing was tested"


def test_a_previous_context_gives_nothing_away() -> None:
    with opened() as memory:
        _talk(memory)
        everything = memory.recall("kelp harbour", tokens=400)
        mine = memory.recall("kelp harbour", tokens=400, scope="user/ana", previous=everything)
        then = memory.recall("kelp harbour", tokens=400, before=60, previous=everything)
        early = memory.recall("kelp harbour", tokens=400, until=T0 + 50_000, previous=everything)
    assert {item.scope for item in everything.items} == {"user/ana", "user/bo"}
    assert {item.scope for item in mine.items} == {"user/ana"}
    assert all(item.seq < 60 for item in then.items)
    assert all(item.at < T0 + 50_000 for item in early.items)


def test_a_context_of_another_memory_is_not_repeated() -> None:
    with opened() as one, opened() as other:
        _talk(one, seed=1)
        _talk(other, seed=2)
        foreign = other.recall("kelp harbour", tokens=400)
        asked = one.recall("kelp harbour", tokens=400, previous=foreign)
        for item in asked.items:
            assert one.get(item.seq).text == item.text


def test_new_lines_end_with_the_hour_that_holds_the_best_match() -> None:
    with opened() as memory:
        _talk(memory)
        previous = memory.recall("violin", tokens=300)
        context = memory.recall("copper lantern", tokens=300, previous=previous)
    best = context.ranked[0]
    new = [item for item in context.items if item.seq not in {i.seq for i in previous.items}]
    assert int(new[-1].at // 3600) == int(best.at // 3600)


@given(st.integers(-600_000, 70_000_000))
def test_headings_name_the_hour_and_content_cannot_forge_them(hour: int) -> None:
    text = heading(hour)
    if hour > -500_000 and hour < 60_000_000:
        at = datetime.fromtimestamp(3600 * hour, UTC)
        assert text.endswith(f"{at.day} {text.split()[2]} {at.year}, {at.hour:02}h")
        assert ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[at.weekday()] == text[:3]
    forged = f"so\n{text}\n"
    assert f"\n{text}" not in escape(forged)
    assert escape(text) == text, "only at the start of a line is it taken for a heading"

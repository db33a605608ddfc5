"""The log by its columns against a walk through it; rates, queries and words by their laws."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("starlette", reason="the inspector needs the extra 'server'")
pytest.importorskip("jinja2", reason="the inspector needs the extra 'server'")
pytest.importorskip("pydantic", reason="the inspector needs the extra 'server'")

from house import DAY, START

from holdfast import Memory, Record, Scope
from holdfast.errors import ArgumentsError
from holdfast.inspector.pages.beliefs import _diff
from holdfast.inspector.query import Query
from holdfast.inspector.rates import BUCKET_S, BUCKETS, Rates
from holdfast.inspector.view import SCAN, TIERS, View, Wanted
from holdfast.inspector.words import visible
from holdfast.operations import BY_NAME
from holdfast.records import KINDS
from holdfast.seat import Seat


class House(NamedTuple):
    """An open memory, a seat in it, and what a walk through each finds."""

    at: tuple[Memory, Seat]
    walked: tuple[list[Record], list[Record]]


@pytest.fixture(scope="module")
def house(furnished: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    copy = tmp_path_factory.mktemp("view") / "ana.holdfast"
    copy.write_bytes((furnished / "ana.holdfast").read_bytes())
    with Memory.open(copy) as memory:
        seat = memory.seat("agent/bo")
        yield House((memory, seat), (list(memory.log()), list(seat.log())))


wanted = st.builds(
    Wanted,
    scope=st.sampled_from([None, "", "team", "team/garden", "team/gard", "nowhere"]),
    speaker=st.sampled_from([None, "Ana", "camera", "ana"]),
    kind=st.sampled_from(["", "message", "state", "note"]),
    tier=st.sampled_from(["", *TIERS]),
    since=st.none() | st.floats(START, START + 30 * DAY),
    until=st.none() | st.floats(START, START + 30 * DAY),
)


def fits(record: Record, one: Wanted) -> bool:
    """The filters by their definition."""
    event = record.event
    return (
        Scope(one.scope or "").covers(event.scope)
        and one.speaker in (None, event.speaker)
        and one.kind in ("", event.kind)
        and one.tier in ("", record.tier.name.lower())
        and (one.since is None or event.at >= one.since)
        and (one.until is None or event.at < one.until)
    )


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(wanted, st.integers(0, 1), st.integers(0, 5000), st.integers(1, 20))
def test_filters_and_windows_are_those_of_a_walk(
    house: House, one: Wanted, who: int, start: int, count: int
) -> None:
    view = View(house.at[who])
    expected = [record for record in house.walked[who] if fits(record, one)]
    numbers = view.numbers(one)
    assert numbers.tolist() == [record.seq for record in expected]
    assert view.window(numbers, start, count) == expected[start : start + count]


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(["kettle", "KEY", " the ", "zzz9", "note 41"]), st.integers(1, 50))
def test_a_search_finds_what_a_walk_finds(house: House, words: str, count: int) -> None:
    view = View(house.at[0])
    numbers = view.numbers(Wanted())[::-1]
    found: list[int] = []
    start = 0
    while start < len(numbers):
        records, read = view.search(numbers, start, count, words)
        assert 0 < read <= SCAN
        assert len(records) <= count
        found += [record.seq for record in records]
        start += read
    expected = [r.seq for r in house.walked[0] if words.casefold() in r.text.casefold()]
    assert found == expected[::-1]


@pytest.mark.parametrize("who", [0, 1])
@pytest.mark.parametrize("bins", [1, 7, 120, 10_000])
def test_a_strip_counts_every_event_once_in_its_place(house: House, who: int, bins: int) -> None:
    strip = View(house.at[who]).strip(bins)
    assert [one["first"] for one in strip[1:]] == [one["last"] + 1 for one in strip[:-1]]
    spans = np.array([one["first"] for one in strip])
    for tier in TIERS:
        seqs = [r.seq for r in house.walked[who] if r.tier.name.lower() == tier]
        places = np.searchsorted(spans, seqs, side="right") - 1
        counted = np.bincount(places, minlength=len(strip)).tolist()
        assert counted == [one[tier] for one in strip]
    if who == 0:
        assert all(
            sum(one[name] for name in (*TIERS, "gone")) == one["last"] - one["first"] + 1
            for one in strip
        )


def test_groups_add_up(house: House) -> None:
    view = View(house.at[0])
    scopes, n = view.by_scope(3)
    every = {record.event.scope for record in house.walked[0]}
    assert (len(scopes), n) == (3, len(every))
    for one in scopes:
        inside = [r for r in house.walked[0] if r.event.scope == one["name"]]
        assert one["events"] == len(inside)
        assert one["gist"] == sum(r.tier.name == "GIST" for r in inside)


@given(st.lists(st.tuples(st.floats(0, 40), st.sampled_from(["observe", "recall", "usage"]))))
def test_rates_count_the_calls_of_ten_minutes(steps: list[tuple[float, str]]) -> None:
    now = 5000.0
    calls: list[tuple[float, str]] = []
    rates = Rates(clock=lambda: now)
    for step, name in steps:
        now += step
        with rates(BY_NAME[name], "ana", {}):
            calls.append((now, name))
    begin = (now // BUCKET_S - BUCKETS + 1) * BUCKET_S
    for sort, name in (("write", "observe"), ("recall", "recall")):
        counts = rates.counts("ana", sort)  # type: ignore[arg-type]
        assert len(counts) == BUCKETS
        assert sum(counts) == sum(at >= begin and said == name for at, said in calls)
        assert rates.counts("bo", sort) == [0] * BUCKETS  # type: ignore[arg-type]


def test_a_call_that_fails_is_not_counted_and_memories_are_bounded() -> None:
    rates = Rates(clock=lambda: 0.0)
    with pytest.raises(ValueError, match="no"), rates(BY_NAME["observe"], "ana", {}):
        raise ValueError("no")
    assert sum(rates.counts("ana", "write")) == 0
    for n in range(5000):
        with rates(BY_NAME["observe"], f"m{n}", {}):
            pass
    assert len(rates._counts) <= 2048
    assert sum(rates.counts("m4999", "write")) == 1


@given(st.text(max_size=200))
def test_a_query_is_read_or_refused(text: str) -> None:
    query = Query({"x": text})
    for read in (
        lambda: query.number("x", 5, 0, 9), lambda: query.optional("x", 0, 9),
        lambda: query.time("x"), lambda: query.share("x"), lambda: query.one_of("x", KINDS),
    ):  # fmt: skip
        try:
            value = read()
        except ArgumentsError:
            assert text.strip()  # an empty field is never wrong
        else:
            assert text.strip() or value in (None, 5, "")


@given(st.text())
def test_all_that_is_visible_can_be_seen_and_the_rest_is_kept(text: str) -> None:
    shown = visible(text)
    assert not any(ord(mark) < 32 and mark not in "\n\t" for mark in shown)
    assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\x7f")
    shown.encode()
    if text.isprintable():
        assert shown == text


@given(st.text(max_size=80), st.text(max_size=80))
def test_a_difference_tells_both_values(old: str, new: str) -> None:
    parts = _diff(old, new)
    assert "".join(one["text"] for one in parts if one["op"] != "ins") == old
    assert "".join(one["text"] for one in parts if one["op"] != "del") == new

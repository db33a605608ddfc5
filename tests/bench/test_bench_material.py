"""The endless stream repeats exactly, and grows in vocabulary."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.bench.material import Synthetic, _word, real_events
from holdfast.bench.stream import checkpoints, ratios
from holdfast.records import Event

STREAM = Synthetic.of(
    [Event(f"This is sentence number {n}, long enough to be taken whole.") for n in range(50)]
)


def test_any_stretch_of_the_stream_is_the_same_however_it_is_drawn() -> None:
    whole = list(STREAM.events(9_000))
    assert list(STREAM.events(2_000, first=7_000)) == whole[7_000:]
    assert [*STREAM.events(8_192), *STREAM.events(808, first=8_192)] == whole
    assert all(before.at < after.at for before, after in pairwise(whole))  # type: ignore[operator]
    assert whole[39].scope == "session/0"
    assert whole[40].scope == "session/1"


def test_the_vocabulary_keeps_growing() -> None:
    def words(first: int) -> set[str]:
        return {word for event in STREAM.events(4_000, first) for word in event.text.split()[-2:]}

    assert len(words(4_000) - words(0)) > 300


@given(st.lists(st.integers(0, 1 << 48), unique=True, max_size=30))
def test_different_numbers_give_different_words(numbers: list[int]) -> None:
    assert len({_word(number) for number in numbers}) == len(numbers)


def test_queries_are_about_events_already_seen() -> None:
    texts = {event.text.split()[-1] for event in STREAM.events(500)}
    asked = STREAM.queries(20, seen=500)
    assert asked == STREAM.queries(20, seen=500)
    assert {query.split()[-1] for query in asked} <= texts
    assert {len(query.split()) for query in asked} == {5}


def test_no_usable_sentence_is_an_error() -> None:
    with pytest.raises(ValueError, match="no sentence of 48 to 110 characters in 1 events"):
        Synthetic.of([Event("Hi.")])


def test_the_shipped_stream_is_real_turns() -> None:
    events = real_events(limit=100)
    assert len(events) == 100
    assert all(event.text and event.speaker and event.scope for event in events)


def test_checkpoints_end_at_the_last_event() -> None:
    assert checkpoints(1_000_000) == [10_000, 30_000, 100_000, 300_000, 1_000_000]
    assert checkpoints(5_000) == [5_000]


def test_late_over_early() -> None:
    def row(events: int, cpu: float, gist: int) -> dict[str, object]:
        held = {"verbatim": 10, "gist": gist}
        wall = {"events": events, "wall_us": 2 * cpu, "cpu_us": cpu, "rss_bytes": 100}
        return {**wall, "recall_ms": {"p50": 1.0}, "held": held}

    found = ratios([row(10, 10.0, 0), row(20, 8.0, 5), row(30, 12.0, 5)])
    assert (found["first"]["cpu"], found["first"]["from_events"]) == (1.2, 10)
    assert (found["first_bounded"]["cpu"], found["first_bounded"]["from_events"]) == (1.5, 20)
    assert ratios([row(10, 10.0, 0)]) == {}

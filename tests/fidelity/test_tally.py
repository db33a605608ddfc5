"""The tally: exact sums by stretch, whatever its length."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.fidelity.tally import STRETCHES, Tally


@st.composite
def streams(draw: st.DrawFn) -> tuple[int, list[tuple[int, int]]]:
    """Where a tally begins, and events with gaps between them, each with its worth."""
    since = draw(st.integers(1, 10**6))
    steps = draw(st.lists(st.integers(1, 700), max_size=200))
    seqs = since - 1 + np.cumsum(steps) if steps else []
    return since, [(int(seq), draw(st.integers(1, 64))) for seq in seqs]


def tallied(since: int, events: list[tuple[int, int]]) -> Tally:
    tally = Tally(since)
    for seq, worth in events:
        tally.add(seq, worth)
    return tally


@given(streams())
def test_sums_by_stretch_are_those_of_a_plain_loop(
    stream: tuple[int, list[tuple[int, int]]],
) -> None:
    since, events = stream
    tally = tallied(since, events)
    length, stretches = tally.length, len(tally.events())
    assert stretches <= STRETCHES
    assert length == 1 or stretches > STRETCHES // 2
    expected = np.zeros((2, stretches), int)
    for seq, worth in events:
        expected[:, (seq - since) // length] += 1, worth
    assert tally.events().tolist() == expected[0].tolist()
    assert tally.worth().tolist() == expected[1].tolist()
    if events:
        seqs = np.array([seq for seq, _ in events])
        assert tally.places(seqs).tolist() == ((seqs - since) // length).tolist()


@given(streams())
def test_it_is_the_same_after_a_trip_through_bytes_and_as_a_copy(
    stream: tuple[int, list[tuple[int, int]]],
) -> None:
    since, events = stream
    tally = tallied(since, events)
    again, copy = Tally.from_bytes(tally.to_bytes()), tally.copy()
    tally.add(since + 10**6, 5)
    for other in (again, copy):
        assert (other.since, int(other.events().sum())) == (since, len(events))
        assert int(other.worth().sum()) == sum(worth for _, worth in events)
        other.add(since + 10**6, 5)
        assert other.worth().tolist() == tally.worth().tolist()


def test_what_is_counted_no_more_leaves_nothing() -> None:
    tally = Tally(1)
    for seq in range(1, 2000):
        tally.add(seq, seq % 7 + 1)
    for seq in range(1, 2000):
        tally.add(seq, -(seq % 7 + 1), events=-1)
    assert not tally.events().any()
    assert not tally.worth().any()


def test_a_long_stream_takes_a_kilobyte() -> None:
    tally = Tally(1)
    rng = np.random.default_rng(3)
    for seq, worth in enumerate(rng.integers(1, 65, 100_000).tolist(), 1):
        tally.add(seq, worth)
    assert len(tally.to_bytes()) < 1000

"""Every written form of a time, and the order of a stream."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.bench.times import PSEUDO_EPOCH_S, parse_time, stream_times


def utc(*parts: int) -> float:
    return datetime(*parts, tzinfo=UTC).timestamp()  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("2023-05-08T13:56:00", utc(2023, 5, 8, 13, 56)),
        ("2004-11-15T12:18", utc(2004, 11, 15, 12, 18)),
        ("2004-11-15", utc(2004, 11, 15)),
        ("2020-10-17T22:57:01-07:00", utc(2020, 10, 18, 5, 57, 1)),
        ("2023/05/20 (Sat) 02:21", utc(2023, 5, 20, 2, 21)),
        ("March-15-2024", utc(2024, 3, 15)),
        ("May-5-2024", utc(2024, 5, 5)),
        ("2025-12-15 (Monday)", utc(2025, 12, 15)),
        ("tick:15", PSEUDO_EPOCH_S + 15 * 86_400),
        ("session:0", PSEUDO_EPOCH_S),
        (None, None),
    ],
)
def test_each_form(written: str | None, expected: float | None) -> None:
    assert parse_time(written) == expected


@pytest.mark.parametrize("written", ["", "yesterday", "Foo-15-2024", "tick:", "2024-13-01"])
def test_an_unknown_form_is_an_error(written: str) -> None:
    with pytest.raises(ValueError, match="known forms"):
        parse_time(written)


@given(st.lists(st.integers(0, 10_000), min_size=2))
def test_counters_keep_their_order(counts: list[int]) -> None:
    times = [parse_time(f"tick:{n}") for n in sorted(counts)]
    assert times == sorted(times)  # type: ignore[type-var]


def test_a_bare_date_does_not_jump_back_over_the_turn_before_it() -> None:
    written = ["2004-11-15", "2004-11-15T12:18", "2004-11-15", "2004-11-16", None, "2004-11-16"]
    noon = utc(2004, 11, 15, 12, 18)
    midnight, next_day = utc(2004, 11, 15), utc(2004, 11, 16)
    assert list(stream_times(written)) == [midnight, noon, noon, next_day, None, next_day]


def test_times_that_run_back_are_kept() -> None:
    written = ["2004-11-15T12:18", "2004-11-15T11:00", "2004-11-14"]
    expected = [utc(2004, 11, 15, 12, 18), utc(2004, 11, 15, 11), utc(2004, 11, 14)]
    assert list(stream_times(written)) == expected

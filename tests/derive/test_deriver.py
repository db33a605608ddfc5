"""The deriver: one event in, everything model-free out."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.deriver import Deriver, day_words
from holdfast.derive.surprise import Surprise
from holdfast.derive.terms import hash_term, terms
from holdfast.derive.times import mentions_time
from holdfast.derive.tokens import count_tokens
from holdfast.records import Event

AT = datetime(2023, 5, 8, 13, 56, tzinfo=UTC).timestamp()
anything = st.text(st.characters(codec=None), min_size=1, max_size=120)


def _dates(*named: str) -> tuple[int, ...]:
    return tuple(hash_term("date", name) for name in named)


@given(st.lists(anything, max_size=10), st.floats(-6e10, 2.5e11))
def test_derive_is_the_sum_of_its_parts(stream: list[str], at: float) -> None:
    deriver, surprise = Deriver(), Surprise()
    for text in stream:
        derived = deriver.derive(Event(text, speaker="Ana Lee"), at)
        found = terms(text)
        assert derived.terms[: derived.length] == found
        assert derived.terms[derived.length :][:2] == [
            hash_term("speaker", "ana"),
            hash_term("speaker", "lee"),
        ]
        assert len(derived.terms) == len(found) + 2 + 5
        assert derived.tokens == count_tokens(text)
        assert derived.dated == mentions_time(text)
        assert derived.surprise == surprise.observe(found)


def test_an_event_is_found_under_its_own_day() -> None:
    derived = Deriver().derive(Event("Hello"), AT)
    assert tuple(derived.terms[-5:]) == _dates("2023-05-08", "2023-05", "2023", "monday", "may")


def test_bytes_have_no_text_terms() -> None:
    derived = Deriver().derive(Event(b"\x00yesterday", speaker="cam"), AT)
    assert (derived.length, derived.tokens, derived.dated, derived.surprise) == (0, 0, False, 0.0)
    assert len(derived.terms) == 6


def test_memos_stay_bounded_and_right() -> None:
    deriver = Deriver()
    for i in range(6000):
        derived = deriver.derive(Event("x", speaker=f"s{i}"), i * 86_400.0)
        assert derived.terms[1] == hash_term("speaker", f"s{i}")
        assert derived.terms[2] == hash_term("date", day_words(i)[0])
    assert len(deriver._speakers) <= 4096
    assert len(deriver._days) <= 1024


@given(st.datetimes(datetime(1000, 1, 1), datetime(9999, 12, 31)))
def test_day_words(day: datetime) -> None:
    number = (day - datetime(1970, 1, 1)).days
    expected = [day.strftime("%Y-%m-%d"), day.strftime("%Y-%m"), day.strftime("%Y")]
    assert day_words(number)[:3] == expected
    assert day_words(number)[3:] == [day.strftime("%A").lower(), day.strftime("%B").lower()]


def test_query() -> None:
    query = Deriver().query("When did Caroline paint the sunset?", AT)
    assert query.terms == tuple(terms("Caroline paint sunset"))
    assert hash_term("speaker", "carolin") in query.speakers
    assert (query.asks_when, query.asks_now, query.dates, query.moments) == (True, False, (), ())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("what did we do yesterday", _dates("2023-05-07")),
        ("the talk of 7 May 2021", _dates("2021-05-07")),
        ("what happened in March 2022?", _dates("2022-03")),
        ("what happened in 2021?", _dates("2021")),
        ("in the last 2 days", _dates("2023-05-06", "2023-05-07", "2023-05-08")),
        ("last summer", _dates("2022-06", "2022-07", "2022-08")),
        ("nothing dated", ()),
    ],
)
def test_query_dates_meet_event_dates(text: str, expected: tuple[int, ...]) -> None:
    assert Deriver().query(text, AT).dates == expected


@given(
    st.datetimes(datetime(1600, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC)),
    st.sampled_from(["%Y-%m-%d", "%d %B %Y", "%B %Y", "in %Y"]),
)
def test_a_query_for_a_time_shares_a_term_with_its_events(day: datetime, form: str) -> None:
    query = Deriver().query(day.strftime(form), AT)
    assert set(query.dates) & set(Deriver().derive(Event("x"), day.timestamp()).terms)


@pytest.mark.parametrize(
    ("text", "when", "now"),
    [
        ("How long has Ana lived here?", True, False),
        ("What year did she move?", True, False),
        ("Where does she live now?", False, True),
        ("What is the current password?", False, True),
        ("Who is she?", False, False),
    ],
)
def test_what_a_query_asks_for(text: str, when: bool, now: bool) -> None:
    query = Deriver().query(text, AT)
    assert (query.asks_when, query.asks_now) == (when, now)


@given(anything, st.floats(allow_nan=False, min_value=-1e12, max_value=1e12))
def test_query_never_raises(text: str, now: float) -> None:
    query = Deriver().query(text, now)
    assert len(set(query.terms)) == len(query.terms)

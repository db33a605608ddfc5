"""Time expressions: what each means at a known moment, and what holds at any."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive import time_grammar as grammar
from holdfast.derive.times import mentions_time, resolve

AT = datetime(2023, 5, 8, 13, 56, tzinfo=UTC).timestamp()  # a Monday
DAY_S = 86_400
WEEKDAYS = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

instants = st.integers(-(6 * 10**13), 25 * 10**13).map(lambda ms: ms / 1000)  # years 68 to 9892


def _show(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M").removesuffix(" 00:00")


@pytest.mark.parametrize(
    ("text", "start", "end", "words"),
    [
        ("I saw it yesterday.", "2023-05-07", "2023-05-08", "yesterday"),
        ("the day before yesterday", "2023-05-06", "2023-05-07", "the day before yesterday"),
        ("on the 5th", "2023-05-05", "2023-05-06", "on the 5th"),
        ("last Tuesday", "2023-05-02", "2023-05-03", "last Tuesday"),
        ("next Monday", "2023-05-15", "2023-05-16", "next Monday"),
        ("see you Thursday!", "2023-05-11", "2023-05-12", "Thursday"),
        ("it was Saturday", "2023-05-06", "2023-05-07", "Saturday"),
        ("two weeks ago", "2023-04-21", "2023-04-28", "two weeks ago"),
        ("a couple of days ago", "2023-05-06", "2023-05-07", "a couple of days ago"),
        ("a few days ago", "2023-05-03", "2023-05-07", "a few days ago"),
        ("half a year ago", "2022-10-24", "2022-11-24", "half a year ago"),
        ("in three days", "2023-05-11", "2023-05-12", "in three days"),
        ("the last 10 days", "2023-04-28 13:56", "2023-05-08 13:56", "last 10 days"),
        ("May 2023", "2023-05-01", "2023-06-01", "May 2023"),
        ("7 May", "2023-05-07", "2023-05-08", "7 May"),
        ("24th of December 2021", "2021-12-24", "2021-12-25", "24th of December 2021"),
        ("on November 6, 2023", "2023-11-06", "2023-11-07", "November 6, 2023"),
        ("March-15-2024", "2024-03-15", "2024-03-16", "March-15-2024"),
        ("29 Feb", "2024-02-29", "2024-03-01", "29 Feb"),
        ("2023-05-07", "2023-05-07", "2023-05-08", "2023-05-07"),
        (
            "2023-05-07T12:30+02:00",
            "2023-05-07 10:30",
            "2023-05-07 10:31",
            "2023-05-07T12:30+02:00",
        ),
        ("2023-05", "2023-05-01", "2023-06-01", "2023-05"),
        ("5/7/2023", "2023-05-07", "2023-05-08", "5/7/2023"),
        ("25/12/22", "2022-12-25", "2022-12-26", "25/12/22"),
        ("7.5.2023", "2023-05-07", "2023-05-08", "7.5.2023"),
        ("back in March", "2023-03-01", "2023-04-01", "in March"),
        ("next May", "2024-05-01", "2024-06-01", "next May"),
        ("last August", "2022-08-01", "2022-09-01", "last August"),
        ("in 2021", "2021-01-01", "2022-01-01", "2021"),
        ("the '80s", "1980-01-01", "1990-01-01", "'80s"),
        ("next month", "2023-06-01", "2023-07-01", "next month"),
        ("last year", "2022-01-01", "2023-01-01", "last year"),
        ("last quarter", "2023-01-01", "2023-04-01", "last quarter"),
        ("this week", "2023-05-08", "2023-05-15", "this week"),
        ("last weekend", "2023-05-06", "2023-05-08", "last weekend"),
        ("week before last", "2023-04-24", "2023-05-01", "week before last"),
        ("last summer", "2022-06-01", "2022-09-01", "last summer"),
        ("the fall of 2019", "2019-09-01", "2019-12-01", "fall of 2019"),
        ("this morning", "2023-05-08 05:00", "2023-05-08 12:00", "this morning"),
        ("last night", "2023-05-07 18:00", "2023-05-08 06:00", "last night"),
        ("at 5 pm", "2023-05-08 17:00", "2023-05-08 18:00", "5 pm"),
        ("12:15 a.m.", "2023-05-08 00:15", "2023-05-08 00:16", "12:15 a.m."),
        ("yesterday at 17:30", "2023-05-07 17:30", "2023-05-07 17:31", "yesterday at 17:30"),
        ("noon, tomorrow", "2023-05-09 12:00", "2023-05-09 13:00", "noon, tomorrow"),
        ("3 o’clock", "2023-05-08 03:00", "2023-05-08 04:00", "3 o’clock"),
    ],
)
def test_meaning(text: str, start: str, end: str, words: str) -> None:
    (moment,) = resolve(text, AT)
    assert (_show(moment.start), _show(moment.end)) == (start, end)
    assert text[slice(*moment.span)] == words
    assert mentions_time(text)


@pytest.mark.parametrize(
    "text",
    ["", "I may see you", "they march on", "I am 5 and sat down", "for two weeks",
     "in a minute", "version 1.2.3.4", "Mondays", "31/31/2023", "it cost 2000 dollars"],
)  # fmt: skip
def test_no_moment(text: str) -> None:
    assert resolve(text, AT) == []


def test_several_in_order() -> None:
    text = "On 7 May we left, two days ago we came, tomorrow at 9 am we go"
    found = resolve(text, AT)
    assert [text[slice(*moment.span)] for moment in found] == [
        "7 May", "two days ago", "tomorrow at 9 am",
    ]  # fmt: skip


@given(st.integers(0, 99_999), instants)
def test_days_ago_contains_that_instant(n: int, at: float) -> None:
    (moment,) = resolve(f"it was {n} days ago", at)
    assert moment.start <= at - n * DAY_S < moment.end
    assert moment.end - moment.start == DAY_S


@given(st.integers(1, 999), st.sampled_from(["hour", "day", "week"]), instants)
def test_past_and_future_mirror_each_other(n: int, unit: str, at: float) -> None:
    (past,), (future,) = resolve(f"{n} {unit}s ago", at), resolve(f"{n} {unit}s from now", at)
    seconds = {"hour": 3600, "day": DAY_S, "week": 7 * DAY_S}[unit] * n
    assert past.start <= at - seconds < past.end
    assert future.start <= at + seconds < future.end


@given(st.sampled_from(WEEKDAYS), st.sampled_from(["last ", "next ", "on ", ""]), instants)
def test_weekday_is_right_and_near(name: str, which: str, at: float) -> None:
    (moment,) = resolve(f"we met {which}{name}", at)
    day = datetime(1970, 1, 1) + timedelta(seconds=moment.start)
    assert WEEKDAYS[day.weekday()] == name
    today = at // DAY_S * DAY_S
    if which == "last ":
        assert today - 7 * DAY_S <= moment.start < today
    elif which == "next ":
        assert today < moment.start <= today + 7 * DAY_S
    else:
        assert abs(moment.start - today) <= 3 * DAY_S


@given(st.datetimes(datetime(1500, 1, 1), datetime(2099, 12, 31)), instants)
def test_full_dates_do_not_depend_on_now(day: datetime, at: float) -> None:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    for form in ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d.%m.%Y", "%b %d %Y"):
        (moment,) = resolve(f"on {day.strftime(form)}", at)
        assert (moment.start, moment.end) == (start, start + DAY_S), form


_vocabulary = st.sampled_from(
    [*grammar.MONTHS, *grammar.WEEKDAYS, *grammar._STEPS, *grammar._HOURS, *grammar._SEASONS,
     "ago", "in", "on", "the", "of", "a", "few", "two", "days", "week", "mins", "seconds", "5",
     "7th", "2023", "31", "12", "5pm", "pm", "a.m.", "17:30", "o'clock", "yesterday", "tonight",
     "2023-05-07", "2023-05", "5/7/2023", "'90s", "7May", "before", "from now", "-", ",", "."]
)  # fmt: skip
_timely = st.lists(
    st.one_of(_vocabulary, _vocabulary.map(str.title), st.text(max_size=3)), max_size=8
)


@given(_timely, st.sampled_from([" ", "-", "", "  ", "\xa0"]), instants)
def test_whatever_resolves_is_mentioned(parts: list[str], joint: str, at: float) -> None:
    text = joint.join(parts)
    found = resolve(text, at)
    assert not found or mentions_time(text)
    ends = [0]
    for moment in found:
        assert moment.start < moment.end
        assert ends[-1] <= moment.span[0] < moment.span[1] <= len(text)
        ends.append(moment.span[1])


@given(st.text(st.characters(codec=None)), st.floats())
def test_never_raises(text: str, at: float) -> None:
    resolve(text, at)
    mentions_time(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("We met recently", True), ("for two weeks", True), ("since we spoke", True),
        ("what a great day", False), ("I am here", False), ("I may go", False),
        ("in May", True), ("at 6 am", True), ("call me at 9", False), ("port 8080", False),
    ],
)  # fmt: skip
def test_mentions_time(text: str, expected: bool) -> None:
    assert mentions_time(text) is expected

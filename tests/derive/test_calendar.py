"""The calendar on integers, against the standard library's."""

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.calendar import date_of, day_of, month_days, weekday_of

EPOCH = date(1970, 1, 1)


@given(st.dates())
def test_agrees_with_datetime(day: date) -> None:
    number = (day - EPOCH).days
    assert day_of(day.year, day.month, day.day) == number
    assert date_of(number) == (day.year, day.month, day.day)
    assert weekday_of(number) == day.weekday()


@given(st.integers(-(10**12), 10**12))
def test_inverse_far_beyond_datetime(number: int) -> None:
    assert day_of(*date_of(number)) == number


@given(st.integers(1, 9998), st.integers(1, 12), st.integers(-30, 30))
def test_months_carry(year: int, month: int, more: int) -> None:
    y, m = divmod(year * 12 + month - 1 + more, 12)
    assert day_of(year, month + more) == day_of(y, m + 1)


@given(st.dates(max_value=date(9999, 11, 30)))
def test_month_days(day: date) -> None:
    first = day.replace(day=1)
    following = (first + timedelta(days=32)).replace(day=1)
    assert month_days(day.year, day.month) == (following - first).days

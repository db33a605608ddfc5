"""The proleptic Gregorian calendar on plain integers: no year is out of range, nothing raises."""

from __future__ import annotations

DAY_S = 86_400.0

MONTH_NAMES = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september",
    "october", "november", "december",
)  # fmt: skip
DAY_NAMES = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


def day_of(year: int, month: int, day: int = 1) -> int:
    """Days since 1970-01-01. Months outside 1..12 carry over into other years.

    Examples
    --------
    >>> day_of(1970, 1, 1), day_of(2024, 2, 29), day_of(2023, 14, 29)
    (0, 19782, 19782)
    """
    year, month = year + (month - 1) // 12, (month - 1) % 12 + 1
    year -= month <= 2  # years begin in March, so that a leap day is a year's last
    since_march = (153 * ((month - 3) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + since_march - 719_468


def date_of(day: int) -> tuple[int, int, int]:
    """Year, month and day of the month of a day since 1970-01-01.

    Examples
    --------
    >>> date_of(19782)
    (2024, 2, 29)
    """
    day += 719_468
    century, rest = divmod(day, 146_097)  # 400 years at a time
    year = (rest - rest // 1460 + rest // 36_524 - rest // 146_096) // 365
    in_year = rest - (365 * year + year // 4 - year // 100)
    shifted = (5 * in_year + 2) // 153
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year + 400 * century + (month <= 2), month, in_year - (153 * shifted + 2) // 5 + 1


def weekday_of(day: int) -> int:
    """The day of the week, Monday 0 to Sunday 6.

    Examples
    --------
    >>> weekday_of(19782)  # 29 February 2024, a Thursday
    3
    """
    return (day + 3) % 7


def month_days(year: int, month: int) -> int:
    """How many days a month has."""
    return day_of(year, month + 1) - day_of(year, month)

"""The grammar of time expressions: data first, one family of patterns a section.

A family is a pattern and a reader: what the match means for someone who writes at `at`, as a
stretch of POSIX seconds, or None if it means no time after all (31 June). Days are counted from
1970-01-01, so that no date is out of range.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from holdfast.derive.calendar import DAY_S, date_of, day_of, month_days, weekday_of

# ASCII only: with Unicode case folding, letters like "ſ" would match names they do not spell.
_A, _AI = re.ASCII, re.ASCII | re.IGNORECASE

Stretch = tuple[float, float]
Reader = Callable[[re.Match[str], float], Stretch | None]

# ---- vocabulary --------------------------------------------------------------------------------

_MONTH_NAMES = """
january,jan february,feb march,mar april,apr may june,jun july,jul august,aug september,sept,sep
october,oct november,nov december,dec
"""
_DAY_NAMES = """
monday,mon tuesday,tues,tue wednesday,wed thursday,thurs,thur,thu friday,fri saturday,sat sunday,sun
"""
_NUMBER_NAMES = """
zero a,an,one two,couple three four five six seven eight nine ten eleven twelve thirteen fourteen
fifteen sixteen seventeen eighteen nineteen twenty
"""


def _numbered(names: str, first: int) -> dict[str, int]:
    groups = enumerate(names.split(), first)
    return {name: n for n, group in groups for name in group.split(",")}


MONTHS = _numbered(_MONTH_NAMES, 1)
WEEKDAYS = _numbered(_DAY_NAMES, 0)
_TENS = {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "ninety": 90, "hundred": 100}
_NUMBERS = _numbered(_NUMBER_NAMES, 0) | _TENS
_VAGUE = {"few": (2, 5), "several": (3, 7)}
_DAYS = {
    "yesterday": -1, "today": 0, "tonight": 0, "tomorrow": 1,
    "day before yesterday": -2, "day after tomorrow": 2,
}  # fmt: skip
_HOURS = {"morning": (5, 12), "afternoon": (12, 18), "evening": (17, 24), "night": (18, 30)}
_SEASONS = {"spring": 3, "summer": 6, "autumn": 9, "fall": 9, "winter": 12}  # northern, 1st month
_STEPS = {
    "last": -1, "past": -1, "previous": -1, "this": 0, "current": 0,
    "next": 1, "coming": 1, "following": 1, "upcoming": 1,
}  # fmt: skip

_MONTH = "(?:" + "|".join(sorted(MONTHS, key=len, reverse=True)) + r")\b\.?"
_PLAIN_MONTH = "|".join(m for m in MONTHS if len(m) > 3 and m not in ("may", "march", "sept"))
_WEEKDAY = "(?:" + "|".join(w for w in WEEKDAYS if w.endswith("day")) + ")"
_SHORT_WEEKDAY = "(?:" + "|".join(w for w in WEEKDAYS if not w.endswith("day")) + r")\b\.?"
_STEP = "(?:" + "|".join(_STEPS) + ")"
_NUMBER = r"(?:\d{1,5}|" + "|".join(sorted(_NUMBERS, key=len, reverse=True)) + "|few|several)"
_AMOUNT = rf"(?:a\s+|an\s+)?{_NUMBER}(?:\s+of)?"
_UNIT = r"(?:minute|min|hour|hr|day|week|fortnight|month|year|decade|second|sec)s?"
_YEAR = r"(?:1[5-9]|20)\d\d"
_ORDINAL = r"(?:st|nd|rd|th)?"
_PREPOSITION = (
    r"(?:in|on|since|until|till|by|of|during|from|before|after|early|late|mid|around|for)"
)


# ---- stretches -----------------------------------------------------------------------------------


def _today(at: float) -> int:
    return int(at // DAY_S)


def _days(first: int, count: int = 1) -> Stretch:
    return first * DAY_S, (first + count) * DAY_S


def _month(year: int, month: int, count: int = 1) -> Stretch:
    first = day_of(year, month)
    return _days(first, day_of(year, month + count) - first)


def _date(year: int, month: int, day: int) -> Stretch | None:
    if not (1 <= month <= 12 and 1 <= day <= month_days(year, month)):
        return None
    return _days(day_of(year, month, day))


def _nearest(candidates: list[Stretch], at: float) -> Stretch | None:
    """The candidate whose middle is closest to `at`; of two, the earlier."""
    return min(candidates, key=lambda s: abs((s[0] + s[1]) / 2 - at), default=None)


def _full_year(digits: str) -> int:
    year = int(digits)
    return year if len(digits) == 4 else year + (2000 if year < 70 else 1900)


def _shift_months(day: int, months: int) -> int:
    """The same day of the month, so many months later; the last of it if it is shorter."""
    year, month, in_month = date_of(day)
    year, month = year + (month - 1 + months) // 12, (month - 1 + months) % 12 + 1
    return day_of(year, month, min(in_month, month_days(year, month)))


# ---- dates: 2023-05-07, 5/7/2023, 7 May 2023, May 7, May 2023, in May, 2023 ----------------------

_ISO = re.compile(
    rf"\b({_YEAR})([-/.])(\d\d?)\2(\d\d?)(?!\d)"
    r"(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.\d+)?)?(Z|[+-]\d\d:?\d\d)?(?!\w))?",
    _A,
)
_ISO_MONTH = re.compile(rf"\b({_YEAR})[-/](\d\d?)\b(?![-/.]\d)", _A)
_NUMERIC = re.compile(r"(?<![\d/.-])(\d\d?)([/.-])(\d\d?)\2(\d{4}|\d\d)\b(?![/.-]\d)", _A)
_DAY_MONTH = re.compile(
    rf"\b(\d\d?){_ORDINAL}(?:\s+of\s+|[\s-]*)({_MONTH})(?:,?[\s-]+(?:of\s+)?({_YEAR})\b)?", _AI
)
_MONTH_DAY = re.compile(
    rf"\b({_MONTH})[\s-]*(?:the\s+)?(\d\d?){_ORDINAL}\b(?![:\d])(?:,?[\s-]+({_YEAR})\b)?", _AI
)
_MONTH_YEAR = re.compile(rf"\b({_MONTH}),?[\s-]+(?:of\s+)?({_YEAR})\b", _AI)
_BARE_MONTH = re.compile(
    rf"\b(?:(?:({_STEP})|{_PREPOSITION})[\s-]+({_MONTH})|({_PLAIN_MONTH})\b)(?!\s+\d)", _AI
)
_ORDINAL_DAY = re.compile(
    rf"\b(?:on|by|until|since)\s+the\s+(\d\d?)(?:st|nd|rd|th)\b(?!\s+(?:of\s+)?{_MONTH})", _AI
)
_BARE_YEAR = re.compile(
    rf"(?<![\w$€£¥#.,:/-])({_YEAR})\b"
    r"(?![%:/]|[.,-]\d|\s*(?:dollars|euros?|people|users|items|rows|lines|tokens|words|times|"
    r"bytes|[km]?bs?\b|km\b|m\b|ms\b|kg\b|steps|miles|calories|points))",
    _AI,
)
_DECADE = re.compile(r"(?<!\w)((?:1[5-9]|20)\d|'\d)0'?s\b", _AI)


def _read_iso(match: re.Match[str], at: float) -> Stretch | None:
    stretch = _date(int(match[1]), int(match[3]), int(match[4]))
    if stretch is None or match[5] is None:
        return stretch
    hour, minute = int(match[5]), int(match[6])
    if hour > 23 or minute > 59 or int(match[7] or 0) > 60:
        return stretch
    start = stretch[0] + hour * 3600 + minute * 60 + int(match[7] or 0)
    zone = match[8] or "Z"
    if zone != "Z":
        ahead = int(zone[1:3]) * 3600 + int(zone[-2:]) * 60
        start -= ahead if zone[0] == "+" else -ahead
    return start, start + (1 if match[7] else 60)


def _read_iso_month(match: re.Match[str], at: float) -> Stretch | None:
    month = int(match[2])
    return _month(int(match[1]), month) if 1 <= month <= 12 else None


def _read_numeric(match: re.Match[str], at: float) -> Stretch | None:
    first, second, year = int(match[1]), int(match[3]), _full_year(match[4])
    if match[2] == ".":  # 7.5.2023
        return _date(year, second, first)
    return _date(year, first, second) or _date(year, second, first)


def _month_number(name: str) -> int:
    return MONTHS[name.lower().rstrip(".")]


def _date_near(at: float, year: str | None, month: int, day: int) -> Stretch | None:
    if year is not None:
        return _date(int(year), month, day)
    this = date_of(_today(at))[0]
    dates = (_date(y, month, day) for y in range(this - 8, this + 9))
    return _nearest([found for found in dates if found is not None], at)


def _read_day_month(match: re.Match[str], at: float) -> Stretch | None:
    return _date_near(at, match[3], _month_number(match[2]), int(match[1]))


def _read_month_day(match: re.Match[str], at: float) -> Stretch | None:
    return _date_near(at, match[3], _month_number(match[1]), int(match[2]))


def _read_month_year(match: re.Match[str], at: float) -> Stretch | None:
    return _month(int(match[2]), _month_number(match[1]))


def _read_bare_month(match: re.Match[str], at: float) -> Stretch | None:
    month = _month_number(match[2] or match[3])
    year, now, _ = date_of(_today(at))
    step = _STEPS.get((match[1] or "").lower())
    if step is None:
        return _nearest([_month(y, month) for y in (year - 1, year, year + 1)], at)
    if step < 0:
        return _month(year - (month >= now), month)
    return _month(year + (month <= now if step else month < now - 6), month)


def _read_ordinal_day(match: re.Match[str], at: float) -> Stretch | None:
    year, month, _ = date_of(_today(at))
    near = ((year, month - 1), (year, month), (year, month + 1))
    carried = (date_of(day_of(y, m)) for y, m in near)
    dates = (_date(y, m, int(match[1])) for y, m, _ in carried)
    return _nearest([found for found in dates if found is not None], at)


def _read_year(match: re.Match[str], at: float) -> Stretch | None:
    return _month(int(match[1]), 1, 12)


def _read_decade(match: re.Match[str], at: float) -> Stretch | None:
    digits = match[1].lstrip("'")
    first = int(digits) * 10 if len(digits) == 3 else _full_year(digits + "0")
    return _month(first, 1, 120)


# ---- days near now: yesterday, last night, this morning, last Tuesday ----------------------------

_RELATIVE_DAY = re.compile(
    r"\b(?:the\s+)?(day\s+before\s+yesterday|day\s+after\s+tomorrow|yesterday|today|tomorrow|tonight)\b"
    r"(?:\s+(morning|afternoon|evening|night)\b)?",
    _AI,
)
_PART_OF_DAY = re.compile(r"\b(last|this)\s+(morning|afternoon|evening|night)\b", _AI)
_WEEKDAY_NEAR = re.compile(
    rf"\b(?:(?:({_STEP})|on)\s+({_WEEKDAY}|{_SHORT_WEEKDAY})|({_WEEKDAY}))(?!\w)"
    r"(?:\s+(morning|afternoon|evening|night)\b)?",
    _AI,
)


def _part_of_day(day: int, part: str | None) -> Stretch:
    if part is None:
        return _days(day)
    first, last = _HOURS[part.lower()]
    return day * DAY_S + first * 3600, day * DAY_S + last * 3600


def _read_relative_day(match: re.Match[str], at: float) -> Stretch | None:
    name = " ".join(match[1].lower().split())
    part = match[2] or ("night" if name == "tonight" else None)
    return _part_of_day(_today(at) + _DAYS[name], part)


def _read_part_of_day(match: re.Match[str], at: float) -> Stretch | None:
    return _part_of_day(_today(at) - (match[1].lower() == "last"), match[2])


def _read_weekday(match: re.Match[str], at: float) -> Stretch | None:
    wanted = WEEKDAYS[(match[2] or match[3]).lower().rstrip(".")]
    today = _today(at)
    ahead = (wanted - weekday_of(today)) % 7  # days until the next one, today included
    step = _STEPS.get((match[1] or "").lower())
    if step is None:
        ahead -= 7 * (ahead > 3)  # the nearest
    elif step < 0:
        ahead -= 7
    elif step > 0:
        ahead += 7 * (ahead == 0)
    return _part_of_day(today + ahead, match[4])


# ---- so long ago, so long from now, the last so long ---------------------------------------------

_AGO = re.compile(rf"\b({_AMOUNT})\s+({_UNIT})\s+(ago|from\s+now|hence)\b", _AI)
_IN = re.compile(rf"\bin\s+({_AMOUNT})\s+({_UNIT})(?:'s?\s+time)?\b", _AI)
_SPAN = re.compile(rf"\b({_STEP})\s+({_AMOUNT})\s+({_UNIT})\b", _AI)
_HALF = re.compile(r"\bhalf\s+(?:an?\s+)?(hour|year)\s+(ago|from\s+now)\b", _AI)


def _amount(text: str) -> tuple[int, int]:
    """The least and the greatest number meant."""
    word = [w for w in text.lower().split() if w != "of"][-1]
    if word in _VAGUE:
        return _VAGUE[word]
    n = int(word) if word.isdecimal() else _NUMBERS[word]
    return n, n


_SECONDS = {"second": 1, "sec": 1, "minute": 60, "min": 60, "hour": 3600, "hr": 3600}


def _away(at: float, n: int, unit: str) -> Stretch:
    """The stretch around the instant `n` units from `at`, as exact as the unit is."""
    unit = unit.lower().rstrip("s")
    if unit in _SECONDS:
        middle, half = at + n * _SECONDS[unit], _SECONDS[unit] / 2
        return middle - half, middle + half
    today = _today(at)
    if unit == "day":
        return _days(today + n)
    if unit in ("week", "fortnight"):
        return _days(today + n * (7 if unit == "week" else 14) - 3, 7)
    if unit == "month":
        return _days(_shift_months(today, n) - 15, 31)
    year = date_of(today)[0] + n * (10 if unit == "decade" else 1)
    return _month(year, 1, 12)


def _read_away(match: re.Match[str], at: float) -> Stretch | None:
    least, most = _amount(match[1])
    sign = -1 if match[3].lower() == "ago" else 1
    near, far = _away(at, sign * least, match[2]), _away(at, sign * most, match[2])
    return min(near[0], far[0]), max(near[1], far[1])


def _read_in(match: re.Match[str], at: float) -> Stretch | None:
    least, most = _amount(match[1])
    if match[2].lower().rstrip("s") in ("second", "sec", "minute", "min"):
        return None  # "in a minute" is no minute
    return _away(at, least, match[2])[0], _away(at, most, match[2])[1]


def _read_span(match: re.Match[str], at: float) -> Stretch | None:
    step = _STEPS[match[1].lower()]
    if step == 0:
        return None
    _, most = _amount(match[2])
    unit = match[3].lower().rstrip("s")
    if unit in _SECONDS:
        far = at + step * most * _SECONDS[unit]
    elif unit in ("day", "week", "fortnight"):
        far = at + step * most * {"day": 1, "week": 7, "fortnight": 14}[unit] * DAY_S
    else:
        months = most * {"month": 1, "year": 12, "decade": 120}[unit]
        today = _today(at)
        far = at + (_shift_months(today, step * months) - today) * DAY_S
    return (far, at) if step < 0 else (at, far)


def _read_half(match: re.Match[str], at: float) -> Stretch | None:
    sign = -1 if match[2].lower() == "ago" else 1
    if match[1].lower() == "hour":
        return at + sign * 1800 - 300, at + sign * 1800 + 300
    return _away(at, sign * 6, "month")


# ---- last week, this month, next year, last summer, summer of 2022 -------------------------------

_PERIOD = re.compile(
    rf"\b({_STEP})\s+(weekend|week|month|quarter|year|decade|century|spring|summer|autumn|fall|winter)\b"
    r"(?!'?s?\s+(?:before|after))",
    _AI,
)
_BEFORE_LAST = re.compile(r"\b(week|weekend|month|year)\s+(?:before\s+last|after\s+next)\b", _AI)
_WEEKEND = re.compile(r"\b(?:at|on|over|during|for)\s+the\s+weekend\b", _AI)
_SEASON_YEAR = re.compile(rf"\b(spring|summer|autumn|fall|winter)(?:\s+of)?\s+({_YEAR})\b", _AI)


def _period(at: float, unit: str, step: int) -> Stretch:
    """The week, weekend, month, quarter, year … that is `step` after the current one."""
    today = _today(at)
    year, month, _ = date_of(today)
    monday = today - weekday_of(today) + 7 * step
    if unit == "week":
        return _days(monday, 7)
    if unit == "weekend":
        return _days(monday + 5, 2)
    if unit == "month":
        return _month(year, month + step)
    if unit == "quarter":
        return _month(year, (month - 1) // 3 * 3 + 1 + 3 * step, 3)
    years = {"year": 1, "decade": 10, "century": 100}[unit]
    return _month((year // years + step) * years, 1, 12 * years)


def _read_period(match: re.Match[str], at: float) -> Stretch | None:
    step, unit = _STEPS[match[1].lower()], match[2].lower()
    return _season(at, unit, step) if unit in _SEASONS else _period(at, unit, step)


def _season(at: float, name: str, step: int) -> Stretch:
    year = date_of(_today(at))[0]
    all_near = [_month(y, _SEASONS[name], 3) for y in range(year - 2, year + 3)]
    if step < 0:
        return [s for s in all_near if s[1] <= at][-1]
    coming = [s for s in all_near if (s[1] > at if step == 0 else s[0] > at)]
    return coming[0]


def _read_before_last(match: re.Match[str], at: float) -> Stretch | None:
    return _period(at, match[1].lower(), -2 if match[0].lower().endswith("last") else 2)


def _read_weekend(match: re.Match[str], at: float) -> Stretch | None:
    return _nearest([_period(at, "weekend", step) for step in (-1, 0)], at)


def _read_season_year(match: re.Match[str], at: float) -> Stretch | None:
    return _month(int(match[2]), _SEASONS[match[1].lower()], 3)


# ---- times of day: 5 pm, 17:30, noon -------------------------------------------------------------

_CLOCK_12 = re.compile(r"\b(\d\d?)(?:[:.](\d\d))?\s*([ap])\.?m\b\.?", _AI)
_CLOCK_24 = re.compile(r"(?<![\d:.,/-])([01]?\d|2[0-3]):([0-5]\d)(?::[0-5]\d)?\b(?![:\d])", _A)
_O_CLOCK = re.compile(r"\b(\d\d?)\s+o'clock\b", _AI)
_NOON = re.compile(r"\b(noon|midnight)\b", _AI)


def _clock(at: float, hour: int, minute: str | None) -> Stretch | None:
    if hour > 23 or int(minute or 0) > 59:
        return None
    start = _today(at) * DAY_S + hour * 3600 + int(minute or 0) * 60
    return start, start + (60 if minute else 3600)


def _read_clock_12(match: re.Match[str], at: float) -> Stretch | None:
    hour = int(match[1])
    if not 1 <= hour <= 12:
        return None
    return _clock(at, hour % 12 + (12 if match[3].lower() == "p" else 0), match[2])


def _read_clock_24(match: re.Match[str], at: float) -> Stretch | None:
    return _clock(at, int(match[1]), match[2])


def _read_o_clock(match: re.Match[str], at: float) -> Stretch | None:
    return _clock(at, int(match[1]), None)


def _read_noon(match: re.Match[str], at: float) -> Stretch | None:
    return _clock(at, 12 if match[1].lower() == "noon" else 0, None)


FAMILIES: tuple[tuple[re.Pattern[str], Reader], ...] = (
    (_ISO, _read_iso),
    (_ISO_MONTH, _read_iso_month),
    (_NUMERIC, _read_numeric),
    (_DAY_MONTH, _read_day_month),
    (_MONTH_DAY, _read_month_day),
    (_MONTH_YEAR, _read_month_year),
    (_BARE_MONTH, _read_bare_month),
    (_ORDINAL_DAY, _read_ordinal_day),
    (_BARE_YEAR, _read_year),
    (_DECADE, _read_decade),
    (_RELATIVE_DAY, _read_relative_day),
    (_PART_OF_DAY, _read_part_of_day),
    (_WEEKDAY_NEAR, _read_weekday),
    (_AGO, _read_away),
    (_IN, _read_in),
    (_SPAN, _read_span),
    (_HALF, _read_half),
    (_PERIOD, _read_period),
    (_BEFORE_LAST, _read_before_last),
    (_WEEKEND, _read_weekend),
    (_SEASON_YEAR, _read_season_year),
    (_CLOCK_12, _read_clock_12),
    (_CLOCK_24, _read_clock_24),
    (_O_CLOCK, _read_o_clock),
    (_NOON, _read_noon),
)
"""Every pattern with its reader. Where matches overlap, the leftmost wins, then the longest."""

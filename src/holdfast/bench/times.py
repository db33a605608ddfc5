"""Every way our data sets write a time, as POSIX seconds."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from functools import lru_cache

DAY_S = 86_400.0
PSEUDO_EPOCH_S = 1_577_836_800.0  # 2020-01-01: where clocks that only count begin

_MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec"
_COUNTED = re.compile(r"(?:tick|session):(\d+)")
_MONTH_FIRST = re.compile(r"([A-Z][a-z]+)-(\d{1,2})-(\d{4})")
_WEEKDAY = re.compile(r"\s*\([A-Za-z]+\)")
_DATE_ONLY = re.compile(r"\d{4}-\d{2}-\d{2}")


@lru_cache(maxsize=65_536)
def parse_time(written: str | None) -> float | None:
    """POSIX seconds (UTC) of a written time; None stays None.

    Understands ISO 8601, ``2023/05/20 (Sat) 02:21``, ``March-15-2024``, ``2025-12-15 (Monday)``,
    and the counters ``tick:15`` and ``session:0``, which become one day per count from 2020: a
    pseudo time, right in order only. A time without a zone is taken as UTC.

    Raises
    ------
    ValueError
        If the form is unknown. A time silently dropped would lose the order of a stream.
    """
    return None if written is None else _parse(written)[0]


def stream_times(written: Iterable[str | None]) -> Iterator[float | None]:
    """The times of one stream, in its order.

    A date without an hour cannot be earlier than the turn before it on the same day, so it takes
    that turn's time. All other times are kept as the source has them, even where they run back.
    """
    last: float | None = None
    for each in written:
        if each is None:
            yield None
            continue
        at, date_only = _parse(each)
        if date_only and last is not None and at <= last < at + DAY_S:
            at = last
        last = at
        yield at


@lru_cache(maxsize=65_536)
def _parse(written: str) -> tuple[float, bool]:
    """The time, and whether it is a bare date."""
    text = _WEEKDAY.sub("", written.strip())
    if counted := _COUNTED.fullmatch(text):
        return PSEUDO_EPOCH_S + int(counted[1]) * DAY_S, False
    if named := _MONTH_FIRST.fullmatch(text):
        text = f"{named[3]}-{_month(named[1], written):02d}-{int(named[2]):02d}"
    text = text.replace("/", "-")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(_unknown(written)) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.timestamp(), _DATE_ONLY.fullmatch(text) is not None


def _month(name: str, written: str) -> int:
    place = _MONTHS.find(name[:3].lower())
    if place % 4:
        raise ValueError(_unknown(written))
    return place // 4 + 1


def _unknown(written: str) -> str:
    return (
        f"cannot read the time {written!r}; known forms: ISO 8601, 2023/05/20 (Sat) 02:21, "
        "March-15-2024, 2025-12-15 (Monday), tick:15, session:0"
    )

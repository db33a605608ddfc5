"""Time expressions: whether a text has any, and which stretch of time each one means."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from holdfast.derive.calendar import DAY_S
from holdfast.derive.memo import Memo

_PLAIN = str.maketrans("’\xa0\u202f", "'  ")  # character for character: spans stay valid
_LATEST = 1e14  # seconds; beyond it a float cannot tell neighbouring days apart reliably


@dataclass(frozen=True, slots=True)
class Moment:
    """A stretch of time that a text speaks of: ``start <= t < end``, POSIX seconds (UTC).

    `span` says which characters of the text speak of it.
    """

    start: float
    end: float
    span: tuple[int, int]


def resolve(text: str, at: float) -> list[Moment]:
    """The times a text speaks of, in order, as understood by someone who wrote it at `at`.

    A bare month or weekday means the nearest one: "in March" said in May is two months ago,
    "Friday" said on a Thursday is tomorrow. "3/4" is read month first, as in the United States,
    unless that is no date. Weeks begin on Monday. Durations ("for two weeks") mean no moment.

    Notes
    -----
    Never raises, whatever the text. Linear in the text for the grammar as it stands: no pattern
    repeats a repetition.

    Examples
    --------
    >>> from holdfast.derive.calendar import day_of
    >>> at = day_of(2023, 5, 8) * 86_400.0 + 50_000  # Monday, 8 May 2023
    >>> [(m.start - at, m.span) for m in resolve("I saw her yesterday", at)]
    [(-136400.0, (10, 19))]
    """
    if not (math.isfinite(at) and abs(at) < _LATEST):
        return []
    from holdfast.derive.time_grammar import FAMILIES  # 25 patterns, compiled on first use

    text = text.translate(_PLAIN)
    readings: list[Moment] = []
    for pattern, read in FAMILIES:
        for match in pattern.finditer(text):
            stretch = read(match, at)
            if stretch is not None and stretch[0] < stretch[1]:
                readings.append(Moment(*stretch, match.span()))
    readings.sort(key=lambda moment: (moment.span[0], -moment.span[1]))
    found: list[Moment] = []
    for moment in readings:  # the leftmost, then the longest; nothing that overlaps it
        if not found or moment.span[0] >= found[-1].span[1]:
            found.append(moment)
    return _with_clocks(text, found)


_BETWEEN = re.compile(r"[\s,]*(?:at|around|about|by|from|on|@)?\s*", re.IGNORECASE)


def _with_clocks(text: str, found: list[Moment]) -> list[Moment]:
    """A time of day next to a day ("yesterday at 5 pm") becomes one moment of that day."""
    merged: list[Moment] = []
    for moment in found:
        last = merged[-1] if merged else None
        if last is not None and _BETWEEN.fullmatch(text, last.span[1], moment.span[0]):
            day, clock = (last, moment) if _is_day(last) else (moment, last)
            if _is_day(day) and not _is_day(clock) and clock.end - clock.start <= DAY_S / 2:
                start = day.start + clock.start % DAY_S
                span = (last.span[0], moment.span[1])
                merged[-1] = Moment(start, start + clock.end - clock.start, span)
                continue
        merged.append(moment)
    return merged


def _is_day(moment: Moment) -> bool:
    return moment.end - moment.start == DAY_S and moment.start % DAY_S == 0


# ---- does a text speak of time at all? -------------------------------------------------------

_NO, _YES, _PERHAPS = 0, 1, 2

_TELLING = re.compile(
    r"""(?<![^\W_])(?:yesterday | today | tonight | tomorrow | ago | noon | midnight
    | weekend | days | fortnight | weeks? | months? | years? | decades? | century | hours? | hrs?
    | minutes | quarter
    | last | next | since | recently | lately | birthday
    | spring | summer | autumn | winter | (?:mon|tues|wednes|thurs|fri|satur|sun)day
    | january | february | april | june | july | august | september | october | november | december
    | \d{1,2}[ap]\.?m | \d+(?:st|nd|rd|th)
    )(?![^\W_]) | (?<!\w)(?:1[5-9]|20)\d\d s?(?!\w) | \d\d?:\d\d | \d0['’]?s(?!\w)""",
    re.ASCII | re.IGNORECASE | re.VERBOSE,
)
# Words that speak of time only in company: "may", "am", "night".
_AMBIGUOUS = (
    "may|mar(?:ch)?|jan|feb|apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu(?:rs?)?|fri|sat|sun|"
    "fall|day|morning|afternoon|evening|night|[ap]\\.?m|o['’]clock|mins?|minute|sec(?:ond)?s?"
)
_PERHAPS_TELLING = re.compile(rf"(?<![^\W_])(?:{_AMBIGUOUS})(?![^\W_])", re.ASCII | re.IGNORECASE)
_DIGIT = re.compile(r"[0-9]")
_COMPANY = re.compile(
    r"(?:\d|\b(?:in|on|since|until|till|by|of|during|from|before|after|early|late|mid|around|for|"
    r"this|past|previous|current|coming|following|upcoming|an?|one|two|three|four|five|six|seven|"
    r"eight|nine|ten|\w+teen|\w+ty|eleven|twelve|few|several|couple|hundred))"
    rf"[\s-]*(?:(?:of|st|nd|rd|th)\s+)?\b(?:{_AMBIGUOUS})\b"
    rf"|\b(?:{_AMBIGUOUS})[\s.-]*(?:the\s+)?\d",
    re.ASCII | re.IGNORECASE,
)


def mentions_time(text: str) -> bool:
    """Whether a text has a time expression: cheap enough to ask of every event.

    True for every text in which `resolve` finds something, and also for texts that only speak of
    duration or order ("for two weeks", "recently").

    Notes
    -----
    Each chunk between white space is judged once and remembered. Only chunks that need their
    neighbours ("am", "may") cost a look at the whole text.

    Examples
    --------
    >>> mentions_time("See you on Tuesday!"), mentions_time("I may see you.")
    (True, False)
    """
    return chunks_mention_time(text, text.split())


def chunks_mention_time(text: str, chunks: Sequence[str]) -> bool:
    """As `mentions_time`, of a text already cut at white space."""
    verdicts = set(map(_VERDICTS.__getitem__, chunks))
    if _YES in verdicts or _PERHAPS not in verdicts:
        return _YES in verdicts
    return _COMPANY.search(text.translate(_PLAIN)) is not None and bool(resolve(text, 0.0))


def _judge(chunk: str) -> int:
    if _TELLING.search(chunk) or (_DIGIT.search(chunk) and resolve(chunk, 0.0)):
        return _YES
    return _PERHAPS if _PERHAPS_TELLING.search(chunk) else _NO


_VERDICTS: Memo[int] = Memo(_judge)

"""Everything that is derived from one event, and from one query, without a model."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from itertools import chain

from holdfast.derive.calendar import DAY_NAMES, DAY_S, MONTH_NAMES, date_of, weekday_of
from holdfast.derive.surprise import Surprise
from holdfast.derive.terms import chunk_terms, hash_term, query_terms, words
from holdfast.derive.times import Moment, chunks_mention_time, mentions_time, resolve
from holdfast.derive.tokens import chunk_tokens
from holdfast.records import Event

_WHEN = re.compile(
    r"\b(?:when|since when|how long|how (?:many (?:days|weeks|months|years)|often|recently|old)|"
    r"what (?:date|day|month|year|time)|which (?:date|day|month|year)|what's the date)\b",
    re.IGNORECASE,
)
_NOW = re.compile(
    r"\b(?:now|nowadays|currently|current|today|these days|at present|at the moment|still|latest|"
    r"newest|most recent(?:ly)?|as of|up to date|right now|so far|anymore|any more)\b",
    re.IGNORECASE,
)
_DAYS_KEPT = 1024  # of each of which the date terms are remembered
_SPEAKERS_KEPT = 4096
_YEARS_AT_MOST = 32  # of a moment, to be looked up by its date terms


@dataclass(frozen=True, slots=True)
class Derived:
    """What an event's text, speaker and time tell by themselves.

    `terms` are those of the text, then of the speaker's name, then of the event's day, each field
    with hashes of its own; `length` counts only those of the text. `surprise` is in bits a term.
    """

    terms: list[int]
    length: int
    tokens: int
    dated: bool
    surprise: float


@dataclass(frozen=True, slots=True)
class Query:
    """What a query asks for: index terms by field, and the times it speaks of."""

    terms: tuple[int, ...]  # distinct, of the text
    speakers: tuple[int, ...]  # every word of the query, as if it named a speaker
    dates: tuple[int, ...]  # days, months, years and weekdays it speaks of
    asks_when: bool
    asks_now: bool
    moments: tuple[Moment, ...]


class Deriver:
    """Derives without a model. Only `surprise` depends on the events before.

    Examples
    --------
    >>> derived = Deriver().derive(Event("We moved to Lisbon", speaker="Ana"), at=1_683_417_600.0)
    >>> derived.length, len(derived.terms), derived.tokens, derived.dated
    (2, 8, 5, False)
    """

    def __init__(self) -> None:
        self._surprise = Surprise()
        self._speakers: dict[str, list[int]] = {}
        self._days: dict[int, list[int]] = {}

    def derive(self, event: Event, at: float) -> Derived:
        """Terms, length, tokens, whether it speaks of time, and surprise. Linear in the text."""
        text = event.text
        chunks = text.split()
        found = chunk_terms(chunks)
        length = len(found)
        surprise = self._surprise.observe(found)
        if event.speaker:
            found += self._speaker_terms(event.speaker)
        found += self._day_terms(int(at // DAY_S))
        tokens = chunk_tokens(text, chunks)
        return Derived(found, length, tokens, chunks_mention_time(text, chunks), surprise)

    def query(self, text: str, now: float) -> Query:
        """What a query asked at `now` says about where to look."""
        moments = tuple(resolve(text, now)) if mentions_time(text) else ()
        return Query(
            terms=tuple(dict.fromkeys(query_terms(text))),
            speakers=tuple(dict.fromkeys(hash_term("speaker", word) for word in words(text))),
            dates=tuple(dict.fromkeys(chain.from_iterable(map(_moment_terms, moments)))),
            asks_when=_WHEN.search(text) is not None,
            asks_now=_NOW.search(text) is not None,
            moments=moments,
        )

    def _speaker_terms(self, speaker: str) -> list[int]:
        found = self._speakers.get(speaker)
        if found is None:
            found = [hash_term("speaker", word) for word in words(speaker)]
            if len(self._speakers) >= _SPEAKERS_KEPT:
                self._speakers.clear()
            self._speakers[speaker] = found
        return found

    def _day_terms(self, day: int) -> list[int]:
        found = self._days.get(day)
        if found is None:
            found = [hash_term("date", word) for word in day_words(day)]
            if len(self._days) >= _DAYS_KEPT:
                self._days.clear()
            self._days[day] = found
        return found


def day_words(day: int) -> list[str]:
    """How a day since 1970-01-01 can be called, from the most exact to the vaguest.

    Examples
    --------
    >>> day_words(19_484)
    ['2023-05-07', '2023-05', '2023', 'sunday', 'may']
    """
    year, month, in_month = date_of(day)
    return [
        f"{year:04d}-{month:02d}-{in_month:02d}",
        f"{year:04d}-{month:02d}",
        f"{year:04d}",
        DAY_NAMES[weekday_of(day)],
        MONTH_NAMES[month - 1],
    ]


def _moment_terms(moment: Moment) -> list[int]:
    """The date terms that events of a moment have, as exact as the moment is."""
    first, last = int(moment.start // DAY_S), math.ceil(moment.end / DAY_S) - 1
    last = max(first, last)
    start, end = date_of(first), date_of(last)
    if end[0] - start[0] > _YEARS_AT_MOST:
        return []
    if last - first < 28:
        return [hash_term("date", day_words(day)[0]) for day in range(first, last + 1)]
    if start[1:] == (1, 1) and end[1:] == (12, 31):
        return [hash_term("date", f"{year:04d}") for year in range(start[0], end[0] + 1)]
    months = range(start[0] * 12 + start[1] - 1, end[0] * 12 + end[1])
    return [hash_term("date", f"{m // 12:04d}-{m % 12 + 1:02d}") for m in months]

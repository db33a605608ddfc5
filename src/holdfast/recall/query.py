"""What a query asks for, without a model."""

from __future__ import annotations

import re
from dataclasses import dataclass

from holdfast.derive.terms import query_terms, words
from holdfast.derive.times import Moment, mentions_time, resolve

_WHEN = re.compile(
    r"\b(when|how long|what (?:date|day|month|year|time)|which (?:day|month|year)|since when)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query: index terms, words that may name a speaker, times it speaks of."""

    text: str
    terms: tuple[int, ...]
    words: frozenset[str]
    asks_when: bool
    moments: tuple[Moment, ...]


def parse(text: str, now: float) -> Query:
    """Everything a query says about where to look. `now` resolves "last week"."""
    return Query(
        text=text,
        terms=tuple(dict.fromkeys(query_terms(text))),
        words=frozenset(words(text)),
        asks_when=bool(_WHEN.search(text)),
        moments=tuple(resolve(text, now)) if mentions_time(text) else (),
    )

"""What a query asks for, without a model."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Flag, auto

from holdfast.derive.terms import query_terms, words
from holdfast.derive.times import Moment, mentions_time, resolve


class Wants(Flag):
    """What kind of thing a query is after; any of these at once."""

    NOTHING = 0
    TIME = auto()  # when, how long
    FIGURE = auto()  # how many, how much
    NAME = auto()  # who, where, which
    ADVICE = auto()  # what would suit me
    OWN = auto()  # something about the asker
    ADVISER = auto()  # what the assistant said
    NOW = auto()  # how things stand


def _any(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(patterns)})\b", re.IGNORECASE)


def _any_of(words: str) -> re.Pattern[str]:
    return _any(*words.split())


_SAID = (
    "recommend|suggest|told|tell|said|mention|gave|give|list|provid|explain|describ|wrote|creat|"
    "shared?|offer|advis|propos|taught|show"
)
_REPLY = "advice|suggestion|recommendation|answer|response|list|explanation|summary|previous|last"
_CUES = (
    (
        Wants.TIME,
        _any("when", "how long", "what (?:date|day|month|year|time)", "which (?:day|month|year)"),
    ),
    (
        Wants.FIGURE,
        _any(
            "how (?:many|much|long|old|far|often|tall|big|fast)",
            "what (?:number|percentage|amount|price|cost|score)",
        ),
    ),
    (
        Wants.NAME,
        _any("who|whose|whom|where|which", "what (?:is|was|are|were) the name", "name of"),
    ),
    (
        Wants.ADVICE,
        _any(
            r"(?:recommend|suggest)\w*|advice|advise|ideas?|tips|planning",
            "should i|could you|can you|help me|looking for|best way",
            "what (?:would|are some)|how (?:can|should|would|do) i",
        ),
    ),
    (
        Wants.NOW,
        _any("current(?:ly)?|now|latest|still|today|newest", "these days", "most recent(?:ly)?"),
    ),
    (Wants.OWN, _any_of("i i'm i've i'd my me mine we our")),
    (
        Wants.ADVISER,
        _any(
            "(?:did|have|had|were|are|do) you",
            rf"you(?:'ve| have| had)?(?: also| already| just)? (?:{_SAID})\w*",
            rf"your (?:{_REPLY}|earlier)\w*",
        ),
    ),
)
_SENTENCE_END = re.compile(r"[.!?？؟。！](?:\s|$)")
_QUESTION_WORD = _any_of(
    "who whose whom what when where which why how is are was were do does did can could would will "
    "should has have had"
)
_IMPERATIVE = re.compile(
    r"\W*(?:please\s+)?(?:tell|list|show|find|describe|summari[sz]e|explain|name|remind|give|recall|"
    r"search)\b",
    re.IGNORECASE,
)
_FEW = 6  # words that may be something to look up
_TALK = _any_of(
    "i i'm i'll i've you your we it it's that that's this there is are was be do does did don't "
    "have has had can will would should just so but yes yeah no ok okay well thanks thank hi hello "
    "hey sorry please lol then not"
)


@dataclass(frozen=True, slots=True)
class Query:
    """A parsed query.

    `asks` is False for a text that is no question but the next line of a conversation: what such a
    line goes on from is recent. `words` may name a speaker.
    """

    text: str
    terms: tuple[int, ...]
    words: frozenset[str]
    asks: bool
    wants: Wants
    moments: tuple[Moment, ...]


def parse(text: str, now: float, speaker: str | None = None) -> Query:
    """Everything a query says about where to look.

    Parameters
    ----------
    now
        What resolves "last week".
    speaker
        Who asks. A line of a conversation goes on from what they said as well as from what those
        said whom it names.

    Examples
    --------
    >>> parse("When did Ana move?", now=0.0).wants is Wants.TIME
    True
    >>> parse("Thanks, that worked. I'll try the other cable.", now=0.0).asks
    False
    """
    asks, named = _asks(text), words(text)
    if speaker and not asks:
        named += words(speaker)
    return Query(
        text=text,
        terms=tuple(dict.fromkeys(query_terms(text))),
        words=frozenset(named),
        asks=asks,
        wants=_wants(text),
        moments=tuple(resolve(text, now)) if mentions_time(text) else (),
    )


def asked_at(query: Query, now: float) -> Query:
    """The query as someone would mean it who asked it at another time."""
    if not query.moments:
        return query
    return replace(query, moments=tuple(resolve(query.text, now)))


def _wants(text: str) -> Wants:
    found = Wants.NOTHING
    plain = text.replace("’", "'")
    for want, cue in _CUES:
        if cue.search(plain):
            found |= want
    return found


def _asks(text: str) -> bool:
    """One question, a request or a few keywords; not a message to be gone on from."""
    if _IMPERATIVE.match(text) or not words(text):
        return True
    plain = text.replace("’", "'")
    if not any(mark in text for mark in "?？؟"):
        return len(text.split()) <= _FEW and not _TALK.search(plain)
    if len(_SENTENCE_END.findall(text)) > 2:
        return False
    foreign = any(letter.isalpha() and not letter.isascii() for letter in text)
    return foreign or _QUESTION_WORD.search(plain) is not None or not _TALK.search(plain)

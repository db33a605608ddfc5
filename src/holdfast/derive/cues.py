"""What kind of thing a text says, told from its words: bits that are kept with the event."""

from __future__ import annotations

import re
from collections.abc import Sequence

from holdfast.derive.memo import Memo

QUESTION, FIRST_PERSON, FIGURE, NAMED, PREFERENCE = 8, 16, 32, 64, 128
"""Ends as a question; speaks of its speaker; holds a number; holds a name; says what is liked."""

_FIRST = frozenset(
    [
        "i",
        "i'm",
        "i've",
        "i'd",
        "i'll",
        "my",
        "me",
        "mine",
        "myself",
        "we",
        "we're",
        "we've",
        "we'd",
        "our",
        "us",
    ]
)
_LIKING = frozenset(
    [
        "prefer",
        "prefers",
        "preferred",
        "preference",
        "favorite",
        "favourite",
        "favorites",
        "favourites",
        "favor",
        "favour",
        "like",
        "love",
        "enjoy",
        "hate",
        "dislike",
        "avoid",
        "allergic",
        "allergy",
        "allergies",
        "never",
        "always",
        "refuse",
        "strict",
        "strictly",
        "vegan",
        "vegetarian",
        "fan",
        "interested",
        "passion",
        "passionate",
        "opposed",
        "rather",
        "uncomfortable",
        "phobia",
        "afraid",
        "comfortable",
        "detest",
        "despise",
        "adore",
        "loathe",
        "insist",
        "aversion",
        "averse",
        "exclusively",
        "thrive",
    ]
)
_NUMERALS = frozenset(
    [
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "twice",
        "once",
        "couple",
        "dozen",
        "few",
    ]
)
_DIGIT = re.compile(r"\d")
_EDGES = "\"'“”‘’(),.:;!?*-_[]"
_INNER_NAME = re.compile(r"(?<=[a-z,;]) [A-Z]\w")  # a capital where no sentence begins
_ASKING = tuple("?？؟")  # the Latin, the full-width and the Arabic mark
_CLOSING = " \t\r\n\"'”’)*_"


def cues(text: str, chunks: Sequence[str]) -> int:
    """The cues of a text already cut at white space, as bits.

    Notes
    -----
    English words, and marks and digits of any language: a help for ranking, not a classifier. One
    dictionary look-up per chunk.

    Examples
    --------
    >>> text = "I never eat meat in Lisbon."
    >>> cues(text, text.split()) == FIRST_PERSON | PREFERENCE | NAMED
    True
    """
    found = 0
    for bits in set(map(_OF_CHUNK.__getitem__, chunks)):
        found |= bits
    if not found & FIRST_PERSON:
        found &= ~PREFERENCE  # what others like is no preference of the speaker's
    if text.rstrip(_CLOSING).endswith(_ASKING):
        found |= QUESTION
    if _INNER_NAME.search(text):
        found |= NAMED
    return found


def _of_chunk(chunk: str) -> int:
    word = chunk.strip(_EDGES).lower().replace("’", "'")
    return (
        (FIRST_PERSON if word in _FIRST else 0)
        | (PREFERENCE if word in _LIKING or word == "don't" else 0)
        | (FIGURE if word in _NUMERALS or _DIGIT.search(chunk) else 0)
    )


_OF_CHUNK: Memo[int] = Memo(_of_chunk)

"""From an event to a question about it and the span that answers it, without a model."""

from __future__ import annotations

import re
from typing import NamedTuple

from holdfast.codec import content_bytes, digest
from holdfast.derive.memo import Memo
from holdfast.derive.terms import terms

QUERY_BYTES = 48
"""Of a question, at the most."""
ANSWER_BYTES = 64
_LOOK_AT = 480  # bytes of a long event that a question is about
_CHUNK = re.compile(r"\S+")
_EDGES = ".,;:!?…'\"“”‘’()[]{}<>*_`~|"
_POLITE = """
absolutely amazing awesome bye congrats cool glad good great happy hello hey hi maybe nice oh okay
please really sorry sounds sure thank thanks totally wanna welcome well wow yeah
"""
_SMALL_TALK = frozenset(_POLITE.split())


class Question(NamedTuple):
    """What to ask, and which bytes of the event are the answer; `query` may be empty."""

    query: str
    start: int
    end: int
    answer: bytes  # digest of those bytes


_Word = tuple[float, int, int, frozenset[int]]  # minus its value, start, end, index terms


def ask(content: bytes, speaker: str | None, drawn: float) -> Question:
    """A question about a text: its most informative word is the answer and is not in it.

    Parameters
    ----------
    speaker
        Who said it, for events with too few words of their own. Words of other events are never
        taken: erasing those could not find them here.
    drawn
        A number in [0, 1) that decides which part of a long text is looked at.

    Notes
    -----
    The question is the next most informative word. Whoever asks later knows the matter but seldom
    the wording: in public sets of questions one word is about as hard as a whole question, which
    shares more words with its evidence but many with other events, too. Names, numbers and long
    words are taken to inform most. O(1): of a long text a stretch of 480 bytes is looked at.

    Examples
    --------
    >>> text = b"We fly to Lisbon on Sunday, with the violin."
    >>> question = ask(text, "Ana", 0.5)
    >>> question.query, text[question.start : question.end]
    ('Sunday', b'Lisbon')
    """
    text, offset = _stretch(content, drawn)
    words = _words(text)
    if not words:
        end = min(len(content), ANSWER_BYTES)
        return Question(_cut(speaker or ""), 0, end, digest(content[:end]))
    _, first, last, hashes = words[0]
    others = (word for word in words if not hashes.issuperset(word[3]))
    other = next(others, None)
    said = text[other[1] : other[2]] if other else speaker or ""
    start = offset + len(content_bytes(text[:first]))
    end = start + min(len(content_bytes(text[first:last])), ANSWER_BYTES)
    return Question(_cut(said), start, end, digest(content[start:end]))


def _stretch(content: bytes, drawn: float) -> tuple[str, int]:
    """A part of a text that is short enough to look at, and where it begins."""
    if len(content) <= _LOOK_AT:
        return content.decode("utf-8", "surrogatepass"), 0
    start = int(drawn * (len(content) - _LOOK_AT))
    space = content.find(b" ", start, start + ANSWER_BYTES)
    start = space + 1 if space >= 0 else start
    while start < len(content) and content[start] & 0xC0 == 0x80:  # inside a character
        start += 1
    return content[start : start + _LOOK_AT].decode("utf-8", "ignore"), start


def _words(text: str) -> list[_Word]:
    """The informative words of a text, the best first."""
    found: list[_Word] = []
    for match in _CHUNK.finditer(text):
        value, left, right, hashes = _KNOWN[match[0]]
        if value:
            start = match.start() + left
            if start > 1 and text[start].isupper() and text[start - 2] not in ".!?":
                value *= 1.5  # a name, not the beginning of a sentence
            found.append((-value, start, match.end() - right, hashes))
    found.sort()
    return found


def _rate(chunk: str) -> tuple[float, int, int, frozenset[int]]:
    """How much a piece of text without white space tells, what to cut off it, its index terms."""
    bare = chunk.strip(_EDGES)
    hashes = frozenset(terms(chunk))  # just worked out for the index, and remembered
    if not hashes or bare.lower() in _SMALL_TALK:
        return 0.0, 0, 0, hashes
    left = chunk.find(bare)
    value = (1.0 + min(len(bare), 12) / 6) * (1.8 if any(map(str.isdigit, bare)) else 1.0)
    return value, left, len(chunk) - left - len(bare), hashes


_KNOWN: Memo[tuple[float, int, int, frozenset[int]]] = Memo(_rate, entries=8192)


def _cut(query: str) -> str:
    return query.encode("utf-8", "surrogatepass")[:QUERY_BYTES].decode("utf-8", "ignore").strip()

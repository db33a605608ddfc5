"""Where the sentences of a text begin and end."""

from __future__ import annotations

import re

Span = tuple[int, int]

LONGEST = 240
"""Characters of the longest unit."""

_STOP = re.compile(r"(?<![.!?…])[.!?…]+[\"'”’)\]]*(?=\s)|[。！？｡]+[」』”）]*|[\n\r\u2028\u2029]+")
# Before a name or a number these end no sentence; the others only if what follows is in small
# letters or a number: "he sat. Then" is two sentences, "Sat. 5 May" is one.
_TITLE = re.compile(
    r"(?<![^\s(\[\"'“])(?:[A-HJ-Za-hj-z]|(?:[A-Za-z]\.)+[A-Za-z]|mrs?|ms|dr|prof|st|vs|messrs)\.$",
    re.IGNORECASE,
)
_SHORT = re.compile(
    r"(?<![^\s(\[\"'“])(?:jr|sr|mt|etc|nos?|figs?|vol|pp|ca|cf|approx|dept|inc|ltd|corp?|jan|feb|mar|"
    r"apr|jun|jul|aug|sept?|oct|nov|dec|mon|tues?|wed|thu|fri|sat|sun|al|eds?|gen|gov|rev|hon|ave|"
    r"blvd|rd|est|min|max)\.$",
    re.IGNORECASE,
)
_CONTINUES = re.compile(r"[ \t]+[a-z0-9]")
_CLAUSE = re.compile(r"[,;:、，；：)–—]\s*|\s-\s|\s+")
_SPACE = re.compile(r"\s*")


def sentences(text: str, longest: int = LONGEST) -> list[Span]:
    """Character spans of the sentences, lines and, where those are long, clauses of a text.

    Notes
    -----
    In order, not overlapping, without outer white space; together they cover every other
    character. None is longer than `longest` characters. Linear in the text.

    Examples
    --------
    >>> text = "Dr. Li paid $3.50. Thanks!\\nBye"
    >>> [text[a:b] for a, b in sentences(text)]
    ['Dr. Li paid $3.50.', 'Thanks!', 'Bye']
    """
    spans: list[Span] = []
    start = 0
    for stop in _STOP.finditer(text):
        end = stop.end()
        if stop[0] == "." and _abbreviates(text, start, end):
            continue
        _add(spans, text, start, end, longest)
        start = end
    _add(spans, text, start, len(text), longest)
    return spans


def _abbreviates(text: str, start: int, end: int) -> bool:
    begin = max(start, end - 12)
    if _TITLE.search(text, begin, end):
        return True
    return bool(_CONTINUES.match(text, end) and _SHORT.search(text, begin, end))


def _add(spans: list[Span], text: str, start: int, end: int, longest: int) -> None:
    """Add a stretch of text without its outer white space, in clauses if it is too long."""
    start, end = _SPACE.match(text, start, end).end(), start + len(text[start:end].rstrip())  # type: ignore[union-attr]  # it matches everything
    while end - start > longest:
        cut = _cut(text, start, longest)
        spans.append((start, start + len(text[start:cut].rstrip())))
        start = _SPACE.match(text, cut, end).end()  # type: ignore[union-attr]
    if start < end:
        spans.append((start, end))


def _cut(text: str, start: int, longest: int) -> int:
    """Where to part a long stretch: after its last clause mark in reach, else at a space."""
    limit = start + longest
    clause = space = 0
    for mark in _CLAUSE.finditer(text, start + 1, limit):
        if mark[0].isspace():
            space = mark.end()
        else:
            clause = mark.end()
    if clause - start >= longest // 3:
        return clause
    return space if space > start else limit

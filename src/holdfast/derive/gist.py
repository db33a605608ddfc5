"""The parts of a text worth keeping when the whole is not."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from holdfast.derive.memo import Memo
from holdfast.derive.names import names, numbers
from holdfast.derive.sentences import Span, sentences
from holdfast.derive.terms import terms
from holdfast.derive.times import mentions_time

__all__ = ["gist", "key_terms", "sentences"]

Weight = Callable[[int], float]
_Word = tuple[int, int, float]  # start, end, information

_FEWEST = 24  # characters: a gist may have as many, however small its share
_OVERHEAD = 16  # characters that a unit costs its reader beside its own
_REPEATED = 0.2  # what a term is worth when it comes again
_LONGEST_TERM = 40  # characters of a key term

_POLITE = """
absolutely amazing awesome bye congrats congratulations cool dear definitely fun glad good great
guess happy hello hey hi huh love maybe nice oh please really sorry sounds stoked super sure thank
thanks that's totally wanna welcome well wonderful wow
"""
_SMALL_TALK = frozenset(_POLITE.split())

_WORD = re.compile(r"\S+")
_SURFACE = re.compile(r"\w(?:[\w'’.:@/+-]*\w)?")


def gist(text: str, share: float = 0.35, weight: Weight | None = None) -> list[Span]:
    """The most informative spans of a text: character offsets, in order, not overlapping.

    Parameters
    ----------
    share
        The part of the text that may be kept, in characters.
    weight
        Information of an index term, for example its idf. Default: longer words carry more.

    Notes
    -----
    Whole sentences come first, by information per character; what room is left goes to a run of
    words. Names, numbers and times count for more, repeated terms for less. The spans have at
    most ``share * len(text)`` characters, or 24 if that is more; a text that is not empty has at
    least one span. Linear in the text but for one sort of its sentences.

    Examples
    --------
    >>> text = "Well, that was quite something! We fly to Lisbon on 7 May at 9:40."
    >>> [text[a:b] for a, b in gist(text, share=0.6)]
    ['We fly to Lisbon on 7 May at 9:40.']
    """
    units = sentences(text)
    if not units:
        return [(0, 1)] if text else []
    room = max(int(share * len(text)), min(_FEWEST, len(text)))
    if units[-1][1] - units[0][0] <= room:
        return [(units[0][0], units[-1][1])]
    values = _weigh(text, units, weight)
    whole, left = _whole_units(units, values, room)
    runs = [
        (*unit, _value(found)) if unit[1] - unit[0] <= room else _window(found, room)
        for unit, found in zip(units, values, strict=True)
    ]
    start, end, value = max(runs, key=lambda run: run[2])
    if value > sum(_value(values[i]) for i in whole):  # one run of words says more
        return [(start, end)]
    spans = [units[i] for i in whole]
    if left >= _FEWEST and len(whole) < len(units):
        rest = max(set(range(len(units))) - set(whole), key=lambda i: _density(units[i], values[i]))
        spans.append(_window(values[rest], left)[:2])
    return _merged(sorted(spans))


def key_terms(text: str, n: int = 6, weight: Weight | None = None) -> list[str]:
    """The words that carry most information, as written: names and numbers, then others.

    Examples
    --------
    >>> key_terms("I finally told Ana that the rehearsal moved to 7:30, sorry about that", n=3)
    ['Ana', '7:30', 'rehearsal']
    """
    found: list[str] = []
    covered: set[int] = set()
    room = n - n // 3  # some of them shall say what it was about
    for name in names(text) + numbers(text):
        if len(found) < room and len(name) <= _LONGEST_TERM:
            hashes = terms(name)
            if not hashes or not covered.issuperset(hashes):
                found.append(name)
                covered.update(hashes)
    rated: list[tuple[float, int, str]] = []
    for match in _SURFACE.finditer(text):
        word = match[0][:_LONGEST_TERM]
        known, plain, bonus = _KNOWN[word]
        if known and not covered.issuperset(known):
            covered.update(known)
            value = plain if weight is None else max(map(weight, known))
            rated.append((-value * bonus, match.start(), word))
    rated.sort()
    return found + [word for _, _, word in rated[: n - len(found)]]


# ---- information ---------------------------------------------------------------------------------


def _know(chunk: str) -> tuple[tuple[int, ...], float, float]:
    """Terms, information and bonus of a piece of text without white space."""
    if chunk.strip(".,;:!?…").lower() in _SMALL_TALK:
        return tuple(terms(chunk)), 1.0, _REPEATED
    hashes = tuple(dict.fromkeys(terms(chunk)))
    plain = 1.0 + min(len(chunk), 12) / 6 if hashes else 0.0
    bonus = 1.0 + 0.8 * any(map(str.isdigit, chunk)) + 0.5 * mentions_time(chunk)
    return hashes, plain, bonus


_KNOWN: Memo[tuple[tuple[int, ...], float, float]] = Memo(_know, entries=16_384)


def _weigh(text: str, units: Sequence[Span], weight: Weight | None) -> list[list[_Word]]:
    """The words of each unit with their information."""
    seen: set[int] = set()
    weighed: list[list[_Word]] = []
    for first, last in units:
        found: list[_Word] = []
        for match in _WORD.finditer(text, first, last):
            start, end = match.span()
            hashes, value, bonus = _KNOWN[match[0]]
            if hashes:
                if weight is not None:
                    value = sum(map(weight, hashes))
                if seen.issuperset(hashes):
                    value *= _REPEATED
                else:
                    seen.update(hashes)
                if start > first and text[start].isupper():
                    bonus += 0.5
            found.append((start, end, value * bonus))
        weighed.append(found)
    return weighed


def _value(found: Sequence[_Word]) -> float:
    return sum(value for _, _, value in found)


def _density(unit: Span, found: Sequence[_Word]) -> float:
    return _value(found) / (unit[1] - unit[0] + _OVERHEAD)


def _whole_units(
    units: Sequence[Span], values: Sequence[Sequence[_Word]], room: int
) -> tuple[list[int], int]:
    """Which units to keep whole, densest first, and the room they leave."""
    chosen: list[int] = []
    for i in sorted(range(len(units)), key=lambda i: (-_density(units[i], values[i]), i)):
        start, end = units[i]
        if end - start <= room:
            chosen.append(i)
            room -= end - start + 1  # and the character that may join it to the next
    return chosen, room


def _window(found: Sequence[_Word], room: int) -> _Word:
    """The run of words within `room` characters that carries most; part of one if none fits."""
    best, first, total = (0, 0, -1.0), 0, 0.0
    for i, (_, end, value) in enumerate(found):
        total += value
        while first <= i and end - found[first][0] > room:
            total -= found[first][2]
            first += 1
        if first <= i and total > best[2]:
            best = (found[first][0], end, total)
    if best[2] < 0.0:  # no word fits
        start, end, value = max(found, key=lambda word: word[2])
        return start, start + room, value * room / (end - start)
    return best


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Spans in order; neighbours with at most one character between them become one."""
    merged: list[Span] = []
    for start, end in spans:
        if merged and start - merged[-1][1] <= 1:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((start, end))
    return merged

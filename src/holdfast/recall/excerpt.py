"""The sentences of a long text that answer a query best, as exact spans of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence

from holdfast.derive.sentences import Span, sentences
from holdfast.derive.terms import terms

_READ = 32_768  # characters of a text in which its best sentences are looked for
_BEFORE, _AFTER = 0.25, 0.5  # what a sentence is worth that stands before, or after, one that hits
_CLAUSES = (240, 120, 60)  # characters of the longest piece of a sentence that is cut
_JOIN = 4  # tokens that a gap between two sentences takes, at most


def excerpt(
    text: str, query: Collection[int], room: int, count: Callable[[str], int]
) -> tuple[list[Span], bool]:
    """Whole sentences within `room` tokens, and whether one had to be cut.

    Parameters
    ----------
    query
        The index terms to look for. Those that few sentences hold count for more; where none is
        found, the text's beginning is taken.

    Notes
    -----
    Character spans in order; sentences side by side are one span. Only if the best sentence is
    longer than `room` is it cut, at the end of a clause or else of a word, if there is one within
    240 characters; if not even 60 characters of it fit, there is no span. Linear in the text, of
    which no more than 32,768 characters are read.

    Examples
    --------
    >>> from holdfast.derive.terms import terms
    >>> text = "It rained. The key is under the pot. Nobody came. We sang."
    >>> spans, cut = excerpt(text, terms("key"), 12, lambda words: len(words.split()))
    >>> [text[a:b] for a, b in spans], cut
    (['The key is under the pot. Nobody came.'], False)
    """
    read = text[:_READ]
    units = sentences(read, longest=_READ)
    if len(read) < len(text) and len(units) > 1:
        units.pop()  # it may go on
    values = _values(read, units, query)
    order = sorted(range(len(units)), key=lambda i: (-values[i] / (units[i][1] - units[i][0]), i))
    best = max(order, key=lambda i: (values[i], -i), default=None)
    if best is None:
        return [], False
    order.remove(best)
    start, end = units[best]
    needed = count(read[start:end])
    if needed > room:
        return _clauses(read[start:end], start, query, room, count), True
    chosen, room = {best}, room - needed
    for i in order:
        if values[i] <= 0.0:
            break
        needed = count(read[units[i][0] : units[i][1]]) + max(_JOIN, _white(read, units, i))
        if needed <= room:
            chosen.add(i)
            room -= needed
    return _merged([(i, *units[i]) for i in sorted(chosen)]), False


def _white(text: str, units: Sequence[Span], i: int) -> int:
    """Bytes of the white space around a unit: what it may cost to join it to its neighbours."""
    before = units[i - 1][1] if i else units[i][0]
    after = units[i + 1][0] if i + 1 < len(units) else units[i][1]
    return len(f"{text[before : units[i][0]]}{text[units[i][1] : after]}".encode())


def _clauses(
    sentence: str, at: int, query: Collection[int], room: int, count: Callable[[str], int]
) -> list[Span]:
    """The best run of clauses of a sentence that is too long."""
    for longest in _CLAUSES:
        units = sentences(sentence, longest)
        values = _values(sentence, units, query)
        best = max(range(len(units)), key=lambda i: (values[i], -i))
        start, end = units[best]
        if count(sentence[start:end]) > room:
            continue
        for _, further in units[best + 1 :]:
            if count(sentence[start:further]) > room:
                break
            end = further
        return [(at + start, at + end)]
    return []


def _values(text: str, units: Sequence[Span], query: Collection[int]) -> list[float]:
    """What each unit says of the query, with a share of what its neighbours say."""
    wanted = frozenset(query)
    held = [wanted.intersection(terms(text[start:end])) for start, end in units]
    spread = Counter(term for found in held for term in found)
    own = [sum(1.0 / spread[term] for term in found) for found in held]
    if not any(own):
        return [1.0 / (i + 1) for i in range(len(units))]
    around = [0.0, *own, 0.0]
    return [value + _AFTER * around[i] + _BEFORE * around[i + 2] for i, value in enumerate(own)]


def _merged(chosen: Sequence[tuple[int, int, int]]) -> list[Span]:
    """Spans in order, those of neighbouring units as one."""
    spans: list[Span] = []
    before = -2
    for i, start, end in chosen:
        if i == before + 1:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
        before = i
    return spans

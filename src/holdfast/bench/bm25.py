"""The reference every recall table carries: textbook BM25 over whole turns, unbounded."""

from __future__ import annotations

import math
import re
from collections import Counter

_WORD = re.compile(r"[a-z0-9']+")
_STOP_WORDS = """
    a about after again all am an and any are as at be because been before being both but by can
    could did do does doing don't down during each few for from further had has have having he her
    here hers him his how i i'm i've if in into is it it's its just let me more most my no nor not
    now of off on once only or other our ours out over own same she should so some such than that
    that's the their theirs them then there these they this those through to too under until up
    very was we were what what's when where which while who whom why will with would you your
    yours"""
_STOP = frozenset(_STOP_WORDS.split())
_ENDINGS = ("ies", "ing", "ed", "es", "s", "ly")


def tokenize(text: str) -> list[str]:
    """Lower-case words without function words, their commonest endings cut off.

    Examples
    --------
    >>> tokenize("Where was she hiking with the puppies?")
    ['hik', 'pupp']
    """
    return [_strip(word) for word in _WORD.findall(text.lower()) if word not in _STOP]


def _strip(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and not word.endswith("ss") and len(word) - len(ending) >= 3:
            return word[: -len(ending)]
    return word


class BM25:
    """BM25 (k1 1.2, b 0.75) over units added one by one; ties go to the newer unit.

    References
    ----------
    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond,
    doi:10.1561/1500000019
    """

    def __init__(self, k1: float = 1.2, b: float = 0.75) -> None:
        self._k1, self._b = k1, b
        self._postings: dict[str, dict[int, int]] = {}
        self._lengths: list[int] = []

    def __len__(self) -> int:
        return len(self._lengths)

    def add(self, text: str, to: int | None = None) -> int:
        """Index a unit, or add more text to unit `to`; return its position."""
        position = len(self._lengths) if to is None else to
        if to is None:
            self._lengths.append(0)
        for token, frequency in Counter(tokenize(text)).items():
            units = self._postings.setdefault(token, {})
            units[position] = units.get(position, 0) + frequency
            self._lengths[position] += frequency
        return position

    def rank(self, query: str, limit: int) -> list[int]:
        """Positions of the units that share a word with the query, best first."""
        scores = self.scores(query)
        return sorted(scores, key=lambda position: (-scores[position], -position))[:limit]

    def scores(self, query: str) -> dict[int, float]:
        """The score of every unit that shares a word with the query."""
        scores: dict[int, float] = {}
        average = sum(self._lengths) / max(1, len(self._lengths))
        for token in dict.fromkeys(tokenize(query)):
            units = self._postings.get(token, {})
            idf = math.log(1 + (len(self._lengths) - len(units) + 0.5) / (len(units) + 0.5))
            for position, frequency in units.items():
                norm = self._k1 * (1 - self._b + self._b * self._lengths[position] / average)
                gain = idf * frequency * (self._k1 + 1) / (frequency + norm)
                scores[position] = scores.get(position, 0.0) + gain
        return scores

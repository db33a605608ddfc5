"""The signals: each says one thing about every candidate of a query.

A signal is a function of a `Look` that returns one number per candidate, (n,) float64, or None if
it has nothing to say about this query. To add one, write it and give it a line here; the fit
(scripts/fit_weights.py) finds what it is worth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from holdfast.recall.look import Floats, Look
from holdfast.recall.signals import episode, meaning, people, statement, times, words

Signal = Callable[[Look], Floats | None]

SIGNALS: Mapping[str, Signal] = MappingProxyType(
    {
        "bm25": words.bm25,
        "coverage": words.coverage,
        "breadth": words.breadth,
        "rarest": words.rarest,
        "neighbours": words.neighbours,
        "episode": episode.episode,
        "speaker": people.speaker,
        "latest": people.latest,
        "assistant": people.assistant,
        "own": people.own,
        "when": times.when,
        "moment": times.moment,
        "recency": times.recency,
        "now": times.now,
        "surprise": statement.surprise,
        "length": statement.length,
        "question": statement.question,
        "first_person": statement.first_person,
        "figure": statement.figure,
        "name": statement.name,
        "preference": statement.preference,
        "meaning": meaning.meaning,
    }
)

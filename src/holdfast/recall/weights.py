"""What each signal counts: fitted numbers, kept as data beside this file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Self

from holdfast.errors import UnknownNameError

Table = Mapping[str, float]

KINDS = ("question", "message", "question with vectors", "message with vectors")
"""The kinds of query that have weights of their own; see `Weights.table`."""


@dataclass(frozen=True)
class Weights:
    """One weight per signal for each kind of query; a signal that is left out counts nothing.

    The score of an event is the sum of its signals, each times its weight. The weights in
    ``weights.json`` make it the logarithm, up to a constant, of the probability that this candidate
    and no other is the evidence sought (a conditional logit), fitted by scripts/fit_weights.py.

    Examples
    --------
    >>> weights = Weights.default()
    >>> weights.table(asks=True, vectors=False)["bm25"] > 0
    True
    >>> "recency" in weights.without("recency").names
    False
    """

    tables: Mapping[str, Table]
    confidence: Mapping[str, Table] = field(default_factory=dict)  # of the clues, by kind as well
    scopes: Mapping[str, Table] = field(default_factory=dict)  # of what tells for a whole scope

    @classmethod
    def default(cls) -> Self:
        """The fitted weights."""
        return cls(_fitted("weights"), _fitted("confidence"), _fitted("scopes"))

    @property
    def names(self) -> tuple[str, ...]:
        """The signals that count for any kind of query."""
        return tuple(dict.fromkeys(name for table in self.tables.values() for name in table))

    def table(self, *, asks: bool, vectors: bool) -> Table:
        """The weights for a question, or for a line of a conversation, with vectors or without."""
        return self.tables[_kind(asks, vectors)]

    def clues(self, *, asks: bool, vectors: bool) -> Table:
        """The weights of what tells an answerable query; see `recall.confidence`."""
        return self.confidence.get(_kind(asks, vectors), {})

    def of_scopes(self, *, asks: bool, vectors: bool) -> Table:
        """The weights of what tells for a whole scope; see `recall.scopes`."""
        return self.scopes.get(_kind(asks, vectors), {})

    def without(self, *names: str) -> Self:
        """These weights with some signals left out.

        Raises
        ------
        UnknownNameError
            If no signal of that name counts.
        """
        for name in names:
            if name not in self.names:
                raise UnknownNameError(f"no signal {name!r} counts; known: {', '.join(self.names)}")
        return type(self)(
            {
                kind: {name: weight for name, weight in table.items() if name not in names}
                for kind, table in self.tables.items()
            },
            self.confidence,
            self.scopes,
        )


def _kind(asks: bool, vectors: bool) -> str:
    return KINDS[(0 if asks else 1) + (2 if vectors else 0)]


@cache
def _fitted(part: str) -> Mapping[str, Table]:
    text = files("holdfast.recall").joinpath("weights.json").read_text(encoding="utf-8")
    tables = json.loads(text)[part]
    return MappingProxyType({kind: MappingProxyType(tables[kind]) for kind in KINDS})

"""What a belief is found by: the terms of its fields and aliases, and what each counts for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import sqrt
from types import MappingProxyType
from typing import NamedTuple

from holdfast.derive.terms import terms
from holdfast.state.aliases import STANDS, Phrase, Stands
from holdfast.state.records import Belief

FIELDS: Mapping[str, float] = MappingProxyType(
    {"subject": 1.5, "predicate": 1.5, "value": 1.0, "aliases": 1.5, "why_it_matters": 0.4}
)
"""What one occurrence of a term counts for, by field."""


class Row(NamedTuple):
    """A belief as an index holds it.

    `text` are its terms with their weighted frequencies, those of its own aliases included;
    `learnt` the weights of learnt aliases by what they stand for; `length` counts terms.
    """

    belief: Belief
    text: Mapping[int, float]
    learnt: Mapping[Stands, Mapping[int, float]]
    length: int


def row(belief: Belief, aliases: Mapping[str, float]) -> Row:
    """A belief with its learnt aliases, phrase to weight, as terms; O(terms).

    A plain string stands for the belief; a `Phrase` says for itself what it stands for.
    """
    text: Counter[int] = Counter()
    for counts in fields(belief).values():
        text.update(counts)
    learnt: dict[Stands, dict[int, float]] = {stands: {} for stands in STANDS}
    for phrase, weight in aliases.items():
        held = learnt[phrase.stands if isinstance(phrase, Phrase) else "belief"]
        found = terms(phrase)
        for term in found:
            if weight > 0 and text[term] < 1:  # else the belief itself says so
                held[term] = max(held.get(term, 0.0), weight / sqrt(len(found)))
    length = sum(len(terms(said)) for said in _texts(belief).values())
    return Row(belief, dict(text), learnt, length)


def fields(belief: Belief) -> dict[str, dict[int, float]]:
    """What each term counts for in each field; several given aliases count as one.

    Examples
    --------
    >>> belief = Belief("b1.0", "Ana", "lives_in", "Porto", "fact", "", "asserted", 2, (), (), 0.0,
    ...                 None, 0.0, None)
    >>> [list(counts.values()) for counts in fields(belief).values()]
    [[1.5], [1.5], [1.0], [], []]
    """
    found = {
        name: {term: FIELDS[name] * n for term, n in Counter(terms(said)).items()}
        for name, said in _texts(belief).items()
    }
    found["aliases"] = dict.fromkeys(terms(" ".join(belief.aliases)), FIELDS["aliases"])
    return found


def _texts(belief: Belief) -> dict[str, str]:
    return {
        "subject": belief.subject,
        "predicate": belief.predicate.replace("_", " "),
        "value": belief.value,
        "why_it_matters": belief.why_it_matters or "",
    }

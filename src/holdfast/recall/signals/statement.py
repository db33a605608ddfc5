"""Whether an event states something worth asking for, whatever the query's words."""

from __future__ import annotations

import numpy as np

from holdfast.derive.cues import FIGURE, FIRST_PERSON, NAMED, PREFERENCE, QUESTION
from holdfast.recall.look import Floats, Look
from holdfast.recall.query import Wants


def surprise(look: Look) -> Floats | None:
    """Bits per term that the event told when it came (`derive.surprise`).

    Says nothing inside a scope: what is new is measured against the whole stream, and what lies
    outside a scope may change nothing inside.
    """
    if look.scoped:
        return None
    return look.columns.surprise[look.rows].astype(np.float64)


def length(look: Look) -> Floats:
    """Log of the event's terms: a long turn holds some word of any query."""
    return np.log1p(look.lengths)


def question(look: Look) -> Floats:
    """The event ends as a question: it asks, others tell."""
    return look.flagged(QUESTION)


def first_person(look: Look) -> Floats:
    """The event speaks of its speaker."""
    return look.flagged(FIRST_PERSON)


def figure(look: Look) -> Floats | None:
    """The query asks how many or how much, and the event holds a number."""
    return look.flagged(FIGURE) if look.query.wants & Wants.FIGURE else None


def name(look: Look) -> Floats | None:
    """The query asks who, where or which, and the event holds a name."""
    return look.flagged(NAMED) if look.query.wants & Wants.NAME else None


def preference(look: Look) -> Floats | None:
    """The query asks for advice, and the event says what its speaker likes or will not have."""
    return look.flagged(PREFERENCE) if look.query.wants & Wants.ADVICE else None

"""The values by which a memory tells what it let go of: all frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from holdfast.records import Record, Tier

Action = Literal["gist", "trace", "merged", "evicted"]
ACTIONS: tuple[Action, ...] = ("gist", "trace", "merged", "evicted")
"""What becomes of an event: it is demoted to a tier, merged into another event, or evicted."""

Verdict = Literal["still known", "knew once", "never knew", "don't know"]


@dataclass(frozen=True, slots=True)
class Loss:
    """What retention did to some events to make room, at one time or over a stretch of it.

    Parameters
    ----------
    action, policy
        What became of the events, and by which retention policy.
    at, until
        When: the record times of the first and of the last transaction it adds up.
    write
        The event that room was made for: in the last of them, the first that came after it.
    times
        How many transactions it adds up: 1 while it is exact.
    events, nbytes
        How many events, and how many bytes of what was kept of them that freed, before compression.
    first, last, oldest, newest
        The least and the greatest of their sequence numbers, and of the times they happened at.
    scopes, elsewhere
        How many of them lay in which scopes, as far as these are named; and in others.
    scores
        What the policy judged them worth, the least and the most; None if it does not tell.
    """

    action: Action
    policy: str
    at: float
    until: float
    write: int
    times: int
    events: int
    nbytes: int
    first: int
    last: int
    oldest: float
    newest: float
    scopes: Mapping[str, int]
    elsewhere: int
    scores: tuple[float, float] | None


@dataclass(frozen=True, slots=True)
class Move:
    """How many events ever went from one tier to another, and the bytes that freed."""

    before: Tier
    after: Tier
    events: int
    nbytes: int


@dataclass(frozen=True, slots=True)
class LossTotals:
    """Everything that ever left a memory, or went down a tier in it; exact for ever.

    `evicted` counts what retention let go of, `merged` the part of it that was merged into other
    events. `erased` counts events that were kept until somebody erased them, `withdrawn` those that
    a rollback took back. Together with the kept they are all that were ever recorded.
    """

    moves: tuple[Move, ...]
    evicted: int
    merged: int
    erased: int
    withdrawn: int


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Whether a memory knew once what it is asked about and does not know any more.

    Parameters
    ----------
    verdict, probability
        The likeliest of three answers and its chance, as measured over public questions; "don't
        know" if none of them is likely enough.
    chances
        The chance of each of the three: "still known", "knew once", "never knew".
    traces
        What is left of events that the query may be about and of which only traces are kept.
    between
        The times between which what was lost happened, if that can be told.
    terms
        Words of the query that were known once and are in nothing kept.
    unheard
        Words of the query that never came up.
    """

    query: str
    verdict: Verdict
    probability: float
    chances: Mapping[str, float] = field(default_factory=dict)
    traces: tuple[Record, ...] = ()
    between: tuple[float, float] | None = None
    terms: tuple[str, ...] = ()
    unheard: tuple[str, ...] = ()

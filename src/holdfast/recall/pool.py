"""Follow-up probes: ask again with the names that the best events brought up."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np

from holdfast.derive.names import names
from holdfast.derive.terms import terms
from holdfast.recall.postings import Match
from holdfast.recall.query import Query
from holdfast.records import Hit

STEP_COST = 1.0  # what every step away from the query takes from a score; of 0 to 3, the best
_READ = 3  # of the best events not read yet, a step
_FEW_EVENTS, _FEW_SHARE = 8, 0.01  # events that hold a term which still tells them apart
_MOST_TERMS = 8  # that a probe adds


def probe(
    query: Query, texts: Iterable[str], match: Callable[[Sequence[int]], Match]
) -> Query | None:
    """The query with what it did not know to ask for; None if the texts bring up nothing new.

    Parameters
    ----------
    texts
        Of the events that the last step found.
    match
        Looks some terms up among the events that the query may see.

    Notes
    -----
    A term is added if it is part of a name in the texts, the query does not hold it, and it occurs
    in few other events, but in some: a name that comes once leads nowhere.

    References
    ----------
    The evidence pool of ComoRAG (arXiv:2508.10419). Differs: probes are made of names instead of
    being written by a model, a fixed number of steps instead of until a model is content.
    """
    known = set(query.terms)
    found = dict.fromkeys(
        term for text in texts for name in names(text) for term in terms(name) if term not in known
    )
    if not found:
        return None
    looked = match(list(found))
    held_by = np.rint((looked.n + 1) / np.exp(looked.idf) - 0.5)  # the idf formula, solved for df
    most = max(_FEW_EVENTS, int(_FEW_SHARE * looked.n))
    fresh = [term for term, n in zip(found, held_by, strict=True) if 2 <= n <= most]
    if not fresh:
        return None
    return replace(query, terms=(*query.terms, *fresh[:_MOST_TERMS]))


def join(pool: Sequence[Hit], found: Iterable[Hit], step: int, limit: int) -> list[Hit]:
    """The pool with what a step found: the better score of each event, best first.

    The score of an event that came by a step has a part "step", which is below zero.
    """
    best = {hit.seq: hit for hit in pool}
    cost = -STEP_COST * step
    for hit in found:
        score = hit.score + cost
        if hit.seq not in best or score > best[hit.seq].score:
            parts = {**hit.parts, "step": cost} if hit.parts else hit.parts
            best[hit.seq] = Hit(hit.seq, score, parts)
    return sorted(best.values(), key=lambda hit: (-hit.score, -hit.seq))[:limit]


def unread(pool: Sequence[Hit], read: set[int]) -> list[int]:
    """The best events of the pool that no probe was made of yet; now they count as read."""
    found = [hit.seq for hit in pool if hit.seq not in read][:_READ]
    read.update(found)
    return found

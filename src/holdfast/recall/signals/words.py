"""What of the query's words an event holds."""

from __future__ import annotations

import numpy as np

from holdfast.recall.look import Floats, Look


def bm25(look: Look) -> Floats | None:
    """BM25 as a share of the best candidate's: 0 to 1.

    References
    ----------
    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond,
    doi:10.1561/1500000019
    """
    scores = look.match.score_of(look.rows).astype(np.float64)
    best = float(scores.max(initial=0.0))
    return scores / best if best > 0 else None


def coverage(look: Look) -> Floats | None:
    """idf of the query's terms that the event holds, over the root of all of it.

    Between the share of the query that is covered, under which a long query could never score, and
    the plain sum, under which it always would.
    """
    return look.held_mass / look.mass**0.5 if look.mass > 0 else None


def breadth(look: Look) -> Floats:
    """Log of the number of different terms held, whatever their idf."""
    return np.asarray(np.log1p(look.held.sum(axis=1)))


def rarest(look: Look) -> Floats | None:
    """The highest idf among the terms held, as a share of the query's highest."""
    if not look.mass > 0:
        return None
    return np.asarray((look.held * look.idf).max(axis=1) / look.idf.max())


def neighbours(look: Look) -> Floats | None:
    """Share of the query's idf that the event, the two before or the one after hold.

    Counted less the longer the event is: an answer of three words lives by the question before it,
    a long turn stands on its own.
    """
    if not look.mass > 0:
        return None
    gate = 1.0 / (1.0 + look.lengths / HALF_LENGTH)
    return gate * (look.held_mass + look.around_mass) / look.mass


HALF_LENGTH = 15.0
"""Index terms of an event whose neighbours count half."""

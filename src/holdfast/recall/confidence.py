"""Whether what came back answers the query at all: one number from 0 to 1."""

from __future__ import annotations

from collections.abc import Mapping
from math import exp, log1p

import numpy as np

from holdfast.recall.look import Floats, Look
from holdfast.recall.query import Wants


def clues(look: Look, scores: Floats) -> dict[str, float]:
    """What tells an answerable query from one that the memory holds nothing about.

    Returns
    -------
    covered
        The largest share of the query's idf that a candidate and its neighbours hold.
    best
        The best score. Under the fitted weights it is a log-odds up to a constant.
    definite
        1 if the query asks for a figure or a time.
    terms
        Log of the query's terms: a long one is harder to cover by chance, and in full.
    undecided
        Entropy of the candidates' probabilities, nats.
    nearest
        The best cosine, where there is an embedder.
    """
    odds = np.exp(scores - scores.max())
    chances = odds / odds.sum()
    found = {
        "covered": float((look.held_mass + look.around_mass).max()) / max(look.mass, 1e-9),
        "best": float(scores.max()),
        "definite": float(bool(look.query.wants & (Wants.FIGURE | Wants.TIME))),
        "terms": log1p(len(look.query.terms)),
        "undecided": float(-(chances * np.log(chances + 1e-12)).sum()),
    }
    if look.vector is not None and look.vectors is not None:
        cosines = look.vectors.cosine_of(look.vector, look.rows)
        found["nearest"] = float(np.nanmax(cosines)) if np.isfinite(cosines).any() else 0.0
    return found


def confidence(look: Look, scores: Floats, weights: Mapping[str, float]) -> float:
    """The chance that the query is answerable, as a logistic regression over the clues tells."""
    if not len(scores):
        return 0.0
    told = clues(look, scores)
    odds = weights.get("", 0.0) + sum(weights.get(name, 0.0) * told[name] for name in told)
    return 1.0 / (1.0 + exp(-max(-50.0, min(50.0, odds))))

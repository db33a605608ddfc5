"""Rank scopes (sessions, as a rule) by what their events say, together and each for itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from math import log1p
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.recall.look import Floats, Look, spread
from holdfast.recall.postings import Match
from holdfast.recall.query import Wants
from holdfast.records import ScopeHit

Ints = npt.NDArray[np.int64]

_K1, _B = 3.0, 0.75  # saturates late: the tenth event about it tells more than the second
_FLOOR = 1e-4  # of the best candidate's odds, that a scope without candidates has
_AGE = 10.0  # events by which an age doubles at first
_SHOWN = 3  # events named with a scope


_FIRST = {"bm25": 0.3, "covered": 2.5, "best": 0.5, "recency": 0.2, "now": 0.2, "meaning": 5.0}
_SOURCES = 5  # scopes whose terms a second look is made of
_READ = 32  # of the newest events of each
_PROBE = 20  # terms of the second look

SCOPE_SIGNALS = (*_FIRST, "feedback")

Lookup = Callable[[Sequence[int]], Match]
TermsOf = Callable[[int], Sequence[int]]


class Scopes(NamedTuple):
    """The visible scopes of a query, s of them, with what tells for each, (s,)."""

    ids: Ints
    newest: Ints  # place of the newest event among the visible
    signals: dict[str, Floats]


class _Groups(NamedTuple):
    """The visible events, m of them, by scope."""

    rows: Ints  # (m,)
    scope: Ints  # place of each one's scope, (m,)
    lengths: Floats  # index terms of each scope over their mean, (s,)


def scopes(look: Look, scores: Floats, lookup: Lookup, terms_of: TermsOf) -> Scopes:
    """Every visible scope and its signals.

    ``bm25``: z-score of BM25 over scopes, where a term's frequency counts the events that hold it.
    ``covered``: share of the known query terms' idf that the scope holds.
    ``best``: log of the summed odds of its candidates, against the best candidate's.
    ``recency``, ``now``: minus the log of the events since its last one, where the query goes on
    from there, or asks how things stand.
    ``meaning``: the cosine of its nearest candidate.
    ``feedback``: how much it has of what the best other scopes are about.

    Parameters
    ----------
    scores
        Of the candidates.
    lookup
        Matches terms against the visible events.
    terms_of
        The index terms of a row.
    """
    columns = look.columns
    seen = (columns.alive if look.visible is None else look.visible).nonzero()[0]
    scope_of = columns.scope_ids()
    found, scope = np.unique(scope_of[columns.who[seen]], return_inverse=True)
    n = len(found)
    newest = np.zeros(n, np.int64)
    newest[scope] = np.arange(len(seen))  # in order of the stream, so the last one stays
    lengths = np.bincount(scope, columns.length[seen], n)
    groups = _Groups(seen, scope, lengths / max(1.0, float(lengths.mean())))
    signals = dict(zip(("bm25", "covered"), _words(look, groups), strict=True))
    mine = np.searchsorted(found, scope_of[columns.who[look.rows]])
    odds = np.bincount(mine, np.exp(scores - scores.max(initial=0.0)), n)
    signals["best"] = np.log(_FLOOR + odds)
    age = np.log1p((len(seen) - 1 - newest) / _AGE)
    if not look.query.asks:
        signals["recency"] = -age
    if look.query.wants & Wants.NOW:
        signals["now"] = -age
    if look.vector is not None and look.vectors is not None and len(look.rows):
        cosine = look.vectors.cosine_of(look.vector, look.rows).astype(np.float64)
        least = float(np.nanmin(cosine)) if np.isfinite(cosine).any() else 0.0
        nearest = np.full(n, least)
        np.maximum.at(nearest, mine, np.where(np.isfinite(cosine), cosine, least))
        signals["meaning"] = nearest
    first = sum((_FIRST[name] * told for name, told in signals.items()), np.zeros(n))
    if n > 1:
        signals["feedback"] = _feedback(first, groups, lookup, terms_of)
    return Scopes(found, newest, signals)


def _feedback(first: Floats, groups: _Groups, lookup: Lookup, terms_of: TermsOf) -> Floats:
    """What each scope shares with the others that a first look found, 0 to 1.

    Terms that are frequent in the best scopes, and rare in all, make a second query. What a scope
    itself put into that query is taken out again: else the best would only confirm themselves.

    References
    ----------
    Pseudo-relevance feedback after Lavrenko and Croft, Relevance-Based Language Models,
    doi:10.1145/383952.383972. Differs: over scopes, without each one's own share.
    """
    chance = np.exp(first - first.max())
    chance /= chance.sum()
    sources = np.argsort(-first, kind="stable")[:_SOURCES].tolist()
    counts = []
    for source in sources:
        rows = groups.rows[groups.scope == source][-_READ:]
        counts.append(Counter(chain.from_iterable(set(terms_of(row)) for row in rows.tolist())))
    known = list(dict.fromkeys(chain.from_iterable(counts)))
    if not known:
        return np.zeros(len(first))
    idf = dict(zip(known, lookup(known).idf.tolist(), strict=True))
    told = [_unit({term: log1p(n) * idf[term] for term, n in held.items()}) for held in counts]
    weight: dict[int, float] = {}
    for source, terms in zip(sources, told, strict=True):
        for term, value in terms.items():
            weight[term] = weight.get(term, 0.0) + float(chance[source]) * value
    probe = sorted(weight, key=lambda term: -weight[term])[:_PROBE]
    held = np.log1p(_frequency(lookup(probe), len(probe), groups, len(first)))
    rarity = np.array([idf[term] for term in probe])
    size = np.sqrt(np.maximum(groups.lengths, 1e-3))
    made = chance[sources][:, None] * [[t.get(term, 0.0) for term in probe] for t in told]
    shared = held @ (rarity * made.sum(axis=0)) / size
    for place, source in enumerate(sources):
        others = np.delete(made, place, axis=0).sum(axis=0)  # no difference: what is 0 stays 0
        shared[source] = held[source] @ (rarity * others) / size[source]
    most = float(shared.max())
    return shared / most if most > 0 else np.zeros(len(first))


def _unit(terms: dict[int, float]) -> dict[int, float]:
    size = sum(value * value for value in terms.values()) ** 0.5 or 1.0
    return {term: value / size for term, value in terms.items()}


def _frequency(match: Match, n_terms: int, groups: _Groups, n: int) -> Floats:
    """Events of each scope that hold each of the first 64 terms, (n, terms)."""
    bits = match.bits(groups.rows)
    some = bits.nonzero()[0]
    frequency = np.zeros((n, min(n_terms, 64)))
    np.add.at(frequency, groups.scope[some], spread(bits[some], frequency.shape[1]))
    return frequency


def rank_scopes(
    look: Look,
    scores: Floats,
    weights: Mapping[str, float],
    limit: int,
    lookup: Lookup,
    terms_of: TermsOf,
) -> list[ScopeHit]:
    """The best scopes for a query, best first; ties go to the one with the newer event."""
    told = scopes(look, scores, lookup, terms_of)
    parts = {name: weights.get(name, 0.0) * values for name, values in told.signals.items()}
    total = sum(parts.values(), np.zeros(len(told.ids)))
    named = look.columns.scope_names()
    scope_of = look.columns.scope_ids()[look.columns.who[look.rows]]
    order = np.lexsort((-look.rows, -scores))
    hits = []
    held = told.signals["covered"] > 0
    held[np.searchsorted(told.ids, scope_of)] = True  # what holds nothing of it cannot come back
    ranked = np.lexsort((-told.newest, -total))
    for i in ranked[held[ranked]][:limit]:
        id = int(told.ids[i])
        best = look.rows[order[scope_of[order] == id][:_SHOWN]]
        hits.append(
            ScopeHit(
                named[id],
                float(total[i]),
                tuple(look.columns.seq[best].tolist()),
                {name: float(part[i]) for name, part in parts.items()},
            )
        )
    return hits


def _words(look: Look, groups: _Groups) -> tuple[Floats, Floats]:
    """BM25 over scopes as z-scores, and the share of the query's idf that each holds."""
    n = len(groups.lengths)
    frequency = _frequency(look.match, len(look.idf), groups, n)
    df = (frequency > 0).sum(axis=0)
    idf = np.log1p((n - df + 0.5) / (df + 0.5))
    norm = _K1 * (1 - _B + _B * groups.lengths)
    score = (frequency * (_K1 + 1) / (frequency + norm[:, None])) @ idf
    deviation, known = float(score.std()), float(idf[df > 0].sum())
    return (
        (score - score.mean()) / deviation if deviation > 1e-9 else np.zeros(n),
        (frequency > 0) @ idf / known if known > 0 else np.zeros(n),
    )

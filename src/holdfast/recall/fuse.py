"""One score for every candidate: the weighted sum of its signals."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import repeat
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.derive.cues import PREFERENCE
from holdfast.recall.columns import Bools, Columns, Rows
from holdfast.recall.confidence import confidence
from holdfast.recall.look import Floats, Index, Look
from holdfast.recall.query import Query, Wants, asked_at
from holdfast.recall.scopes import Lookup, TermsOf, rank_scopes
from holdfast.recall.signals import SIGNALS
from holdfast.recall.weights import Weights
from holdfast.records import Hit, ScopeHit

SHORTLIST = 256  # candidates by BM25, and again by cosine; more of them made recall no better
_AROUND = 64  # the best candidates whose neighbours are candidates too
_SPECIAL = 128  # candidates for what a query wants beside its words: a time, a preference
_RECENT = 4096  # visible events that are looked through for those of a speaker
_NEWEST = 48  # events that a line of a conversation may go on from, whatever their words
_NO_PARTS: Mapping[str, float] = MappingProxyType({})


class Ranking(NamedTuple):
    """The best events for a query, best first, and the chance that they answer it."""

    hits: list[Hit]
    confidence: float


def score(look: Look, weights: Weights, limit: int, explain: bool = True) -> Ranking:
    """The best `limit` candidates, best first; ties go to the newer one.

    Without `explain` the hits carry no parts.
    """
    if not len(look.rows):
        return Ranking([], 0.0)
    kind = {"asks": look.query.asks, "vectors": look.vector is not None}
    total, parts = fuse(look, weights.table(**kind))
    order = np.lexsort((-look.rows, -total))[:limit]
    seqs, totals = look.columns.seq[look.rows[order]].tolist(), total[order].tolist()
    lines = repeat(())
    if explain and parts:
        lines = np.column_stack([part[order] for part in parts.values()]).tolist()
    hits = [
        Hit(seq, value, dict(zip(parts, line, strict=True)) if line else _NO_PARTS)
        for seq, value, line in zip(seqs, totals, lines, strict=False)
    ]
    return Ranking(hits, confidence(look, total, weights.clues(**kind)))


def score_scopes(
    look: Look, weights: Weights, limit: int, lookup: Lookup, terms_of: TermsOf
) -> list[ScopeHit]:
    """The best `limit` scopes that hold anything of the query, best first."""
    if not len(look.rows):
        return []
    kind = {"asks": look.query.asks, "vectors": look.vector is not None}
    scores, _ = fuse(look, weights.table(**kind))
    return rank_scopes(look, scores, weights.of_scopes(**kind), limit, lookup, terms_of)


def fuse(look: Look, weights: Mapping[str, float]) -> tuple[Floats, dict[str, Floats]]:
    """The score of each candidate, and the parts that it is the sum of."""
    parts: dict[str, Floats] = {}
    total = np.zeros(len(look.rows))
    for name, weight in weights.items():
        values = SIGNALS[name](look)
        if values is not None:
            part = parts[name] = weight * values
            total += part
    return total, parts


def candidates(
    index: Index,
    query: Query,
    vector: npt.NDArray[np.float32] | None = None,
    visible: Bools | None = None,
    scoped: bool = False,
) -> Look:
    """The events worth a close look.

    BM25 is exact over every visible event, and so is the cosine. Their best, the neighbours of the
    very best, and what the query wants whatever its words are candidates: no other event can come
    back.
    """
    columns, postings, vectors = index
    match = postings.match(query.terms, SHORTLIST, allowed=visible)
    best = match.rows[:_AROUND]
    found = [match.rows, _seen(columns.before[best], visible), _seen(columns.after[best], visible)]
    if vector is not None and vectors is not None:
        found.append(vectors.search(vector, SHORTLIST, allowed=visible)[0])
    else:
        vector = None
    if query.moments:
        times = _in_moments(columns, query, visible, scoped)
        newest = _newest(columns.alive, visible, 1)
        if not len(times) and len(newest):  # "last week", asked of a memory that ends a year ago
            query = asked_at(query, float(columns.at[newest[0]]))
            times = _in_moments(columns, query, visible, scoped)
        found.append(times)
    if query.wants & Wants.ADVICE:
        found.append(_newest(columns.flags & PREFERENCE, visible, _SPECIAL))
    if not query.asks:
        found.append(_latest(columns, query, visible))
    rows = np.concatenate(found).astype(np.int64)
    rows.sort()
    rows = rows[np.diff(rows, prepend=-1) > 0]
    return Look(query, columns, match, rows, visible, scoped, vector, vectors)


def _seen(rows: Rows, visible: Bools | None) -> Rows:
    """The rows that are some, and that the query may see."""
    rows = rows[rows >= 0]
    return rows if visible is None or not len(rows) else rows[visible[rows]]


def _in_moments(columns: Columns, query: Query, visible: Bools | None, scoped: bool) -> Rows:
    """The most telling events of the times that a query names; inside a scope, the newest.

    What is telling is measured against the whole stream, of which a scope may know nothing. One
    look at the time of every kept event: a bounded memory needs no tree over its times.
    """
    inside = np.zeros(columns.n, np.bool_)
    for span in query.moments:
        inside |= (columns.at >= span.start) & (columns.at < span.end)
    inside &= columns.alive if visible is None else visible
    rows = inside.nonzero()[0]
    if scoped:
        return rows[-_SPECIAL:]
    if len(rows) > _SPECIAL:
        told = columns.surprise[rows]
        rows = rows[np.argpartition(told, len(rows) - _SPECIAL)[-_SPECIAL:]]
    return rows


def _newest(wanted: npt.NDArray[np.generic], visible: Bools | None, limit: int) -> Rows:
    """The newest rows that are wanted, among the visible."""
    if visible is not None:
        wanted = (wanted > 0) & visible  # type: ignore[operator]
    return wanted.nonzero()[0][-limit:]


def _latest(columns: Columns, query: Query, visible: Bools | None) -> Rows:
    """The newest events, and the newest of the speakers that a message names."""
    seen = (columns.alive if visible is None else visible).nonzero()[0][-_RECENT:]
    found = seen[-_NEWEST:]
    named = columns.spoken_by(query.words)
    if named is None:
        return found
    return np.concatenate([found, seen[named[columns.who[seen]] > 0][-_NEWEST:]])

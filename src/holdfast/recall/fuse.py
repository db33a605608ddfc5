"""One fused, explained score for every candidate.

The score is a sum of a few monotone parts, each with one weight:

=============  ==============================================================================
bm25           z-score of BM25 over the visible events
episode        z-score of BM25 over their episodes
coverage       share of the query's idf mass that the event holds
neighbourhood  the same over the event and its neighbours in its scope (two before, one after),
               counted less the longer the event is: long turns stand on their own
speaker        the query names the event's speaker
when           the query asks for a time and the event mentions one
moment         the event happened in a span of time the query names
dense          z-score of the cosine to the query's vector, where there is an embedder
=============  ==============================================================================

Candidates are the events with the best BM25 (and the best cosine), and their neighbours. BM25
itself is exact over every visible event; the other parts are computed for candidates only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from holdfast.mirror import Mirror
from holdfast.recall.columns import Bools, Rows
from holdfast.recall.postings import Match
from holdfast.recall.query import Query
from holdfast.records import Hit

Floats = npt.NDArray[np.float64]

SHORTLIST = 256  # candidates by BM25, and again by cosine; more of them made recall no better
_AROUND = 64  # the best candidates whose neighbours are candidates too
_EPISODE_K1, _EPISODE_B = 1.2, 0.75
_NO_PARTS: Mapping[str, float] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Weights:
    """How much each part counts, and the length in terms at which a neighbourhood counts half."""

    bm25: float = 0.24
    episode: float = 0.57
    coverage: float = 1.84
    neighbourhood: float = 3.53
    half_length: float = 15.0
    speaker: float = 2.08
    when: float = 1.56
    moment: float = 1.0
    dense: float = 0.9


def score(
    mirror: Mirror,
    query: Query,
    vector: npt.NDArray[np.float32] | None,
    visible: Bools | None,
    limit: int,
    weights: Weights,
    explain: bool,
) -> list[Hit]:
    """The best `limit` visible events, best first; ties go to the newer one.

    Without `explain` the hits carry no parts.
    """
    columns = mirror.columns
    match = mirror.postings.match(query.terms, SHORTLIST, allowed=visible)
    rows = _candidates(mirror, match, vector, visible)
    if not len(rows):
        return []
    bits, around = _own_and_around(mirror, match, rows)
    gate = 1.0 / (1.0 + columns.length[rows] / weights.half_length)
    parts: dict[str, Floats] = {
        "bm25": weights.bm25 * _z(match.score_of(rows), match.mean, match.std),
        "episode": weights.episode * _episodes(mirror, match, rows, bits, visible),
        "coverage": weights.coverage * _mass(bits, match.idf),
        "neighbourhood": weights.neighbourhood * gate * _mass(around, match.idf),
    }
    named = columns.spoken_by(query.words)
    if named is not None:
        parts["speaker"] = weights.speaker * named[columns.who[rows]]
    if query.asks_when:
        parts["when"] = weights.when * columns.dated[rows].astype(np.float64)
    if query.moments:
        parts["moment"] = weights.moment * _in_moments(columns.at[rows], query)
    if vector is not None and mirror.vectors is not None:
        parts["dense"] = weights.dense * _dense(mirror, vector, rows)
    total = sum(parts.values(), np.zeros(len(rows)))
    order = np.lexsort((-rows, -total))[:limit]
    seqs, totals = columns.seq[rows[order]].tolist(), total[order].tolist()
    if not explain:
        return [Hit(seq, value, _NO_PARTS) for seq, value in zip(seqs, totals, strict=True)]
    table = np.column_stack([part[order] for part in parts.values()]).tolist()
    return [
        Hit(seq, value, dict(zip(parts, line, strict=True)))
        for seq, value, line in zip(seqs, totals, table, strict=True)
    ]


def _candidates(
    mirror: Mirror, match: Match, vector: npt.NDArray[np.float32] | None, visible: Bools | None
) -> Rows:
    """Rows worth a closer look, unique, ascending."""
    columns = mirror.columns
    best = match.rows[:_AROUND]
    near = np.concatenate([columns.before[best], columns.after[best]]).astype(np.int64)
    near = near[near >= 0]
    if visible is not None and len(near):
        near = near[visible[near]]
    found = [match.rows, near]
    if vector is not None and mirror.vectors is not None:
        found.append(mirror.vectors.search(vector, SHORTLIST, allowed=visible)[0])
    rows = np.concatenate(found)
    rows.sort()
    return rows[np.diff(rows, prepend=-1) > 0]


def _z(values: npt.NDArray[np.float32], mean: float, std: float) -> Floats:
    return (values.astype(np.float64) - mean) / std if std > 0 else np.zeros(len(values))


def _mass(bits: npt.NDArray[np.uint64], idf: Floats) -> Floats:
    """Share of the query's idf mass whose terms are set in `bits`, (n,)."""
    total = float(idf[:64].sum())
    if total <= 0:
        return np.zeros(len(bits))
    return _spread(bits, len(idf)) @ idf[:64] / total


def _spread(bits: npt.NDArray[np.uint64], n_terms: int) -> Floats:
    """Bits as a matrix, (n, terms)."""
    shifts = np.arange(min(n_terms, 64), dtype=np.uint64)
    return ((bits[:, None] >> shifts) & np.uint64(1)).astype(np.float64)


def _own_and_around(
    mirror: Mirror, match: Match, rows: Rows
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint64]]:
    """Query terms that each row holds; and that it, the two before or the one after hold."""
    before, after = mirror.columns.before, mirror.columns.after
    first = before[rows]
    second = np.where(first >= 0, before[first], -1)
    window = np.concatenate([rows, first, second, after[rows]])
    bits = match.bits(window).reshape(4, len(rows))
    return bits[0], np.bitwise_or.reduce(bits, axis=0)


def _episodes(
    mirror: Mirror,
    match: Match,
    rows: Rows,
    bits: npt.NDArray[np.uint64],
    visible: Bools | None,
) -> Floats:
    """z-score of each candidate's episode: BM25 where a term's frequency counts events."""
    columns = mirror.columns
    held = columns.episode[rows]
    order = np.argsort(held, kind="stable")
    starts = np.flatnonzero(np.diff(held[order], prepend=-1))
    episodes = held[order[starts]]
    inverse = np.searchsorted(episodes, held)
    filtered = visible is not None and int(np.count_nonzero(visible)) < len(columns)
    stats = (
        columns.visible_episodes(visible, episodes)
        if filtered and visible is not None
        else columns.all_episodes(episodes)
    )
    frequency = np.add.reduceat(_spread(bits, len(match.idf))[order], starts, axis=0)
    df = (frequency > 0).sum(axis=0)
    idf = np.log1p((stats.total - df + 0.5) / (df + 0.5))
    mean_terms = max(1.0, stats.terms / max(1, stats.total))
    events, terms = stats.sizes.T
    norm = _EPISODE_K1 * (1 - _EPISODE_B + _EPISODE_B * terms / mean_terms)
    scores = (frequency * (_EPISODE_K1 + 1) / (frequency + norm[:, None])) @ idf
    mean = float(scores @ events) / max(1, stats.events)
    variance = float(scores**2 @ events) / max(1, stats.events) - mean**2
    z = (scores - mean) / np.sqrt(variance) if variance > 1e-12 else np.zeros(len(scores))
    return np.asarray(z[inverse])


def _in_moments(at: Floats, query: Query) -> Floats:
    inside = np.zeros(len(at), np.bool_)
    for moment in query.moments:
        inside |= (at >= moment.start) & (at < moment.end)
    return inside.astype(np.float64)


def _dense(mirror: Mirror, vector: npt.NDArray[np.float32], rows: Rows) -> Floats:
    assert mirror.vectors is not None
    cosine = mirror.vectors.cosine_of(vector, rows).astype(np.float64)
    known = np.isfinite(cosine)
    if known.sum() < 2:
        return np.zeros(len(rows))
    mean, std = float(cosine[known].mean()), float(cosine[known].std())
    return np.where(known, (cosine - mean) / std if std > 0 else 0.0, 0.0)

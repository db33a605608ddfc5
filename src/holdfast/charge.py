"""What an event costs at each tier: the bytes on disk that a policy is told."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdfast.derive import passages
from holdfast.mirror import Mirror
from holdfast.recall.columns import Rows
from holdfast.records import Tier

Floats = npt.NDArray[np.float64]

_HEAD_COST = 14.0  # bytes of a block that one event's head and labels take, measured
_TERM_COST = 1.5  # bytes of a persisted index segment that one term takes, measured
_BYTES_PER_TERM = 11.0  # of English chat, stop words included
_VECTOR_COST = 4  # bytes of a stored vector beside its codes
_VECTORS_COST = 25  # and of all of an event's together
_SHORTEST_GIST = 160  # bytes of content under which a gist saves too little over a trace
_GIST_SHARE = 0.35  # of an event's bytes that a gist is expected to keep, beside its head
_GIST_HEAD = 30.0
_TRACE_COST = 44.0
_HASH_COST = 36.0  # bytes that the hash of lost leaves takes, with its share of a row
_LEVELS = 12  # of the audit log's tree that are looked at
_LEAST_SHARE = 0.25  # of what an event takes that letting it go frees at the least
_START_RATIO = 0.5  # compressed bytes per body byte, until blocks tell
_ENOUGH = 16_384  # bytes of bodies from which on they tell


def ratio(mirror: Mirror) -> float:
    """Compressed bytes per body byte so far."""
    raw, packed, rows = mirror.packed
    if raw < _ENOUGH:
        return _START_RATIO
    return max(0.05, (packed - _HEAD_COST * rows) / raw)


class Charges:
    """What the kept events of a mirror cost, as it stands when this is made. O(n)."""

    def __init__(self, mirror: Mirror) -> None:
        self._mirror = mirror
        self._hashes = _hashes(mirror)

    def costs(self, rows: Rows) -> Floats:
        """About the bytes on disk that some events take at each tier, (n, 4), never rising.

        Events that are not kept whole leave hashes in the audit log. As what is evicted must cost
        nothing here, those hashes are charged to the events kept whole that they are there for.
        """
        mirror = self._mirror
        size = mirror.columns.size[rows].astype(np.float64)
        tier = mirror.columns.tier[rows]
        vectors = _vector_costs(mirror.dimensions, size)
        kept = ratio(mirror) * size
        terms = size / _BYTES_PER_TERM * _TERM_COST * mirror.shelf.kept
        whole = kept + terms + _HEAD_COST + vectors
        whole = np.maximum(whole + _HASH_COST * self._hashes[rows], _LEAST_SHARE * whole)
        gist = np.where(
            size < _SHORTEST_GIST, whole, _GIST_SHARE * (kept + terms) + _GIST_HEAD + vectors
        )
        trace = np.full(len(rows), _TRACE_COST)
        trace[tier < Tier.TRACE] = np.minimum(trace, whole)[tier < Tier.TRACE]
        gist = np.maximum(np.minimum(gist, whole), trace)
        return np.column_stack([np.maximum(whole, gist), gist, trace, np.zeros(len(rows))])


def _hashes(mirror: Mirror) -> Floats:
    """(rows,) the hashes of the audit log that each event kept whole is answerable for.

    The root of a subtree of lost leaves is kept as long as a leaf beside it is whole, so it is
    charged to the whole leaves of the subtree beside, in equal parts. An event alone among lost
    ones thus costs several hashes, one in a long run of whole ones next to none; and where its
    neighbour is whole, too, losing it would add one.
    """
    columns, first = mirror.columns, mirror.audit.first
    whole = np.flatnonzero(columns.alive & (columns.tier == Tier.VERBATIM) & (columns.seq >= first))
    leaf = columns.seq[whole] - first
    end = mirror.next_seq - first
    share = np.zeros(len(leaf))
    for level in range(_LEVELS):
        tree = leaf >> level
        starts = np.flatnonzero(np.diff(tree, prepend=-1))
        ids, held = tree[starts], np.diff(np.append(starts, len(tree)))
        beside = ids ^ 1
        near = np.clip(np.arange(len(ids)) + np.where(ids & 1, -1, 1), 0, len(ids) - 1)
        lost = (ids[near] != beside) & ((beside + 1) << level <= end)
        share += np.repeat(lost / held, held)
        if not level:
            share -= np.repeat(~lost, held)
    found = np.zeros(columns.n)
    found[whole] = share
    return found


def _vector_costs(dimensions: int, size: Floats) -> Floats:
    """About the bytes that the vectors of events of these sizes take: one for each passage."""
    if not dimensions:
        return np.zeros(len(size))
    count = np.clip(np.ceil(size / passages.LONGEST), 1, passages.MOST)
    return count * (dimensions + _VECTOR_COST) + _VECTORS_COST

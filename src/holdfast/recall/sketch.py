"""What kept events are about, as short vectors made of their words: no model."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdfast.recall.columns import Rows
from holdfast.recall.postings import Postings

DIMENSIONS = 64


def sketches(postings: Postings, rows: Rows) -> npt.NDArray[np.float32]:
    """Unit vectors, (n, 64), whose cosines are about those of the events' weighted words.

    Each term has a random direction of signs; an event is the sum of those of its terms, weighted
    by how rare each is among the rows asked for. One of no terms is all zeros.

    Notes
    -----
    Random projection (Johnson-Lindenstrauss) as in Charikar's SimHash, without the rounding to
    bits. O(64 · postings of the rows).

    Examples
    --------
    >>> postings = Postings()
    >>> for row, words in enumerate([[1, 2, 3], [1, 2, 3], [7, 8, 9]]):
    ...     postings.add(row, words, 3)
    >>> vectors = sketches(postings, np.arange(3))
    >>> bool(vectors[0] @ vectors[1] > 0.99 > vectors[0] @ vectors[2])
    True
    """
    segment, held = postings.extract(rows)
    found = np.zeros((len(rows), DIMENSIONS), np.float32)
    if not len(held):
        return found
    counts = np.diff(segment.offsets)
    weight = np.repeat(np.log1p(len(rows) / counts), counts)
    term = np.repeat(np.arange(len(counts)), counts)
    signs = _signs(segment.terms)
    for d in range(DIMENSIONS):
        weights = weight * signs[term, d]
        found[np.searchsorted(rows, held), d] = np.bincount(segment.docs, weights, len(held))
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), np.float32(1e-9))
    return found


def _signs(terms: npt.NDArray[np.uint32]) -> npt.NDArray[np.float32]:
    """(terms, 64) of -1 and 1, from the finaliser of SplitMix64."""
    mixed = (terms.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    bits = np.unpackbits(mixed.view(np.uint8).reshape(-1, 8), axis=1)
    return bits.astype(np.float32) * 2.0 - 1.0

"""Immutable inverted lists for a run of documents, and how to merge them without sorting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MAX_DOCS = 65_536  # a document's place in its segment fits in 16 bits
MAX_POSTINGS = 1 << 20  # what several segments are merged up to, so that no merge takes long

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.signedinteger[Any]]


@dataclass(frozen=True, slots=True, eq=False)
class Segment:
    """Which of up to 65,536 documents hold which terms, as sorted lists laid end to end.

    Parameters
    ----------
    terms
        (terms,) uint32, ascending and distinct.
    offsets
        (terms + 1,) int32: the postings of term ``i`` lie at ``offsets[i]:offsets[i + 1]``.
    docs
        (postings,) uint16: places in `lengths`, ascending within a term.
    tfs
        (postings,) uint8: how often the term occurs there, 255 standing for "or more".
    lengths
        (docs,) uint32: the length of each document, in terms.
    """

    terms: npt.NDArray[np.uint32]
    offsets: npt.NDArray[np.int32]
    docs: npt.NDArray[np.uint16]
    tfs: npt.NDArray[np.uint8]
    lengths: npt.NDArray[np.uint32]

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        arrays = (self.terms, self.offsets, self.docs, self.tfs, self.lengths)
        return sum(array.nbytes for array in arrays)

    def select(self, keep: Bools) -> Segment:
        """The segment of only the documents flagged in `keep`, in the same order."""
        places = np.cumsum(keep) - 1
        held = keep[self.docs]
        ends = np.zeros(len(held) + 1, np.int32)
        np.cumsum(held, out=ends[1:])
        offsets = ends[self.offsets]
        used = np.diff(offsets) > 0
        return Segment(
            terms=self.terms[used],
            offsets=np.concatenate([offsets[:1], offsets[1:][used]]),
            docs=places[self.docs[held]].astype(np.uint16),
            tfs=self.tfs[held],
            lengths=self.lengths[keep],
        )


def from_pairs(
    terms: npt.NDArray[np.uint32],
    docs: npt.NDArray[np.uint16],
    lengths: npt.NDArray[np.uint32],
) -> Segment:
    """A segment from one (term, document) pair per occurrence, in any order."""
    pairs = terms.astype(np.uint64) << np.uint64(16) | docs
    pairs.sort()
    starts = _starts(pairs)
    pairs = pairs[starts]
    sorted_terms = (pairs >> np.uint64(16)).astype(np.uint32)
    firsts = _starts(sorted_terms)
    return Segment(
        terms=sorted_terms[firsts],
        offsets=np.append(firsts, len(pairs)).astype(np.int32),
        docs=pairs.astype(np.uint16),
        tfs=np.minimum(np.diff(starts, append=len(terms)), 255).astype(np.uint8),
        lengths=lengths,
    )


def _starts(values: npt.NDArray[Any]) -> Ints:
    """Where each run of equal values begins."""
    changes = np.ones(len(values), np.bool_)
    changes[1:] = values[1:] != values[:-1]
    return changes.nonzero()[0]


def merge(segments: Sequence[Segment]) -> Segment:
    """One segment of all documents of several, in their order.

    Notes
    -----
    Only the distinct terms are sorted. Each posting's destination is computed: the start of its
    term's list, plus what earlier segments put there, plus its place in its own list.

    Raises
    ------
    ValueError
        If they hold more than 65,536 documents.
    """
    empty = np.zeros(0, np.uint32)
    lengths = np.concatenate([empty, *(segment.lengths for segment in segments)])
    if len(lengths) > MAX_DOCS:
        raise ValueError(f"{len(lengths)} documents do not fit in a segment of {MAX_DOCS}")
    terms = np.unique(np.concatenate([empty, *(segment.terms for segment in segments)]))
    places = [np.searchsorted(terms, segment.terms) for segment in segments]
    offsets = np.zeros(len(terms) + 1, np.int32)
    for segment, place in zip(segments, places, strict=True):
        offsets[1:][place] += np.diff(segment.offsets)
    np.cumsum(offsets, out=offsets)
    docs = np.empty(offsets[-1], np.uint16)
    tfs = np.empty(offsets[-1], np.uint8)
    free = offsets[:-1].copy()  # where the next list of each term goes
    first = 0
    for segment, place in zip(segments, places, strict=True):
        counts = np.diff(segment.offsets)
        to = np.repeat(free[place] - segment.offsets[:-1], counts)
        to += np.arange(len(to), dtype=np.int32)
        docs[to] = segment.docs + np.uint16(
            min(first, MAX_DOCS - 1)
        )  # an empty one may come after 65,536
        tfs[to] = segment.tfs
        free[place] += counts
        first += len(segment)
    return Segment(terms, offsets, docs, tfs, lengths)

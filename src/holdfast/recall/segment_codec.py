"""A segment as bytes: Rice-coded lists, zstd, one checksum over everything."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from holdfast.errors import CorruptStoreError
from holdfast.recall.segments import Segment

_HEAD = struct.Struct("<IB3xIII")  # CRC-32 of all that follows, format, docs, terms, postings
_FORMAT = 1
_LEVEL = 3

Keys = npt.NDArray[np.uint64]


def encode_segment(segment: Segment, keys: Keys) -> bytes:
    """A segment and the owner's key of each document, (docs,) uint64.

    Notes
    -----
    Lists are grouped by how common their term is. Of each gap between documents, the low bits
    that are as good as random are packed as they are; what is left is small and goes to zstd, as
    do the rest: few terms occur twice in a document, a length is nearly always the sum of its
    document's frequencies, and neighbouring keys differ by little.
    """
    order = _by_width(segment)
    counts = np.diff(segment.offsets)
    starts = segment.offsets[:-1][order]
    counts = counts[order]
    at = _ranges(starts, counts)
    docs = segment.docs[at].astype(np.int64)
    gaps = np.diff(docs, prepend=-1) - 1
    firsts = np.cumsum(counts) - counts
    gaps[firsts] = docs[firsts]
    tfs = segment.tfs[at]
    often = np.flatnonzero(tfs > 1)
    term_gaps = np.diff(segment.terms.astype(np.int64), prepend=-1) - 1
    length_rests = segment.lengths.astype(np.int64) - _sums(segment.docs, segment.tfs, segment)
    parts = [
        _pack_numbers(np.diff(segment.offsets) - 1),
        _pack_numbers(_zigzag(np.diff(keys.astype(np.int64), prepend=np.int64(0)))),
        _pack_numbers(_zigzag(length_rests)),
        _pack_numbers(np.diff(often, prepend=-1) - 1),
        _pack_numbers(tfs[often]),
        _pack_rice(term_gaps, np.full(len(term_gaps), _width(1 << 32, len(term_gaps)))),
        _pack_rice(gaps, np.repeat(_widths(len(segment), counts), counts)),
    ]
    return b""

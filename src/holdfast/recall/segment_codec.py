"""A segment as bytes: Rice-coded lists, zstd for the rest, one checksum over everything."""

from __future__ import annotations

import struct
import zlib
from typing import Any

import numpy as np
import numpy.typing as npt
import zstandard

from holdfast.errors import CorruptStoreError
from holdfast.recall.segments import Segment

_HEAD = struct.Struct("<BI")  # format, bytes of the zstd frame
_CRC = struct.Struct("<I")
_NUMBERS = struct.Struct("<IB")  # how many, bytes of each
_FORMAT = 2
_LEVEL = 3

Keys = npt.NDArray[np.uint64]
_Longs = npt.NDArray[np.int64]


def encode_segment(segment: Segment, keys: Keys) -> bytes:
    """A segment and the owner's key of each document, (docs,) uint64, as bytes.

    Notes
    -----
    Of each gap between the documents of a list, as many low bits as are next to random for a term
    that common are packed as they are. What is left is small and goes to zstd. So does the rest:
    few terms occur twice in a document, a length is nearly always the sum of its document's
    frequencies, and neighbouring keys differ by little.
    """
    if len(keys) != len(segment):
        raise ValueError(f"{len(keys)} keys were given for {len(segment)} documents")
    counts = np.diff(segment.offsets).astype(np.int64)
    order, widths = _order(len(segment), counts)
    at = _ranges(segment.offsets[:-1][order], counts[order])
    docs, tfs = segment.docs[at].astype(np.int64), segment.tfs[at]
    gaps = _steps(docs, -1) - 1
    firsts = _before(counts[order])
    gaps[firsts] = docs[firsts]
    often = np.flatnonzero(tfs > 1)
    steps = _steps(segment.terms.astype(np.int64), -1) - 1
    term_widths = np.full(len(steps), _term_width(len(steps)))
    rests = segment.lengths.astype(np.int64) - _tf_sums(segment.docs, segment.tfs, len(segment))
    streams = [
        counts - 1,
        steps >> term_widths,
        gaps >> widths,
        _steps(often, -1) - 1,
        tfs[often].astype(np.int64),
        _zigzag(rests),
        _zigzag(_steps(keys.view(np.int64), 0)),
    ]
    frame = zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join(map(_pack, streams)))
    body = b"".join(
        [
            _HEAD.pack(_FORMAT, len(frame)),
            frame,
            _pack_low(steps, term_widths),
            _pack_low(gaps, widths),
        ]
    )
    return _CRC.pack(zlib.crc32(body)) + body


def decode_segment(data: bytes) -> tuple[Segment, Keys]:
    """The inverse of `encode_segment`.

    Raises
    ------
    CorruptStoreError
        If the checksum does not match or the format is unknown.
    """
    try:
        if _CRC.unpack_from(data)[0] != zlib.crc32(data[_CRC.size :]):
            raise CorruptStoreError(
                f"an index segment of {len(data)} bytes fails its CRC-32; rebuild the index"
            )
        return _decode(data)
    except (struct.error, zstandard.ZstdError, ValueError, IndexError) as error:
        raise CorruptStoreError(f"an index segment cannot be read: {error}") from None


def _decode(data: bytes) -> tuple[Segment, Keys]:
    version, n_frame = _HEAD.unpack_from(data, _CRC.size)
    if version != _FORMAT:
        raise CorruptStoreError(
            f"an index segment has format {version}; this version reads {_FORMAT}"
        )
    start = _CRC.size + _HEAD.size
    raw = zstandard.ZstdDecompressor().decompress(data[start : start + n_frame])
    at, streams = 0, []
    for _ in range(7):
        values, at = _unpack(raw, at)
        streams.append(values)
    counts, term_high, gaps, often, often_tfs, rests, key_steps = streams
    counts += 1
    n_docs = len(rests)
    term_widths = np.full(len(term_high), _term_width(len(term_high)))
    at = start + n_frame
    steps, at = _unpack_low(term_high, term_widths, data, at)
    order, widths = _order(n_docs, counts)
    gaps, at = _unpack_low(gaps, widths, data, at)

    offsets = np.append(0, np.cumsum(counts)).astype(np.int32)
    gaps += 1
    ends = np.cumsum(gaps)
    firsts = _before(counts[order])
    ends -= (ends[firsts] - gaps[firsts] + 1).repeat(counts[order])
    to = _ranges(offsets[:-1][order], counts[order])
    docs = np.empty(len(to), np.uint16)
    docs[to] = ends
    tfs = np.ones(len(to), np.uint8)
    tfs[to[np.cumsum(often + 1) - 1]] = often_tfs
    lengths = _unzigzag(rests) + _tf_sums(docs, tfs, n_docs)
    segment = Segment(
        terms=(np.cumsum(steps + 1) - 1).astype(np.uint32),
        offsets=offsets,
        docs=docs,
        tfs=tfs,
        lengths=lengths.astype(np.uint32),
    )
    return segment, np.cumsum(_unzigzag(key_steps)).view(np.uint64)


def _order(n_docs: int, counts: _Longs) -> tuple[_Longs, _Longs]:
    """Lists ordered by how many low bits their gaps have, most first, and these bits by gap.

    The bits are the logarithm of ln 2 times the mean gap, in integers so that every machine that
    reads agrees with the one that wrote.
    """
    typical = (n_docs - counts) * 177 // (256 * (counts + 1))
    widths = np.maximum(np.frexp(typical.astype(np.float64))[1].astype(np.int64) - 1, 0)
    order = np.argsort(-widths, kind="stable")
    return order, widths[order].repeat(counts[order])


def _term_width(n_terms: int) -> int:
    """As `_order`, for the gaps between `n_terms` hashes."""
    return max(0, ((1 << 32) * 177 // (256 * (n_terms + 1))).bit_length() - 1)


def _steps(values: _Longs, start: int) -> _Longs:
    """What each value adds to the one before it, the first one to `start`."""
    steps = values.copy()
    steps[1:] -= values[:-1]
    steps[:1] -= start
    return steps


def _ranges(starts: npt.NDArray[Any], counts: _Longs) -> _Longs:
    """``start, start + 1, ...`` of each list in turn."""
    at = (starts - _before(counts)).repeat(counts)
    at += np.arange(len(at))
    return at


def _before(counts: _Longs) -> _Longs:
    """How much lies before each list."""
    return np.cumsum(counts) - counts


def _tf_sums(docs: npt.NDArray[np.uint16], tfs: npt.NDArray[np.uint8], n_docs: int) -> _Longs:
    return np.bincount(docs, tfs, n_docs).astype(np.int64)


def _zigzag(values: _Longs) -> _Longs:
    return (values << 1) ^ (values >> 63)


def _unzigzag(values: _Longs) -> _Longs:
    return (values >> 1 & ~(-1 << 63)) ^ -(values & 1)


def _pack(values: _Longs) -> bytes:
    """Byte planes, lowest first, as many as the largest value needs."""
    unsigned = np.ascontiguousarray(values).view(np.uint64)
    size = max(1, -(-int(unsigned.max(initial=0)).bit_length() // 8))
    planes = unsigned.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :size]
    return _NUMBERS.pack(len(values), size) + planes.T.tobytes()


def _unpack(data: bytes, at: int) -> tuple[_Longs, int]:
    n, size = _NUMBERS.unpack_from(data, at)
    at += _NUMBERS.size
    planes = np.frombuffer(data, np.uint8, n * size, at).reshape(size, n)
    values = np.zeros(n, np.int64)
    for plane in planes[::-1]:
        values <<= 8
        values |= plane
    return values, at + n * size


def _pack_low(values: _Longs, widths: _Longs) -> bytes:
    """The low bits of each value, a plane for each; widths descend."""
    narrow = values.astype(np.uint32)
    planes = []
    for bit in range(int(widths.max(initial=0))):
        wide = int(np.searchsorted(-widths, -bit))  # values that have this bit
        planes.append(np.packbits((narrow[:wide] >> np.uint32(bit)).astype(np.uint8) & 1).tobytes())
    return b"".join(planes)


def _unpack_low(high: _Longs, widths: _Longs, data: bytes, at: int) -> tuple[_Longs, int]:
    """Low bits put below the high ones."""
    low = np.zeros(len(high), np.uint32)
    for bit in range(int(widths.max(initial=0))):
        wide = int(np.searchsorted(-widths, -bit))
        plane = np.frombuffer(data, np.uint8, -(-wide // 8), at)
        at += len(plane)
        low[:wide] |= np.unpackbits(plane, count=wide).astype(np.uint32) << np.uint32(bit)
    return (high << widths) | low, at

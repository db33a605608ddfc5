"""Exact BM25 over parts of an index: accumulate, cut off, sort the few that are left.

One float64 per document carries both its score and which query terms it holds. Every posting adds
an integer, ``impact x weight x 2**16 + 2**t`` for term ``t``: the low 16 bits become the mask and
the upper 37 the score. Sums of integers below 2**53 are exact in any order, so equal contents give
equal scores however the parts were cut. Longer queries use one such column per 16 terms.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from holdfast.recall.parts import TOP_IMPACT, Filter, Part, Run, Saturation, Tail, Terms, passing
from holdfast.recall.segments import Bools

_GROUP = 16  # terms whose mask shares one float64
_MASK = float(1 << _GROUP)
_ROOM = (1 << 53 - _GROUP - 16) - 1  # what the integer weights of a query may add up to
_CHUNK = 32_768  # documents looked over at a time, few enough to stay in cache
_SHORT = 1024  # postings up to which a list is scattered together with others

ABSENT = 0xFFFF_FFFF  # a row that holds no live document

Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
Place = npt.NDArray[np.uint32]  # by row: handle of its part << 16 | place in the part


class _Found(NamedTuple):
    base: int  # slot of the part's first document
    part: Part | Tail
    filtered: Filter
    runs: list[Run]


@dataclass(frozen=True, eq=False)
class Match:
    """What a query found.

    `rows` (m,) int64, best first, ties to the newer row; `scores` (m,) float32; `idf` (terms,) of
    the query, before weights; `mean` and `std` of the score over all `n` documents that pass the
    filter, zeros included. `bits` and `score_of` answer until the index changes.
    """

    rows: Rows
    scores: npt.NDArray[np.float32]
    idf: Floats
    mean: float
    std: float
    n: int
    _sums: Floats = field(repr=False)  # (groups, documents)
    _unit: float = field(repr=False)
    _bases: Rows = field(repr=False)  # by handle: where a part begins in `_sums`, -1 if nowhere
    _places: Callable[[], Place] = field(repr=False)

    def score_of(self, rows: Rows) -> npt.NDArray[np.float32]:
        """Scores of any rows, (n,); 0 for those absent or outside the filter, -1 included."""
        slots, there = self._slots(rows)
        sums = np.floor(self._sums[:, slots] / _MASK).sum(axis=0)
        return np.where(there, sums * self._unit, 0.0).astype(np.float32)

    def bits(self, rows: Rows) -> npt.NDArray[np.uint64]:
        """Which of the first 64 query terms each row holds, (n,): bit t for term t.

        0 for rows absent or outside the filter, -1 included.
        """
        slots, there = self._slots(rows)
        found = np.zeros(len(slots), np.uint64)
        for group, sums in enumerate(self._sums[:4]):
            mask = sums[slots].astype(np.uint64) & np.uint64(_MASK - 1)
            found |= mask << np.uint64(_GROUP * group)
        return np.where(there, found, np.uint64(0))

    def _slots(self, rows: Rows) -> tuple[Rows, Bools]:
        """Where each row lies in `_sums`, and whether it does."""
        rows = np.asarray(rows, np.int64)
        places = self._places()
        place = places.take(rows, mode="clip").astype(np.int64)
        handle = np.minimum(place >> 16, len(self._bases) - 1)
        base = self._bases[handle]
        there = (rows >= 0) & (rows < len(places)) & (base >= 0)
        return np.where(there, base + (place & 0xFFFF), 0), there


def search(
    parts: Sequence[tuple[int, Part | Tail]],
    query: Terms,
    limit: int,
    saturation: Saturation,
    *,
    allowed: Bools | None,
    upto: int | None,
    weights: Sequence[float] | None,
    places: Callable[[], Place],
) -> Match:
    """Score every document of `parts`, given with their handles, that passes the filter."""
    n = slots = 0
    df = [0] * len(query)
    found: list[_Found] = []
    bases = [-1] * (max((handle for handle, _ in parts), default=-1) + 2)
    for handle, part in parts:
        filtered = passing(part, allowed, upto)
        n += filtered.n
        runs = part.runs(query, filtered, saturation) if filtered.n else []
        if not runs:
            continue
        for run in runs:
            df[run.term] += run.n
        bases[handle] = slots
        found.append(_Found(slots, part, filtered, runs))
        slots += len(part)
    counts = np.array(df, np.float64)
    idf = np.log1p((n - counts + 0.5) / (counts + 0.5))
    whole, unit = _integer_weights(idf, weights)
    sums = _accumulate(found, len(query), slots, whole)
    totals = sums[0] if len(sums) == 1 else np.floor(sums / _MASK).sum(axis=0) * _MASK
    best, total, squares = scan(totals, limit)
    mean = total / max(1, n)
    variance = squares / max(1, n) - mean * mean
    rows, scores = _best_first(_rows_at(best, found), np.floor(totals[best] / _MASK), limit)
    return Match(
        rows=rows,
        scores=(scores * unit).astype(np.float32),
        idf=idf,
        mean=mean * unit / _MASK,
        std=max(0.0, variance) ** 0.5 * unit / _MASK,
        n=n,
        _sums=sums,
        _unit=unit,
        _bases=np.array(bases),
        _places=places,
    )


def _integer_weights(idf: Floats, weights: Sequence[float] | None) -> tuple[list[float], float]:
    """Weights as integers that add up to `_ROOM` at most, and the score of one unit."""
    real = idf
    if weights is not None:
        given = np.asarray(weights, np.float64)
        if given.shape != idf.shape or not np.isfinite(given).all() or (given < 0).any():
            raise ValueError(
                f"{len(idf)} query terms need as many finite weights of at least 0, "
                f"but {given.shape} were given, the least {given.min(initial=0.0)}"
            )
        real = idf * given
    total = float(real.sum())
    if total <= 0.0:
        return [0.0] * len(real), 0.0
    scale = (_ROOM - 2 * len(real)) / total
    whole = np.where(real > 0, np.maximum(1.0, np.rint(real * scale)), 0.0)
    return whole.tolist(), 1.0 / (scale * TOP_IMPACT)


def _accumulate(
    found: Sequence[_Found], n_terms: int, slots: int, whole: Sequence[float]
) -> Floats:
    """The columns that all postings add up to, (groups, slots); one of zeros if there are none."""
    groups, slots = max(1, -(-n_terms // _GROUP)), max(1, slots)
    flat = np.zeros(groups * slots)
    short: list[tuple[int, float, float, Run]] = []  # first slot, gain by impact, bit, postings
    for base, _, _, runs in found:
        for run in runs:
            at = base + run.term // _GROUP * slots
            slope, bit = whole[run.term] * _MASK, float(1 << run.term % _GROUP)
            if len(run.docs) <= _SHORT:
                short.append((at, slope, bit, run))
                continue
            gain = run.impacts * slope
            gain += bit
            np.add.at(flat[at : at + slots], run.docs, gain)
    if short:
        bases, slopes, bits, runs = zip(*short, strict=True)
        counts = [len(run.docs) for run in runs]
        gain = np.concatenate([run.impacts for run in runs]) * np.array(slopes).repeat(counts)
        gain += np.array(bits).repeat(counts)
        docs = np.array(bases).repeat(counts)
        docs += np.concatenate([run.docs for run in runs])
        np.add.at(flat, docs, gain)
    sums = flat.reshape(groups, slots)
    for base, part, filtered, _ in found:
        if filtered.mask is not None and not filtered.sparse:
            sums[:, base : base + len(part)] *= filtered.mask
    return sums


def scan(totals: Floats, limit: int) -> tuple[Rows, float, float]:
    """Ascending slots of the `limit` best totals above zero, of all ties and perhaps of a few more.

    Also the sum of all totals and that of their squares. The documents are dealt into blocks; the
    best of each are distinct documents, so the `limit`-th best of these maxima is no better than
    the `limit`-th best total, and a block whose maximum is worse holds nothing of interest.
    """
    deep = 1 << max(0, min(6, (len(totals) // (8 * limit + 1)).bit_length() - 1))
    wide = _CHUNK // deep  # blocks side by side in a chunk, of `deep` documents each
    total = squares = 0.0
    tops = []
    for start in range(0, len(totals), _CHUNK):
        chunk = totals[start : start + _CHUNK]
        total += float(chunk.sum())
        squares += float(chunk.dot(chunk))
        if rows := len(chunk) // wide:
            tops.append(chunk[: rows * wide].reshape(rows, wide).max(axis=0))
    if not limit:
        return np.zeros(0, np.int64), total, squares
    maxima = np.concatenate([*tops, totals[len(totals) // wide * wide :]])
    least = _MASK
    held = maxima[maxima >= _MASK]  # most documents hold no term of the query
    if len(held) > limit:
        cut = np.partition(held, len(held) - limit)[len(held) - limit]
        least = max(_MASK, float(np.floor(cut / _MASK)) * _MASK)
    whole = len(totals) // _CHUNK
    slots = (totals[whole * _CHUNK :] >= least).nonzero()[0]
    if whole:
        chunks, columns = np.divmod((maxima[: whole * wide] >= least).nonzero()[0], wide)
        inside = chunks * _CHUNK + columns + (np.arange(deep) * wide)[:, None]
        inside = inside[totals.take(inside) >= least]
        inside.sort()
        slots = np.concatenate([inside, slots + whole * _CHUNK])
    return slots, total, squares


def _rows_at(slots: Rows, found: Sequence[_Found]) -> Rows:
    """The rows that ascending slots stand for."""
    rows = np.empty(len(slots), np.int64)
    if not found:
        return rows
    ends = slots.searchsorted([base + len(part) for base, part, _, _ in found]).tolist()
    for (base, part, _, _), (start, end) in zip(found, pairwise([0, *ends]), strict=True):
        rows[start:end] = part.rows.take(slots[start:end] - base)
    return rows


def _best_first(rows: Rows, scores: Floats, limit: int) -> tuple[Rows, Floats]:
    """The `limit` best, ties to the higher row."""
    if len(rows) > 2 * limit:
        cut = np.partition(scores, len(scores) - limit)[len(scores) - limit]
        over, level = np.flatnonzero(scores > cut), np.flatnonzero(scores == cut)
        spare = limit - len(over)
        if len(level) > spare:
            newest = np.argpartition(rows[level], len(level) - spare)[len(level) - spare :]
            level = level[newest]
        few = np.concatenate([over, level])
        rows, scores = rows[few], scores[few]
    order = np.lexsort((-rows, -scores))[:limit]
    return rows[order], scores[order]

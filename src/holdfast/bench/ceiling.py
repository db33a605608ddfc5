"""How small a stream can be made without losing any of it: in our file, and by a compressor."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import zstandard

from holdfast.bench.budgets import file_budget, make_file
from holdfast.bench.pooled import Pool, event_of
from holdfast.errors import BudgetError
from holdfast.records import Event

_CLOSE = 0.03  # of the result
_WINDOW_LOG = 27  # 128 MiB: all of any set


def lossless_share(pool: Pool) -> float:
    """The least budget, as a share of the raw bytes, in which a memory keeps all of a pool whole.

    Found by halving, to 3 % of itself: only want of room makes a memory pack what it holds, so
    what it uses without a bound is no answer.
    """
    events = [event_of(turn) for turn in pool.turns]
    low, high = 0.0, 1.0
    while not _fits(events, int(high * pool.raw_bytes)):
        low, high = high, 2 * high  # short lines take more than their bytes
    while high - low > _CLOSE * high:
        middle = (low + high) / 2
        if _fits(events, int(middle * pool.raw_bytes)):
            high = middle
        else:
            low = middle
    return high


def _fits(events: Sequence[Event], payload: int) -> bool:
    from holdfast import Memory

    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        path = Path(folder) / "bench.holdfast"
        make_file(path, file_budget(payload))
        with Memory.open(path, extractor=None, durability="off") as memory:
            try:
                done = memory.observe_many(events)
            except BudgetError:  # not even room for what is not sealed yet
                return False
            return not done.demoted and not done.evicted


def zstd_share(pool: Pool) -> float:
    """What a compressor makes of the whole stream at once, as a share of the raw bytes."""
    return zstd_bytes(turn.shown.encode() for turn in pool.turns) / pool.raw_bytes


def zstd_bytes(texts: Iterable[bytes]) -> int:
    """Bytes of all texts in one frame of zstd, level 19, matching over long distances."""
    parameters = zstandard.ZstdCompressionParameters.from_level(
        19, enable_ldm=True, window_log=_WINDOW_LOG
    )
    frame = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    return sum(len(frame.compress(text)) for text in texts) + len(frame.flush())

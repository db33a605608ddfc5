"""int8 codes of unit vectors: how one is stored, and exact products of many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from holdfast.errors import MissingExtraError

Codes = npt.NDArray[np.int8]
Floats = npt.NDArray[np.float32]
Engine = Literal["auto", "numpy", "simsimd"]
Dots = Callable[[Codes, Codes], npt.NDArray[np.float64]]

_BLOCK = 196_608  # float32 numbers converted at a time: they must stay in the second-level cache
_EXACT = 1024  # products of two int8 codes that float32 adds up without rounding: 2**24 / 127**2


def encode(vectors: npt.ArrayLike) -> tuple[Codes, Floats]:
    """Symmetric int8 codes, (n, d), and one scale per vector, (n,): ``vector ≈ codes * scale``.

    Each number is off by at most half a scale, so the cosine of two unit vectors is off by about
    0.0005 at 384 dimensions.
    """
    given = np.atleast_2d(np.asarray(vectors, dtype=np.float32))
    scales = np.abs(given).max(axis=1, initial=0.0) / np.float32(127.0)
    if not np.isfinite(scales).all():
        raise ValueError("vectors to encode hold numbers that are not finite; check the embedder")
    safe = np.where(scales > 0, scales, 1.0)
    codes = np.rint(given / safe[:, None]).clip(-127, 127).astype(np.int8)
    return codes, scales.astype(np.float32)


def decode(codes: Codes, scales: Floats) -> Floats:
    """The vectors that codes stand for, (n, d), float32."""
    return codes.astype(np.float32) * scales[:, None]


def to_bytes(codes: Codes, scales: Floats) -> bytes:
    """The vectors of one entry, codes (n, d) and scales (n,), as they are stored.

    One after the other, each as its scale (float32, little-endian) and its codes.
    """
    scale_bytes = np.asarray(scales, dtype="<f4").reshape(-1, 1).view(np.uint8)
    return np.hstack([scale_bytes, codes.view(np.uint8)]).tobytes()


def from_bytes(
    stored: Sequence[bytes], dimensions: int
) -> tuple[Codes, Floats, npt.NDArray[np.int64]]:
    """What `to_bytes` made of some entries: all codes, all scales, and vectors per entry, (k,)."""
    width = dimensions + 4
    counts, rest = np.divmod(np.array([len(one) for one in stored], dtype=np.int64), width)
    if rest.any() or (counts < 1).any():
        raise ValueError(
            f"each vector of {dimensions} numbers is stored in {width} bytes; "
            f"found entries of other sizes among {len(stored)}: rebuild them"
        )
    table = np.frombuffer(b"".join(stored), dtype=np.uint8).reshape(-1, width)
    scales = table[:, :4].copy().view("<f4")[:, 0].astype(np.float32)
    return table[:, 4:].view(np.int8), scales, counts


def dots_by(engine: Engine) -> Dots:
    """What multiplies one vector's codes, (d,), with many, (n, d), into exact integers, (n,).

    Raises
    ------
    MissingExtraError
        If simsimd is asked for by name and absent.
    """
    simsimd = None if engine == "numpy" else _simsimd()
    if simsimd is None:
        if engine == "simsimd":
            raise MissingExtraError(
                'simsimd was asked for and is not installed; run: pip install "holdfast[simsimd]"'
            )
        return _numpy_dots
    cdist = simsimd.cdist

    def dots(query: Codes, codes: Codes) -> npt.NDArray[np.float64]:
        products: npt.NDArray[np.float64] = np.empty((1, 0))
        if len(codes):
            products = np.asarray(cdist(query[None], codes, metric="inner"))
        return products.ravel()

    return dots


@cache
def _simsimd() -> Any:
    try:
        import simsimd
    except ImportError:
        return None
    return simsimd


def _numpy_dots(query: Codes, codes: Codes) -> npt.NDArray[np.float64]:
    """Exact integer dot products, (n,), through float32 blocks that stay in cache."""
    count, dimensions = codes.shape
    dots = np.zeros(count)
    step = max(16, _BLOCK // min(dimensions, _EXACT))
    for left in range(0, dimensions, _EXACT):
        columns = slice(left, min(left + _EXACT, dimensions))
        part = query[columns].astype(np.float32)
        block = np.empty((min(step, count), len(part)), dtype=np.float32)
        for first in range(0, count, step):
            chunk = codes[first : first + step, columns]
            np.copyto(block[: len(chunk)], chunk)
            dots[first : first + step] += block[: len(chunk)] @ part
    return dots

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


def to_bytes(codes: Codes, scale: float) -> bytes:
    """One vector as it is stored: its scale (float32, little-endian), then its codes."""
    return np.array(scale, dtype="<f4").tobytes() + codes.tobytes()


def from_bytes(stored: bytes) -> tuple[Codes, float]:
    """The codes, (d,), and scale of one stored vector."""
    if len(stored) < 5:
        raise ValueError(f"a stored vector has at least 5 bytes, found {len(stored)}; rebuild it")
    scale = np.frombuffer(stored, dtype="<f4", count=1)[0]
    return np.frombuffer(stored, dtype=np.int8, offset=4), float(scale)


def from_bytes_many(stored: Sequence[bytes]) -> tuple[Codes, Floats]:
    """The codes, (n, d), and scales, (n,), of stored vectors of one width, in one pass."""
    if not stored:
        return np.empty((0, 0), dtype=np.int8), np.empty(0, dtype=np.float32)
    width = len(stored[0])
    if width < 5 or any(len(one) != width for one in stored):
        raise ValueError(f"{len(stored)} stored vectors differ in width from {width}; rebuild them")
    table = np.frombuffer(b"".join(stored), dtype=np.uint8).reshape(-1, width)
    scales = table[:, :4].copy().view("<f4")[:, 0].astype(np.float32)
    return table[:, 4:].view(np.int8), scales


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

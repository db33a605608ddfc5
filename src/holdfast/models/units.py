"""The check every foreign vector passes on its way in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from holdfast.errors import ModelError
from holdfast.models.base import Embedder, Vectors


def embed_checked(embedder: Embedder, texts: Sequence[str]) -> Vectors:
    """The embedder's answer, checked and brought to unit length, (len(texts), dimensions).

    Raises
    ------
    ModelError
        If it raised anything at all, or answered something that is no set of vectors.
    """
    try:
        raw = embedder.embed(texts)
    except ModelError:
        raise
    except Exception as error:  # foreign code: whatever it raises is its failure, not ours
        raise ModelError(
            f"{embedder.name} failed on {len(texts)} texts: {type(error).__name__}; "
            f"run check_embedder on it"
        ) from error
    return unit_vectors(raw, len(texts), embedder.dimensions, embedder.name)


def unit_vectors(raw: npt.ArrayLike, count: int, dimensions: int, source: str) -> Vectors:
    """`raw` as unit vectors, (count, dimensions), float32; never the caller's own array.

    Parameters
    ----------
    raw
        What a model answered, of any length per vector.
    count, dimensions
        The shape that was asked for.
    source
        The model's name, for the error message.

    Raises
    ------
    ModelError
        If the shape is another one, a number is not finite, or a vector has no direction.
    """
    try:
        found = np.array(raw, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ModelError(
            f"{source}: asked for {count} vectors of {dimensions} numbers, found a ragged or "
            f"non-numeric answer; check that the endpoint serves embeddings"
        ) from error
    if found.shape != (count, dimensions) and not (count == 0 and found.size == 0):
        raise ModelError(
            f"{source}: asked for vectors of shape {(count, dimensions)}, found {found.shape}; "
            f"pass the dimensions this model really has"
        )
    found = found.reshape(count, dimensions)
    norms = np.linalg.norm(found, axis=1, keepdims=True)  # (count, 1)
    broken = np.flatnonzero(~np.isfinite(norms[:, 0]) | (norms[:, 0] < 1e-12))
    if len(broken):
        raise ModelError(
            f"{source}: {len(broken)} of {count} vectors are zero or not finite, the first at "
            f"index {broken[0]}; the model or its weights are broken"
        )
    units: Vectors = (found / norms).astype(np.float32)
    return units

"""What an embedder must do. Everything else about it is its own business."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

Vectors = npt.NDArray[np.float32]


@runtime_checkable
class Embedder(Protocol):
    """Texts to unit vectors.

    `embed` is pure: the same texts give the same vectors, in the same order, whatever else is in
    the batch. It may be slow and it may raise `ModelError`; callers keep it off the write path.
    """

    name: str  # stable identity of model and version: another name means re-embedding
    dimensions: int

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors, (len(texts), dimensions), float32."""
        ...

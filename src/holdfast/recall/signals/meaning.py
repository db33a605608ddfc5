"""Nearness in meaning, where there is an embedder."""

from __future__ import annotations

import numpy as np

from holdfast.recall.look import Floats, Look


def meaning(look: Look) -> Floats | None:
    """Cosine of the query with the event's nearest passage; the average where it has no vector."""
    if look.vector is None or look.vectors is None:
        return None
    cosine = look.vectors.cosine_of(look.vector, look.rows).astype(np.float64)
    known = np.isfinite(cosine)
    if not known.any():
        return None
    return np.where(known, cosine, cosine[known].mean())

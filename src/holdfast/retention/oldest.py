"""Evict the oldest first: the window every other policy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdfast.retention.base import Floats, ScoredPolicy, View


@dataclass(frozen=True)
class Oldest(ScoredPolicy):
    """Keep the latest entries, as many as fit.

    Notes
    -----
    What is left is one unbroken run up to now, pinned entries aside.
    """

    def score(self, view: View) -> Floats:
        return view.position.astype(np.float64)

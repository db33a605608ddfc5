"""Evict the oldest first: the window every other policy has to beat."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array, to_float
from holdfast.retention.base import ScoredPolicy
from holdfast.retention.view import View


@dataclass(frozen=True)
class Oldest(ScoredPolicy):
    """Keep the latest entries, as many as fit.

    Notes
    -----
    What is left is one unbroken run up to now, pinned entries aside.
    """

    def score(self, view: View) -> Array:
        return to_float(view.position)

"""Evict what has been silent for longer than is usual for it."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array
from holdfast.retention.base import ScoredPolicy, lift
from holdfast.retention.view import View


@dataclass(frozen=True)
class RecurrenceGap(ScoredPolicy):
    """Keep what is still within its own longest gap between uses; watch the newest first.

    The score is ``-idle / (gap + 1)``: below -1 an entry is overdue. One that never came back has
    no gap, so every silence is too long for it.

    Parameters
    ----------
    lag
        Positions for which a new entry is only watched: it goes after all that are older.

    Notes
    -----
    What returns every thousand positions stays through nine hundred of silence, where
    `LeastRecentlyUsed` has let it go. Differs from the paper: a use is feedback and not attention
    above a threshold; only the ratio decides, without the second term that favours whatever recurs
    at all, since that term hides long periods behind any short one; and room is made when it is
    needed, not every so many steps. The default lag is not tuned.

    References
    ----------
    Zhang et al., LazyEviction: Lagged KV Eviction with Attention Pattern Observation for Efficient
    Long Reasoning, arXiv:2506.15969
    """

    lag: int = 32

    def score(self, view: View) -> Array:
        silence = -view.idle / (view.gap + 1.0)
        return lift(silence, self.lag + 1.0 - view.age)

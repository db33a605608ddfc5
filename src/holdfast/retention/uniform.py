"""Evict at random: the baseline that knows nothing, not even time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdfast.retention.base import Floats, ScoredPolicy, View

_STEP = 0x9E3779B97F4A7C15
_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class RandomEviction(ScoredPolicy):
    """Evict entries in random order.

    Parameters
    ----------
    seed
        Another seed draws another order.

    Notes
    -----
    An entry's draw depends on the seed and its position alone and never changes, so what is left
    after any number of plans is a fair sample of the whole stream (bottom-k sampling), and every
    run replays. The draw is the SplitMix64 finaliser.
    """

    seed: int = 0

    def score(self, view: View) -> Floats:
        mixed = view.position.astype(np.uint64) * np.uint64(_STEP)
        mixed += np.uint64((self.seed + 1) * _STEP & _MASK)  # wraps, as the mixer expects
        mixed = (mixed ^ mixed >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ mixed >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
        mixed ^= mixed >> np.uint64(31)
        return (mixed >> np.uint64(11)).astype(np.float64) / 2.0**53

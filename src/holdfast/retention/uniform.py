"""Evict at random: the baseline that knows nothing, not even time."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array, namespace, to_float
from holdfast.retention.base import ScoredPolicy
from holdfast.retention.view import View

_PRIME = 2147483647
_ROUNDS = (48271, 69621, 16807)  # multipliers of full period modulo the prime


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
    run replays. The draw is a few rounds of multiplication and folding modulo 2³¹ - 1, in signed
    integers, which every kind of array has.
    """

    seed: int = 0

    def score(self, view: View) -> Array:
        xp = namespace(view.cost)
        mixed = (xp.astype(view.position, xp.int64) + 1 + 7919 * (self.seed % _PRIME)) % _PRIME
        for number, factor in enumerate(_ROUNDS):
            mixed = (mixed * factor + self.seed % 65_536 + number) % _PRIME
            mixed = (mixed ^ (mixed >> 13) ^ ((mixed & 0x1FFF) << 17)) % _PRIME
        return to_float(mixed) / _PRIME

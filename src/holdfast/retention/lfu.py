"""Evict what has been of use least often, old uses counting less."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array
from holdfast.retention.base import ScoredPolicy, check_half_life
from holdfast.retention.view import View


@dataclass(frozen=True)
class LeastFrequentlyUsed(ScoredPolicy):
    """Keep what was of use most often; the count halves with every `half_life` without use.

    An entry is worth ``(1 + uses) · 2^(-idle / half_life)``; of equals the newer stays.

    Parameters
    ----------
    half_life
        Positions without use after which half of the count is left. Infinite: plain counting,
        where what was popular long ago never goes.

    Raises
    ------
    ValueError
        If it is not above 0.

    Notes
    -----
    Exponential decay has no memory: as long as nothing is used, time alone changes no order.
    Differs from LRFU: the whole count fades from the last use on, where LRFU fades each use from
    its own time, so that a count and a position are all that is kept of an entry's past.

    References
    ----------
    Lee et al., LRFU: A Spectrum of Policies that Subsumes the Least Recently Used and Least
    Frequently Used Policies, IEEE Transactions on Computers, 2001
    """

    half_life: float = 1024.0

    def __post_init__(self) -> None:
        check_half_life(self.half_life)

    def score(self, view: View) -> Array:
        return (1.0 + view.uses) * 2.0 ** (-view.idle / self.half_life)

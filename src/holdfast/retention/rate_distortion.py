"""Choose each entry's tier by rate and distortion, weighed by use."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from holdfast.retention.arrays import Array
from holdfast.retention.base import check_half_life
from holdfast.retention.ladder import LadderPolicy
from holdfast.retention.view import View


@dataclass(frozen=True)
class RateDistortion(LadderPolicy):
    """Spend bytes where use is: the least importance-weighted distortion within the limit.

    An entry's importance is ``uses + half_life / (half_life + idle)``: what use has shown, and how
    fresh it is.

    Parameters
    ----------
    distortion
        What is lost of an entry at each tier, rising from 0; evicted is 1 and not listed. With
        fewer tiers the first ones count, with more each further tier loses half of what is left.
    half_life
        Positions without use after which half of the freshness is left.

    Raises
    ------
    ValueError
        If `distortion` does not start at 0, does not rise or reaches 1, or `half_life` is not
        above 0.

    Notes
    -----
    At some price per byte every entry but the last one moved is at the tier of the least distortion
    plus price, among those it could still be at. What is unimportant is first coarse and only then
    gone. `DemotionLadder` walks the same hull with a worth of its own. Differs from the papers:
    importance is use and freshness and not attention, which is summed over queries there; tiers
    are those of the substrate and not bit widths, and the last of them is eviction, which MiKV
    never does.

    References
    ----------
    Yang et al., No Token Left Behind: Reliable KV Cache Compression via Importance-Aware Mixed
    Precision Quantization, arXiv:2402.18096
    Chauhan et al., SPHERICAL KV: Angle-Domain Attention and Rate-Distortion Retention for Efficient
    Long-Context Inference, arXiv:2605.18856
    """

    distortion: tuple[float, ...] = (0.0, 0.5, 0.9)
    half_life: float = 1024.0

    def __post_init__(self) -> None:
        check_half_life(self.half_life)
        rises = all(a < b for a, b in pairwise((*self.distortion, 1.0)))
        if not self.distortion or self.distortion[0] != 0 or not rises:
            raise ValueError(f"distortion must rise from 0 and stay below 1: {self.distortion}")

    @property
    def values(self) -> tuple[float, ...]:  # type: ignore[override]  # told by what is lost
        """The share of an entry that is left at each tier."""
        return tuple(1.0 - lost for lost in self.distortion)

    def utility(self, view: View) -> Array:
        """(…, n) the importance of each entry."""
        return view.uses + self.half_life / (self.half_life + view.idle)

"""Keep where the stream turns: bends in the path its vectors take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.retention.arrays import Array, arange_like, namespace, to_float
from holdfast.retention.base import Need, ScoredPolicy, Steps
from holdfast.retention.view import View

_SLACK = 1e-6  # more than sums of doubles lose: a straight path has no bends by rounding


@dataclass(frozen=True)
class Curvature(ScoredPolicy):
    """Keep entries at bends in full, lesser ones reduced, and let the smooth stretches go.

    An entry's bend is how far it is from the one before, plus `turn` times how far the step to it
    turns from the step before. A bend over ``mean + clear · deviation`` of the last `window` is
    clear, one over ``mean + blurred · deviation`` is blurred. What is neither goes first, then
    blurred ones are reduced to the lowest tier that keeps anything, then they go, and clear ones
    follow in the same way; the oldest first of each.

    Parameters
    ----------
    turn
        Weight of the turn against the distance.
    blurred, clear
        Standard deviations above the running mean.
    window
        Entries that the running mean and deviation are taken over.

    Raises
    ------
    ValueError
        If `window` is below 1 or `clear` below `blurred`; and, planning, if there are no vectors.

    Notes
    -----
    The path is that of what is still kept. The threshold moves with the pace of the stream, so
    where everything changes little a small bend is still one. Differs from the paper: the running
    mean is over a window and not exponential; entries are routed when room is needed and not on
    arrival; the first two entries have the bend of the third. The defaults are not tuned.

    References
    ----------
    Wang et al., CurveStream: Boosting Streaming Video Understanding in MLLMs via Curvature-Aware
    Hierarchical Visual Memory Management, arXiv:2603.19571
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"vector"})

    turn: float = 1.0
    blurred: float = 0.0
    clear: float = 1.0
    window: int = 64

    def __post_init__(self) -> None:
        if self.window < 1 or self.clear < self.blurred:
            raise ValueError(
                f"window {self.window} must be at least 1, and clear {self.clear:g} at least "
                f"blurred {self.blurred:g}"
            )

    def bends(self, view: View) -> Array:
        """(…, n) how sharply the path bends at each entry, from 0."""
        at = view.directions()
        xp = namespace(at)
        steps = at[..., 1:, :] - at[..., :-1, :]
        moved = 1.0 - xp.sum(at[..., 1:, :] * at[..., :-1, :], axis=-1)
        length = xp.sqrt(xp.sum(steps * steps, axis=-1))
        both = length[..., 1:] * length[..., :-1]
        along = xp.sum(steps[..., 1:, :] * steps[..., :-1, :], axis=-1)
        # Where the path stands still it does not turn.
        turned = xp.where(both > 0, 1.0 - along / xp.where(both > 0, both, 1.0 + 0.0 * both), both)
        if len(view) < 3:
            return 0.0 * at[..., 0]
        bends = moved[..., 1:] + self.turn * turned
        return xp.concat([bends[..., :1], bends[..., :1], bends], axis=-1)

    def score(self, view: View) -> Array:
        """(…, n) 2 where the bend is clear, 1 where it is blurred, else 0."""
        bends = self.bends(view)
        xp = namespace(bends)
        mean = trailing_mean(bends, self.window)
        spread = trailing_mean(bends * bends, self.window) - mean * mean
        deviation = xp.sqrt(xp.where(spread > 0, spread, 0.0 * spread))
        above = bends - mean - _SLACK
        return to_float(above > self.blurred * deviation) + to_float(above > self.clear * deviation)

    def steps(self, view: View) -> Steps:
        xp = namespace(view.cost)
        level, lowest, spent = self.score(view), view.evicted - 1, view.costs()
        never = xp.full_like(level, xp.inf)
        left = xp.where(view.tier < lowest, view.cost[..., lowest], spent)
        reduces = (level > 0) & (left < spent)
        gone = xp.full_like(view.tier, view.evicted, dtype=xp.uint8)
        fixed = view.pinned | (spent <= 0)
        first = xp.where(fixed, never, 2.0 * level - to_float(reduces))
        then = xp.where(fixed | ~reduces | (left <= 0), never, 2.0 * level)
        to = xp.where(reduces, xp.full_like(gone, lowest), gone)
        freed = xp.where(reduces, spent - left, spent)
        return Steps(
            xp.stack([first, then], axis=-1),
            xp.stack([to, gone], axis=-1),
            xp.stack([freed, xp.where(reduces, left, 0.0 * left)], axis=-1),
        )


def trailing_mean(values: Array, window: int) -> Array:
    """(…, n) the mean of each value and those before it, `window` of them at most.

    Examples
    --------
    >>> import numpy as np
    >>> trailing_mean(np.array([2.0, 4.0, 9.0, 5.0]), 2).tolist()
    [2.0, 3.0, 6.5, 7.0]
    """
    xp = namespace(values)
    n = values.shape[-1]
    window = min(window, n)
    total = xp.cumulative_sum(values, axis=-1)
    before = xp.concat([0.0 * total[..., :window], total[..., : n - window]], axis=-1)
    count = to_float(arange_like(values, n)) + 1.0
    return (total - before) / xp.where(count < window, count, 0.0 * count + window)

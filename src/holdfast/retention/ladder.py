"""The default: lower what loses least value per byte, one tier at a time, eviction last."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from holdfast.retention.arrays import Array, arange_like, namespace
from holdfast.retention.base import SteppedPolicy, Steps
from holdfast.retention.view import View


class LadderPolicy(SteppedPolicy):
    """A policy that is the utility of each entry in full, and the share of it left at each tier.

    Steps run along the lower hull of each entry; the last one stops at the highest tier that fits.
    """

    values: tuple[float, ...]
    """The shares at the first tiers, falling; with more tiers each further one halves the last."""

    @abstractmethod
    def utility(self, view: View) -> Array:
        """(…, n) what each entry is worth in full."""

    def worth(self, evicted: int) -> list[float]:
        """The share of its value that an entry has at each tier, evicted included."""
        shares = list(self.values[:evicted])
        while len(shares) < evicted:
            shares.append(shares[-1] / 2)
        return [*shares, 0.0]

    def steps(self, view: View) -> Steps:
        return hull(view, self.utility(view), self.worth(view.evicted))

    def settle(self, view: View, limit: Array, tier: Array, entry: Array) -> Array:
        return highest_that_fits(view, limit, tier, entry)


@dataclass(frozen=True)
class DemotionLadder(LadderPolicy):
    """Lower entries down a ladder of tiers, always by the step that loses least value per byte.

    An entry is worth ``(1 + uses) · (1 + surprise)^a · bytes^b · age^-c`` in full, and a share
    of that at each lower tier. A step's price is the value it loses over the bytes it frees.

    Parameters
    ----------
    values
        Share of its value an entry still has at each tier, falling; evicted is 0 and not listed.
        With fewer tiers the first shares count, with more each further tier halves the last.
    surprise
        The exponent a: how much more an unusual entry is worth than an ordinary one.
    size
        The exponent b: 0 counts every entry alike, 1 every byte.
    decay
        The exponent c of the power law by which worth falls with age, counted in entries. A power
        law looks the same at every scale, so a stream has no length to be tuned to.

    Raises
    ------
    ValueError
        If `values` is empty, does not fall or does not stay above 0.

    Notes
    -----
    The greedy rule of rate-distortion: steps run along the lower hull of each entry's points
    (bytes, value lost), so a tier that is a bad bargain for an entry is skipped, and prices never
    fall on the way down. A plan is off the best possible one by less than the one step that
    crosses the limit, and that step stops at the highest tier that fits. Deterministic; O(n).

    MiKV lowers precision where others evict; Spherical KV chooses each entry's tier by a
    rate-distortion rule. Differs from both: worth comes from surprise, use, size and age instead
    of attention, entries are events (or whatever the substrate holds), and steps cannot be undone.
    SirLLM keeps entropy times a decay per round; here the decay is a power law.

    The defaults were chosen offline by how much of the evidence of later questions was still kept
    at 5, 10 and 30 % of a stream's bytes. The optimum is flat; most of the gain over `Oldest` is in
    streams that mix long and short entries, and there is little where all have one length.

    Examples
    --------
    >>> DemotionLadder(values=(1.0, 0.5)).worth(evicted=3)
    [1.0, 0.5, 0.25, 0.0]

    References
    ----------
    Yang et al., No Token Left Behind: Reliable KV Cache Compression via Importance-Aware Mixed
    Precision Quantization, arXiv:2402.18096
    SPHERICAL KV: Angle-Domain Attention and Rate-Distortion Retention for Efficient Long-Context
    Inference, arXiv:2605.18856
    SirLLM: Streaming Infinite Retentive LLM, arXiv:2405.12528
    """

    values: tuple[float, ...] = (1.0, 0.5, 0.05)
    surprise: float = 2.0
    size: float = 0.5
    decay: float = 0.35

    def __post_init__(self) -> None:
        check_falling(self.values)

    def utility(self, view: View) -> Array:
        """(…, n) what each entry is worth in full."""
        xp = namespace(view.cost)
        worth = xp.log2(1.0 + view.uses)
        worth = worth + self.surprise * xp.log2(1.0 + view.surprise)
        full = view.cost[..., 0]
        worth = worth + self.size * xp.log2(xp.where(full > 1.0, full, 1.0 + 0.0 * full))
        return xp.exp2(worth - self.decay * xp.log2(view.age))


def check_falling(values: Sequence[float]) -> None:
    """Raise `ValueError` if these are no shares of a value, tier by tier."""
    if not values or not all(a > b for a, b in pairwise((*values, 0.0))):
        raise ValueError(f"values must fall from tier to tier and stay above 0: {values}")


def hull(view: View, utility: Array, share: Sequence[float]) -> Steps:
    """The steps along the lower hull of each entry's points (bytes, value lost).

    From each tier the next point of the hull is the one with the least loss per byte; an entry has
    steps only from its present tier and those that earlier steps lead to.
    """
    xp = namespace(view.cost)
    cost = [view.cost[..., t] for t in range(view.evicted + 1)]
    zero = xp.zeros_like(cost[0])
    never = xp.full_like(cost[0], xp.inf)
    start = xp.astype(view.tier, xp.int64)
    # The price at which an entry gets to each tier; infinite where it never does.
    reached = [xp.where((start == t) & ~view.pinned, zero, never) for t in range(view.evicted + 1)]
    prices, targets, freed = [], [], []
    for tier in range(view.evicted):
        best, to = never, 0 * start
        for lower in range(tier + 1, view.evicted + 1):
            bytes_freed = cost[tier] - cost[lower]
            loss = (share[tier] - share[lower]) / xp.where(bytes_freed > 0, bytes_freed, zero + 1.0)
            better = (bytes_freed > 0) & (loss < best)
            best, to = xp.where(better, loss, best), xp.where(better, lower + 0 * to, to)
        here = (reached[tier] < xp.inf) & (to > 0)
        # Rounding must not make a later step of an entry cheaper than an earlier one.
        price = xp.maximum(xp.where(here, best, zero) * utility, reached[tier])
        price = xp.where(here, price, never)
        for lower in range(tier + 1, view.evicted + 1):
            reached[lower] = xp.where(here & (to == lower), price, reached[lower])
        prices.append(price)
        targets.append(xp.astype(to, xp.uint8))
        taken = xp.take_along_axis(view.cost, to[..., None], axis=-1)[..., 0]
        freed.append(xp.where(here, cost[tier] - taken, zero))
    return Steps(xp.stack(prices, axis=-1), xp.stack(targets, axis=-1), xp.stack(freed, axis=-1))


def highest_that_fits(view: View, limit: Array, tier: Array, entry: Array) -> Array:
    """The plan with the last entry that moved as high up as the limit allows."""
    xp = namespace(view.cost)
    at = xp.where(entry >= 0, entry, 0 * entry)[..., None]
    now = xp.take_along_axis(xp.astype(tier, xp.int64), at, axis=-1)
    was = xp.take_along_axis(xp.astype(view.tier, xp.int64), at, axis=-1)
    costs = xp.take_along_axis(view.cost, at[..., None], axis=-2)[..., 0, :]
    mine = xp.take_along_axis(costs, now, axis=-1)[..., 0]
    room = limit - view.spent(tier) + mine
    best = now[..., 0]
    for t in range(view.evicted - 1, 0, -1):
        fits = (t > was[..., 0]) & (t < now[..., 0]) & (costs[..., t] <= room) & (entry >= 0)
        best = xp.where(fits, t + 0 * best, best)
    places = arange_like(tier, len(view))
    chosen = (places == at) & (entry[..., None] >= 0)
    return xp.where(chosen, xp.astype(best[..., None], xp.uint8), tier)

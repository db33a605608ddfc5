"""Take the cheapest things first until they free enough, without sorting all of them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_SORTED = 8192  # candidates few enough to sort
_SAMPLE = 4096
_MARGIN = 0.03  # share of the sample on either side of the cut that must be looked at closely

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


def cheapest(price: Floats, freed: Floats, need: float) -> tuple[Ints, int]:
    """The shortest run of things, cheapest first, that together free at least `need`.

    Parameters
    ----------
    price
        (n,) any floats but NaN; equal prices are taken in index order.
    freed
        (n,) what each frees, above 0.
    need
        If all together free less, all are taken.

    Returns
    -------
    The indices taken, in no particular order, and the last of the run (-1 if it is empty).

    Notes
    -----
    A sample tells where the cut must lie, one pass sets aside what is clearly on either side of
    it, and only the rest is sorted: O(n) unless most prices are nearly equal. Deterministic.

    Examples
    --------
    >>> taken, last = cheapest(np.array([3.0, 1.0, 2.0]), np.array([10.0, 10.0, 10.0]), 15.0)
    >>> sorted(taken.tolist()), last
    ([1, 2], 2)
    """
    if need <= 0:
        return np.zeros(0, np.int64), -1
    taken: list[Ints] = []
    left = np.arange(len(price))
    while len(left) > _SORTED:
        prices, gains = price[left], freed[left]
        low, high = _bracket(prices, gains, need)
        under, over = prices < low, prices > high
        gain_under = float(gains @ under)
        gain_upto = float(gains @ ~over)
        if gain_under >= need:
            left = left[np.flatnonzero(under)]
        elif gain_upto < need and over.any():
            taken.append(left[np.flatnonzero(~over)])
            left, need = left[np.flatnonzero(over)], need - gain_upto
        else:
            taken.append(left[np.flatnonzero(under)])
            between = np.flatnonzero(~(under | over))
            stuck = len(between) > len(left) // 2  # most prices are equal: they sort fast
            left, need = left[between], need - gain_under
            if stuck:
                break
    left = left[np.argsort(price[left], kind="stable")]
    left = left[: int(np.searchsorted(np.cumsum(freed[left]), need)) + 1]
    run = np.concatenate([*taken, left])
    return run, int(run[-1]) if len(run) else -1


def _bracket(prices: Floats, gains: Floats, need: float) -> tuple[float, float]:
    """Two prices that most likely enclose the cut, from a strided sample."""
    stride = len(prices) // _SAMPLE + 1
    some = prices[::stride]
    order = np.argsort(some, kind="stable")
    weight = np.cumsum(gains[::stride][order])
    cut = int(np.searchsorted(weight, need / float(gains.sum()) * weight[-1]))
    margin = int(_MARGIN * len(some)) + 1
    last = len(some) - 1
    low, high = min(max(cut - margin, 0), last), min(cut + margin, last)
    return float(some[order[low]]), float(some[order[high]])

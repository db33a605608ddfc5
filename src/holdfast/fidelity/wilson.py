"""Confidence intervals of shares."""

from __future__ import annotations

from math import sqrt
from statistics import NormalDist


def wilson(hits: float, n: float, level: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a share of `n` trials; all of [0, 1] if there were none.

    Examples
    --------
    >>> low, high = wilson(8, 10)
    >>> f"{low:.3f} {high:.3f}"
    '0.490 0.943'

    References
    ----------
    Wilson, Probable Inference, the Law of Succession, and Statistical Inference,
    doi:10.1080/01621459.1927.10502953
    """
    if n <= 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf(0.5 + level / 2)
    share, z2 = hits / n, z * z
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = z * sqrt(share * (1 - share) / n + z2 / (4 * n * n)) / (1 + z2 / n)
    low = 0.0 if hits <= 0 else max(0.0, middle - half)
    return low, 1.0 if hits >= n else min(1.0, middle + half)

"""Keep what bears most risk, in an order that newcomers do not shuffle."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array, arange_like, namespace, to_float
from holdfast.retention.base import ScoredPolicy
from holdfast.retention.view import View


@dataclass(frozen=True)
class RiskCoreset(ScoredPolicy):
    """Keep the riskiest entries, ranked by level of risk and then by age, the older first.

    Risk is ``surprise · (3 - trust)``: unusual, and of a source that is little believed. Its level
    is how many times `margin` goes into ``log2(1 + risk)``. A newcomer displaces what is there only
    if its level is higher; within a level what was kept keeps its place.

    Parameters
    ----------
    margin
        Width of a level, in doublings of the risk: how much riskier a newcomer must be.

    Raises
    ------
    ValueError
        If `margin` is not above 0.

    Notes
    -----
    For watching, not for remembering: it keeps the scattered pieces of an attack that no session
    shows whole, and forgets the calm. In the order of the score what is kept has a stable prefix,
    so that a model's cache of it survives: newcomers of one level come after all of it. Differs
    from the paper: the threat signal is surprise and distrust and not a classifier's; levels make
    the prefix stable by construction, where the paper measures how stable a ranking is.

    References
    ----------
    Azarafrooz, Cross-Session Threats in AI Agents: Benchmark, Evaluation, and Algorithms,
    arXiv:2604.21131
    """

    margin: float = 1.0

    def __post_init__(self) -> None:
        if not self.margin > 0:
            raise ValueError(f"margin is {self.margin:g}; it must be above 0")

    def level(self, view: View) -> Array:
        """(…, n) the level of risk of each entry, from 0."""
        xp = namespace(view.cost)
        risk = to_float(view.surprise) * (3.0 - view.trust)
        return xp.floor(xp.log2(1.0 + risk) / self.margin)

    def score(self, view: View) -> Array:
        place = to_float(arange_like(view.position, len(view)))
        return self.level(view) - place / (len(view) + 1.0)

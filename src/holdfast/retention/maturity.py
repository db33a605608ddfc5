"""Keep what has proved itself; what is no longer believed goes first."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array, namespace
from holdfast.retention.base import ScoredPolicy, check_half_life
from holdfast.retention.view import View


@dataclass(frozen=True)
class Maturity(ScoredPolicy):
    """Keep what use and citation have matured; evict what is invalid first.

    An entry's maturity is ``trust · (1 + uses + citation · cited) · 2^(-idle / half_life)``. One
    that is not trusted at all is invalid, whatever its uses, its mass and what cites it.

    Parameters
    ----------
    citation
        Uses that being cited by a living belief counts for.
    half_life
        Positions without use after which half of the maturity is left.

    Raises
    ------
    ValueError
        If `half_life` is not above 0.

    Notes
    -----
    An entry whose belief was superseded loses its citation, and so ages like any other. Differs
    from the paper: maturity is a number and not a state (new, verified, proven), and what
    contradicts what is decided by the beliefs that cite an entry, not here.

    References
    ----------
    Borjigin et al., Absorbing Complexity: An Interaction-Native Knowledge Harness for Financial
    LLM Agents, arXiv:2606.01886
    """

    citation: float = 3.0
    half_life: float = 1024.0

    def __post_init__(self) -> None:
        check_half_life(self.half_life)

    def score(self, view: View) -> Array:
        xp = namespace(view.cost)
        worth = 1.0 + view.uses
        worth = xp.where(view.cited, worth + self.citation, worth)
        mature = view.trust * worth * 2.0 ** (-view.idle / self.half_life)
        # Below what has faded to nothing.
        return xp.where(view.trust > 0, mature, 0.0 * mature - 1.0)

"""Prune by use times age: being used helps, but makes nothing young again."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array
from holdfast.retention.base import ScoredPolicy, check_half_life
from holdfast.retention.view import View


@dataclass(frozen=True)
class AgeWeighted(ScoredPolicy):
    """Keep what is useful for its age: ``(1 + uses) · 2^(-age / half_life)``.

    Parameters
    ----------
    half_life
        Positions of age that halve the worth of an entry.

    Raises
    ------
    ValueError
        If it is not above 0.

    Notes
    -----
    Age counts from arrival, so what was used yesterday and what was used last year fade alike; in
    `LeastFrequentlyUsed` a use starts the clock anew. Differs from the paper, of which only the
    outline of the rule is known to us: it prunes every hundred turns by age and by whether a chunk
    was retrieved lately; here all uses count, and room is made when it is needed.

    References
    ----------
    Ahn, HEMA: A Hippocampus-Inspired Extended Memory Architecture for Long-Context AI
    Conversations, arXiv:2504.16754
    """

    half_life: float = 1024.0

    def __post_init__(self) -> None:
        check_half_life(self.half_life)

    def score(self, view: View) -> Array:
        return (1.0 + view.uses) * 2.0 ** (-view.age / self.half_life)

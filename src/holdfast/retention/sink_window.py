"""Keep the beginning and the end; evict the middle."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array, arange_like, namespace, to_float
from holdfast.retention.base import ScoredPolicy
from holdfast.retention.view import View


@dataclass(frozen=True)
class SinkWindow(ScoredPolicy):
    """Keep the first entries and the latest ones; evict the middle, oldest first.

    Parameters
    ----------
    n_sink
        Entries at the start of the memory that are evicted only once nothing else is left.

    Notes
    -----
    Differs from the paper: any entry counts, not only tokens; the window is what the budget
    leaves, not a fixed length; and sinks give way, the last one first, when they alone are over
    the budget. In a transformer the first tokens draw attention; in a chat log they tend to hold
    names and instructions.

    References
    ----------
    Xiao et al., Efficient Streaming Language Models with Attention Sinks, arXiv:2309.17453
    """

    n_sink: int = 4

    def score(self, view: View) -> Array:
        xp = namespace(view.cost)
        position = to_float(view.position)
        place = to_float(arange_like(view.position, len(view)))
        return xp.where(place < self.n_sink, view.now + self.n_sink - place, position)

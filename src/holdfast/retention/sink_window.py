"""Keep the beginning and the end; evict the middle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from holdfast.retention.base import Floats, ScoredPolicy, View


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

    def score(self, view: View) -> Floats:
        score = view.position.astype(np.float64)
        sinks = len(score[: self.n_sink])
        score[:sinks] = view.now + np.arange(sinks, 0, -1)
        return score

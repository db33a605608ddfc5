"""Evict what has not been of use for longest."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array, to_float
from holdfast.retention.base import ScoredPolicy
from holdfast.retention.view import View


@dataclass(frozen=True)
class LeastRecentlyUsed(ScoredPolicy):
    """Keep what was of use last; what never was counts from when it came.

    Notes
    -----
    Without feedback it is `Oldest`. Differs from a cache of pages: a use is feedback that an entry
    helped, not every time it was read.

    References
    ----------
    Mattson et al., Evaluation Techniques for Storage Hierarchies, IBM Systems Journal, 1970
    """

    def score(self, view: View) -> Array:
        # Counted back from now, so that single precision tells recent ones apart in a long stream.
        return to_float(view.used_at) - view.now

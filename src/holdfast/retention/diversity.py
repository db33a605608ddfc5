"""Keep what is unlike the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.retention.arrays import Array, namespace
from holdfast.retention.base import Need, ScoredPolicy
from holdfast.retention.view import View


@dataclass(frozen=True)
class Diversity(ScoredPolicy):
    """Keep the entries whose vectors point least along the mean of all that is kept.

    Raises
    ------
    ValueError
        If there are no vectors.

    Notes
    -----
    One pass, O(n · d), and no two entries are compared: what is common goes first, but two copies
    of something rare both stay, which `Coverage` would not keep. Differs from the papers: one set
    for the whole memory and not one for each head (`per` gives that), no frame is an anchor (pin
    it), and limits are bytes.

    References
    ----------
    Yuan et al., InfiniteVGGT: Visual Geometry Grounded Transformer for Endless Streams,
    arXiv:2601.02281
    Park et al., KeyDiff: Key Similarity-Based KV Cache Eviction for Long-Context LLM Inference in
    Resource-Constrained Environments, arXiv:2504.15364
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"vector"})

    def score(self, view: View) -> Array:
        at = view.directions()
        xp = namespace(at)
        mean = xp.sum(xp.where(view.present[..., None], at, 0.0 * at), axis=-2, keepdims=True)
        length = xp.sqrt(xp.sum(mean * mean, axis=-1))
        along = xp.sum(at * mean, axis=-1)
        return 1.0 - along / xp.where(length > 0, length, 1.0 + 0.0 * length)

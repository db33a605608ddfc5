"""Keep entries that together lie near everything: near-duplicates go first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.retention.arrays import Array, arange_like, namespace
from holdfast.retention.base import Need, ScoredPolicy
from holdfast.retention.kmeans import assign
from holdfast.retention.view import View

_FARTHEST = 2.0  # the largest cosine distance there is
_TOGETHER = 64  # blocks that are walked side by side; bounds the space


@dataclass(frozen=True)
class Coverage(ScoredPolicy):
    """Keep the entries that a greedy farthest-point walk picks first.

    Each step of the walk picks the entry farthest from all picked so far, and that distance is its
    score: a copy of something picked is worth nothing. The walk starts from what is pinned, else
    at the newest entry, and of equals it picks the newest.

    Parameters
    ----------
    block
        Entries that one walk is over. In a larger memory they are first sorted by which of
        n / block entries, evenly spaced, they are nearest to, and how near, so that like meets
        like.

    Raises
    ------
    ValueError
        If `block` is below 1; and, planning, if there are no vectors.

    Notes
    -----
    Up to `block` entries this is Gonzalez's walk: what goes is no farther from what is kept than
    any two kept ones are apart, which is within twice the best there is. Above that the promise
    holds in each block. O(n · block) steps, O(n · (block + n / block) · d) products,
    O(n · block) space. Differs from the papers, which cover the view of a camera or the objects
    in a scene; here anything with a direction is covered.

    References
    ----------
    Gonzalez, Clustering to Minimize the Maximum Intercluster Distance, Theoretical Computer
    Science, 1985
    Wang et al., AnchorWeave: World-Consistent Video Generation with Retrieved Local Spatial
    Memories, arXiv:2602.14941
    Yang et al., 3D-Mem: 3D Scene Memory for Embodied Exploration and Reasoning, arXiv:2411.17735
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"vector"})

    block: int = 256

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"block is {self.block}; it must be at least 1")

    def score(self, view: View) -> Array:
        at = view.directions()
        xp = namespace(at)
        n, size = len(view), min(self.block, len(view))
        order = xp.flip(like_with_like(at, size), axis=-1)  # the newest first
        padded = xp.concat([order, order[..., : -n % size]], axis=-1)
        free = xp.take_along_axis(view.present & ~view.pinned, padded, axis=-1)
        free = free & (arange_like(order, padded.shape[-1]) < n)
        fixed = xp.take_along_axis(view.present & view.pinned, padded, axis=-1)
        scores = []
        for start in range(0, padded.shape[-1], size * _TOGETHER):
            part = slice(start, start + size * _TOGETHER)
            some = xp.take_along_axis(at, padded[..., part, None], axis=-2)
            blocks = (*some.shape[:-2], -1, size)
            found = walk(
                xp.reshape(some, (*blocks, some.shape[-1])),
                xp.reshape(free[..., part], blocks),
                xp.reshape(fixed[..., part], blocks),
            )
            scores.append(xp.reshape(found, (*some.shape[:-2], -1)))
        place = xp.argsort(order, axis=-1, stable=True)
        return xp.take_along_axis(xp.concat(scores, axis=-1), place, axis=-1)


def like_with_like(at: Array, size: int) -> Array:
    """(…, n) the entries in an order where near ones are near: as they are if `size` holds all."""
    xp = namespace(at)
    n = at.shape[-2]
    if n <= size:
        return xp.broadcast_to(arange_like(at, n), at.shape[:-1])
    anchors = at[..., ::size, :]
    labels = assign(at, anchors).labels
    along = xp.sum(at * xp.take_along_axis(anchors, labels[..., None], axis=-2), axis=-1)
    by_angle = xp.argsort(xp.astype(along, xp.float32), axis=-1, stable=True)
    by_label = xp.argsort(xp.take_along_axis(labels, by_angle, axis=-1), axis=-1, stable=True)
    return xp.take_along_axis(by_angle, by_label, axis=-1)


def walk(at: Array, free: Array, fixed: Array) -> Array:
    """(…, n) how far each free entry was from all picked before it, when the walk picked it.

    Parameters
    ----------
    at
        (…, n, d) unit vectors.
    free, fixed
        (…, n) what the walk may pick, and what it starts from.
    """
    xp = namespace(at)
    apart = 1.0 - xp.astype(at @ xp.matrix_transpose(at), xp.float32)
    apart = xp.where(apart > 0, apart, 0.0 * apart)
    far = xp.full_like(apart, _FARTHEST)
    near = xp.min(xp.where(fixed[..., None, :], apart, far), axis=-1)
    done = xp.full_like(near, -1.0)
    near, score = xp.where(free, near, done), 0.0 * near
    places = arange_like(at, at.shape[-2])
    for _ in range(at.shape[-2]):
        pick = xp.argmax(near, axis=-1)[..., None]
        here = (places == pick) & (near >= 0)
        score = xp.where(here, near, score)
        row = xp.take_along_axis(apart, pick[..., None], axis=-2)[..., 0, :]
        near = xp.where(here, done, xp.minimum(near, row))
    return score

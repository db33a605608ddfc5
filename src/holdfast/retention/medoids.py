"""Keep one entry of each cluster, merge the others into it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from holdfast.retention.arrays import Array, arange_like, namespace
from holdfast.retention.base import Need, ScoredPolicy, Steps, evictions, lift
from holdfast.retention.kmeans import kmeans
from holdfast.retention.view import View


@dataclass(frozen=True)
class Medoids(ScoredPolicy):
    """Cluster the entries; those nearest to their cluster's centre are merged into its medoid.

    The medoid of a cluster is the entry nearest to its centre. The others go in order of their
    distance from the centre, the nearest first, since the medoid says most of what they say. The
    medoids themselves go last, those of the smallest clusters first.

    Parameters
    ----------
    clusters
        How many, at most.
    seed
        Shifts where clustering starts from.

    Raises
    ------
    ValueError
        If `clusters` is below 1; and, planning, if there are no vectors.

    Notes
    -----
    What is merged is evicted, and its mass goes to the medoid. Into an entry of another scope
    nothing is merged. Differs from the paper, which clusters and retains nothing.

    References
    ----------
    Flash-KMeans: Fast and Memory-Efficient Exact K-Means, arXiv:2603.09229
    """

    needs: ClassVar[frozenset[Need]] = frozenset({"vector"})

    clusters: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        if self.clusters < 1:
            raise ValueError(f"clusters is {self.clusters}; it must be at least 1")

    def score(self, view: View) -> Array:
        return self._judge(view)[0]

    def steps(self, view: View) -> Steps:
        score, into = self._judge(view)
        return evictions(view, score)._replace(into=into)

    def _judge(self, view: View) -> tuple[Array, Array]:
        """(…, n) the score of each entry, and the medoid it would be merged into, itself -1."""
        at = view.directions()
        xp = namespace(at)
        found = kmeans(at, self.clusters, seed=self.seed)
        away = at - xp.take_along_axis(found.centres, found.labels[..., None], axis=-2)
        distance = xp.sum(away * away, axis=-1)
        candidates = xp.where(view.present, distance, xp.full_like(distance, xp.inf))
        medoids = first_of_each(candidates, found.labels, found.counts)
        mine = xp.take_along_axis(medoids, found.labels, axis=-1)
        is_medoid = mine == arange_like(mine, len(view))
        size = xp.take_along_axis(found.counts, found.labels, axis=-1)
        score = lift(distance, xp.where(is_medoid, size, 0.0 * size))
        return score, xp.where(is_medoid, 0 * mine - 1, mine)


def first_of_each(values: Array, labels: Array, counts: Array) -> Array:
    """(…, k) the index of the lowest value of each label, the first of equals.

    What it says of a label that nothing has is of no meaning.
    """
    xp = namespace(values)
    by_value = xp.argsort(xp.astype(values, xp.float32), axis=-1, stable=True)
    of_label = xp.take_along_axis(labels, by_value, axis=-1)
    by_label = xp.argsort(of_label, axis=-1, stable=True)
    order = xp.take_along_axis(by_value, by_label, axis=-1)
    starts = xp.astype(xp.cumulative_sum(counts, axis=-1) - counts, xp.int64)
    last = values.shape[-1] - 1
    return xp.take_along_axis(order, xp.where(starts < last, starts, 0 * starts + last), axis=-1)

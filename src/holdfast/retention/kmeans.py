"""Exact k-means that never holds more than a tile of the distances."""

from __future__ import annotations

from typing import NamedTuple

from holdfast.retention.arrays import Array, arange_like, namespace, to_float


class Clusters(NamedTuple):
    """What k-means found.

    Attributes
    ----------
    centres
        (…, k, d).
    labels
        (…, n) the nearest centre of each point, the first of equals.
    sums
        (…, k, d) the sum of the points of each centre.
    counts
        (…, k) how many they are.
    """

    centres: Array
    labels: Array
    sums: Array
    counts: Array


def kmeans(points: Array, k: int, *, seed: int = 0, block: int = 4096, rounds: int = 8) -> Clusters:
    """Lloyd's algorithm from k starts evenly spaced along the points.

    Parameters
    ----------
    points
        (…, n, d) doubles; n at least 1. Rows of a batch are clustered each for itself.
    k
        Centres; more than n count as n.
    seed
        Shifts the starts.
    block
        Points whose distances to all centres are held at once.
    rounds
        Times the centres are moved at the most; fewer if nothing changes.

    Notes
    -----
    Distances are compared in single precision; a centre that loses all its points stays where it
    is. O(rounds · n · k · d) time, O(n + (block + d) · k) space beside the points. Differs from the
    paper in being plain array code and no GPU kernel: a tile of distances is reduced to labels and
    these to sums by a product, where the paper sorts the labels and reduces by segment.

    References
    ----------
    Flash-KMeans: Fast and Memory-Efficient Exact K-Means, arXiv:2603.09229

    Examples
    --------
    >>> import numpy as np
    >>> found = kmeans(np.array([[0.0], [1.0], [10.0], [12.0]]), 2)
    >>> found.centres.tolist(), found.labels.tolist()
    ([[0.5], [11.0]], [0, 0, 1, 1])
    """
    xp = namespace(points)
    n = points.shape[-2]
    k = min(k, n)
    starts = (arange_like(points, k) * n // k + seed) % n
    found = assign(points, xp.take(points, starts, axis=-2), block)
    for _ in range(rounds):
        before, found = found.labels, assign(points, means(found), block)
        if bool(xp.all(found.labels == before)):
            break
    return found


def assign(points: Array, centres: Array, block: int = 4096) -> Clusters:
    """Each point to its nearest centre, tile by tile."""
    xp = namespace(points)
    norm = xp.sum(centres * centres, axis=-1)[..., None, :]
    across = xp.matrix_transpose(centres)
    kinds = arange_like(centres, centres.shape[-2])
    labels, sums, counts = [], 0.0 * centres, 0.0 * centres[..., 0]
    for start in range(0, points.shape[-2], block):
        tile = points[..., start : start + block, :]
        # The point's own square is the same for every centre.
        score = xp.astype(norm - 2.0 * (tile @ across), xp.float32)
        labels.append(xp.argmin(score, axis=-1))
        belongs = to_float(labels[-1][..., None] == kinds)
        sums = sums + xp.matrix_transpose(belongs) @ tile
        counts = counts + xp.sum(belongs, axis=-2)
    return Clusters(centres, xp.concat(labels, axis=-1), sums, counts)


def means(found: Clusters) -> Array:
    """(…, k, d) the mean of each centre's points; where it has none, the centre."""
    xp = namespace(found.sums)
    count = found.counts[..., None]
    mean = found.sums / xp.where(count > 0, count, 1.0 + 0.0 * count)
    return xp.where(count > 0, mean, found.centres)

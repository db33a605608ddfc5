"""Take the cheapest things first until they free enough."""

from __future__ import annotations

from holdfast.retention.arrays import Array, namespace


def cheapest(price: Array, freed: Array, need: Array) -> tuple[Array, Array]:
    """The shortest run of things, cheapest first, that together free at least `need`.

    Parameters
    ----------
    price
        (…, m) any floats but NaN; equal prices are taken in index order, infinite ones never.
    freed
        (…, m) what each frees.
    need
        (…,) or a number. If all together free less, all are taken.

    Returns
    -------
    (…, m) which are taken, and (…,) the last of each run, -1 if it is empty.

    Examples
    --------
    >>> import numpy as np
    >>> taken, last = cheapest(np.array([3.0, 1.0, 2.0]), np.array([10.0, 10.0, 10.0]), 15.0)
    >>> taken.tolist(), int(last)
    ([False, True, True], 2)
    """
    xp = namespace(price)
    order = xp.argsort(price, axis=-1, stable=True)
    sorted_freed = xp.take_along_axis(freed, order, axis=-1)
    before = xp.cumulative_sum(sorted_freed, axis=-1) - sorted_freed
    sorted_price = xp.take_along_axis(price, order, axis=-1)
    need = need[..., None] if getattr(need, "ndim", 0) else need
    run = (before < need) & (sorted_price < xp.inf)
    count = xp.sum(xp.astype(run, xp.int64), axis=-1)
    where = xp.where(count > 0, count - 1, 0 * count)
    last = xp.take_along_axis(order, where[..., None], axis=-1)[..., 0]
    last = xp.where(count > 0, last, 0 * count - 1)
    place = xp.argsort(order, axis=-1, stable=True)
    return xp.take_along_axis(run, place, axis=-1), last

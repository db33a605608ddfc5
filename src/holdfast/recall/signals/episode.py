"""The episode an event is part of."""

from __future__ import annotations

import numpy as np

from holdfast.recall.look import Floats, Look

_K1, _B = 1.2, 0.75


def episode(look: Look) -> Floats | None:
    """z-score of BM25 over episodes, where a term's frequency counts the events that hold it."""
    columns, visible = look.columns, look.visible
    held = columns.episode[look.rows]
    order = np.argsort(held, kind="stable")
    starts = np.flatnonzero(np.diff(held[order], prepend=-1))
    episodes = held[order[starts]]
    filtered = visible is not None and int(np.count_nonzero(visible)) < columns.said
    stats = (
        columns.visible_episodes(visible, episodes)
        if filtered and visible is not None
        else columns.all_episodes(episodes)
    )
    frequency = np.add.reduceat(look.held[order], starts, axis=0)
    df = (frequency > 0).sum(axis=0)
    idf = np.log1p((stats.total - df + 0.5) / (df + 0.5))
    mean_terms = max(1.0, stats.terms / max(1, stats.total))
    events, terms = stats.sizes.T
    norm = _K1 * (1 - _B + _B * terms / mean_terms)
    scores = (frequency * (_K1 + 1) / (frequency + norm[:, None])) @ idf
    mean = float(scores @ events) / max(1, stats.events)
    variance = float(scores**2 @ events) / max(1, stats.events) - mean**2
    if variance <= 1e-12:
        return None
    z = (scores - mean) / variance**0.5
    return np.asarray(z[np.searchsorted(episodes, held)])

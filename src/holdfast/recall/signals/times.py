"""When an event was, and whether the query asks."""

from __future__ import annotations

import numpy as np

from holdfast.codec import DATED
from holdfast.recall.look import Floats, Look
from holdfast.recall.query import Wants


def when(look: Look) -> Floats | None:
    """The query asks for a time and the event mentions one."""
    return look.flagged(DATED) if look.query.wants & Wants.TIME else None


def moment(look: Look) -> Floats | None:
    """The event happened in a span of time that the query names."""
    if not look.query.moments:
        return None
    at = look.columns.at[look.rows]
    inside = np.zeros(len(at), np.bool_)
    for span in look.query.moments:
        inside |= (at >= span.start) & (at < span.end)
    return inside.astype(np.float64)


def now(look: Look) -> Floats | None:
    """The query asks how things stand: the event's place among the visible, 1 for the newest."""
    return _place(look) if look.query.wants & Wants.NOW else None


def recency(look: Look) -> Floats | None:
    """For a line of a conversation: the event's place among the visible, 0 to 1 for the newest.

    A question is as likely to be about the beginning as about the end; what a line goes on from is
    recent.
    """
    return None if look.query.asks else _place(look)


def _place(look: Look) -> Floats:
    seen = look.columns.alive if look.visible is None else look.visible
    places = seen.nonzero()[0]
    return np.searchsorted(places, look.rows) / max(1, len(places) - 1)

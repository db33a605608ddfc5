"""Who speaks, and whom the query is about."""

from __future__ import annotations

import numpy as np

from holdfast.recall.look import Floats, Look
from holdfast.recall.query import Wants

_LATEST = 16  # of the named speakers' events that count as their latest


def speaker(look: Look) -> Floats | None:
    """The query names the event's speaker."""
    return look.speakers


def latest(look: Look) -> Floats | None:
    """One over the place of the event among the newest of the speakers that the query names."""
    if look.speakers is None:
        return None
    rows = look.rows[look.speakers > 0]
    found = np.zeros(len(look.rows))
    newest = rows[::-1][:_LATEST]
    found[np.searchsorted(look.rows, newest)] = 1.0 / (1.0 + np.arange(len(newest)))
    return found


def assistant(look: Look) -> Floats | None:
    """An assistant speaks, and the query does not ask for what it said."""
    if look.query.wants & Wants.ADVISER:
        return None
    return np.asarray(look.columns.assistants()[look.columns.who[look.rows]])


def own(look: Look) -> Floats | None:
    """A user speaks, and the query is about the asker."""
    if not look.query.wants & Wants.OWN or look.query.wants & Wants.ADVISER:
        return None
    return np.asarray(look.columns.users()[look.columns.who[look.rows]])

"""How likely an event is to be asked for, told from what it is and not from what it says."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from holdfast.codec import BYTES
from holdfast.derive.cues import FIGURE, FIRST_PERSON, NAMED, PREFERENCE, QUESTION
from holdfast.mirror import Mirror
from holdfast.recall.columns import Rows
from holdfast.state.records import Trust
from holdfast.trust.levels import level_of

Floats = npt.NDArray[np.float64]

_WEIGHTS = {
    "a question": 0.05,
    "first person": 0.80,
    "a figure": 0.36,
    "a name": 0.10,
    "a liking": 0.12,
    "a person": 1.11,  # and not an assistant or a tool
    "surprise": 0.132,  # a bit per term over the usual
    # What one doubling of the size adds, from 32 bytes on; past the last it goes on like that.
    "32 to 64 bytes": -0.10,
    "64 to 128 bytes": 0.44,
    "128 to 256 bytes": 0.36,
    "256 to 512 bytes": -0.08,
    "512 bytes to 1 KiB": -0.38,
    "over 1 KiB": -0.17,
}
SIGNS = tuple(_WEIGHTS)
"""What is counted, in the order of the columns of `signs`."""
_CUES = (QUESTION, FIRST_PERSON, FIGURE, NAMED, PREFERENCE)
_USUAL_SURPRISE = 10.5
_SIZE_FROM = 5  # log2 of the smallest size that is told apart


def salience(mirror: Mirror, rows: Rows) -> Floats:
    """(n,) how often each event may be expected to be asked for, beside the others.

    The exponential of a weighted sum of `signs`: a person's own words rather than an assistant's,
    the first person, figures, names and likings, unusual words, and a size neither tiny nor long.
    The weights were fitted on public questions (`holdfast.bench.salience`). O(n); no text is read.
    """
    found: Floats = np.exp(signs(mirror, rows) @ np.array(list(_WEIGHTS.values())))
    return found


def signs(mirror: Mirror, rows: Rows) -> Floats:
    """(n, signs) what `salience` counts; bytes have none but who they are from."""
    columns = mirror.columns
    flags = columns.flags[rows]
    person = np.array([level_of(who) >= Trust.USER for who in columns.whos], np.float64)
    surprise = columns.surprise[rows].astype(np.float64)
    doublings = np.log2(np.maximum(columns.size[rows], 1)) - _SIZE_FROM
    steps = len(SIGNS) - len(_CUES) - 2
    most = [1.0] * (steps - 1) + [np.inf]
    found = np.column_stack([
        *((flags & cue) > 0 for cue in _CUES),
        person[columns.who[rows]],
        np.where(surprise > 0, surprise - _USUAL_SURPRISE, 0.0),
        *(np.clip(doublings - n, 0.0, top) for n, top in enumerate(most)),
    ]).astype(np.float64)  # fmt: skip
    text = ((flags & BYTES) == 0)[:, None]
    found *= text | (np.arange(len(SIGNS)) == SIGNS.index("a person"))
    return found

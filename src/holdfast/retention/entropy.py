"""Keep what was surprising when it came."""

from __future__ import annotations

import math
from dataclasses import dataclass

from holdfast.retention.arrays import Array, arange_like, to_float
from holdfast.retention.base import ScoredPolicy, check_half_life, lift
from holdfast.retention.view import View


@dataclass(frozen=True)
class Entropy(ScoredPolicy):
    """Keep the entries of the highest surprise, fading with age, and the first few.

    Parameters
    ----------
    half_life
        Positions after which half of an entry's surprise is left. Infinite: it never fades.
    n_sink
        Entries at the start of the memory that go last, the first of them at the very end.

    Raises
    ------
    ValueError
        If `half_life` is not above 0.

    Notes
    -----
    Differs from the paper: entries are whole events, whose surprise is that of their terms against
    the stream so far and not a language model's loss; they fade by position and not by round; and
    no share is set aside for the newest, which fading favours anyway.

    References
    ----------
    SirLLM: Streaming Infinite Retentive LLM, arXiv:2405.12528
    """

    half_life: float = math.inf
    n_sink: int = 4

    def __post_init__(self) -> None:
        check_half_life(self.half_life)

    def score(self, view: View) -> Array:
        faded = view.surprise * 2.0 ** (-view.age / self.half_life)
        return lift(faded, self.n_sink - to_float(arange_like(view.position, len(view))))

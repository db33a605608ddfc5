"""Which events are in the sample: a hash decides, so whoever looks at a stream picks the same."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator
from math import inf

import numpy as np
import numpy.typing as npt

FEWEST, MOST = 64, 512
"""Events in the sample, once there are so many: it never has to be smaller, nor is it larger."""
_RATE = 1 / 8  # of the worthiest events that are taken at most, once there are `FEWEST`
_AHEAD = 1024  # events whose hashes are worked out together
_GAMMA, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_WORD = (1 << 64) - 1


def draws(seqs: npt.NDArray[np.int64], seed: int) -> npt.NDArray[np.float64]:
    """A number in (0, 1) for each event, as good as drawn at random; (seqs,).

    References
    ----------
    Steele, Lea, Flood, Fast Splittable Pseudorandom Number Generators, doi:10.1145/2660193.2660195
    """
    z = seqs.astype(np.uint64) * np.uint64(_GAMMA) + np.uint64(seed & _WORD)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(_MIX_1)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(_MIX_2)
    z ^= z >> np.uint64(31)
    drawn: npt.NDArray[np.float64] = ((z >> np.uint64(12)).astype(np.float64) + 0.5) * 2.0**-52
    return drawn


class Sample:
    """Events by rank, the lowest of all that were offered; a rank is a draw over a relative worth.

    Parameters
    ----------
    seed
        What the draws depend on, beside the event.
    below
        Ranks from here on were let go of before.

    Notes
    -----
    An event is in the sample exactly if its rank is under `below`, which only falls. So its chance
    is ``min(1, below * worth)``, whenever it came and whatever came after, and two samples of
    disjoint streams with one seed join into that of both. Up to `FEWEST` events all are taken, then
    at most one in eight, so that a short stream does not pay more for each event than a long one.

    References
    ----------
    Duffield, Lund, Thorup, Priority Sampling for Estimation of Arbitrary Subset Sums,
    doi:10.1145/1314690.1314696. Ting, Adaptive Threshold Sampling, arXiv:1708.04970. Differs: draws
    are hashes of the place in the stream, and the rate has a ceiling.

    Examples
    --------
    >>> sample = Sample(seed=7)
    >>> [sample.offer(seq, rank) for seq, rank in ((1, 0.5), (2, 0.25))]
    [True, True]
    >>> sample.shrink(most=1), sample.below, sample.seqs()
    ([1], 0.5, [2])
    """

    def __init__(self, seed: int, below: float = inf) -> None:
        self.seed = seed
        self.below = below
        self._ranked: list[tuple[float, int]] = []
        self._rank_of: dict[int, float] = {}
        self._coming: list[tuple[int, float]] = []  # events with low draws, the next one last
        self._looked = 0  # before this event
        self.due = 0
        """No event before this one, and none that was looked at, may get in."""

    def __len__(self) -> int:
        return len(self._ranked)

    def __contains__(self, seq: int) -> bool:
        return seq in self._rank_of

    def seqs(self) -> list[int]:
        """The events in it, lowest rank first."""
        return [seq for _, seq in self._ranked]

    def candidates(self, first: int, last: int) -> Iterator[tuple[int, float]]:
        """Those of a run of events that may get in, with their draws; runs come in order.

        Costs some nanoseconds an event.
        """
        if first > self._looked or not self._looked:
            self._coming, self._looked = [], first
        while self._looked <= last:
            self._look_ahead()
        while self._coming and self._coming[-1][0] <= last:
            seq, drawn = self._coming.pop()
            if seq >= first and drawn < self.below:
                yield seq, drawn
        self.due = self._coming[-1][0] if self._coming else self._looked

    def _look_ahead(self) -> None:
        seqs = np.arange(self._looked, self._looked + _AHEAD)
        drawn = draws(seqs, self.seed)
        low = np.flatnonzero(drawn < self.below)
        found = list(zip(seqs[low].tolist(), drawn[low].tolist(), strict=True))
        self._coming = found[::-1] + self._coming
        self._looked += _AHEAD

    def offer(self, seq: int, rank: float) -> bool:
        """Take an event in if its rank is low enough; whether it is in."""
        if rank >= self.below or seq in self._rank_of:
            return seq in self._rank_of
        insort(self._ranked, (rank, seq))
        self._rank_of[seq] = rank
        return True

    def shrink(self, most: int) -> list[int]:
        """Let go of the highest ranks until the sample is as small as it should be; which."""
        gone = []
        while len(self) > most or (len(self) > FEWEST and self._ranked[-1][0] >= _RATE):
            self.below, seq = self._ranked.pop()
            del self._rank_of[seq]
            gone.append(seq)
        return gone

    def remove(self, seq: int) -> None:
        """Take an event out as if it had never been."""
        rank = self._rank_of.pop(seq)
        del self._ranked[bisect_left(self._ranked, (rank, seq))]

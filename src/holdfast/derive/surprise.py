"""How unexpected an event is against the stream so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import log2


class Surprise:
    """A bounded streaming unigram model: bits per term, then it learns the event.

    Parameters
    ----------
    bits
        The table has ``2**bits`` counts; terms that share one are taken for the same.

    Notes
    -----
    O(terms) per event and O(1) memory. Counts are halved, all of them, whenever their sum passes
    16 times the size of the table; so old habits fade and the model follows the stream.
    Deterministic: the same events in the same order give the same values.

    Examples
    --------
    >>> model = Surprise()
    >>> first, again = model.observe([7, 8]), model.observe([7, 8])
    >>> again < first
    True
    """

    def __init__(self, bits: int = 16) -> None:
        self._mask = (1 << bits) - 1
        self._counts = [0] * (1 << bits)
        self._total = 0
        self._limit = 16 << bits
        self._unseen = 0.5 * (1 << bits)  # half a count for each place in the table

    def observe(self, terms: Sequence[int]) -> float:
        """Mean surprise in bits per term against what came before; 0.0 for no terms."""
        if not terms:
            return 0.0
        counts, mask = self._counts, self._mask
        places = [term & mask for term in terms]
        product, bits = 1.0, 0.0
        for place in places:
            product *= counts[place] + 0.5
            if product > 1e280 or product < 1e-280:
                bits -= log2(product)
                product = 1.0
        bits -= log2(product)
        for place in places:
            counts[place] += 1
        surprise = bits / len(places) + log2(self._total + self._unseen)
        self._total += len(places)
        if self._total > self._limit:
            self._counts = [count >> 1 for count in counts]
            self._total = sum(self._counts)
        return surprise

    def learn(self, counts: Iterable[tuple[Sequence[int], Sequence[int]]]) -> None:
        """Learn how often terms occurred, given as pairs of terms and their counts."""
        for terms, times in counts:
            for term, n in zip(terms, times, strict=True):
                self._counts[term & self._mask] += n
                self._total += n
        while self._total > self._limit:
            self._counts = [count >> 1 for count in self._counts]
            self._total = sum(self._counts)

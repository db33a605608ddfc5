"""What to offer for a context, and in which order: evidence for its tokens.

A unit is a whole event, or an excerpt of one that is too long for what it is worth. Its worth is
the probability that it holds evidence, as far as the score tells, over a power of its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import exp
from operator import itemgetter
from typing import NamedTuple

from holdfast.records import Hit

HEAD = 12  # tokens that a line takes beside its text, typically
EXCERPT_TOKENS = 120  # what an excerpt may hold
# Measured over the public sets with contexts of 1,000 tokens; to be measured again whenever the
# score changes its scale. Worth is ``exp(score - best) / tokens ** _LENGTH``: with a score that is
# a log probability, _LENGTH would be 1.
_LENGTH = 0.5
_EXCERPT_WORTH = 0.3  # of a whole event's weight
_BY_WORTH = itemgetter(0, 1)
_NEGLIGIBLE = 0.02  # share of the weight that may be given up to keep a context's beginning


class Unit(NamedTuple):
    """One thing that may be offered."""

    hit: Hit
    tokens: int  # of its text, about
    weight: float  # 1 for the best hit
    excerpt: bool = False


def offers(hits: Sequence[Hit], tokens: Sequence[int], room: int) -> list[Unit]:
    """Units in the order in which to offer them.

    Parameters
    ----------
    hits, tokens
        Best first, and how many tokens the text of each has.
    room
        Tokens of the context. What can never fit is offered as an excerpt only.
    """
    units: list[tuple[float, int, Unit]] = []
    for hit, size in zip(hits, tokens, strict=True):
        weight = exp(hit.score - hits[0].score)
        if size <= room:
            worth = weight / (size + HEAD) ** _LENGTH
            units.append((worth, hit.seq, Unit(hit, size, weight)))
        if size > min(room, 2 * EXCERPT_TOKENS):
            shown = max(0, min(EXCERPT_TOKENS, room))
            worth = _EXCERPT_WORTH * weight / (shown + HEAD) ** _LENGTH
            units.append((worth, hit.seq, Unit(hit, shown, weight, excerpt=True)))
    units.sort(key=_BY_WORTH, reverse=True)
    return [unit for _, _, unit in units]


def spared(units: Sequence[Unit], kept: Sequence[tuple[int, int]], room: int) -> int:
    """How many entries of a context can stay in front before that costs evidence.

    Parameters
    ----------
    units
        As from `offers`.
    kept
        The entries, in their order: sequence number and tokens.

    Returns
    -------
    The largest number found, by bisection, with which what is packed keeps 98% of the weight it
    has without.
    """
    exact = dict(kept)
    known = [exact[u.hit.seq] - u.tokens for u in units if u.hit.seq in exact and not u.excerpt]
    head = sum(known) / len(known) if known else HEAD  # what a line takes beside its text here
    costs = [
        (u.hit.seq, exact.get(u.hit.seq, u.tokens + head), u.weight) for u in units if not u.excerpt
    ]
    least = (1.0 - _NEGLIGIBLE) * _packed_weight(costs, (), room)
    low, high = 0, len(kept)
    while low < high:
        middle = (low + high + 1) // 2
        if _packed_weight(costs, kept[:middle], room) >= least:
            low = middle
        else:
            high = middle - 1
    return low


def _packed_weight(
    costs: Sequence[tuple[int, float, float]], kept: Sequence[tuple[int, int]], room: int
) -> float:
    """The weight of what would be packed behind some entries, theirs included; < 0: no room."""
    left: float = room - sum(tokens for _, tokens in kept)
    if left < 0:
        return -1.0
    inside = {seq for seq, _ in kept}
    total = 0.0
    for seq, cost, weight in costs:
        if seq in inside:
            total += weight
        elif cost <= left:
            left -= cost
            total += weight
    return total

"""Whose promotions are worth sharing: a windowed record of what others made use of."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

WINDOW = 16
"""Promotions of one source that are remembered."""
_GRACE = 4  # the newest of them that nobody can have used yet
_FLOOR = 0.1
ENOUGH = 0.25
"""The weight under which a promotion needs somebody's approval."""


@dataclass(slots=True)
class _Promotion:
    belief: str
    used_by: set[str] = field(default_factory=set)
    spoilt: bool = False  # somebody found it unhelpful


class Credit:
    """How much the promotions of each source count, from 0.1 to 1.

    A promoted belief earns its source credit when another principal uses it, and costs credit when
    another finds it unhelpful, or when nobody has used it while later ones came. Only the last
    `WINDOW` promotions count, so a record is forgiven after as many good ones.

    References
    ----------
    LTS, Learning to Share (step-level reuse credit), and bounded reciprocity TR-4 (a windowed
    record, bounded responses, forgiveness). Differs from both: no training and no game, a mean over
    a window with two observations' worth of prior.

    Examples
    --------
    >>> credit = Credit()
    >>> credit.weight("bo")
    0.5
    >>> for n in range(16):
    ...     credit.promoted(f"b{n}.0", "bo")
    >>> credit.weight("bo") < ENOUGH
    True
    """

    def __init__(self) -> None:
        self._of: dict[str, deque[_Promotion]] = {}
        self._by: dict[str, tuple[str, _Promotion]] = {}

    def promoted(self, belief: str, source: str) -> None:
        """A source's belief was promoted to a wider scope."""
        record = self._of.setdefault(source, deque())
        if len(record) == WINDOW:
            self._by.pop(record.popleft().belief, None)
        one = _Promotion(belief)
        record.append(one)
        self._by[belief] = (source, one)

    def used(self, belief: str, by: str, helpful: bool = True) -> None:
        """Somebody used a belief, or found it of no help; what its own source says counts not."""
        source, one = self._by.get(belief, ("", None))
        if one is None or by == source:
            return
        if helpful:
            one.used_by.add(by)
        else:
            one.spoilt = True

    def weight(self, source: str) -> float:
        """The weight of a source's promotions now."""
        record = list(self._of.get(source, ()))
        pending = len(record) - _GRACE
        judged = [
            bool(one.used_by) and not one.spoilt
            for i, one in enumerate(record)
            if one.used_by or one.spoilt or i < pending
        ]
        return max(_FLOOR, (1.0 + sum(judged)) / (2.0 + len(judged)))

    def canonical(self) -> list[list[object]]:
        """For the state's hash."""
        return [
            [source, [[sorted(one.used_by), one.spoilt] for one in record]]
            for source, record in sorted(self._of.items())
        ]

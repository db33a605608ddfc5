"""Give every group its own share of the limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

from holdfast.retention.arrays import Array, namespace
from holdfast.retention.base import Need, Policy, Share
from holdfast.retention.ladder import DemotionLadder
from holdfast.retention.view import Plan, View, must_free


@dataclass(frozen=True)
class PerGroup(Policy):
    """Run a policy on each group (scope, head, track) within its share of the limit.

    Parameters
    ----------
    policy
        What decides inside a group.
    column
        The integer column of the view that tells the groups apart.
    share
        ``"size"``: every group gives up the same part of its bytes. ``"equal"``: every group may
        keep the same number of bytes, and what a small one leaves goes to the others, so no
        chatty group can push out a quiet one.

    Notes
    -----
    Pinned entries come first: a group gets at least what they need. One plan per group; not for
    batches, whose rows are groups already.
    """

    batched: ClassVar[bool] = False

    policy: Policy = field(default_factory=DemotionLadder)
    column: str = "scope"
    share: Share = "size"

    def __post_init__(self) -> None:
        if self.share not in ("size", "equal"):
            raise ValueError(f"share is {self.share!r}; it must be 'size' or 'equal'")

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]  # of what it wraps
        return self.policy.needs

    def plan(self, view: View, limit: Array) -> Plan:
        xp = namespace(view.cost)
        tier = xp.astype(view.tier, xp.uint8, copy=True)
        if float(must_free(view, limit)) <= 0:
            return Plan(tier)
        costs, group = view.costs(), getattr(view, self.column)
        order = xp.argsort(group, axis=-1, stable=True)
        _, counts = xp.unique_counts(group)
        edges = [0, *xp.cumulative_sum(counts, axis=-1).tolist()]
        rows = [order[a:b] for a, b in pairwise(edges)]
        if len(rows) == 1:
            return self.policy.plan(view, limit)
        spent = [float(xp.sum(costs[one])) for one in rows]
        floor = [float(view.at(one).held()) for one in rows]
        weight = spent if self.share == "size" else [1.0] * len(rows)
        into, score = xp.full_like(order, -1), xp.full_like(costs, xp.inf)
        merged = scored = False
        for one, part in zip(rows, fill(floor, spent, weight, float(limit)), strict=True):
            plan = self.policy.plan(view.at(one), part)
            tier[one] = plan.tier
            if plan.into is not None:
                merged = True
                known = plan.into >= 0
                there = xp.take(one, xp.where(known, plan.into, 0 * plan.into))
                into[one] = xp.where(known, there, plan.into)
            if plan.score is not None:
                scored = True
                score[one] = plan.score
        return Plan(tier, into if merged else None, score if scored else None)


def fill(floor: list[float], full: list[float], weight: list[float], total: float) -> list[float]:
    """Split `total` in proportion to `weight`, but each part within its own two bounds.

    Notes
    -----
    The parts sum to at most `total`, and to all but a rounding of it if `full` allows. A smaller
    total makes no part larger.

    Examples
    --------
    >>> [round(part) for part in fill([0, 0, 0], [10.0, 50.0, 90.0], [1, 1, 1], 70.0)]
    [10, 30, 30]
    """
    low, high = 0.0, max([f / w for f, w in zip(full, weight, strict=True) if w], default=0.0)

    def at(level: float) -> list[float]:
        parts = zip(floor, full, weight, strict=True)
        return [max(least, min(level * w, most)) for least, most, w in parts]

    for _ in range(64):
        level = (low + high) / 2
        low, high = (low, level) if sum(at(level)) > total else (level, high)
    return at(low)

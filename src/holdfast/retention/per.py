"""Give every group its own share of the limit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from holdfast.retention.base import Floats, Policy, Tiers, View, must_free
from holdfast.retention.ladder import DemotionLadder


@dataclass(frozen=True)
class PerGroup(Policy):
    """Run a policy on each group (scope, speaker, head, track) within its share of the limit.

    Parameters
    ----------
    policy
        What decides inside a group.
    share
        ``"size"``: every group gives up the same part of its bytes. ``"equal"``: every group may
        keep the same number of bytes, and what a small one leaves goes to the others, so no
        chatty group can push out a quiet one.

    Notes
    -----
    Pinned entries come first: a group gets at least what they need. One plan per group.
    """

    policy: Policy = field(default_factory=DemotionLadder)
    share: Literal["size", "equal"] = "size"

    def __post_init__(self) -> None:
        if self.share not in ("size", "equal"):
            raise ValueError(f"share is {self.share!r}; it must be 'size' or 'equal'")

    def plan(self, view: View, limit: float) -> Tiers:
        plan = view.tier.copy()
        if must_free(view, limit) <= 0:
            return plan
        order = np.argsort(view.group, kind="stable")
        starts = np.flatnonzero(np.diff(view.group[order], prepend=view.group[order[0]] - 1))
        if len(starts) == 1:
            return self.policy.plan(view, limit)
        costs = view.costs()
        spent = np.add.reduceat(costs[order], starts)
        floor = np.add.reduceat((costs * view.pinned)[order], starts)
        weight = spent if self.share == "size" else np.ones(len(starts))
        limits = fill(floor, spent, weight, limit)
        for rows, part in zip(np.split(order, starts[1:]), limits.tolist(), strict=True):
            plan[rows] = self.policy.plan(view.at(rows), part)
        return plan


def fill(floor: Floats, full: Floats, weight: Floats, total: float) -> Floats:
    """Split `total` in proportion to `weight`, but each part within its own two bounds.

    Notes
    -----
    The parts sum to at most `total`, and to all but a rounding of it if `full` allows. A smaller
    total makes no part larger.

    Examples
    --------
    >>> fill(np.zeros(3), np.array([10.0, 50.0, 90.0]), np.ones(3), 70.0).round(6).tolist()
    [10.0, 30.0, 30.0]
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        low, high = 0.0, float(np.nanmax(full / weight))
    for _ in range(64):
        level = (low + high) / 2
        over = float(np.clip(level * weight, floor, full).sum()) > total
        low, high = (low, level) if over else (level, high)
    return np.clip(low * weight, floor, full)

"""Every registered policy keeps the contract, and the contract catches those that do not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

from holdfast.checks import check_policy
from holdfast.errors import BudgetError
from holdfast.registry import RETENTION, resolve
from holdfast.retention.base import Policy, Tiers, View
from holdfast.retention.oldest import Oldest


@pytest.mark.parametrize("spec", [*sorted(RETENTION), "per_group:share=equal"])
def test_registered_policy(spec: str) -> None:
    check_policy(resolve("retention", spec))


@dataclass(frozen=True)
class Broken(Policy):
    """Oldest, with one thing wrong."""

    fault: str

    def plan(self, view: View, limit: float) -> Tiers:
        if self.fault == "never refuses":
            try:
                return Oldest().plan(view, limit)
            except BudgetError:
                return view.tier.copy()
        if self.fault == "refuses":
            raise BudgetError("too small")
        plan = Oldest().plan(view, limit)
        if self.fault == "dtype":
            return plan.astype(np.int64)  # type: ignore[return-value]
        if self.fault == "shape":
            return np.append(plan, np.uint8(0))
        if self.fault == "tier":
            return plan + np.uint8(1)
        if self.fault == "shared":
            return view.tier if (plan == view.tier).all() else plan
        if self.fault == "limit":
            return view.tier.copy()
        if self.fault == "rises":
            return np.where(view.pinned, plan, np.minimum(plan, view.evicted - 1)).astype(np.uint8)
        if self.fault == "moves pinned":
            return np.where(view.pinned, view.evicted, plan).astype(np.uint8)
        if self.fault == "eager":
            return np.where(view.pinned, plan, view.evicted).astype(np.uint8)
        if self.fault == "random":
            return (
                np.where(view.pinned, plan, plan | np.random.default_rng().integers(0, 2))
                % (view.cost.shape[1])
            )
        assert self.fault == "writes"
        view.uses[:] = 0.0
        return plan


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ("never refuses", "no BudgetError, but pinned entries need"),
        ("refuses", "refused, but pinned entries need only"),
        ("dtype", "the plan is int64, want uint8"),
        ("shape", "the plan has shape"),
        ("tier", "a tier is below"),
        ("shared", "the view's own tier column"),
        ("limit", "the plan costs"),
        ("rises", "the plan costs|an entry rises"),
        ("moves pinned", "a pinned entry moves"),
        ("eager", "an entry moves though all of them fit"),
        ("random", "want uint8|the plan is another|rises|though all of them fit"),
    ],
)
def test_broken_policy_is_caught(fault: str, found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        check_policy(Broken(fault))


def test_policy_that_writes_to_its_input_is_caught() -> None:
    with pytest.raises(ValueError, match="read-only"):
        check_policy(Broken("writes"))


def test_refusal_names_what_is_pinned_and_what_to_do() -> None:
    view = View(
        position=np.arange(4),
        now=4,
        cost=np.array([[2280.0, 0.0]] * 4),
        tier=np.zeros(4, np.uint8),
        surprise=np.zeros(4),
        uses=np.zeros(4),
        pinned=np.ones(4, np.bool_),
        group=np.zeros(4, np.int64),
    )
    with pytest.raises(BudgetError) as caught:
        Oldest().plan(view, 8192)
    assert str(caught.value) == (
        "4 pinned items need 9120 bytes but the budget is 8192; raise the budget or unpin one"
    )

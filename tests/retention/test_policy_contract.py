"""Every registered policy keeps the contract, and the contract catches those that do not."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count

import numpy as np
import pytest

from holdfast.checks import check_policy
from holdfast.errors import BudgetError
from holdfast.registry import RETENTION, resolve
from holdfast.retention.base import Policy
from holdfast.retention.oldest import Oldest
from holdfast.retention.view import Plan, View


@pytest.mark.parametrize("spec", [*sorted(RETENTION), "per_group:share=equal"])
def test_registered_policy(spec: str) -> None:
    check_policy(resolve("retention", spec))


CALLS = count()


@dataclass(frozen=True)
class Broken(Policy):
    """Oldest, with one thing wrong."""

    fault: str

    @property
    def batched(self) -> bool:  # type: ignore[override]
        return self.fault == "batch"

    def plan(self, view: View, limit: float) -> Plan:
        if self.fault == "never refuses":
            try:
                return Oldest().plan(view, limit)
            except BudgetError:
                return Plan(view.tier.copy())
        if self.fault == "refuses":
            raise BudgetError("too small")
        if self.fault == "writes":
            view.uses[:] = 0.0
        tier = Oldest().plan(view, limit).tier
        return Plan(self.spoilt(view, tier), self.merged(view, tier))

    def spoilt(self, view: View, tier: np.ndarray) -> np.ndarray:
        pinned, last = view.pinned, np.uint8(view.evicted)
        within = bool((tier == view.tier).all())
        if self.fault == "batch" and tier.ndim > 1:
            return np.where(pinned, tier, tier.max(axis=0))
        spoilt = {
            "dtype": lambda: tier.astype(np.int64),
            "shape": lambda: np.append(tier, np.uint8(0)),
            "tier": lambda: tier + np.uint8(1),
            "shared": lambda: view.tier if within else tier,
            "limit": lambda: view.tier.copy(),
            "rises": lambda: np.where(pinned, tier, np.minimum(tier, last - np.uint8(1))),
            "moves pinned": lambda: np.where(pinned, last, tier),
            "eager": lambda: np.where(pinned, tier, last),
            "random": lambda: np.where(pinned, tier, np.maximum(tier, self.draw(view))),
        }
        return spoilt.get(self.fault, lambda: tier)()

    def draw(self, view: View) -> np.ndarray:
        if view.spent() <= 0:
            return view.tier
        rng = np.random.default_rng(next(CALLS))  # another draw each time, the same in each run
        return rng.integers(0, view.evicted, view.tier.shape, np.uint8, True)

    def merged(self, view: View, tier: np.ndarray) -> np.ndarray | None:
        if not tier.size or tier.ndim > 1:
            return None
        out, here = tier == view.evicted, view.tier < view.evicted
        first = int(np.argmin(out))  # the first that is kept, if any is
        into = {
            "merges into the lost": np.where(out & here, int(np.argmax(out & here)), -1),
            "merges the kept": np.where(here, first, -1) if not out.all() else None,
            "merges the gone": np.where(out & ~out[first], first, -1),
            "merges scopes": np.where(out & here & ~out[first], first, -1),
            "merges into none": np.where(out & here, len(out), -1),
        }
        return into.get(self.fault)


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
        ("random", "the plan is another|though all of them fit|it goes on"),
        ("merges into the lost", "merged into one that is evicted"),
        ("merges the kept", "an entry that is kept is merged"),
        ("merges the gone", "what was gone is merged"),
        ("merges scopes", "merged into one of another scope"),
        ("merges into none", "merged into one there is not"),
        ("batch", "of a batch is not planned as it is alone"),
    ],
)
def test_broken_policy_is_caught(fault: str, found: str) -> None:
    with pytest.raises(AssertionError, match=found):
        check_policy(Broken(fault))


def test_policy_that_writes_to_its_input_is_caught() -> None:
    with pytest.raises(ValueError, match="read-only"):
        check_policy(Broken("writes"))


def test_refusal_names_what_is_pinned_and_what_to_do() -> None:
    view = View.of(size=np.full(4, 2280.0), pinned=np.ones(4, np.bool_))
    with pytest.raises(BudgetError) as caught:
        Oldest().plan(view, 8192)
    assert str(caught.value) == (
        "4 pinned items need 9120 bytes but the budget is 8192; raise the budget or unpin one"
    )


@pytest.mark.parametrize("spec", sorted(RETENTION))
def test_a_policy_that_needs_vectors_says_so(spec: str) -> None:
    policy = resolve("retention", spec)
    view = View.of(size=np.ones(9))
    if "vector" in policy.needs:
        with pytest.raises(ValueError, match="compares vectors"):
            policy.plan(view, 3)
    else:
        assert policy.plan(view, 3).tier.sum() == 6

"""One code path for NumPy arrays and torch tensors: the plans are the same."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.checks.policy import random_view
from holdfast.errors import MissingExtraError
from holdfast.registry import RETENTION, resolve
from holdfast.retention.arrays import namespace
from holdfast.retention.gate import LearnedGate
from holdfast.retention.view import Plan, View

from policy_views import limit_of, merges

try:
    import torch
    from array_api_compat import array_namespace
except ImportError:
    torch = array_namespace = None

needs_torch = pytest.mark.skipif(
    array_namespace is None, reason="needs torch and array-api-compat: the extra `torch`"
)

SEEDS, SHARES = st.integers(0, 2**32 - 1), st.floats(0.0, 1.0)


def tensors(view: View) -> View:
    torch.set_num_threads(1)
    columns = {field.name: getattr(view, field.name) for field in fields(View)}
    arrays = {name: c for name, c in columns.items() if isinstance(c, np.ndarray)}
    return replace(view, **{name: torch.from_numpy(c.copy()) for name, c in arrays.items()})


def draw(seed: int, n: int, real: bool, single: bool = False) -> View:
    """A view whose vectors are signs, which tie, or normal, which do not."""
    rng = np.random.default_rng(seed)
    view = random_view(rng, n, 2 + seed % 3)
    if real:
        view = replace(view, vector=rng.normal(size=(n, 12)))
    return replace(view, vector=view.vector.astype(np.float32)) if single else view


def plain(plan: Plan) -> tuple[list[Any], list[Any]]:
    for array in (plan.tier, plan.into, plan.score):
        assert array is None or isinstance(array, torch.Tensor)
    tier = plan.tier.numpy()
    assert tier.dtype == np.uint8
    into = merges(Plan(tier, None if plan.into is None else plan.into.numpy()))
    return tier.tolist(), into.tolist()


@needs_torch
@pytest.mark.parametrize("spec", sorted(RETENTION))
@settings(max_examples=40)
@given(SEEDS, st.integers(1, 70), SHARES, st.booleans(), st.booleans())
def test_a_policy_plans_the_same_over_either_kind(
    spec: str, seed: int, n: int, share: float, real: bool, single: bool
) -> None:
    policy, view = resolve("retention", spec), draw(seed, n, real, single)
    limit = limit_of(view, share)
    one = policy.plan(view, limit)
    assert plain(policy.plan(tensors(view), limit)) == (one.tier.tolist(), merges(one).tolist())


@needs_torch
@pytest.mark.parametrize("spec", sorted(RETENTION))
@pytest.mark.parametrize("n", [700, 3000])
def test_and_over_more_than_one_block(spec: str, n: int) -> None:
    policy, view = resolve("retention", spec), draw(n, n, real=True)
    limit = limit_of(view, 0.5)
    one = policy.plan(view, limit)
    assert plain(policy.plan(tensors(view), limit)) == (one.tier.tolist(), merges(one).tolist())


@needs_torch
@pytest.mark.parametrize(
    "spec", [name for name in sorted(RETENTION) if resolve("retention", name).batched]
)
@settings(max_examples=20)
@given(SEEDS, st.integers(1, 40), st.lists(SHARES, min_size=6, max_size=6))
def test_a_batch_of_tensors_is_planned_row_by_row(
    spec: str, seed: int, n: int, given_shares: list[float]
) -> None:
    policy = resolve("retention", spec)
    position = random_view(np.random.default_rng(seed), n, 3).position
    now = int(position[-1]) + 1
    rows = [
        replace(random_view(np.random.default_rng((seed, row)), n, 3), position=position, now=now)
        for row in range(6)
    ]
    limits = [limit_of(row, share) for row, share in zip(rows, given_shares, strict=True)]
    together = {
        field.name: np.stack([getattr(row, field.name) for row in rows])
        for field in fields(View)
        if field.name != "now"
    }
    batch = View(now=now, **{name: c.reshape((2, 3, *c.shape[1:])) for name, c in together.items()})
    tier, into = plain(policy.plan(tensors(batch), torch.tensor(limits).reshape(2, 3)))
    for number, (row, limit) in enumerate(zip(rows, limits, strict=True)):
        alone, at = policy.plan(row, limit), (number // 3, number % 3)
        assert tier[at[0]][at[1]] == alone.tier.tolist()
        assert into[at[0]][at[1]] == merges(alone).tolist()


@needs_torch
@given(SEEDS, st.integers(2, 40))
def test_a_gate_learns_the_same_from_either_kind(seed: int, n: int) -> None:
    view, used = draw(seed, n, real=False), np.arange(n) % 3 == 0
    one = LearnedGate().learn(view, used)
    other = LearnedGate().learn(tensors(view), torch.from_numpy(used))
    assert other.weights == pytest.approx(one.weights)


def test_a_tensor_without_the_extra_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "array_api_compat", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'holdfast\[torch\]'"):
        namespace(object())

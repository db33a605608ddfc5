"""Sizes as people write them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.budget import format_bytes, parse_bytes
from holdfast.errors import BudgetError

UNITS = {"": 1, "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10,
         "MiB": 2**20, "GiB": 2**30, "TiB": 2**40}  # fmt: skip


@given(st.integers(1, 10**6), st.sampled_from(sorted(UNITS)), st.booleans(), st.integers(0, 3))
def test_a_number_and_a_unit(n: int, unit: str, lower: bool, spaces: int) -> None:
    text = f"{n}{' ' * spaces}{unit.lower() if lower else unit}"
    assert parse_bytes(text) == n * UNITS[unit]
    assert parse_bytes(n) == n


@pytest.mark.parametrize(
    "bad", ["", "MiB", "-5 MiB", "five", "5 XiB", "5 MiB extra", "1e6", "1,000", "５ x", "0x10"]
)
def test_what_is_no_size_says_how_to_write_one(bad: str) -> None:
    with pytest.raises(BudgetError, match="write it like '64 MiB'"):
        parse_bytes(bad)


@pytest.mark.parametrize("bad", [0, -1, "0", "0 MiB", "0.0001 kB"])
def test_a_budget_is_positive(bad: int | str) -> None:
    with pytest.raises(BudgetError, match="not positive"):
        parse_bytes(bad)


@given(st.integers(0, 2**50))
def test_what_is_shown_is_near_what_is_meant(nbytes: int) -> None:
    shown = format_bytes(nbytes)
    assert format_bytes(-nbytes).lstrip("-") == shown
    if nbytes:
        again = parse_bytes(shown)
        assert abs(again - nbytes) <= max(0.051 / 1 * 2**10, 0.051 * nbytes)
    assert shown.split()[1] in UNITS


@pytest.mark.parametrize(
    ("nbytes", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2**40, "1024.0 GiB"), (5.4, "5 B")],
)
def test_units_change_at_powers_of_1024(nbytes: float, shown: str) -> None:
    assert format_bytes(nbytes) == shown

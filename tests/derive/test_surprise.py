"""Surprise against a stream, checked by a plain model."""

from collections import Counter
from math import isfinite, log2

from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.surprise import Surprise

streams = st.lists(st.lists(st.integers(0, 2**32 - 1), max_size=40), max_size=40)


def reference(stream: list[list[int]], bits: int) -> list[float]:
    """Counts in a dictionary, halves them when their sum passes 16 times the table's size."""
    size, counts, found = 2**bits, Counter[int](), []
    for terms in stream:
        total = sum(counts.values()) + size / 2
        each = [-log2((counts[term % size] + 0.5) / total) for term in terms]
        found.append(sum(each) / len(each) if each else 0.0)
        counts.update(term % size for term in terms)
        if sum(counts.values()) > 16 * size:
            counts = Counter({place: count // 2 for place, count in counts.items()})
    return found


@given(streams, st.integers(1, 8))
def test_agrees_with_the_reference(stream: list[list[int]], bits: int) -> None:
    model = Surprise(bits)
    for terms, expected in zip(stream, reference(stream, bits), strict=True):
        assert abs(model.observe(terms) - expected) < 1e-9


def test_what_repeats_stops_surprising() -> None:
    model = Surprise()
    values = [model.observe([1, 2, 3]) for _ in range(50)]
    assert values[0] == 16.0
    assert values == sorted(values, reverse=True)
    assert model.observe([4, 5, 6]) > values[-1] + 6


def test_a_very_long_event_stays_finite() -> None:
    model = Surprise()
    model.observe(list(range(50_000)))
    assert isfinite(model.observe([7] * 50_000))


def test_it_follows_the_stream() -> None:
    """What was common long ago is surprising again."""
    model = Surprise(bits=4)
    for _ in range(100):
        model.observe([1, 1, 1])
    fresh = model.observe([1])
    for _ in range(1000):
        model.observe([2, 2, 2])
    assert model.observe([1]) > fresh + 4

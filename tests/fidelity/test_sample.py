"""The sample: every event by its worth, whenever it came; bounded; the same for whoever looks."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.fidelity.sample import FEWEST, MOST, Sample, draws


def fed(n: int, seed: int, most: int = MOST, worth: dict[int, float] | None = None) -> Sample:
    """A sample of the events 1 to n, each of worth 1 unless told."""
    sample = Sample(seed)
    for seq, drawn in sample.candidates(1, n):
        sample.offer(seq, drawn / (worth or {}).get(seq, 1.0))
        sample.shrink(most)
    return sample


def chi_square(counts: np.ndarray) -> float:
    expected = counts.mean()
    return float(((counts - expected) ** 2 / expected).sum())


def test_every_stretch_of_a_stream_is_sampled_alike() -> None:
    """20 cells of 1,000 events, 40 seeds: chi-square with 19 degrees of freedom, 99.9 %: 43.8."""
    counts = np.zeros(20)
    for seed in range(40):
        places = np.array(fed(20_000, seed, 128).seqs()) - 1
        counts += np.bincount(places // 1000, minlength=20)
    assert counts.sum() == 40 * 128
    assert chi_square(counts) < 43.8


def test_draws_of_neighbours_have_nothing_to_do_with_each_other() -> None:
    """64 cells of pairs of neighbours: chi-square with 63 degrees of freedom, 99.9 %: 103.4."""
    found = draws(np.arange(1, 200_001), seed=11)
    assert found.min() > 0.0
    assert found.max() < 1.0
    cell = (8 * found[:-1]).astype(int) * 8 + (8 * found[1:]).astype(int)
    assert chi_square(np.bincount(cell, minlength=64)) < 103.4


def test_an_event_is_in_it_as_often_as_it_is_worth() -> None:
    heavy = {seq: 1.0 if seq % 4 == 0 else 0.25 for seq in range(1, 8001)}
    chosen = [seq for seed in range(30) for seq in fed(8000, seed, 128, heavy).seqs()]
    share = np.mean([seq % 4 == 0 for seq in chosen])  # 2,000 of 1 against 6,000 of 1/4
    assert abs(share - 4 / 7) < 0.03


def test_counts_are_estimated_without_bias() -> None:
    worth = {seq: 1.0 / (1 + seq % 9) for seq in range(1, 5001)}
    told = []
    for seed in range(60):
        sample = fed(5000, seed, 100, worth)
        told.append(sum(1 / min(1.0, sample.below * worth[seq]) for seq in sample.seqs()))
    assert abs(np.mean(told) - 5000) < 3 * np.std(told) / np.sqrt(len(told))


@given(st.integers(0, 3000), st.integers(0, 2**64 - 1), st.integers(FEWEST, MOST))
def test_it_is_never_larger_than_asked_nor_smaller_than_needed(
    n: int, seed: int, most: int
) -> None:
    sample = fed(n, seed, most)
    assert min(n, FEWEST) <= len(sample) <= most
    drawn = draws(np.arange(1, n + 1), seed) if n else np.zeros(0)
    assert sorted(sample.seqs()) == (np.flatnonzero(drawn < sample.below) + 1).tolist()


@given(st.integers(1, 2000), st.integers(1, 2000), st.integers(0, 99))
def test_samples_of_two_streams_join_into_that_of_both(a: int, b: int, seed: int) -> None:
    whole = fed(a + b, seed)
    first = fed(a, seed)
    joined = Sample(seed, first.below)
    for seq in first.seqs():
        joined.offer(seq, float(draws(np.array([seq]), seed)[0]))
    for seq, drawn in joined.candidates(a + 1, a + b):
        joined.offer(seq, drawn)
        joined.shrink(MOST)
    assert (joined.seqs(), joined.below) == (whole.seqs(), whole.below)


@given(st.lists(st.integers(1, 400), min_size=1, max_size=30), st.integers(0, 99))
def test_it_does_not_matter_in_which_runs_events_come(runs: list[int], seed: int) -> None:
    sample, at = Sample(seed), 1
    for n in runs:
        for seq, drawn in sample.candidates(at, at + n - 1):
            assert at <= seq < at + n
            sample.offer(seq, drawn)
            sample.shrink(MOST)
        assert sample.due >= at + n
        at += n
    assert sample.seqs() == fed(at - 1, seed).seqs()


def test_what_is_removed_leaves_no_hole_for_others() -> None:
    sample = fed(4000, 5)
    before, gone = sample.seqs(), sample.seqs()[3]
    sample.remove(gone)
    assert sample.seqs() == [seq for seq in before if seq != gone]
    assert gone not in sample
    assert not sample.offer(4001, sample.below)

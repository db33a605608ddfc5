"""From what size of history on is choosing better than reading everything?"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.bench import scorers
from holdfast.bench.baselines import Recency
from holdfast.bench.datasets import Dataset, Query, Turn, to_event
from holdfast.bench.protocol import Factory, Setup, System
from holdfast.bench.recall import Say, asked_streams, in_temporary

BUDGETS = (500, 1_000, 2_000, 4_000, 8_000)
SIZES = tuple(500 * 2**n for n in range(12))  # tokens of history: 500 to a million
MOST = 40  # questions of a stream at each size
FEWEST = 10  # questions a point is made of at least


def measure(
    data: Dataset,
    make: Factory,
    setup: Callable[[Path], Setup],
    *,
    streams: int | None = None,
    seed: int = 0,
    progress: Say | None = None,
) -> dict[str, Any]:
    """Share of right turns in the context, against the size of the history, for each budget.

    A stream grows from nothing; each time it has reached one of `SIZES`, it is asked the questions
    whose right turns have all been said by then (at most 40, drawn by a fixed seed). `chosen` is
    the system's context, `newest` the whole history where it fits the budget and its newest turns
    where it does not. Both are counted in turns that are wholly in the text. A history's size is
    the tokens of its turns, speakers included, without any envelope.

    References
    ----------
    ConvoMem Benchmark: Why Your First 150 Conversations Don't Need RAG,
    arXiv:2511.10523. There a model's answers are judged as whole conversations are added; here it
    is whether the evidence is in the text at all, as turns are.
    """
    found: dict[int, list[tuple[list[float], list[float]]]] = {size: [] for size in SIZES}
    names = asked_streams(data, lambda query: _fits(data, query), streams)
    for number, stream in enumerate(names, 1):
        if progress:
            progress(f"stream {number} of {len(names)}")
        with in_temporary(make, setup) as system:
            _grow(data, stream, seed, system, found)
    kept = [size for size in SIZES if len(found[size]) >= FEWEST]
    curves = {
        name: {
            str(budget): [
                round(float(np.mean([row[part][n] for row in found[s]])), 4) for s in kept
            ]
            for n, budget in enumerate(BUDGETS)
        }
        for part, name in enumerate(("chosen", "newest"))
    }
    return {
        "sizes": kept,
        "n": [len(found[size]) for size in kept],
        **curves,
        "crosses": {
            str(b): crossing(kept, curves["chosen"][str(b)], curves["newest"][str(b)])
            for b in BUDGETS
        },
    }


def crossing(sizes: Sequence[int], chosen: Sequence[float], newest: Sequence[float]) -> int | None:
    """The smallest measured size from which on choosing is better at every size, if there is one.

    Examples
    --------
    >>> crossing([1, 2, 4, 8], [1.0, 0.8, 0.7, 0.6], [1.0, 0.9, 0.5, 0.2])
    4
    """
    found = None
    for size, ours, theirs in zip(reversed(sizes), reversed(chosen), reversed(newest), strict=True):
        if ours <= theirs:
            break
        found = size
    return found


def _fits(data: Dataset, query: Query) -> bool:
    """Asked after the whole stream, so that it may be asked at any moment its answer is there."""
    return query.at is None and bool(query.turns.gold) and data.headline(query)


def _grow(
    data: Dataset,
    stream: str,
    seed: int,
    system: System,
    found: Mapping[int, list[tuple[list[float], list[float]]]],
) -> None:
    turns = data.streams[stream]
    newest = Recency(Setup(Path()))
    newest.observe_many([to_event(turn) for turn in turns])
    reached = np.cumsum(newest.costs)
    newest = Recency(Setup(Path()))
    place = {turn.id: turn.i for turn in turns}
    queries = [query for query in data.queries[stream] if _fits(data, query)]
    fed = 0
    for size in SIZES:
        if size > reached[-1]:
            return
        end = int(np.searchsorted(reached, size, side="right"))
        events = [to_event(turn) for turn in turns[fed:end]]
        if events:
            system.observe_many(events)
            newest.observe_many(events)
        fed = end
        ready = [q for q in queries if all(place[id] < end for id in q.turns.gold)]
        rng = np.random.default_rng((seed, size))
        for n in sorted(rng.permutation(len(ready))[:MOST].tolist()):
            found[size].append((_shares(ready[n], system, turns), _shares(ready[n], newest, turns)))


def _shares(query: Query, system: System, turns: Sequence[Turn]) -> list[float]:
    shares = []
    for budget in BUDGETS:
        whole = sorted(system.context(query.text, budget).whole)
        inside = scorers.merge_equal([turns[n].id for n in whole], query.turns.equal)
        shares.append(scorers.coverage_at(inside, query.turns.gold, len(inside)))
    return shares

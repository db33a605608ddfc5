"""How much of a context a model's prompt cache can use again at the next question."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.bench import scorers
from holdfast.bench.datasets import Dataset, to_event
from holdfast.bench.protocol import Factory, Setup
from holdfast.bench.recall import TOKENS, Say, Wanted, asked_streams, grade, in_temporary

MOST = 200  # questions of a stream


def stability(before: str, after: str) -> float:
    """Share of a context's bytes that the next one begins with.

    Both are taken as UTF-8: the length of their longest common prefix over the length of the
    first. 1: all of it can be reused; an empty first context has nothing to reuse and gives 1.

    Examples
    --------
    >>> stability("abcd", "abxd")
    0.5
    """
    first, second = before.encode(), after.encode()
    same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(first, second, strict=False))
    return sum(1 for _ in same) / len(first) if first else 1.0


def measure(
    data: Dataset,
    wanted: Wanted,
    make: Factory,
    setup: Callable[[Path], Setup],
    *,
    streams: int | None = None,
    progress: Say | None = None,
) -> dict[str, Any]:
    """Mean `stability` over consecutive questions of each stream, contexts of 1,000 tokens.

    Questions come in the set's order, each at its own moment of the stream, at most the first 200
    of a stream; without two questions about one stream only ``n`` is returned. Neighbouring
    questions of these sets are about different things, so this is nearer the worst case than a
    conversation is. The envelope is part of the context and counts. ``budgeted`` is the coverage of
    the evidence by the same contexts, since stability alone is won by never changing anything.

    References
    ----------
    Azarafrooz, Cross-Session Threats in AI Agents, arXiv:2604.21131, calls the ordered-prefix
    stability of what a reader keeps between two refreshes CSR_prefix. There the unit is the kept
    fragment; here it is the byte, since that is what a prompt cache compares.
    """
    groups: list[list[float]] = []
    sizes: list[int] = []
    covered: list[float] = []
    names = asked_streams(data, wanted, streams)
    for number, stream in enumerate(names, 1):
        if progress:
            progress(f"stream {number} of {len(names)}")
        turns, fed, shares, last = data.streams[stream], 0, [], None
        with in_temporary(make, setup) as system:
            for query in [query for query in data.queries[stream] if wanted(query)][:MOST]:
                end = len(turns) if query.at is None else query.at
                if end > fed:
                    system.observe_many([to_event(turn) for turn in turns[fed:end]])
                    fed = end
                answer = system.context(query.text, TOKENS)
                text = answer.text
                sizes.append(len(text.encode()))
                if query.turns.gold:
                    row = grade(query, "turn", None, answer.whole, turns)
                    covered.append(row[f"budgeted@{TOKENS}"])
                if last is not None:
                    shares.append(stability(last, text))
                last = text
        groups.append(shares)
    values = [value for group in groups for value in group]
    if not values:
        return {"n": 0}
    low, high = scorers.bootstrap(groups)
    return {
        "csr_prefix": round(float(np.mean(values)), 4),
        "interval_95": (round(low, 4), round(high, 4)),
        "n": len(values),
        "n_streams": len(groups),
        "budgeted": round(float(np.mean(covered)), 4) if covered else None,
        "context_bytes": round(float(np.mean(sizes))),
    }

"""What other memories rank, on whole sets: their own pipelines, our vectors, our scorers."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.bench.baselines import fill
from holdfast.bench.datasets import Dataset
from holdfast.bench.peers.compare import Work, ask_peer, spoken
from holdfast.bench.peers.install import python_of
from holdfast.bench.recall import DEPTH, TOKENS, Say, Tally, Wanted, asked_streams, grade
from holdfast.derive.tokens import count_tokens

K = 100  # a context is filled from these, a ranking is scored to the usual depth
UNINDEXED = ("langgraph_kv",)
SECONDS = 1_800.0  # for adding a whole set one by one


def missing(name: str, cache: Path | None = None) -> str | None:
    """Why a peer cannot be asked, if it cannot."""
    if name in UNINDEXED:
        return "it stores and does not search"
    python = python_of(name, cache)
    if python.exists():
        return None
    return f"no environment at {python}; run: holdfast bench peers --install {name}"


def measure(
    name: str,
    data: Dataset,
    wanted: Wanted,
    embedder: Any,
    *,
    streams: int | None = None,
    progress: Say | None = None,
) -> tuple[Tally, dict[str, Any]]:
    """A peer's rankings of turns, scored like everyone's; and its version and settings.

    Every stream is one user in one store. Only sets that are asked at the end of their streams
    can be measured so. The context of ``budgeted@1000`` is filled from its first 100.

    Raises
    ------
    RuntimeError
        If the peer fails, or has not added everything in half an hour.
    """
    names = asked_streams(data, wanted, streams)
    turns = tuple(turn for stream in names for turn in data.streams[stream])
    asked = tuple(
        query
        for stream in names
        for query in data.queries[stream]
        if wanted(query) and query.at is None
    )
    queries = tuple(query for query in asked if query.turns.gold)
    lines = [spoken(turn) for turn in turns]
    if progress:
        progress(f"{len(turns):,} turns, {len(queries):,} questions")
    vectors = embedder.embed(lines), embedder.embed([query.text for query in queries])
    work = Work(turns, queries, vectors[0], vectors[1], meaning=True)
    with tempfile.TemporaryDirectory(prefix="holdfast-bench-") as folder:
        outcome = ask_peer(name, python_of(name), work, Path(folder), SECONDS, K)
    if len(outcome.rankings) < len(queries):
        raise RuntimeError(f"peer {name} added {len(outcome.added_s):,} of {len(turns):,} turns")
    tally = Tally(wanted, left_out=len(asked) - len(queries))
    costs = [count_tokens(line + "\n") for line in lines]
    place = {(turn.stream, turn.i): n for n, turn in enumerate(turns)}
    for query, ranking in zip(queries, outcome.rankings, strict=True):
        first = place[query.stream, 0]
        whole = fill(ranking, costs, TOKENS)
        row = grade(
            query,
            "turn",
            [turns[n].id for n in ranking[:DEPTH]],
            [n - first for n in whole],
            data.streams[query.stream],
        )
        tally.rows.append((query, row))
        tally.tokens.append(int(np.sum([costs[n] for n in whole])))
        for part in data.slices(query):
            tally.slices.setdefault(part, []).append(row)
    return tally, {"version": outcome.version, "settings": outcome.settings}

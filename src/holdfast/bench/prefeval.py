"""PrefEval as streams: stated preferences buried in someone else's talk, asked for at the end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.bench.datasets import Dataset, Query, Targets, Turn
from holdfast.errors import NotFoundError


def load_pairs(
    directory: str | Path,
    filler: Dataset,
    *,
    turns: int = 500,
    rounds: int | None = None,
    seed: int = 0,
) -> Dataset:
    """One stream per round: one preference of each topic at random places among filler turns.

    Parameters
    ----------
    filler
        Any other set; its streams, end to end, supply `turns` turns per round (from the start
        again when they run out). Preferences of one topic answer each other's questions, so a
        stream holds one per topic.
    rounds
        At most as many as the largest topic has preferences; None: all of them.

    Raises
    ------
    NotFoundError
        If the directory holds no `pairs.jsonl.gz`.
    """
    path = Path(directory) / "pairs.jsonl.gz"
    if not path.is_file():
        raise NotFoundError(f"no preference pairs at {path}")
    topics: dict[str, list[dict[str, Any]]] = {}
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            pair = json.loads(line)
            topics.setdefault(pair["topic"], []).append(pair)
    pool = [turn for stream in filler.streams.values() for turn in stream]
    count = max(map(len, topics.values()))
    streams: dict[str, tuple[Turn, ...]] = {}
    queries: dict[str, tuple[Query, ...]] = {}
    for number in range(count if rounds is None else min(count, rounds)):
        name = f"round-{number}"
        pairs = [found[number] for found in topics.values() if number < len(found)]
        rng = np.random.default_rng((seed, number))
        places = dict(zip(rng.permutation(turns)[: len(pairs)].tolist(), pairs, strict=True))
        texts: list[tuple[str, str, str]] = []
        for n in range(turns):
            if n in places:
                texts.append((places[n]["id"], "user", places[n]["preference"]))
            other = pool[(number * turns + n) % len(pool)]
            texts.append((f"filler-{n}", other.who, other.shown))
        streams[name] = tuple(
            Turn(name, i, id, str(i // 40), None, who, text)
            for i, (id, who, text) in enumerate(texts)
        )
        queries[name] = tuple(_question(name, pair, streams[name]) for pair in pairs)
    return Dataset("prefeval", streams, queries)


def _question(stream: str, pair: dict[str, Any], turns: tuple[Turn, ...]) -> Query:
    session = next(turn.session for turn in turns if turn.id == pair["id"])
    return Query(
        pair["id"],
        stream,
        None,
        pair["question"],
        pair["topic"],
        Targets(frozenset([pair["id"]])),
        Targets(frozenset([session])),
    )

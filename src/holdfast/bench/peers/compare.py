"""Holdfast beside other memories: the same turns, the same questions, the same scorers."""

from __future__ import annotations

import json
import statistics
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.bench import scorers
from holdfast.bench.bm25 import tokenize
from holdfast.bench.datasets import Dataset, Query, Turn, load, to_event
from holdfast.bench.peers.install import PEERS, python_of
from holdfast.bench.probe import file_bytes, filesystem, machine, quantiles_ms, raw_appends
from holdfast.records import Event

K = 10
HASHED_DIMENSIONS = 384
Vectors = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Work:
    """What every system is given: turns as (user, "Speaker: text"), questions, and vectors."""

    turns: tuple[Turn, ...]
    queries: tuple[Query, ...]
    vectors: Vectors  # (turns, dimensions)
    query_vectors: Vectors
    meaning: bool  # whether the vectors come from a real model

    @property
    def rows(self) -> list[tuple[str, str]]:
        return [(turn.stream, spoken(turn)) for turn in self.turns]

    @property
    def questions(self) -> list[tuple[str, str]]:
        return [(query.stream, query.text) for query in self.queries]


def run(
    directory: str | Path,
    *,
    peers: Sequence[str] = tuple(PEERS),
    vectors: str | Path | None = None,
    limit: int = 3_000,
    queries: int = 200,
    repeats: int = 1,
    seconds: float = 120.0,
    where: str | Path = ".",
    cache: Path | None = None,
    embedder: Any = None,
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Durable adds per second, search latency, recall and bytes, for Holdfast and each peer.

    Parameters
    ----------
    vectors
        A folder with `turns.npy` and `queries.npy`: unit vectors of every turn ("Speaker: text")
        and every question of the set, in file order. None: hashed words stand in. They cost a
        peer the same to store and search, but mean little, so then no recall is reported.
    limit, queries
        How many turns are added one by one (whole streams, as far as they fit) and how many
        questions about them are asked.
    seconds
        A peer that needs longer than this to add them is stopped; its rate so far is reported.
    embedder
        For Holdfast's own row; None: no model.

    Notes
    -----
    Vectors are made beforehand for everyone, so no figure contains a model's time. Holdfast runs
    before each peer and the raw disk around both, because shared disks drift. Peers filter by
    user, Holdfast by scope. Peers that are not installed are skipped with the reason.
    """
    work = prepare(load(directory), vectors, limit, queries)
    results: list[dict[str, Any]] = []
    for name in peers:
        python = python_of(name, cache)
        if not python.exists():
            fix = f"run: holdfast bench peers --install {name}"
            results.append({"system": name, "skipped": f"no environment at {python}; {fix}"})
            continue
        pairs = []
        for number in range(repeats):
            if progress:
                progress(f"peers: {name}, round {number + 1} of {repeats}")
            pairs.append(_round(name, python, work, Path(where), seconds, embedder))
        results.append(_result(name, pairs, work))
    return {
        "benchmark": "peers",
        "machine": machine(),
        "filesystem": filesystem(Path(where)),
        "set": load(directory).name,
        "turns": len(work.turns),
        "queries": len(work.queries),
        "vectors": "given" if work.meaning else "hashed words (rates only)",
        "k": K,
        "results": results,
    }


def prepare(data: Dataset, vectors: str | Path | None, limit: int, queries: int) -> Work:
    """Whole streams up to `limit` turns (the first is cut if it alone is longer)."""
    turns: list[Turn] = []
    for stream in data.streams.values():
        if turns and len(turns) + len(stream) > limit:
            break
        turns.extend(stream[:limit])
    kept = {turn.stream for turn in turns}
    whole = {s for s in kept if len(data.streams[s]) <= limit}
    everything = [query for stream in data.queries.values() for query in stream]
    fitting = [
        (n, query)
        for n, query in enumerate(everything)
        if query.stream in whole and query.turns.gold and query.at is None and data.headline(query)
    ]
    step = max(1, len(fitting) // max(1, queries))
    chosen = fitting[::step][:queries]
    texts, asked = [spoken(turn) for turn in turns], [query.text for _, query in chosen]
    if vectors is None:
        made, asked_made = hashed(texts), hashed(asked)
    else:
        made = np.load(Path(vectors) / "turns.npy")[: len(turns)].astype(np.float32)
        asked_made = np.load(Path(vectors) / "queries.npy")[[n for n, _ in chosen]]
        asked_made = asked_made.astype(np.float32)
    found = tuple(query for _, query in chosen)
    return Work(tuple(turns), found, made, asked_made, vectors is not None)


def hashed(texts: Sequence[str]) -> Vectors:
    """Unit vectors of hashed words with signs: repeatable, quick, and almost without meaning."""
    made = np.zeros((len(texts), HASHED_DIMENSIONS), np.float32)
    for row, text in zip(made, texts, strict=True):
        for word in tokenize(text) or [""]:
            digest = zlib.crc32(word.encode())
            row[digest % HASHED_DIMENSIONS] += 1 if digest & 0x8000_0000 else -1
        row[0] += not row.any()
    made /= np.linalg.norm(made, axis=1, keepdims=True)
    return made


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one system did in one round."""

    version: str
    settings: str
    added_s: Sequence[float]
    searched_s: Sequence[float]
    rankings: Sequence[Sequence[int]]
    disk_bytes: int
    import_s: float = 0.0
    settled_s: float = 0.0  # work put off until after the adds: compaction, saving

    @property
    def adds_per_s(self) -> float:
        return len(self.added_s) / sum(self.added_s)


def _round(
    name: str, python: Path, work: Work, where: Path, seconds: float, embedder: Any
) -> tuple[float, Outcome, Outcome]:
    """The raw disk's pace, Holdfast, and the peer, one after another in the same place."""
    bodies = [text.encode() for _, text in work.rows]
    with tempfile.TemporaryDirectory(prefix=".holdfast-bench-", dir=where) as made:
        folder = Path(made)
        before = raw_appends(folder, bodies, 0.5)
        ours = _holdfast(folder / "ours.holdfast", work, embedder)
        theirs = ask_peer(name, python, work, folder, seconds)
        return statistics.mean((before, raw_appends(folder, bodies, 0.5))), ours, theirs


def _holdfast(path: Path, work: Work, embedder: Any) -> Outcome:
    import holdfast

    added, searched, rankings = [], [], []
    with holdfast.Memory.open(path, budget="1 GiB", embedder=embedder) as memory:
        for turn in work.turns:
            event = _scoped(to_event(turn), turn.stream)
            begun = time.perf_counter()
            memory.observe(event)
            added.append(time.perf_counter() - begun)
        for stream, text in work.questions:
            begun = time.perf_counter()
            hits = memory.rank(text, limit=K, scope=f"user/{stream}")
            searched.append(time.perf_counter() - begun)
            rankings.append([hit.seq - 1 for hit in hits])
        disk = file_bytes(path)
    model = "no model" if embedder is None else str(getattr(embedder, "name", embedder))
    settings = f"durability=full, {model}"
    return Outcome(holdfast.__version__, settings, added, searched, rankings, disk)


def ask_peer(
    name: str, python: Path, work: Work, folder: Path, seconds: float, k: int = K
) -> Outcome:
    """What a peer did in its own environment: every turn added, every question asked."""
    inside = folder / name
    inside.mkdir()
    np.save(folder / "turns.npy", work.vectors)
    np.save(folder / "queries.npy", work.query_vectors)
    job = {
        "peer": name,
        "folder": str(inside),
        "vectors": str(folder / "turns.npy"),
        "query_vectors": str(folder / "queries.npy"),
        "rows": work.rows,
        "queries": work.questions,
        "k": k,
        "seconds": seconds,
    }
    runner = Path(__file__).with_name("runner.py")
    done = subprocess.run(
        [str(python), "-I", str(runner)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
    )
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise RuntimeError(f"peer {name} ended with code {done.returncode}: {last[0]}")
    return Outcome(**json.loads(done.stdout))


def _result(
    name: str, rounds: Sequence[tuple[float, Outcome, Outcome]], work: Work
) -> dict[str, Any]:
    ratios = [ours.adds_per_s / theirs.adds_per_s for _, ours, theirs in rounds]
    return {
        "system": name,
        "raw_appends_per_s": round(statistics.median(raw for raw, _, _ in rounds), 1),
        "holdfast": _row([ours for _, ours, _ in rounds], work, True),
        "peer": _row([theirs for _, _, theirs in rounds], work, work.meaning),
        "holdfast_over_peer_adds": round(statistics.median(ratios), 2),
    }


def _row(outcomes: Sequence[Outcome], work: Work, scored: bool) -> dict[str, Any]:
    first = outcomes[0]
    row: dict[str, Any] = {
        "version": first.version,
        "settings": first.settings,
        "added": len(first.added_s),
        "adds_per_s": round(statistics.median(each.adds_per_s for each in outcomes), 1),
        "add_ms": quantiles_ms([s for each in outcomes for s in each.added_s]),
        "search_ms": quantiles_ms([s for each in outcomes for s in each.searched_s]),
        "disk_bytes": first.disk_bytes,
        "import_s": round(first.import_s, 3),
        "settled_s": round(first.settled_s, 3),
    }
    if scored and first.rankings:
        found = [
            scorers.score(
                scorers.merge_equal([work.turns[n].id for n in ranking], query.turns.equal),
                query.turns.gold,
            )
            for ranking, query in zip(first.rankings, work.queries, strict=True)
        ]
        wanted = ("any@10", "all@10", "coverage@10", "ndcg@10", "mrr")
        row["metrics"] = {k: round(v, 4) for k, v in scorers.mean(found).items() if k in wanted}
    return row


def spoken(turn: Turn) -> str:
    """A turn as peers are given it, which keep no speaker beside the text."""
    return f"{turn.who}: {turn.shown}"


def _scoped(event: Event, stream: str) -> Event:
    return replace(event, scope=f"user/{stream}/{event.scope}")

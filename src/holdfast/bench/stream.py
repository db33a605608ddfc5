"""A long stream through a small budget: does an event cost the same late as early?"""

from __future__ import annotations

import gc
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.bench.material import Synthetic, real_events
from holdfast.bench.probe import (
    file_bytes,
    filesystem,
    machine,
    quantiles_ms,
    rss_bytes,
    watching,
)
from holdfast.budget import parse_bytes
from holdfast.records import Event

if TYPE_CHECKING:
    from holdfast import Memory

BATCH = 1_000  # events per observe_many: one commit's worth, so syncs do not drown the rest
SIZES = (10_000, 100_000, 1_000_000)


def run(
    *,
    events: int = 1_000_000,
    budget: int | str = "64 MiB",
    data: str | Path | None = None,
    directory: str | Path = ".",
    queries: int = 100,
    singles: int = 100,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Cost per event, recall latency, RAM and bytes on disk, at checkpoints along one stream.

    Parameters
    ----------
    events
        Length of the stream; checkpoints lie at 10⁴, 3·10⁴, 10⁵, … up to it.
    data
        The set whose sentences are shuffled into the stream; None: the demo's.
    queries, singles
        Recalls and one-by-one writes timed at each checkpoint.
    on_row
        Called with each checkpoint's row as soon as it is measured.

    Notes
    -----
    Drawing the stream is not timed. A thread polls the size of every file of the memory; `most`
    is the largest sum it saw. Ratios compare the last stretch between checkpoints with the first,
    and with the first one in which the budget already made the memory let something go.
    """
    nbytes, stream = parse_bytes(budget), Synthetic.of(real_events(data), seed)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix=".holdfast-bench-", dir=directory) as made:
        from holdfast import Memory

        path = Path(made) / "stream.holdfast"
        with (
            Memory.open(path, budget=nbytes, **(options or {})) as memory,
            watching(path) as most,
        ):
            seen = 0
            for stop in checkpoints(events):
                bulk = stop - seen - singles
                row: dict[str, Any] = {
                    "events": stop,
                    **_feed(memory, stream.events(bulk, seen), bulk),
                }
                row["single_ms"] = _singles(memory, stream.events(singles, seen + bulk))
                row["recall_ms"] = _recalls(memory, stream.queries(queries, stop))
                row |= _state(memory, path, nbytes, most[0])
                rows.append(row)
                seen = stop
                if on_row:
                    on_row(row)
        kind = filesystem(path)
    return {
        "benchmark": "stream",
        "machine": machine(),
        "filesystem": kind,
        "budget_bytes": nbytes,
        "results": rows,
        "late_over_early": ratios(rows),
    }


def latency(
    *,
    sizes: Sequence[int] = SIZES,
    budget: int | str = "8 GiB",
    data: str | Path | None = None,
    directory: str | Path = ".",
    queries: int = 200,
    seed: int = 0,
    options: dict[str, Any] | None = None,
    on_row: Callable[[dict[str, Any]], None] | None = None,
) -> dict[str, Any]:
    """Recall latency in one memory with room for everything, at each size; and how it reopens."""
    from holdfast import Memory

    stream, rows, seen = Synthetic.of(real_events(data), seed), [], 0
    nbytes = parse_bytes(budget)
    with tempfile.TemporaryDirectory(prefix=".holdfast-bench-", dir=directory) as made:
        path = Path(made) / "latency.holdfast"
        for size in sizes:
            with Memory.open(path, budget=nbytes, **(options or {})) as memory:
                fed = _feed(memory, stream.events(size - seen, seen), size - seen)
            seen = size
            begun = time.perf_counter()
            with Memory.open(path, budget=nbytes, **(options or {})) as memory:
                asked = stream.queries(queries, size)
                memory.recall(asked[0])
                opened = time.perf_counter() - begun
                row: dict[str, Any] = {
                    "events": size,
                    **fed,
                    "open_to_first_recall_s": round(opened, 4),
                }
                row["recall_ms"] = _recalls(memory, asked)
                row["rank_ms"] = _ranks(memory, asked)
                row |= _state(memory, path, nbytes, file_bytes(path))
            rows.append(row)
            if on_row:
                on_row(row)
    return {"benchmark": "latency", "machine": machine(), "budget_bytes": nbytes, "results": rows}


def checkpoints(events: int) -> list[int]:
    """10⁴, 3·10⁴, 10⁵, … below `events`, then `events` itself.

    Examples
    --------
    >>> checkpoints(200_000)
    [10000, 30000, 100000, 200000]
    """
    marks = (digit * 10**power for power in range(4, 12) for digit in (1, 3))
    return [mark for mark in marks if mark < events] + [events]


def ratios(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """How the last stretch compares with the first, and with the first that was over budget."""
    if len(rows) < 2:
        return {}
    bounded = [row for row in rows[:-1] if sum(row["held"].values()) > row["held"]["verbatim"]]
    compared = {"first": rows[0]} | ({"first_bounded": bounded[0]} if bounded else {})
    last = rows[-1]
    return {
        name: {
            "from_events": row["events"],
            "cpu": round(last["cpu_us"] / row["cpu_us"], 3),
            "wall": round(last["wall_us"] / row["wall_us"], 3),
            "recall_p50": round(last["recall_ms"]["p50"] / row["recall_ms"]["p50"], 3),
            "rss": round(last["rss_bytes"] / row["rss_bytes"], 3),
        }
        for name, row in compared.items()
    }


def _feed(memory: Memory, events: Iterator[Event], count: int) -> dict[str, float]:
    """Write in batches; only the writing is timed."""
    wall = cpu = 0.0
    while batch := list(islice(events, BATCH)):
        begun, busy = time.perf_counter(), time.process_time()
        memory.observe_many(batch)
        wall += time.perf_counter() - begun
        cpu += time.process_time() - busy
    return {"wall_us": round(1e6 * wall / count, 2), "cpu_us": round(1e6 * cpu / count, 2)}


def _singles(memory: Memory, events: Iterator[Event]) -> dict[str, float]:
    return quantiles_ms([_timed(memory.observe, event) for event in events])


def _recalls(memory: Memory, queries: Sequence[str]) -> dict[str, float]:
    return quantiles_ms([_timed(memory.recall, query) for query in queries])


def _ranks(memory: Memory, queries: Sequence[str]) -> dict[str, float]:
    return quantiles_ms([_timed(memory.rank, query) for query in queries])


def _timed(call: Callable[[Any], object], given: object) -> float:
    begun = time.perf_counter()
    call(given)
    return time.perf_counter() - begun


def _state(memory: Memory, path: Path, budget: int, most: int) -> dict[str, Any]:
    gc.collect()
    usage = memory.usage()
    return {
        "rss_bytes": rss_bytes(),
        "file_bytes": file_bytes(path),
        "most_file_bytes": most,
        "within_budget": most <= budget,
        "held": dict(usage.events),
    }

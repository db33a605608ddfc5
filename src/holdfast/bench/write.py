"""How fast events become durable, against the raw disk in the same minutes."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from holdfast.bench.material import real_events
from holdfast.bench.probe import filesystem, machine, quantiles_ms, raw_appends
from holdfast.records import Event

THREADS = (8, 32)


@dataclass(frozen=True, slots=True)
class _Pace:
    """What one way of writing reached in one round."""

    per_s: float
    cpu_us: float
    calls_s: Sequence[float] = ()


def run(
    *,
    data: str | Path | None = None,
    directory: str | Path = ".",
    seconds: float = 2.0,
    repeats: int = 3,
    threads: Sequence[int] = THREADS,
    bulk_events: int = 20_000,
    budget: int | str = "1 GiB",
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Durable events per second, one by one, from many threads and in bulk.

    Parameters
    ----------
    data
        A data set whose turns are written; None: the stream shipped for the demo. Turns repeat
        when a run is longer than the set.
    directory
        Where to write. It must be on the disk in question: a RAM disk makes every figure void,
        and the result names the file system.
    seconds, repeats
        Length of each measurement, and how many rounds; figures are medians over rounds.

    Notes
    -----
    The raw rate (append the event's bytes, fdatasync) is measured before and after every way of
    writing, because a shared disk changes its pace from one second to the next. ``ratio`` is a
    way's rate over the mean of those two, per round.
    """
    events = real_events(data)
    ways: dict[str, Callable[[Path], _Pace]] = {
        "single": partial(_threaded, events, 1, seconds, budget),
        **{f"{n} threads": partial(_threaded, events, n, seconds, budget) for n in threads},
        "bulk": partial(_bulk, events, bulk_events, budget),
    }
    bodies = [event.text.encode() for event in events]
    raw: list[float] = []
    paces: dict[str, list[tuple[_Pace, float]]] = {way: [] for way in ways}
    with tempfile.TemporaryDirectory(prefix=".holdfast-bench-", dir=directory) as made:
        folder = Path(made)
        raw.append(raw_appends(folder, bodies, seconds / 2))
        for number, (way, write) in itertools.product(range(repeats), ways.items()):
            if progress:
                progress(f"write: {way}, round {number + 1} of {repeats}")
            pace = write(folder / f"{number}-{way.replace(' ', '-')}.holdfast")
            raw.append(raw_appends(folder, bodies, seconds / 2))
            paces[way].append((pace, pace.per_s / statistics.mean(raw[-2:])))
        kind = filesystem(folder)
    return {
        "benchmark": "write",
        "machine": machine(),
        "filesystem": kind,
        "repeats": repeats,
        "seconds": seconds,
        "mean_event_bytes": round(statistics.mean(map(len, bodies)), 1),
        "raw_per_s": round(statistics.median(raw), 1),
        "raw_range": [round(min(raw), 1), round(max(raw), 1)],
        "results": [_row(way, found) for way, found in paces.items()],
    }


def _row(way: str, found: Sequence[tuple[_Pace, float]]) -> dict[str, Any]:
    ratios = [ratio for _, ratio in found]
    return {
        "way": way,
        "per_s": round(statistics.median(pace.per_s for pace, _ in found), 1),
        "ratio": round(statistics.median(ratios), 3),
        "ratio_range": [round(min(ratios), 3), round(max(ratios), 3)],
        "cpu_us_per_event": round(statistics.median(pace.cpu_us for pace, _ in found), 1),
        "call_ms": quantiles_ms([call for pace, _ in found for call in pace.calls_s]),
    }


def _threaded(
    events: Sequence[Event], threads: int, seconds: float, budget: int | str, path: Path
) -> _Pace:
    """Each thread writes its own events one by one; commits that meet may share one sync."""
    from holdfast import Memory

    calls: list[list[float]] = [[] for _ in range(threads)]
    gate = threading.Barrier(threads + 1)
    with Memory.open(path, budget=budget) as memory:

        def caller(mine: int) -> None:
            turns = itertools.islice(itertools.cycle(events), mine * len(events) // threads, None)
            gate.wait()
            stop = time.perf_counter() + seconds
            while (begun := time.perf_counter()) < stop:
                memory.observe(next(turns))
                calls[mine].append(time.perf_counter() - begun)

        workers = [threading.Thread(target=caller, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        gate.wait()
        begun, cpu = time.perf_counter(), time.process_time()
        for worker in workers:
            worker.join()
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    flat = [call for mine in calls for call in mine]
    return _Pace(len(flat) / wall, 1e6 * cpu / len(flat), flat)


def _bulk(events: Sequence[Event], count: int, budget: int | str, path: Path) -> _Pace:
    from holdfast import Memory

    turns = list(itertools.islice(itertools.cycle(events), count))
    with Memory.open(path, budget=budget) as memory:
        begun, cpu = time.perf_counter(), time.process_time()
        memory.observe_many(turns)
        wall, cpu = time.perf_counter() - begun, time.process_time() - cpu
    return _Pace(count / wall, 1e6 * cpu / count)

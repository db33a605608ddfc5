"""What the server costs over calling the engine, and what it does when ten times too much comes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from holdfast.bench.load import WINDOW_S, Load, ask_for
from holdfast.bench.material import Synthetic, real_events
from holdfast.bench.probe import filesystem, machine, quantiles_ms

if TYPE_CHECKING:
    from rich.table import Table

    from holdfast import Memory

CONNECTIONS = (1, 8, 32)
OVERLOAD = 10  # times the connections at which the most is answered
_TOKENS = 1000
_QUERIES = 100
_RECOVERED = 1.5  # times the idle p99
_WARM_S = 0.5
_RECOVERY_S = 8.0  # that it is looked at after overload


@dataclass(frozen=True, slots=True)
class _Material:
    """What is asked and written, as texts."""

    queries: Sequence[str]
    contents: Sequence[str]

    def bodies(self, operation: str) -> list[str]:
        if operation == "recall":
            return [json.dumps({"query": one, "tokens": _TOKENS}) for one in self.queries]
        return [json.dumps({"content": one}) for one in self.contents]


def run(
    *,
    data: str | Path | None = None,
    directory: str | Path = ".",
    events: int = 20_000,
    budget: int | str = "64 MiB",
    seconds: float = 3.0,
    repeats: int = 2,
    connections: Sequence[int] = CONNECTIONS,
    options: Sequence[str] = (),
    progress: Callable[[str], None] | None = None,
) -> dict[str, Any]:
    """Recall and observe over HTTP beside the same calls of the engine, then overload.

    Parameters
    ----------
    data
        The set whose sentences make the stream; None: the demo's.
    directory
        Where the memory is; it must be on the disk in question.
    events, budget
        Size of the memory: so many events of the synthetic stream, within so many bytes.
    seconds, repeats
        Length of each measurement, and how many rounds; figures are medians over rounds.
    connections
        Numbers of clients at once. The engine is called by as many threads.
    options
        More for ``holdfast serve``.

    Notes
    -----
    Server, client and engine run on one machine, in one process each, and share its processors:
    what a client takes, a server on its own would have. The engine is measured on a copy of the
    file just before the server. In overload each of ten times as many clients asks again at once
    when it is refused, against what `Retry-After` says. Everything goes over loopback.
    """
    say = progress or (lambda line: None)
    stream = Synthetic.of(real_events(data))
    drawn = stream.events(4_000, events)
    material = _Material(stream.queries(_QUERIES, events), [one.text for one in drawn])
    rounds = []
    with tempfile.TemporaryDirectory(prefix=".holdfast-bench-", dir=directory) as made:
        folder = Path(made)
        say(f"server: writing {events:,} events")
        _fill(folder / "bench.holdfast", budget, stream, events)
        kind = filesystem(folder)
        for number in range(repeats):
            say(f"server: round {number + 1} of {repeats}")
            rounds.append(_round(folder, number, material, seconds, connections, options, say))
    return {
        "benchmark": "server",
        "machine": machine(),
        "filesystem": kind,
        "events": events,
        "repeats": repeats,
        "seconds": seconds,
        "results": [_middle(cells) for cells in zip(*(one["rows"] for one in rounds), strict=True)],
        "overload": _middle([one["overload"] for one in rounds]),
    }


def tables(result: dict[str, Any]) -> Iterator[Table]:
    """The result for people."""
    from rich.table import Table

    rows = Table(title=f"server, {result['events']:,} events", title_justify="left")
    for name in ("operation", "clients", "engine/s", "server/s", "ratio", "refused/s"):
        rows.add_column(name, justify="right")
    for name in ("engine p50", "p99", "server p50", "p99"):
        rows.add_column(name, justify="right")
    for row in result["results"]:
        times = [row[name][q] for name in ("engine_ms", "server_ms") for q in ("p50", "p99")]
        rows.add_row(
            row["operation"], str(row["connections"]), f"{row['engine_per_s']:,.0f}",
            f"{row['server_per_s']:,.0f}", str(row["ratio"]), f"{row['refused_per_s']:,.0f}",
            *(f"{time:.3g}" for time in times),
        )  # fmt: skip
    yield rows
    found = Table(title="overload (times in ms)", title_justify="left", show_header=False)
    for name, value in result["overload"].items():
        found.add_row(name.replace("_", " "), str(value))
    yield found


def _round(
    folder: Path,
    number: int,
    material: _Material,
    seconds: float,
    connections: Sequence[int],
    options: Sequence[str],
    say: Callable[[str], None],
) -> dict[str, Any]:
    served = folder / str(number)
    served.mkdir()
    beside = served / "engine.holdfast"
    for path in (beside, served / "bench.holdfast"):
        shutil.copyfile(folder / "bench.holdfast", path)
    cells = list(itertools.product(("recall", "observe"), connections))
    say("server: the engine, called directly")
    direct = {cell: _direct(beside, material, *cell, seconds) for cell in cells}
    with _serving(served, options) as (pid, port):
        _load(port, material, "recall", 1, _WARM_S)  # the first opens the memory
        rows: list[dict[str, Any]] = []
        overload: dict[str, Any] = {}
        for operation, many in cells:
            if operation != "recall" and not overload:  # before what is written changes a recall
                say("server: overload")
                overload = _overload(pid, port, material, rows, seconds)
            say(f"server: {operation}, {many} connections")
            found = _load(port, material, operation, many, seconds)
            rows.append(_row(operation, direct[operation, many], found))
    return {"rows": rows, "overload": overload}


def _fill(path: Path, budget: int | str, stream: Synthetic, events: int) -> None:
    from holdfast import Memory

    with Memory.open(path, budget=budget) as memory:
        source = stream.events(events)
        while batch := list(islice(source, 1_000)):
            memory.observe_many(batch)


@contextmanager
def _serving(folder: Path, options: Sequence[str]) -> Iterator[tuple[int, int]]:
    """A server over a folder, in a process of its own: its id, and its port."""
    command = [
        sys.executable, "-c", "from holdfast.cli import main; main()",
        "serve", "--root", str(folder), "--port", "0", "--json", *options,
    ]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None, "it is a pipe"
            address = json.loads(process.stdout.readline())["address"]
            yield process.pid, int(address.rpartition(":")[2])
        finally:
            process.terminate()
            process.wait(60)


def _load(
    port: int, material: _Material, operation: str, connections: int, seconds: float
) -> dict[str, Any]:
    path = f"/v1/memories/bench/{operation}"
    load = Load(port, path, material.bodies(operation), connections, seconds)
    command = [sys.executable, "-m", "holdfast.bench.load"]
    done = subprocess.run(command, input=ask_for(load), capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _direct(
    path: Path, material: _Material, operation: str, threads: int, seconds: float
) -> dict[str, Any]:
    """The engine called by threads in this process, each one call after the other."""
    from holdfast import Memory

    calls: list[list[float]] = [[] for _ in range(threads)]
    with Memory.open(path) as memory:
        call = _call(memory, material, operation)
        call(0)
        began = time.perf_counter()

        def caller(mine: int) -> None:
            turns = itertools.count(mine, 7)
            while (begun := time.perf_counter()) < began + seconds:
                call(next(turns))
                calls[mine].append(time.perf_counter() - begun)

        workers = [threading.Thread(target=caller, args=(n,)) for n in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        wall = time.perf_counter() - began
    flat = [one for mine in calls for one in mine]
    return {"per_s": round(len(flat) / wall, 1), "ms": quantiles_ms(flat)}


def _call(memory: Memory, material: _Material, operation: str) -> Callable[[int], object]:
    if operation == "recall":
        queries = material.queries
        return lambda n: memory.recall(queries[n % len(queries)], tokens=_TOKENS)
    contents = material.contents
    return lambda n: memory.observe(contents[n % len(contents)])


def _row(operation: str, direct: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    return {
        "operation": operation,
        "connections": found["connections"],
        "engine_per_s": direct["per_s"],
        "server_per_s": found["per_s"],
        "ratio": round(found["per_s"] / direct["per_s"], 3),
        "engine_ms": direct["ms"],
        "server_ms": found["accepted_ms"],
        "refused_per_s": found["refused_per_s"],
    }


def _overload(
    pid: int, port: int, material: _Material, rows: Sequence[dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """Ten times the clients of the fullest row; then how long until one is served as if idle."""
    peak = max(row["server_per_s"] for row in rows)
    idle = rows[0]["server_ms"]["p99"]
    many = OVERLOAD * max(row["connections"] for row in rows)
    _load(port, material, "recall", many, seconds)  # the first time, threads and buffers are made
    before = _rss_bytes(pid)
    found = _load(port, material, "recall", many, 2 * seconds)
    after, ended = _rss_bytes(pid), time.perf_counter()
    looked = min(_RECOVERY_S, 4 * seconds)
    probe = _load(port, material, "recall", 1, looked)
    begun = time.perf_counter() - ended - looked
    quiet = [n for n, p99 in enumerate(probe["window_p99_ms"], 1) if p99 <= _RECOVERED * idle]
    accepted, refused = found["per_s"], found["refused_per_s"]
    return {
        "connections": many,
        "peak_per_s": peak,
        "offered_per_s": round(accepted + refused, 1),
        "accepted_per_s": accepted,
        "goodput": round(accepted / peak, 3),
        "idle_p99_ms": idle,
        "accepted_ms": found["accepted_ms"],
        "p99_over_idle": round(found["accepted_ms"]["p99"] / idle, 2),
        "refused_ms": found["refused_ms"],
        "other_statuses": sum(n for s, n in found["statuses"].items() if s not in ("200", "429")),
        "without_retry_after": found["without_retry_after"],
        "rss_bytes": after,
        "rss_growth": round(after / before - 1, 4),
        "recovered_s": round(begun + quiet[0] * WINDOW_S, 2) if quiet else None,
    }


def _rss_bytes(pid: int) -> int:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def _middle(cells: Sequence[Any]) -> Any:
    """The median of each figure; what is no figure is the same in all of them."""
    first = cells[0]
    if isinstance(first, dict):
        return {name: _middle([one[name] for one in cells]) for name in first}
    if any(one is None for one in cells):
        return None
    if isinstance(first, str) or all(one == first for one in cells):
        return first
    return round(statistics.median(cells), 4)

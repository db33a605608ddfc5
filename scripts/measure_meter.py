"""What the fidelity meter costs a writer: processor time with and without its probes.

``python scripts/measure_meter.py DATA [--turns N] [--budget SIZE]``: DATA is a folder with
`turns.jsonl.gz`. Rounds with and without take turns, and the figures are medians.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from holdfast import Event, Memory
from holdfast.bench.datasets import load, to_event
from holdfast.fidelity.probes import Probes

ROUNDS = 5


def bulk(memory: Memory, events: Sequence[Event]) -> None:
    memory.observe_many(events)


def single(memory: Memory, events: Sequence[Event]) -> None:
    for event in events:
        memory.observe(event)


def seconds(how: Callable[[Memory, Sequence[Event]], None], events: Sequence[Event], budget: str,
            measured: bool) -> float:  # fmt: skip
    """Processor time of writing some events to a new memory."""
    observe = Probes.observe
    if not measured:
        Probes.observe = lambda self, tx, rows: None  # type: ignore[method-assign]
    try:
        with (
            tempfile.TemporaryDirectory() as folder,
            Memory.open(Path(folder) / "m.holdfast", budget, durability="off") as memory,
        ):
            begun = time.process_time()
            how(memory, events)
            return time.process_time() - begun
    finally:
        Probes.observe = observe  # type: ignore[method-assign]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--turns", type=int, default=20_000)
    parser.add_argument("--budget", default="64 MiB")
    chosen = parser.parse_args()
    events = [to_event(turn) for turns in load(chosen.data).streams.values() for turn in turns]
    events = events[: chosen.turns]
    for name, how in (("bulk", bulk), ("single", single)):
        seconds(how, events, chosen.budget, measured=True)  # memos are filled
        rounds = [
            [seconds(how, events, chosen.budget, measured) for measured in (False, True)]
            for _ in range(ROUNDS)
        ]
        without, with_probes = (statistics.median(column) for column in zip(*rounds, strict=True))
        more = statistics.median(b / a - 1 for a, b in rounds)
        print(
            f"{name}: {1e6 * without / len(events):.1f} µs an event without, "
            f"{1e6 * with_probes / len(events):.1f} with, {more:+.1%} in the median round"
        )


if __name__ == "__main__":
    main()

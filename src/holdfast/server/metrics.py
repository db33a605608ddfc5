"""What a Prometheus server reads: how long calls take, what is refused, where the bytes are.

Labels name operations and kinds, never a memory, a scope or a caller, so their number is bounded.
"""

from __future__ import annotations

import time
from collections import Counter as Sums
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from holdfast.memory import Memory
from holdfast.operations import Operation

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_APPENDS = frozenset({"observe", "observe_many"})


class Metrics:
    """Counts the calls of a service; `observer` is given to it.

    Parameters
    ----------
    opened
        Gives the memories that are open, each with its name.
    queues
        Gives how many calls wait, by the name of their lane.
    """

    def __init__(
        self,
        opened: Callable[[], Iterable[tuple[str, Memory]]],
        queues: Callable[[], Mapping[str, int]] = dict,
    ) -> None:
        self.registry = CollectorRegistry()
        self._append = self._histogram("append", "Seconds to store events, a call at a time.")
        self._recall = self._histogram("recall", "Seconds to answer a recall.")
        self._all = self._histogram("operation", "Seconds that a call takes.", ["operation"])
        self._failed = self._counter("failed", "Calls that raised.", ["operation", "error"])
        self._refused = self._counter("rejected", "Requests that were turned away.", ["reason"])
        self.registry.register(_Stores(opened, queues))

    @contextmanager
    def observer(
        self, operation: Operation, memory: str, given: Mapping[str, Any]
    ) -> Iterator[None]:
        """Watch one call."""
        began = time.perf_counter()
        try:
            yield
        except Exception as failure:  # raised again: what broke is counted like what was refused
            self._failed.labels(operation.name, type(failure).__name__).inc()
            raise
        finally:
            took = time.perf_counter() - began
            self._all.labels(operation.name).observe(took)
            if operation.name in _APPENDS:
                self._append.observe(took)
            elif operation.name == "recall":
                self._recall.observe(took)

    def refused(self, reason: str) -> None:
        """Count a request that was turned away before it became a call."""
        self._refused.labels(reason).inc()

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self.registry)

    def _histogram(self, name: str, what: str, labels: Iterable[str] = ()) -> Histogram:
        return Histogram(
            f"holdfast_{name}_seconds", what, labels, buckets=_BUCKETS, registry=self.registry
        )

    def _counter(self, name: str, what: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"holdfast_{name}", what, labels, registry=self.registry)


class _Stores(Collector):
    """Adds up the open memories when somebody looks."""

    def __init__(
        self,
        opened: Callable[[], Iterable[tuple[str, Memory]]],
        queues: Callable[[], Mapping[str, int]],
    ) -> None:
        self._opened, self._queues = opened, queues

    def describe(self) -> Iterable[Metric]:
        return ()  # asked when it is registered, and then nothing is open

    def collect(self) -> Iterator[Metric]:
        bytes_, kept, memories, leaves = Sums[str](), Sums[str](), 0, 0
        for _, memory in self._opened():
            usage = memory.usage()
            memories += 1
            bytes_.update(
                limit=usage.budget, used=usage.disk, wal=usage.wal, log=usage.log,
                index=usage.index, vectors=usage.vectors, ledger=usage.ledger, state=usage.state,
                audit=usage.audit, snapshots=usage.snapshots,
            )  # fmt: skip
            kept.update(usage.events)
            leaves += sum(usage.events.values())
        yield GaugeMetricFamily("holdfast_memories_open", "Memories that are open.", memories)
        budget = GaugeMetricFamily("holdfast_budget_bytes", "Bytes on disk.", labels=["kind"])
        for kind, number in sorted(bytes_.items()):
            budget.add_metric([kind], number)
        yield budget
        tiers = GaugeMetricFamily("holdfast_events", "Events by how much is kept.", labels=["tier"])
        for tier, number in sorted(kept.items()):
            tiers.add_metric([tier], number)
        yield tiers
        queue = GaugeMetricFamily("holdfast_queue_depth", "Calls that wait.", labels=["lane"])
        for lane, number in sorted(self._queues().items()):
            queue.add_metric([lane], number)
        yield queue
        yield GaugeMetricFamily("holdfast_log_tree_size", "Events that were ever logged.", leaves)

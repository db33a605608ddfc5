"""How often a server is asked to write and to recall: counts over the last ten minutes."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Literal

from holdfast.operations import Operation

Sort = Literal["write", "recall"]

_RECALLS = frozenset({"recall", "rank", "rank_scopes"})
BUCKET_S = 10
BUCKETS = 60
_MOST_MEMORIES = 1024


class Rates:
    """Counts the calls of a service: an `holdfast.service.call.Observer`.

    Parameters
    ----------
    clock
        Monotonic seconds.

    Notes
    -----
    Counts calls that succeed, in buckets of 10 s, for 10 minutes; nothing else is kept of them.
    The memories that were asked last are counted, at most 1,024 of them, so it stays bounded.
    Thread-safe; O(1) a call.

    Examples
    --------
    >>> from holdfast.operations import BY_NAME
    >>> rates = Rates(clock=lambda: 1000.0)
    >>> with rates(BY_NAME["observe"], "ana", {}):
    ...     pass
    >>> sum(rates.counts("ana", "write")), rates.per_minute("ana", "recall")
    (1, 0.0)
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._counts: dict[tuple[str, Sort], dict[int, int]] = {}

    @contextmanager
    def __call__(
        self, operation: Operation, memory: str, given: Mapping[str, Any]
    ) -> Iterator[None]:
        """Count the call once it has succeeded."""
        yield
        sort: Sort
        if operation.effect == "write":
            sort = "write"
        elif operation.name in _RECALLS:
            sort = "recall"
        else:
            return
        now = self._bucket()
        with self._lock:
            held = self._counts.pop((memory, sort), None) or defaultdict(int)
            held[now] += 1
            for old in [bucket for bucket in held if bucket <= now - BUCKETS]:
                del held[old]
            self._counts[memory, sort] = held  # the last to be dropped
            if len(self._counts) > 2 * _MOST_MEMORIES:
                del self._counts[next(iter(self._counts))]

    def counts(self, memory: str, sort: Sort) -> list[int]:
        """Calls in each bucket of the last ten minutes, the running one last."""
        now = self._bucket()
        with self._lock:
            held = dict(self._counts.get((memory, sort), {}))
        return [held.get(bucket, 0) for bucket in range(now - BUCKETS + 1, now + 1)]

    def per_minute(self, memory: str, sort: Sort) -> float:
        """Calls a minute, over the last one."""
        return float(sum(self.counts(memory, sort)[-60 // BUCKET_S :]))

    def _bucket(self) -> int:
        return int(self._clock() // BUCKET_S)

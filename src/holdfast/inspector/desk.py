"""What a page stands on: one memory as its caller may see it, and what was measured before."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from holdfast.inspector.rates import Rates
from holdfast.memory import Memory
from holdfast.operations import BY_NAME
from holdfast.seat import Seat
from holdfast.service.call import Service
from holdfast.service.callers import Caller
from holdfast.wire.plain import plain

_MEASUREMENTS = 48  # of each memory
_MOST_MEMORIES = 256
# Seconds for each event that is kept, for want of a first time. With 40,000 to 200,000 lines of 18
# words, one took 69 to 98 µs to verify, and 9 to 84 µs to measure with 256 probes on an idle core.
_LOOK_S = {"verified": 1e-4, "fidelity": 1e-4}


@dataclass
class Noted:
    """What the pages found out about each memory since this process began; bounded."""

    clock: Callable[[], float] = time.time
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _held: OrderedDict[str, dict[str, deque[dict[str, Any]]]] = field(default_factory=OrderedDict)

    def add(self, memory: str, what: str, value: dict[str, Any]) -> None:
        """Note a finding, and when it was made."""
        with self._lock:
            held = self._held.setdefault(memory, {})
            self._held.move_to_end(memory)
            held.setdefault(what, deque(maxlen=_MEASUREMENTS)).append({"at": self.clock(), **value})
            if len(self._held) > _MOST_MEMORIES:
                self._held.popitem(last=False)

    def all(self, memory: str, what: str) -> list[dict[str, Any]]:
        """Every finding of a kind that is kept, oldest first."""
        with self._lock:
            return list(self._held.get(memory, {}).get(what, ()))


@dataclass(frozen=True)
class Desk:
    """One memory, for one caller."""

    service: Service
    caller: Caller
    memory: str
    rates: Rates
    noted: Noted

    @property
    def whole(self) -> bool:
        """Whether the caller sees all of the memory, not a seat in it."""
        return self.caller.principal is None

    def call(self, operation: str, **given: Any) -> Any:
        """Do an operation with those arguments that are given, as JSON can hold the answer."""
        return plain(self.raw(operation, **given))

    def raw(self, operation: str, **given: Any) -> Any:
        """Do an operation; its own value."""
        sent = {name: value for name, value in given.items() if value is not None}
        return self.service.call(self.caller, self.memory, operation, sent)

    def look(self, what: str, operation: str, **given: Any) -> None:
        """Do an operation that reads all of the memory; note what it finds and what it takes."""
        begun = time.perf_counter()
        found = self.call(operation, **given)
        took_s = time.perf_counter() - begun
        self.noted.add(self.memory, what, {**found, "took_s": took_s})

    def expected_s(self, what: str, events: int) -> float:
        """About how long such a look takes at so many events: as the last one did."""
        held = self.noted.all(self.memory, what)
        last = held[-1] if held else None
        return last["took_s"] if last else events * _LOOK_S[what]

    @contextmanager
    def open(self) -> Iterator[Memory | Seat]:
        """The memory, or the caller's seat in it, to read the log in windows."""
        with (
            self.service.watched(BY_NAME["log"], self.memory, {}),
            self.service.enter(self.caller, self.memory, "read") as at,
        ):
            yield at

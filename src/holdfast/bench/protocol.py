"""What is measured, behind one tiny protocol.

A system is fed events in stream order and names what it finds by position, 0-based, in the order
it was fed. It never sees a question before it is asked, nor anything that counts as right.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from holdfast.bench.datasets import Unit
from holdfast.records import Event


@dataclass(frozen=True, slots=True)
class Setup:
    """What a system may know before its stream begins: where to write, and how it is run."""

    path: Path
    unit: Unit = "turn"
    budget_bytes: int = 1 << 30
    embedder: Any = None
    index_speaker: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)  # passed to Memory.open


@dataclass(frozen=True, slots=True)
class Returned:
    """What a token-bounded answer holds: the turns that are in it from first byte to last."""

    whole: frozenset[int]
    tokens: int
    text: str = ""  # as a model would be given it


class System(Protocol):
    """One memory under test. `before` hides events from that position on.

    `ranks` is False where an order would mean nothing, so that no metric is read off it.
    """

    ranks: bool

    def observe_many(self, events: Sequence[Event]) -> None: ...

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]: ...

    def rank_scopes(self, query: str, limit: int) -> list[str]: ...

    def context(self, query: str, tokens: int) -> Returned: ...

    def bytes_used(self) -> int: ...

    def close(self) -> None: ...


class Confident(System, Protocol):
    """A system that says how sure it is that it holds an answer; only the order matters."""

    def confidence(self, query: str) -> float: ...


Factory = Callable[[Setup], System]

"""What `bench recall --all` measures: sets, systems, and which of them each part is about."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from holdfast.bench.datasets import Dataset, Query, Unit

FAR = "gold > 50 lines back"
OURS, OURS_WITH_MODEL, PLAIN, FUSED = "holdfast", "holdfast + MiniLM", "BM25", "hybrid RRF"
PAIRS = ((OURS, PLAIN), (OURS_WITH_MODEL, FUSED))  # whose paired differences are shown


@dataclass(frozen=True, slots=True)
class Case:
    """One set at one granularity, and which of its questions count (None: its own choice)."""

    set: str
    unit: Unit
    slice: str | None = None

    @property
    def name(self) -> str:
        """As it stands in tables."""
        return f"{self.set}, {self.slice or self.unit}"

    def wanted(self, data: Dataset) -> Callable[[Query], bool]:
        """The questions that count."""
        if self.slice is None:
            return data.headline
        return lambda query: any(name == self.slice for name in data.slices(query))


CASES = (
    Case("locomo", "turn"),
    Case("locomo", "session"),
    Case("longmemeval_oracle_user", "turn"),
    Case("longmemeval_oracle_user", "session"),
    Case("longmemeval_s_mini", "session"),
    Case("beam_100k", "turn"),
    Case("beam_500k", "turn"),
    Case("beam_1m", "turn"),
    Case("realmem", "session"),
    Case("memorycode", "session"),
    Case("prefeval", "turn"),
    Case("irc_ubuntu", "turn"),
    Case("irc_ubuntu", "turn", FAR),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A system as it stands in tables."""

    name: str
    system: str
    model: bool = False
    confident: bool = False

    @property
    def ours(self) -> bool:
        return self.system in ("holdfast", "continued")


ROWS = (
    Row(OURS, "holdfast", confident=True),
    Row(OURS_WITH_MODEL, "holdfast", model=True, confident=True),
    Row(PLAIN, "bm25", confident=True),
    Row("dense MiniLM", "dense", model=True, confident=True),
    Row(FUSED, "hybrid", model=True),
    Row("newest turns", "recency"),
    Row("no memory", "none"),
    Row("whole history", "whole"),
)
LIMITS = ("no memory", "whole history")  # the same everywhere: of interest set by set alone
PEER = "peer "  # what the names of other memories' rows begin with
ABLATED = (
    Case("locomo", "turn"),
    Case("longmemeval_oracle_user", "turn"),
    Case("beam_100k", "turn"),
    Case("realmem", "session"),
    Case("irc_ubuntu", "turn", FAR),
)
OWN_UNANSWERABLE = ("beam_100k", "beam_500k", "beam_1m")
FOREIGN = ("locomo", "longmemeval_oracle_user", "beam_100k", "realmem")
DONORS = ("beam_100k", "realmem", "locomo")  # lend questions to a set of one stream
CROSSED = ("locomo", "longmemeval_oracle_user", "beam_100k")
PREFIXED = (
    Case("locomo", "turn"),
    Case("longmemeval_oracle_user", "turn"),
    Case("beam_100k", "turn"),
    Case("realmem", "session"),
)
FOLLOWED = (Row(OURS, "holdfast"), Row("holdfast, continued", "continued"), Row(PLAIN, "bm25"))
PEERED = (
    Case("locomo", "turn"),
    Case("longmemeval_oracle_user", "turn"),
    Case("beam_100k", "turn"),
)


def in_order(cases: Iterable[str], rows: Iterable[str]) -> tuple[list[str], list[str]]:
    """Names of cases and rows as tables list them: in the order above, then others by name."""
    places = {case.name: n for n, case in enumerate(CASES)}
    places |= {row.name: n for n, row in enumerate(ROWS)}

    def place(name: str) -> tuple[int, str]:
        return places.get(name, len(places)), name

    return sorted(set(cases), key=place), sorted(set(rows), key=place)

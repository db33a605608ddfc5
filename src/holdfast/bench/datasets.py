"""Streams of turns and questions about them, read from a directory.

A data set is a directory with `turns.jsonl.gz` and, if it asks anything, `queries.jsonl.gz`: one
JSON object per line. The stream is what a system is fed; questions carry what counts as right and
are never fed.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from holdfast.bench.times import stream_times
from holdfast.errors import NotFoundError
from holdfast.records import Event

Unit = Literal["turn", "session"]

# What a BEAM question must point at for retrieval to be a fair measure of it; the other four
# abilities ask too broadly ("summarise our project") to have retrievable evidence.
BEAM_ABILITIES = (
    "contradiction_resolution",
    "information_extraction",
    "knowledge_update",
    "multi_session_reasoning",
    "preference_following",
    "temporal_reasoning",
)


@dataclass(frozen=True, slots=True)
class Turn:
    """One message of a stream. `i` is its 0-based position; `at` is None if the source has none."""

    stream: str
    i: int
    id: str
    session: str
    at: float | None
    who: str
    text: str
    caption: str | None = None

    @property
    def shown(self) -> str:
        """The text as it is fed: the caption of a shared picture follows in square brackets."""
        return f"{self.text} [picture: {self.caption}]" if self.caption else self.text

    @property
    def scope(self) -> str:
        """The scope its session is fed under."""
        return f"session/{self.session}"


@dataclass(frozen=True, slots=True)
class Targets:
    """What counts as right for one question, in ids of one unit.

    `fresh` and `stale` are empty unless a value changed; `equal` maps an id to the gold id that
    says exactly the same.
    """

    gold: frozenset[str]
    fresh: frozenset[str] = frozenset()
    stale: frozenset[str] = frozenset()
    equal: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Query:
    """One question. `at` is the number of turns that may be seen; None: the whole stream."""

    qid: str
    stream: str
    at: int | None
    text: str
    type: str
    turns: Targets
    sessions: Targets

    def targets(self, unit: Unit) -> Targets:
        """What counts as right at this granularity."""
        return self.turns if unit == "turn" else self.sessions


@dataclass(frozen=True, slots=True)
class Dataset:
    """Streams by name, and the questions about each, in the order they are to be asked."""

    name: str
    streams: Mapping[str, tuple[Turn, ...]]
    queries: Mapping[str, tuple[Query, ...]]

    @property
    def default_unit(self) -> Unit:
        """Sessions where turn labels are missing (MemoryCode) or weak (RealMem), else turns."""
        return "session" if self.name.startswith(("memorycode", "realmem")) else "turn"

    @property
    def index_speaker(self) -> bool:
        """Whether the plain reference indexes who speaks: LoCoMo alone asks by name."""
        return self.name.startswith("locomo")

    def headline(self, query: Query) -> bool:
        """Whether a question counts towards the set's main figure."""
        if self.name.startswith("beam"):
            return query.type in BEAM_ABILITIES
        return query.type == "dev" if self.name.startswith("irc") else True

    def slices(self, query: Query) -> Iterator[str]:
        """The named groups a question is also reported in: its type, and any of its set's own."""
        yield query.type
        if self.name.startswith("locomo") and query.type != "adversarial":
            yield "without adversarial"
        if self.name.startswith("irc") and self._far_back(query):
            yield "gold > 50 lines back"

    def _far_back(self, query: Query) -> bool:
        if query.at is None or not query.turns.gold:
            return False
        turns = self.streams[query.stream]
        return all(turn.id not in query.turns.gold for turn in turns[max(0, query.at - 50) :])


def load(directory: str | Path, name: str | None = None) -> Dataset:
    """Read a data set; its name is the directory's unless given.

    Raises
    ------
    NotFoundError
        If the directory holds no `turns.jsonl.gz`.
    ValueError
        If a stream's turns are not numbered 0, 1, 2, … or a time cannot be read.
    """
    root = Path(directory)
    if not (root / "turns.jsonl.gz").is_file():
        raise NotFoundError(f"no data set at {root}: turns.jsonl.gz is not there")
    streams = _streams(_lines(root / "turns.jsonl.gz"))
    queries: dict[str, list[Query]] = {stream: [] for stream in streams}
    if (root / "queries.jsonl.gz").is_file():
        sessions = {s: {turn.id: turn.session for turn in turns} for s, turns in streams.items()}
        for row in _lines(root / "queries.jsonl.gz"):
            queries[row["stream"]].append(_query(row, sessions[row["stream"]]))
    ordered = {
        stream: tuple(sorted(asked, key=lambda q: len(streams[stream]) if q.at is None else q.at))
        for stream, asked in queries.items()
    }
    return Dataset(name or root.name, streams, ordered)


def to_event(turn: Turn) -> Event:
    """The event a turn is fed as.

    Speaker, time and scope come from the turn; an empty line becomes one space, because an event
    holds at least one byte and dropping it would shift every position after it.
    """
    role = turn.who.lower() if turn.who.lower() in ("user", "assistant") else None
    return Event(turn.shown or " ", speaker=turn.who, role=role, at=turn.at, scope=turn.scope)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _streams(rows: Iterator[dict[str, Any]]) -> dict[str, tuple[Turn, ...]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        grouped.setdefault(row["stream"], []).append(row)
    streams: dict[str, tuple[Turn, ...]] = {}
    for stream, members in grouped.items():
        if [row["i"] for row in members] != list(range(len(members))):
            raise ValueError(f"stream {stream!r}: positions are not 0 to {len(members) - 1}")
        streams[stream] = tuple(
            Turn(
                stream,
                row["i"],
                row["id"],
                row["session"],
                at,
                row["who"],
                row["text"],
                row.get("caption"),
            )
            for row, at in zip(members, stream_times(r["ts"] for r in members), strict=True)
        )
    return streams


def _query(row: Mapping[str, Any], session_of: Mapping[str, str]) -> Query:
    extra: Mapping[str, Any] = row.get("extra") or {}
    gold, stale = frozenset(row["gold"]), frozenset(row.get("stale", ()))
    fresh = frozenset(extra.get("fresh", gold if stale else ()))
    equal = {twin: kept for kept, twins in extra.get("equiv", {}).items() for twin in twins}
    turns = Targets(gold, fresh, stale, equal)
    gold_sessions = frozenset(row.get("gold_sessions") or (session_of[id] for id in gold))
    stale_sessions = frozenset(extra.get("stale_sessions") or (session_of[id] for id in stale))
    fresh_sessions = frozenset(session_of[id] for id in fresh) if fresh else gold_sessions
    if not stale_sessions or fresh_sessions & stale_sessions:
        # One session that holds both values is neither the fresh nor the stale answer.
        fresh_sessions = stale_sessions = frozenset()
    sessions = Targets(gold_sessions, fresh_sessions, stale_sessions)
    return Query(row["qid"], row["stream"], row["at"], row["q"], row["type"], turns, sessions)

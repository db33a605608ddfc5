"""A data set as one memory serves it: its streams in turn, each in a scope of its own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from holdfast.bench.datasets import Dataset, Query, Turn, Unit, to_event
from holdfast.bench.recall import asked_streams
from holdfast.records import Event

LONGEST = 16_384  # bytes of a turn that are fed; a turn of 340 KiB would be most of a small budget


@dataclass(frozen=True, slots=True)
class Asked:
    """A question, when it is asked, and where its evidence lies among the turns of the pool.

    `after` is the number of turns that are in by then. `evidence` is every right turn, or, where a
    set only says which sessions are right, every turn of those that was in. `beside` are the other
    turns of right sessions, where sessions are ranked.
    """

    query: Query
    after: int
    evidence: tuple[int, ...]
    beside: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Pool:
    """Turns of all streams in the order they are fed, and questions in the order they are asked.

    `left_out` counts questions with nothing right, `cut` the turns that were longer than LONGEST.
    """

    name: str
    unit: Unit
    streams: tuple[str, ...]
    turns: tuple[Turn, ...]
    asked: tuple[Asked, ...]
    left_out: int
    cut: int

    @property
    def raw_bytes(self) -> int:
        """Bytes of everything that is fed, in UTF-8."""
        return sum(len(turn.shown.encode()) for turn in self.turns)


def pooled(data: Dataset, streams: int | None = None) -> Pool:
    """Lay the asked streams of a set side by side so that all progress at the same rate.

    Parameters
    ----------
    streams
        Only the first so many.

    Notes
    -----
    Turn i of a stream of n comes at (i + 1) / n, at equal times in order of the streams. A stream
    keeps its own order. Only streams that a headline question is about are fed.
    """
    unit = data.default_unit
    names = asked_streams(data, data.headline, streams)
    order = sorted(
        ((turn.i + 1) / len(data.streams[name]), n, turn.i)
        for n, name in enumerate(names)
        for turn in data.streams[name]
    )
    places: dict[str, list[int]] = {name: [] for name in names}
    turns: list[Turn] = []
    cut = 0
    for _, n, i in order:
        turn = data.streams[names[n]][i]
        shown = turn.shown.encode()
        if len(shown) > LONGEST:
            turn = replace(turn, text=shown[:LONGEST].decode(errors="ignore"), caption=None)
            cut += 1
        places[names[n]].append(len(turns))
        turns.append(turn)
    asked, left_out = [], 0
    for name in names:
        for query in filter(data.headline, data.queries[name]):
            if query.targets(unit).gold:
                asked.append(_asked(query, unit, data.streams[name], places[name]))
            else:
                left_out += 1
    asked.sort(key=lambda one: one.after)  # stable: in the order of the streams where equal
    return Pool(data.name, unit, tuple(names), tuple(turns), tuple(asked), left_out, cut)


def event_of(turn: Turn) -> Event:
    """The event a turn of a pool is fed as: under its stream, then its session."""
    return replace(to_event(turn), scope=f"{turn.stream}/{turn.session}")


def _asked(query: Query, unit: Unit, turns: Sequence[Turn], places: Sequence[int]) -> Asked:
    seen = turns if query.at is None else turns[: query.at]
    inside = {turn.id for turn in seen if turn.session in query.sessions.gold}
    right = query.turns.gold or inside
    beside = inside - right if unit == "session" else set()
    return Asked(
        query,
        places[len(seen) - 1] + 1 if seen else 0,
        tuple(places[turn.i] for turn in seen if turn.id in right),
        tuple(places[turn.i] for turn in seen if turn.id in beside),
    )

"""Does a memory know what it knew once? Questions about what it was told, and about what it wasn't.

Half of a set's streams are fed to one small memory, perhaps with others behind them; then it is
asked the questions of all. Those of the streams it never saw it never knew; of the others it knows
what is still kept, and knew once what is gone or left as a trace.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from holdfast.bench.datasets import Dataset, Query
from holdfast.bench.pooled import LONGEST, event_of
from holdfast.forgotten import SURE, VERDICTS, Signs, chances, look
from holdfast.memory import Memory
from holdfast.records import Event, Tier

Key = tuple[str, str]  # a stream and the id of one of its turns


@dataclass(frozen=True, slots=True)
class Answered:
    """A question, what the memory judged it by, and what is true: a place in `VERDICTS`."""

    text: str
    signs: Signs
    truth: int


def ask(
    data: Dataset, half: int, budget: str, policy: str, filler: Sequence[Event] = ()
) -> list[Answered]:
    """Feed every other stream, those of `half` (0 or 1), then `filler`, and ask about all."""
    fed = list(data.streams)[half::2]
    turns = sorted(
        ((turn.i + 1) / len(data.streams[name]), n, turn.i, name)
        for n, name in enumerate(fed)
        for turn in data.streams[name]
    )
    events = [_cut(event_of(data.streams[name][i])) for _, _, i, name in turns]
    places = {(name, data.streams[name][i].id): seq for seq, (_, _, i, name) in enumerate(turns, 1)}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "m.holdfast"
        with Memory.open(path, budget, retention=policy, durability="off") as memory:
            memory.observe_many(events)
            memory.observe_many(map(_cut, filler))
            return [
                Answered(query.text, _signs(memory, query.text), truth)
                for name in data.streams
                for query in data.queries[name]
                if (truth := _truth(memory, data, query, places if name in fed else {})) is not None
            ]


def score(answers: Iterable[Answered], sure: float = SURE) -> dict[str, Any]:
    """How good the chances are.

    `brier` is the mean squared distance to the truth: 0 is best, to say a third of each is 2/3. Of
    each verdict, how often it is right, and how many of those it is true of get it.
    """
    found = list(answers)
    truth = np.array([one.truth for one in found])
    told = np.array([[chances(one.signs)[name] for name in VERDICTS] for one in found])
    brier = float(((told - np.eye(len(VERDICTS))[truth]) ** 2).sum(axis=1).mean())
    given = np.where(told.max(axis=1) >= sure, told.argmax(axis=1), -1)
    table: dict[str, Any] = {"n": len(found), "brier": round(brier, 3)}
    for place, name in enumerate(VERDICTS):
        said, so = given == place, truth == place
        both = int((said & so).sum())
        table[name] = {
            "n": int(so.sum()),
            "said": int(said.sum()),
            "right": round(both / max(1, int(said.sum())), 3),
            "found": round(both / max(1, int(so.sum())), 3),
        }
    return table


def fit(
    clues: Sequence[Mapping[str, float]], true: Sequence[bool], group: Sequence[object]
) -> dict[str, float]:
    """Weights of a logistic regression over clues; every group weighs the same."""
    names = list(clues[0])
    x = np.array([[clue[name] for name in names] for clue in clues])
    y = np.array(true, np.float64)
    _, at, n = np.unique([str(one) for one in group], return_inverse=True, return_counts=True)
    weight = len(y) / (n[at] * len(n))
    found = np.zeros(len(names))
    for _ in range(50):  # Newton's method
        p = 1.0 / (1.0 + np.exp(-x @ found))
        slope = x.T @ ((p - y) * weight) + found
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x + np.eye(len(names))
        found = found - np.linalg.solve(curve, slope)
    return dict(zip(names, found.round(2).tolist(), strict=True))


def _cut(event: Event) -> Event:
    text = event.text.encode()
    if len(text) <= LONGEST:
        return event
    return replace(event, content=text[:LONGEST].decode(errors="ignore"))


def _signs(memory: Memory, text: str) -> Signs:
    return memory._run(look(memory._reader, text, memory._filters())).signs


def _truth(memory: Memory, data: Dataset, query: Query, places: Mapping[Key, int]) -> int | None:
    """What is true of a question; None if it does not count."""
    if not data.headline(query) or query.type == "adversarial" or not query.sessions.gold:
        return None
    if not places:
        return VERDICTS.index("never knew")
    stream = query.stream
    right = query.turns.gold or {
        turn.id for turn in data.streams[stream] if turn.session in query.sessions.gold
    }
    rows = [memory._mirror.row(places[stream, id]) for id in sorted(right)]
    tiers = [Tier.EVICTED if row is None else row.tier for row in rows]
    return VERDICTS.index("still known" if min(tiers) <= Tier.GIST else "knew once")

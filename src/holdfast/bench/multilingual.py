"""Small chats in many languages, written for this project, with questions about facts in them.

One stream a language: two people talk, each fact is said once, its words come back in other forms
in remarks that do not answer anything, and each question asks for a fact with the word inflected
as a question inflects it. What is said is in `phrases/`, one file a language; this module only
shuffles it. Expressions of time are words like any other here: only English ones ("last week",
"when") are understood.
"""

from __future__ import annotations

import gzip
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache
from importlib import resources
from pathlib import Path
from random import Random
from typing import Any
from zlib import crc32

from holdfast.bench.baselines import PlainBM25, Turns
from holdfast.bench.datasets import Dataset, Query, Targets, Turn
from holdfast.bench.protocol import Setup
from holdfast.records import Event

NAME = "multilingual"
LANGUAGES = (
    "arabic", "chinese", "english", "finnish", "french", "german", "hindi",
    "japanese", "korean", "polish", "russian", "spanish", "thai", "turkish",
)  # fmt: skip
_START = 1_767_258_000.0  # 2026-01-01, 09:00 UTC
_PAUSE, _NIGHT = 60.0, 86_400.0  # seconds between turns, and between sessions
_SESSION = 12  # turns, about
_ANSWERED = 0.6  # share of lines that get a short reply


@dataclass(frozen=True, slots=True)
class _Line:
    """Something to say; `question` is set on a fact, who says it is decided on the way."""

    text: str
    question: str = ""


def dataset(seed: int = 7) -> Dataset:
    """One stream a language, about 160 turns and 30 questions each; the same for the same seed.

    A question's type is its language, so that reports have a line for each.

    Examples
    --------
    >>> data = dataset()
    >>> len(data.streams), data.queries["german"][0].turns.gold <= {
    ...     turn.id for turn in data.streams["german"]
    ... }
    (14, True)
    """
    made = {language: _stream(language, Random(f"{seed} {language}")) for language in LANGUAGES}
    return Dataset(
        NAME,
        {language: turns for language, (turns, _) in made.items()},
        {language: queries for language, (_, queries) in made.items()},
    )


def write(directory: str | Path, seed: int = 7) -> None:
    """Write the set as `turns.jsonl.gz` and `queries.jsonl.gz`, the form `datasets.load` reads."""
    data, root = dataset(seed), Path(directory)
    root.mkdir(parents=True, exist_ok=True)
    _dump(root / "turns.jsonl.gz", (_turn_row(t) for s in data.streams.values() for t in s))
    _dump(root / "queries.jsonl.gz", (_query_row(q) for s in data.queries.values() for q in s))


class UnicodeWords(PlainBM25):
    """BM25 over lower-case words of any script, speakers included, with no other help.

    The plain reference knows ASCII only; this is what a simple search of other languages would be.
    """

    def __init__(self, setup: Setup) -> None:
        super().__init__(replace(setup, unit="turn"))

    def observe_many(self, events: Sequence[Event]) -> None:
        Turns.observe_many(self, events)
        for event in events:
            self._turns.add(_in_ascii(f"{event.speaker} {event.text}"))

    def rank(self, query: str, limit: int, before: int | None = None) -> list[int]:
        return super().rank(_in_ascii(query), limit, before)

    def rank_scopes(self, query: str, limit: int) -> list[str]:
        return Turns.rank_scopes(self, query, limit)

    def confidence(self, query: str) -> float:
        return super().confidence(_in_ascii(query))


def _in_ascii(text: str) -> str:
    """Each word as a number, so that the reference takes it for a word."""
    return " ".join(str(crc32(word.encode())) for word in re.findall(r"\w+", text.lower()))


def _stream(language: str, rng: Random) -> tuple[tuple[Turn, ...], tuple[Query, ...]]:
    phrases = _phrases(language)
    speakers = [_cells(names) for names in phrases["speakers"]]
    lines = [*_lines(phrases["topics"]), *map(_Line, phrases["small_talk"])]
    rng.shuffle(lines)
    turns: list[Turn] = []
    queries: list[Query] = []
    session, held = 1, 0

    def say(text: str, who: str) -> Turn:
        at = _START + session * _NIGHT + held * _PAUSE
        turns.append(Turn(language, len(turns), f"t{len(turns)}", f"{session}", at, who, text))
        return turns[-1]

    for line in lines:
        if held >= _SESSION:
            session, held = session + 1, 0
        (who, whose), (other, _) = rng.sample(speakers, 2)
        said = say(line.text, who)
        held += 1
        if line.question:
            text = line.question.format(who=who, whose=whose)
            right, where = Targets(frozenset({said.id})), Targets(frozenset({said.session}))
            name = f"{language}-{len(queries)}"
            queries.append(Query(name, language, None, text, language, right, where))
        if rng.random() < _ANSWERED:
            say(rng.choice(phrases["replies"]), other)
            held += 1
    return tuple(turns), tuple(queries)


def _lines(topics: Iterable[Mapping[str, Any]]) -> Iterator[_Line]:
    """Each fact with its question, and the remarks that share its words."""
    for topic in topics:
        for row in topic["rows"]:
            said, value, asked, remarked = _cells(row)
            question = topic["asks"].replace("{key}", asked)
            yield _Line(topic["says"].format(key=said, value=value), question)
            for aside in topic["asides"]:
                yield _Line(aside.format(key=remarked))


@cache
def _phrases(language: str) -> Mapping[str, Any]:
    file = resources.files("holdfast.bench") / "phrases" / f"{language}.toml"
    return tomllib.loads(file.read_text(encoding="utf-8"))


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.split("|")]


def _turn_row(turn: Turn) -> dict[str, Any]:
    return {
        "stream": turn.stream,
        "i": turn.i,
        "id": turn.id,
        "session": turn.session,
        "ts": datetime.fromtimestamp(turn.at or 0.0, UTC).isoformat(),
        "who": turn.who,
        "text": turn.text,
    }


def _query_row(query: Query) -> dict[str, Any]:
    return {
        "qid": query.qid,
        "stream": query.stream,
        "at": query.at,
        "q": query.text,
        "type": query.type,
        "gold": sorted(query.turns.gold),
    }


def _dump(path: Path, rows: Iterable[Mapping[str, Any]]) -> None:
    # No name and no time in the header: the same set is the same bytes.
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", mtime=0, fileobj=raw) as file:
        for row in rows:
            file.write((json.dumps(row, ensure_ascii=False) + "\n").encode())

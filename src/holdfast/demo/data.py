"""The stream and the questions that ship with the package (their licence is in NOTICE)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from typing import Any

import zstandard

from holdfast.records import Event


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the stream, with what its authors say answers it.

    `gold` are the sequence numbers of the events that hold the answer; `stale` those that hold a
    value which a later event changed.
    """

    id: str
    question: str
    type: str
    answer: str
    gold: tuple[int, ...]
    stale: tuple[int, ...]


# Chosen before any run, for the age of their evidence: from the first events to the last ones.
SHOWN = (
    "gpt4_372c3eed",
    "gpt4_f420262c",
    "b01defab",
    "e47becba",
    "6ade9755",
    "c5e8278d",
    "2698e78f",
    "852ce960",
)


def _read(name: str) -> Iterator[dict[str, Any]]:
    packed = resources.files("holdfast.demo").joinpath(name).read_bytes()
    # Split at line feeds only: a message may hold other characters that end a line.
    for line in zstandard.ZstdDecompressor().decompress(packed).split(b"\n"):
        if line:
            yield json.loads(line)


def stream() -> list[Event]:
    """Return the events in the order in which they happened."""
    return [Event(**fields) for fields in _read("stream.jsonl.zst")]


def sessions() -> list[list[Event]]:
    """Return the stream cut into its conversations."""
    return [list(events) for _, events in groupby(stream(), key=lambda event: event.scope)]


def questions() -> list[Question]:
    """Return every question whose evidence lies in the stream."""
    rows = _read("questions.jsonl.zst")
    return [
        Question(**{**row, "gold": tuple(row["gold"]), "stale": tuple(row["stale"])})
        for row in rows
    ]

"""What is written in throughput runs: real turns, and an endless stream made out of them."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import numpy as np

from holdfast.bench.datasets import load, to_event
from holdfast.records import Event

_SENTENCE = re.compile(r"(?<=[.!?])\s+")
_BLOCK = 8_192  # events drawn at once, so that drawing costs a microsecond each
_RARE_PER_EVENT = 2
_TURN_CHARS = 94  # mean length of a turn in real chats of the kind this copies
_SYLLABLES = [c + v + e for c in "bdfgklmnprstvz" for v in "aeiou" for e in ("", "n", "r", "s")]


def real_events(data: str | Path | None = None, limit: int | None = None) -> list[Event]:
    """The turns of a data set, streams end to end; without one, the stream shipped for the demo."""
    if data is None:
        return _demo_events()[:limit]
    streams = load(data).streams
    return [to_event(turn) for turns in streams.values() for turn in turns][:limit]


def _demo_events() -> list[Event]:
    import zstandard

    packed = files("holdfast").joinpath("demo/stream.jsonl.zst").read_bytes()
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(packed)) as reader:
        return [Event(**json.loads(line)) for line in io.TextIOWrapper(reader, encoding="utf-8")]


@dataclass(frozen=True)
class Synthetic:
    """An endless, repeatable stream: real sentences in shuffled order, and rare words.

    Each event is one sentence (about 94 characters with the rest) followed by two words drawn by
    Zipf's law from a vocabulary without end, so that the number of distinct terms grows as it does
    in real text. Every `session` events the scope changes; events are `gap_s` apart.
    """

    sentences: tuple[str, ...]
    seed: int = 0
    session: int = 40
    gap_s: float = 30.0
    started_at: float = 1_700_000_000.0
    exponent: float = 1.35

    @classmethod
    def of(cls, events: Sequence[Event], seed: int = 0) -> Synthetic:
        """Take the sentences apart; the length window is set so that turns come out at 94."""
        parts = {part for event in events for part in _SENTENCE.split(event.text)}
        sized = sorted(part for part in parts if 48 <= len(part) <= 110)
        if not sized:
            raise ValueError(f"no sentence of 48 to 110 characters in {len(events)} events")
        return cls(tuple(sized), seed)

    def events(self, count: int, first: int = 0) -> Iterator[Event]:
        """Events `first` to ``first + count``; the same numbers give the same events."""
        for block in range(first // _BLOCK, -(-(first + count) // _BLOCK)):
            made = self._block(block)
            low, high = max(0, first - block * _BLOCK), first + count - block * _BLOCK
            yield from made[low:high]

    def queries(self, count: int, seen: int) -> list[str]:
        """Questions about random earlier events: four of their words, and one rare word."""
        rng = np.random.default_rng((self.seed, seen, 1))
        picked = rng.integers(0, seen, count).tolist()
        asked = []
        for number in picked:
            words = next(self.events(1, number)).text.split()
            chosen = rng.choice(len(words) - _RARE_PER_EVENT, 4, replace=False)
            asked.append(" ".join([*(words[i] for i in sorted(chosen)), words[-1]]))
        return asked

    def _block(self, block: int) -> list[Event]:
        rng = np.random.default_rng((self.seed, block))
        chosen = rng.integers(0, len(self.sentences), _BLOCK).tolist()
        drawn = rng.zipf(self.exponent, (_BLOCK, _RARE_PER_EVENT)) % (1 << 48)
        rare = [f"{_word(a)} {_word(b)}" for a, b in drawn.tolist()]
        start = block * _BLOCK
        events = []
        for i in range(_BLOCK):
            n = start + i
            events.append(
                Event(
                    f"{self.sentences[chosen[i]]} {rare[i]}",
                    "user" if n % 2 else "assistant",
                    at=self.started_at + n * self.gap_s,
                    scope=f"session/{n // self.session}",
                )
            )
        return events


def _word(number: int) -> str:
    """A pronounceable word for any number; different numbers give different words."""
    made = "q"
    while number:
        number, syllable = divmod(number, 280)
        made += _SYLLABLES[syllable]
    return made

"""Small memories with a known past, for tests that look at one from outside."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from holdfast import Event, Memory

T0 = 1_700_000_000.0
TINY = "640 KiB"
WORDS = (
    "kelp", "rock", "tide", "harbour", "frond", "lantern", "ledger", "copper", "violin", "orchard",
    "saddle", "glacier", "pepper", "anchor", "meadow", "thunder", "biscuit", "canvas", "ribbon",
    "walnut", "marble", "compass", "kettle", "current",
)  # fmt: skip


def ticking(start: float = T0, step: float = 1.0) -> Callable[[], float]:
    """A clock that is `step` seconds later every time."""
    now = start

    def clock() -> float:
        nonlocal now
        now += step
        return now

    return clock


@contextmanager
def opened(budget: int | str = "2 MiB", **options: Any) -> Iterator[Memory]:
    """A fresh memory in a folder of its own, gone afterwards."""
    options = {"durability": "off", "clock": ticking(), **options}
    with (
        tempfile.TemporaryDirectory() as folder,
        Memory.open(Path(folder) / "m.holdfast", budget, **options) as memory,
    ):
        yield memory


def prose(rng: random.Random, n_words: int, digits: int = 6) -> str:
    """Sentences that no compressor makes small: words with numbers between them."""
    words = [f"{rng.choice(WORDS)} {rng.randrange(10**digits)}" for _ in range(n_words // 2)]
    return ". ".join(" ".join(words[i : i + 6]).capitalize() for i in range(0, len(words), 6))


def large_events(n: int, seed: int = 7, n_words: int = 700) -> list[Event]:
    """Events of a few kilobytes, every fifth of them bytes, in three scopes."""
    rng = random.Random(seed)
    return [
        Event(
            rng.randbytes(3 * n_words) if i % 5 == 4 else prose(rng, n_words, 12),
            speaker=("Ana", "Bo", None)[i % 3],
            scope=("", "user/ana", "user/bo")[i % 3],
            at=T0 + 60.0 * i,
            metadata={"i": i} if i % 4 == 0 else {},
        )
        for i in range(n)
    ]

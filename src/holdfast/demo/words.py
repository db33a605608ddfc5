"""Words and numbers that the terminal and the report share."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal

from holdfast.demo.run import Answer, Fate

FATE_NAMES: dict[Fate, str] = {
    "verbatim": "recalled word for word",
    "gist": "as a gist",
    "trace": "as a trace",
    "missed": "kept, not recalled",
    "evicted": "let go",
}


def percent(share: float) -> str:
    """Return a share as a whole percentage."""
    return f"{share:.0%}"


def when(at: float) -> str:
    """Return the day of a POSIX time, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d")


def verdict(answer: Answer) -> tuple[str, Literal["good", "part", "lost"]]:
    """Return in a few words what came back of the evidence, and how good that is."""
    exact = answer.fates.count("verbatim")
    if answer.whole:
        return "evidence back, word for word", "good"
    if exact:
        return f"{exact} of {len(answer.fates)} pieces back, word for word", "part"
    if answer.some:
        return f"evidence back as a {min_tier(answer)}", "part"
    if set(answer.fates) == {"evicted"}:
        return "evidence let go", "lost"
    return "evidence kept, but not recalled", "lost"


def min_tier(answer: Answer) -> str:
    """Return the best tier below verbatim at which evidence came back."""
    return "gist" if "gist" in answer.fates else "trace"

"""Words and numbers that the terminal and the report share."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Literal

from holdfast.budget import format_bytes
from holdfast.demo.run import Answer, Fate

FATE_NAMES: dict[Fate, str] = {
    "verbatim": "recalled word for word",
    "gist": "as a gist",
    "trace": "as a trace",
    "missed": "kept, not recalled",
    "evicted": "let go",
}


_WORD = re.compile(r"\w+")
_SENTENCE = re.compile(r"[^.!?]+[.!?]*\s*")


def excerpt(text: str, about: str, limit: int) -> str:
    """Return the run of whole sentences, `limit` characters at most, with most words of `about`.

    What is cut off is marked with an ellipsis; a sentence that alone is too long is cut at a word.
    """
    text = " ".join(text.split())
    if len(text) <= limit:
        return text
    wanted = set(_WORD.findall(about.lower()))
    spans = [match.span() for match in _SENTENCE.finditer(text)] or [(0, len(text))]
    best, most = (0, limit), -1
    for nth, (start, end) in enumerate(spans):
        for _, further in spans[nth + 1 :]:
            if further - start > limit:
                break
            end = further
        found = len(wanted & set(_WORD.findall(text[start : min(end, start + limit)].lower())))
        if found > most:
            best, most = (start, end), found
    start, end = best
    kept = text[start:end].strip()
    if len(kept) > limit:
        kept, end = kept[:limit].rsplit(" ", 1)[0], 0
    return "… " * (start > 0) + kept + " …" * (end != len(text))


def size(nbytes: float) -> str:
    """Return a size as short as it can be told: ``704 KiB``, not ``704.0 KiB``."""
    return format_bytes(nbytes).replace(".0 ", " ")


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
    tier = "gist" if "gist" in answer.fates else "trace"
    back = sum(fate in ("gist", "trace") for fate in answer.fates)
    if back == len(answer.fates):
        return f"evidence back as a {tier}", "part"
    if back:
        return f"{back} of {len(answer.fates)} pieces back, as a {tier}", "part"
    gone = answer.fates.count("evicted")
    if gone == len(answer.fates):
        return "evidence let go", "lost"
    if gone:
        return f"{gone} of {len(answer.fates)} pieces let go, the rest not recalled", "lost"
    return "evidence kept, but not recalled", "lost"

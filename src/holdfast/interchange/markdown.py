"""Markdown: an event for each paragraph, list or block of code, under the headings it stands in.

A heading goes with the first paragraph under it, so that every line is in some event. An ISO date
in a heading, or in the name of the file, dates what stands under it; in such a section each line
that begins with a time of day (``- 09:30 Called the bank``) begins an event of its own.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from holdfast.interchange.base import Found, event, scope_of
from holdfast.interchange.source import Source

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_DATE = re.compile(r"(?<!\d)(\d{4})-(\d{2})-(\d{2})(?!\d)")
_CLOCK = re.compile(r"\s*(?:[-*+]\s+)?(?:\*\*|\[)?(\d{1,2}):(\d{2})(?!\d)")


@dataclass(frozen=True, slots=True)
class _Block:
    """A run of lines that belong together, from line `number`; the first `heads` head it."""

    number: int
    lines: tuple[str, ...]
    heads: int
    path: tuple[str, ...]  # the headings that it stands under

    def whole(self) -> bool:
        """Whether it may not be taken apart: there is code in it."""
        return any(_FENCE.match(line) for line in self.lines)


def read(source: Source) -> Iterator[Found]:
    """Every block of text, in order."""
    named = _date(source.stem)
    seen = Counter[tuple[tuple[str, ...], str]]()
    for block in _blocks([line.rstrip("\r\n") for line in source.lines()]):
        dates = [day for text in block.path if (day := _date(text)) is not None]
        day = dates[-1] if dates else named
        for number, lines, heads in _entries(block, dated=day is not None):
            text = "\n".join(lines).rstrip()
            seen[block.path, text] += 1
            metadata: dict[str, object] = {"line": number}
            metadata |= {"headings": list(block.path)} if block.path else {}
            yield Found(
                f"line {number}", repr((block.path, text, seen[block.path, text])),
                event(
                    text, kind="note", at=_at(day, lines[heads:], block.path),
                    scope=scope_of(source.stem), metadata=metadata,
                ),
            )  # fmt: skip


def _blocks(lines: Sequence[str]) -> Iterator[_Block]:
    path: dict[int, str] = {}  # headings by level
    start, heads, at, fence = 0, 0, _front_matter(lines), ""
    if at:
        yield _Block(1, tuple(lines[:at]), 0, ())
        start = at
    under = 0  # the level of the heading that came last, if nothing but headings has come since

    def block(end: int) -> Iterator[_Block]:
        taken = lines[start:end]
        if any(line.strip() for line in taken):
            yield _Block(start + 1, tuple(taken), heads, tuple(path.values()))

    while at < len(lines):
        line = lines[at]
        if fence:
            fence = "" if line.strip().startswith(fence) else fence
        elif found := _HEADING.match(line):
            level = len(found[1])
            if not (under and level > under):  # else it heads what the last one heads, too
                yield from block(at)
                start = at
            path = {n: text for n, text in path.items() if n < level}
            path[level], under, heads = (found[2] or "").strip(), level, at + 1 - start
        elif line.strip():
            under, fence = 0, found[1] if (found := _FENCE.match(line)) else ""
        elif not under:
            yield from block(at)
            start, heads = at + 1, 0
        at += 1
    yield from block(at)


def _front_matter(lines: Sequence[str]) -> int:
    """How many lines at the beginning are metadata of the file."""
    if not lines or lines[0].strip() != "---":
        return 0
    ends = (n for n, line in enumerate(lines[1:], 2) if line.strip() in ("---", "..."))
    return next(ends, 0)


def _entries(block: _Block, *, dated: bool) -> Iterator[tuple[int, tuple[str, ...], int]]:
    """A block, or its lines from one time of day to the next: number, lines, headings."""
    cuts = [0]
    if dated and not block.whole():
        times = [n for n, line in enumerate(block.lines) if n >= block.heads and _CLOCK.match(line)]
        first = next((n for n in range(block.heads, len(block.lines)) if block.lines[n].strip()), 0)
        cuts += [n for n in times if n != first]
    for begin, end in zip(cuts, [*cuts[1:], len(block.lines)], strict=True):
        yield block.number + begin, block.lines[begin:end], 0 if begin else block.heads


def _at(day: datetime | None, lines: Sequence[str], path: Sequence[str]) -> float | None:
    """The day, at the time that the text begins with, or that the nearest heading names."""
    if day is None:
        return None
    first = next((line for line in lines if line.strip()), "")
    for text in (first, *reversed(path)):
        found = _CLOCK.match(_DATE.sub("", text))
        if found and int(found[1]) < 24 and int(found[2]) < 60:
            return day.replace(hour=int(found[1]), minute=int(found[2])).timestamp()
    return day.timestamp()


def _date(text: str) -> datetime | None:
    found = _DATE.search(text)
    try:
        return datetime.fromisoformat(found[0]).replace(tzinfo=UTC) if found else None
    except ValueError:
        return None

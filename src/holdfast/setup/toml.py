"""One table of a TOML file put in, replaced or taken out as text: all else stays byte for byte."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from holdfast.errors import ArgumentsError

Path = tuple[str, str]
"""The name of a table in the file, and of the table in it."""

# Strings of one line and comments are matched so that a quote in them starts nothing.
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"""|\'\'\'.*?\'\'\'|"(?:[^"\\\n]|\\.)*"|\'[^\'\n]*\'|#[^\n]*', re.DOTALL
)
_HEADER = re.compile(r"[ \t]*\[([^\[\]]+)\][ \t]*(?:#[^\n]*)?")


def get(text: str, path: Path) -> Any:
    """The table as it is read; None if there is none. Raises `ArgumentsError` as `put` does."""
    found = load(text).get(path[0])
    if found is not None and not isinstance(found, dict):
        raise ArgumentsError(f"its {path[0]!r} is not a table; mend it by hand, then try again")
    return (found or {}).get(path[1])


def put(text: str, path: Path, value: Any) -> str:
    """Return the text with these values in the table; a new one comes last.

    Raises
    ------
    ArgumentsError
        If the text is no TOML, or the table is written in a way that cannot be told from the rest.

    Examples
    --------
    >>> print(put('model = "o9"', ("servers", "new"), {"args": ["x"]}), end="")
    model = "o9"
    <BLANKLINE>
    [servers.new]
    args = ["x"]
    """
    line = "\r\n" if "\r\n" in text else "\n"
    rows = [f"[{path[0]}.{path[1]}]", *(f"{key} = {_written(one)}" for key, one in value.items())]
    block = "".join(row + line for row in rows)
    if get(text, path) is None:
        gap = "" if not text else line if text.endswith("\n") else 2 * line
        return text + gap + block
    first, *others = _blocks(text, path)
    for start, end in reversed(others):
        text = text[:start] + text[end:]
    return text[: first[0]] + block + text[first[1] :]


def drop(text: str, path: Path) -> str:
    """Return the text without the table; as it is, if there is none. Raises as `put` does."""
    if get(text, path) is None:
        return text
    for start, end in reversed(_blocks(text, path)):
        head = text[:start]
        blank = re.search(r"(?<=\n)\r?\n\Z", head)  # `put` left a line free
        text = (head[: blank.start()] if blank else head) + text[end:]
    return text


def load(text: str) -> dict[str, Any]:
    """What a text holds. Raises `ArgumentsError` if it is no TOML."""
    try:
        return tomllib.loads(text.replace("\r\n", "\n"))
    except (ValueError, RecursionError) as wrong:
        why = str(wrong) if isinstance(wrong, tomllib.TOMLDecodeError) else "it cannot be read"
        raise ArgumentsError(
            f"it is not TOML ({why[:1].lower()}{why[1:]}); mend it, then try again"
        ) from None


def _blocks(text: str, path: Path) -> list[tuple[int, int]]:
    """Where the table and those inside it are, each without what stands before the next header.

    Raises
    ------
    ArgumentsError
        If there is none under a header of its own.
    """
    masked = _STRING.sub(_masked, text)
    found: list[tuple[int, int]] = []
    start: int | None = None
    at = last = 0
    for line in masked.splitlines(keepends=True):
        header = _HEADER.fullmatch(line.rstrip("\r\n"))
        if header or line.lstrip().startswith("[["):
            if start is not None:
                found.append((start, last))
            start = at if header and _names(header[1])[:2] == path else None
        at += len(line)
        if line.strip() and not line.lstrip().startswith("#"):
            last = at
    if start is not None:
        found.append((start, last))
    if not found:
        raise ArgumentsError(
            f"{'.'.join(path)} is there, but not as a table with a header; take it out by hand, "
            "then try again"
        )
    return found


def _masked(string: re.Match[str]) -> str:
    """A string of several lines as one that has no line like a header; others as they are."""
    long = string[0].startswith(('"""', "'''"))
    return re.sub(r"[^\n]", "x", string[0]) if long else string[0]


def _names(header: str) -> tuple[str, ...]:
    """The names in a header: ``a."b"`` is a, b. None at all for what only looks like a header."""
    try:
        found = tomllib.loads(f"[{header}]")
    except tomllib.TOMLDecodeError:
        return ()
    names = []
    while found:
        ((name, found),) = found.items()
        names.append(name)
    return tuple(names)


def _written(value: str | list[str]) -> str:
    """Text, or a list of texts, as TOML writes them."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

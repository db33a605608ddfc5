"""What is read from: a file that can be read twice, as lines, as text or as JSON."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import IO, Any, NoReturn

from holdfast.errors import InvalidEventError
from holdfast.wire.lines import rewindable

ARCHIVE = "PK\x03\x04"
"""How a zip file begins."""
_FIRST_LINE = 1 << 20  # bytes; what is longer is one document


@dataclass(frozen=True)
class Source:
    """An open file of another program.

    Parameters
    ----------
    file
        Open for reading bytes; it must be able to go back to its beginning.
    name
        What it is called: its ending helps to tell its format, and a date in it dates notes.

    Examples
    --------
    >>> import io
    >>> Source(io.BytesIO(b'[{"id": 1}]')).document
    [{'id': 1}]
    """

    file: IO[bytes]
    name: str = ""

    @property
    def stem(self) -> str:
        """The name without folders and endings."""
        return PurePath(self.name).name.split(".")[0]

    def lines(self) -> Iterator[str]:
        """The lines, from the first. What is not UTF-8 raises `InvalidEventError`."""
        self.file.seek(0)
        for number, line in enumerate(self.file, 1):
            yield _decoded(line, f"line {number}")

    def first_line(self) -> tuple[str, bool]:
        """The first line that is not blank, or its beginning, and whether nothing follows it."""
        self.file.seek(0)
        while line := self.file.readline(_FIRST_LINE):
            if line.strip():
                rest = iter(lambda: self.file.read(_FIRST_LINE), b"")
                alone = not any(map(bytes.strip, rest))
                return line.decode("utf-8-sig", "replace").strip(), alone
        return "", True

    @cached_property
    def document(self) -> Any:
        """All of it as one JSON value; of lines of JSON, and of archives, a list of all there is.

        Raises `InvalidEventError` saying where it is not JSON.
        """
        self.file.seek(0)
        data = self.file.read()
        if data.startswith(ARCHIVE.encode()):
            return _unpacked(data)
        try:
            return parsed(_decoded(data, "the file"), "the file")
        except InvalidEventError:
            lines = [(n, line) for n, line in enumerate(self.lines(), 1) if line.strip()]
            if len(lines) < 2 or not _is_json(lines[0][1]):
                raise
        return [parsed(line, f"line {n}") for n, line in lines]


@contextmanager
def opened(path: str) -> Iterator[Source]:
    """Open a file, or standard input for "-"; `.gz` and `.zst` are unpacked on the way."""
    with rewindable(path) as file:
        yield Source(file, "" if path == "-" else path)


def parsed(text: str, place: str) -> Any:
    """A JSON value; raises `InvalidEventError` saying where it is none."""
    try:
        return json.loads(text, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidEventError(f"{place} is not JSON ({where}: {error.msg})") from None
    except RecursionError:
        raise InvalidEventError(f"{place} is nested too deeply") from None
    except ValueError as error:
        raise InvalidEventError(f"{place} is not JSON: {error}") from None


def _is_json(line: str) -> bool:
    try:
        parsed(line, "")
    except InvalidEventError:
        return False
    return True


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}")


def _decoded(data: bytes, place: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidEventError(f"{place} is not UTF-8 (byte {error.start})") from None


def _unpacked(data: bytes) -> list[Any]:
    """The conversations of an archive, as chat services let people download them."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            wanted = [
                name for name in sorted(archive.namelist())
                if PurePath(name).name.startswith("conversations") and name.endswith(".json")
            ]  # fmt: skip
            found = [parsed(_decoded(archive.read(name), name), name) for name in wanted]
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, zlib.error) as error:
        raise InvalidEventError(f"the archive cannot be read: {error}") from None
    if not wanted:
        raise InvalidEventError(
            "the archive has no conversations.json; unpack it and name the file to import"
        )
    return [one for value in found for one in (value if isinstance(value, list) else [value])]

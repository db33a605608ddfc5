"""Lines of a file as events: JSON objects or plain text, with the number of each bad line."""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields, replace
from typing import IO, Any, NoReturn

from holdfast.exchange import from_json
from holdfast.records import BulkReceipt, Event, Record
from holdfast.stores.space import LARGEST_EVENT
from holdfast.wire.plain import parse_time
from holdfast.write import admit

_CHUNK = 1 << 20
_SPOOL_BYTES = 8 << 20  # of standard input; beyond this it is kept on disk
_OF_RECORDS = {f.name for f in fields(Record)} - {"event"}


@dataclass(frozen=True, slots=True)
class BadLine:
    """A line that is no event. `reason` names fields and types, never what they hold."""

    number: int
    reason: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Turns lines into events.

    Parameters
    ----------
    form
        "jsonl": an object per line, with the fields of `Event`; "text": a line is the content.
    scope, speaker, kind
        Given to events that do not name their own.
    """

    form: str = "jsonl"
    scope: str = ""
    speaker: str | None = None
    kind: str = "message"

    def event(self, line: str) -> Event:
        """Return the event of one line, or raise ValueError saying what is wrong with it."""
        try:
            line.encode()
        except UnicodeEncodeError:
            raise ValueError("it is not UTF-8") from None
        if self.form == "text":
            return self.build({"content": line.rstrip("\r\n")})
        try:
            found = json.loads(line, parse_constant=_refuse_constant)
        except RecursionError:
            raise ValueError("it is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise ValueError(f"it is not JSON (column {error.colno}: {error.msg})") from None
        if not isinstance(found, dict):
            raise ValueError(f"it is a JSON {type(found).__name__}, not an object")
        return self.build(found)

    def build(self, found: dict[str, Any]) -> Event:
        """Return the event of a JSON object, checked; fields that no event has become metadata."""
        given = {name: value for name, value in found.items() if value is not None}
        for name, value in (("scope", self.scope), ("speaker", self.speaker), ("kind", self.kind)):
            given[name] = value if given.get(name, "") == "" else given[name]
        if isinstance(content := given.get("content"), dict) and content.keys() == {"base64"}:
            # As `observe` takes it over HTTP; an export has it under a name of its own.
            given["content_base64"] = given.pop("content")["base64"]
        _check(given, "metadata", dict, "an object")
        _check(given, "pinned", bool, "true or false")
        _check(given, "parents", list, "a list of sequence numbers")
        if not all(type(parent) is int for parent in given.get("parents", ())):
            raise ValueError("'parents' must be a list of sequence numbers")
        if "at" in given:
            given["at"] = _time(given["at"])
        if not {"seq", "digest"} <= given.keys():
            # Not a line of `export`: what is called like a part of a record is the user's own.
            own = {name: given.pop(name) for name in _OF_RECORDS & given.keys()}
            given["metadata"] = {**own, **given.get("metadata", {})}
        event = from_json(given)
        admit(event, LARGEST_EVENT)
        return event

    def read(self, lines: Iterable[tuple[int, str]]) -> Iterator[Event | BadLine]:
        """Yield an event, or what is wrong, for each line that is not blank."""
        for number, line in lines:
            if not line.strip():
                continue
            try:
                yield self.event(line)
            except (TypeError, ValueError) as wrong:
                yield BadLine(number, str(wrong))


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it holds {name}, which is not JSON")


def _check(given: dict[str, Any], name: str, kind: type, words: str) -> None:
    if name in given and not isinstance(given[name], kind):
        raise ValueError(f"'{name}' must be {words}")


def _time(value: object) -> float:
    try:
        return parse_time(value)
    except ValueError:
        raise ValueError("'at' must be POSIX seconds or an ISO 8601 time") from None


@contextmanager
def open_lines(path: str) -> Iterator[IO[bytes]]:
    """Open a file for reading lines; `.gz` and `.zst` are unpacked on the way."""
    if path.endswith(".gz"):
        import gzip

        with gzip.open(path) as unpacked:
            yield unpacked  # type: ignore[misc]  # it is one, but for `mode`
    elif path.endswith(".zst"):
        import zstandard

        # Lines are read twice, and a stream of zstd cannot go back.
        with open(path, "rb") as packed, tempfile.TemporaryFile() as unpacked_file:
            zstandard.ZstdDecompressor().copy_stream(packed, unpacked_file)
            unpacked_file.seek(0)
            yield unpacked_file
    else:
        with open(path, "rb") as file:
            yield file


@contextmanager
def rewindable(path: str) -> Iterator[IO[bytes]]:
    """Open a file, or standard input for "-", so that it can be read twice."""
    if path != "-":
        with open_lines(path) as lines:
            yield lines
        return
    with tempfile.SpooledTemporaryFile(max_size=_SPOOL_BYTES) as spool:
        shutil.copyfileobj(sys.stdin.buffer, spool)
        spool.seek(0)
        yield spool


def numbered(file: IO[bytes], start: int = 1) -> Iterator[tuple[int, str]]:
    """Yield the lines of `file` with their numbers."""
    for number, line in enumerate(file, start):
        yield number, _decode(line)


def _decode(line: bytes) -> str:
    """Return a line as text. What is not UTF-8 becomes lone surrogates, which `Reader` refuses."""
    return line.decode("utf-8", "surrogateescape")


def follow(
    path: str, sleep: Callable[[float], None], pause_s: float = 0.2
) -> Iterator[list[tuple[int, str]]]:
    """Yield the lines of a file, then those that are added to it, for ever; [] when there is none.

    A line counts once its end has been written. A file that was replaced or cut short is read
    from its beginning again, as `tail -F` does.
    """
    number, inode, offset = 1, -1, 0
    while True:
        whole = b""
        try:
            with open(path, "rb") as file:
                now = os.fstat(file.fileno())
                if now.st_ino != inode or now.st_size < offset:
                    inode, offset, number = now.st_ino, 0, 1
                file.seek(offset)
                whole = _whole_lines(file)
        except FileNotFoundError:
            if inode == -1:
                raise
            # Between two rotations there may be no file for a moment.
        if whole:
            lines = whole.split(b"\n")[:-1]
            yield [(nth, _decode(line)) for nth, line in enumerate(lines, number)]
            offset += len(whole)
            number += len(lines)
        else:
            yield []
            sleep(pause_s)


def _whole_lines(file: IO[bytes]) -> bytes:
    """Return about a MiB of what comes next in `file`, up to the end of a line."""
    found = b""
    while chunk := file.read(_CHUNK):
        found += chunk
        if end := found.rfind(b"\n") + 1:
            return found[:end]
    return b""


def added(total: BulkReceipt, more: BulkReceipt) -> BulkReceipt:
    """The sum of two receipts.

    >>> added(BulkReceipt(0, 0, 0, 0, 0, 0), BulkReceipt(2, 1, 5, 6, 0, 0))
    BulkReceipt(events=2, duplicates=1, first=5, last=6, demoted=0, evicted=0)
    """
    return replace(
        total,
        events=total.events + more.events,
        duplicates=total.duplicates + more.duplicates,
        first=total.first or more.first,
        last=max(total.last, more.last),
        demoted=total.demoted + more.demoted,
        evicted=total.evicted + more.evicted,
    )

"""All of a memory as lines of JSON, and the same memory from them.

The first line says what it is, then come the events, one readable line each as `export` writes
them, then every row of the store as it is, in base 64, and last the number of lines with a hash
over them. The rows are what a memory is made from; the readable lines must agree with them.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, zip_longest
from operator import itemgetter
from pathlib import Path
from typing import IO, Any

from holdfast.codec import to_record
from holdfast.errors import (
    BudgetError,
    ConflictError,
    CorruptStoreError,
    InvalidEventError,
    NotFoundError,
    StorageFullError,
    StoreError,
)
from holdfast.exchange.events import LOSSLESS, Progress, to_json
from holdfast.mirror import Mirror
from holdfast.records import Record
from holdfast.stores.base import SHELVES, Transaction
from holdfast.stores.locks import FileLock
from holdfast.stores.migrations import MIGRATIONS
from holdfast.stores.seals import CHECK
from holdfast.stores.space import FRAME, size_of
from holdfast.stores.sqlite import SqliteStore
from holdfast.stores.translate import sync_folder
from holdfast.verify import verify

FORMAT = 1
_PATIENCE_S = 10.0
_MARGIN = 12 * FRAME  # bytes of log, that a row takes beside its own at most
_BESIDE = ("", "-wal", "-shm", "-lock")  # files that a memory has
_OWN = frozenset({"budget", CHECK})  # settings that every file makes for itself

Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Restored:
    """What `restore` made. `snapshots` are the ones the exported memory had: they are not in it."""

    path: Path
    events: int
    budget: int
    snapshots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Kind:
    """One kind of row: what it is made of, where it is read, and how it is put back."""

    types: tuple[type, ...]
    rows: Callable[[SqliteStore], Iterable[Row]]
    put: Callable[[Transaction, Row], None]


def _settings(store: SqliteStore) -> Iterator[Row]:
    for key in sorted(set(store.metas("")) - _OWN):
        yield key, store.meta(key) or ""


def _cells(store: SqliteStore) -> Iterator[Row]:
    for shelf in SHELVES:
        yield from ((shelf, id, data) for id, data in store.cells(shelf))


def _blocks(store: SqliteStore) -> Iterator[Row]:
    for info in store.blocks():
        data = store.block(info.first)
        if data is None:
            raise CorruptStoreError(f"block {info.first} is listed but not there; run verify")
        yield info.first, info.last, data


def _put_segment(tx: Transaction, row: Row) -> None:
    if tx.room_for(len(row[1])) >= 0:  # they are derived again from the log
        tx.put_segment(*row)


_KINDS: dict[str, _Kind] = {
    "meta": _Kind((str, str), _settings, lambda tx, row: tx.set_meta(*row)),
    "dictionary": _Kind(
        (bytes,), lambda store: ((data,) for data in store.dictionaries()),
        lambda tx, row: tx.put_dictionary(*row),
    ),
    "tail": _Kind((int, bytes), lambda store: store.tail(), lambda tx, row: tx.put_tail(*row)),
    "cell": _Kind((str, int, bytes), _cells, lambda tx, row: tx.put_cell(*row)),
    "key": _Kind(
        (bytes, int, bytes, bytes), lambda store: store.idempotency_keys(),
        lambda tx, row: tx.put_key(*row),
    ),
    "block": _Kind((int, int, bytes), _blocks, lambda tx, row: tx.put_block(*row)),
    "vector": _Kind(
        (int, bytes), lambda store: store.vectors(), lambda tx, row: tx.put_vectors([row])
    ),
    "segment": _Kind((int, bytes), lambda store: store.segments(), _put_segment),
}  # fmt: skip
"""In the order in which they are written, and so put back."""


# ---- out -------------------------------------------------------------------------------------


def export_whole(
    mirror: Mirror,
    store: SqliteStore,
    out: IO[str],
    snapshots: Sequence[str] = (),
    progress: Progress = None,
) -> int:
    """Write all of a memory; the number of lines. The caller keeps writers out.

    `snapshots` are named as left out: they are files of their own. `progress` is told how many
    events are written.
    """
    hashed = hashlib.sha256()
    n = 0

    def write(line: dict[str, Any]) -> None:
        nonlocal n
        text = json.dumps(line) + "\n"
        hashed.update(text.encode())
        out.write(text)
        n += 1

    write({
        LOSSLESS: "lossless export", "format": FORMAT, "schema": len(MIGRATIONS),
        "budget": store.budget, "events": len(mirror.columns), "snapshots": list(snapshots),
    })  # fmt: skip
    for done, row in enumerate(mirror.rows(), 1):
        write(to_json(to_record(row)))
        if progress is not None:
            progress(done)
    for name, kind in _KINDS.items():
        for values in kind.rows(store):
            write({"row": name, "of": [_to_json(value) for value in values]})
    end = {"end": {"lines": n, "sha256": hashed.hexdigest()}}
    out.write(json.dumps(end) + "\n")
    return n + 1


def _to_json(value: int | str | bytes) -> int | str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


# ---- back ------------------------------------------------------------------------------------


def restore(path: str | os.PathLike[str], lines: IO[bytes]) -> Restored:
    """Make a memory from a lossless export: the same events, state, history and proofs.

    Parameters
    ----------
    path
        A file that is not there yet.
    lines
        The export, open for reading bytes; it is read three times.

    Raises
    ------
    ConflictError
        If there is a file at that path: what is there cannot be added to, nor replaced.
    InvalidEventError
        If it is no lossless export, was cut short or changed, or is of a newer Holdfast.
    CorruptStoreError
        If its readable lines and its rows disagree, or `verify` finds a problem.

    Notes
    -----
    The memory is made under another name (``NAME.part``), verified, synced and then renamed, so
    there is all of it or nothing; what a crash leaves is overwritten by the next attempt. It has
    the budget, the name in the audit log and the numbers of the one that was exported: go on with
    one of the two, or fork. Index segments that do not fit beside the rest are derived again.
    Linear; nearly all of it is `verify`.

    Examples
    --------
    >>> import os, tempfile
    >>> from holdfast import Memory
    >>> folder = tempfile.mkdtemp()
    >>> with Memory.open(os.path.join(folder, "ana.holdfast"), budget="1 MiB") as memory:
    ...     _ = memory.believe("Ana", "lives_in", "Porto")
    ...     with open(os.path.join(folder, "ana.jsonl"), "w") as out:
    ...         _ = memory.export(out, lossless=True)
    ...     before = memory.state_hash()
    >>> with open(os.path.join(folder, "ana.jsonl"), "rb") as lines:
    ...     made = restore(os.path.join(folder, "moved.holdfast"), lines)
    >>> with Memory.open(made.path) as moved:
    ...     print(moved.state_hash() == before, moved.beliefs("Ana")[0].value)
    True Porto
    """
    target = Path(os.path.realpath(path))
    head = _check(lines)
    if not target.parent.is_dir():
        raise NotFoundError(f"there is no directory {target.parent}")
    _refuse_existing(target)
    part = target.with_name(target.name + ".part")
    lock = FileLock(target.with_name(target.name + "-lock"), _PATIENCE_S)
    try:
        lock.acquire()  # nobody else makes a memory of this name meanwhile
        _refuse_existing(target)
        _remove(part)
        try:
            events = _build(part, head, lines)
            _sync(part)
            os.replace(part, target)
            sync_folder(target.parent)
        finally:
            _remove(part)
    finally:
        lock.close()
    return Restored(target, events, head["budget"], tuple(head["snapshots"]))


def _refuse_existing(target: Path) -> None:
    if target.exists():
        raise ConflictError(
            f"{target} exists, and a lossless import makes a memory of its own; name a file that "
            "is not there, or export without --lossless to add the events to this one"
        )


def _remove(part: Path) -> None:
    for suffix in _BESIDE:
        part.with_name(part.name + suffix).unlink(missing_ok=True)


def _check(lines: IO[bytes]) -> dict[str, Any]:
    """The first line of an export that is whole."""
    lines.seek(0)
    hashed, n, head, last = hashlib.sha256(), 0, b"", b""
    for line in lines:
        if n:
            hashed.update(last)
        else:
            head = line
        last = line
        n += 1
    found = _parse(head, 1)
    budget, snapshots = found.get("budget"), found.get("snapshots")
    if LOSSLESS not in found or type(budget) is not int or not isinstance(snapshots, list):
        raise InvalidEventError("line 1 does not begin a lossless export; see holdfast export")
    versions = found.get("format"), found.get("schema")
    if versions[0] != FORMAT or type(versions[1]) is not int or versions[1] > len(MIGRATIONS):
        raise InvalidEventError(
            f"line 1: this export has format {versions[0]!r} and schema {versions[1]!r}; this "
            f"version reads {FORMAT} and up to {len(MIGRATIONS)}: use a newer Holdfast"
        )
    if _parse(last, n).get("end") != {"lines": n - 1, "sha256": hashed.hexdigest()}:
        raise InvalidEventError(
            f"line {n} is not the end of these {n - 1} lines: the export was cut short or "
            "changed; export it again"
        )
    return found


def _parse(line: bytes, number: int) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidEventError(f"line {number} is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InvalidEventError(f"line {number} is a JSON {type(found).__name__}, not an object")
    return found


def _build(part: Path, head: dict[str, Any], lines: IO[bytes]) -> int:
    """Make the file and compare it with the readable lines; the number of its events."""
    try:
        store = SqliteStore(part, head["budget"], "off")  # synced once, at the end
    except BudgetError as error:
        raise InvalidEventError(f"line 1: {error}") from None
    try:
        for name, rows in groupby(_rows(lines), itemgetter(0)):
            kind = _KINDS[name]
            _put_all(store, kind, (row for _, row in rows))
        with store.exclusive():
            mirror = Mirror(store, None)
            problems = [*verify(mirror, store), *_differences(mirror, lines)]
            events = len(mirror.columns)
    except StorageFullError as error:
        raise StorageFullError(f"the export does not fit its own budget: {error}") from None
    finally:
        store.close()
    if problems:
        raise CorruptStoreError(
            f"the export is damaged, and no memory was made of it: {'; '.join(problems[:3])}"
        )
    return events


def _put_all(store: SqliteStore, kind: _Kind, rows: Iterator[Row]) -> None:
    """Put rows back, as many to a transaction as its log takes."""
    row = next(rows, None)
    while row is not None:
        with store.transaction(len(row[-1]) + _MARGIN) as tx:
            while True:
                kind.put(tx, row)
                row = next(rows, None)
                if row is None or tx.slack() < 3 * len(row[-1]) + _MARGIN:
                    break


def _rows(lines: IO[bytes]) -> Iterator[tuple[str, Row]]:
    lines.seek(0)
    for number, line in enumerate(lines, 1):
        if line.startswith(b'{"row"'):
            yield _row(_parse(line, number), number)


def _row(found: dict[str, Any], number: int) -> tuple[str, Row]:
    name, given = found.get("row"), found.get("of")
    kind = _KINDS.get(name) if isinstance(name, str) else None
    if kind is None or not isinstance(given, list) or len(given) != len(kind.types):
        raise InvalidEventError(f"line {number} is no row of a store that this version knows")
    try:
        row = tuple(map(_from_json, given, kind.types))
    except ValueError as error:
        raise InvalidEventError(f"line {number} is no row of kind {name!r}: {error}") from None
    assert isinstance(name, str)
    return name, row


def _from_json(value: Any, kind: type) -> int | str | bytes:
    if kind is int and type(value) is int and abs(value) < 1 << 63:
        return int(value)
    if kind is not int and isinstance(value, str):
        return base64.b64decode(value, validate=True) if kind is bytes else value
    raise ValueError(f"expected {kind.__name__}, found {type(value).__name__}")


def _differences(mirror: Mirror, lines: IO[bytes]) -> Iterator[str]:
    """Where the readable lines say something else than the log that was made."""
    told = _events(lines)
    for line, record in zip_longest(told, map(to_record, mirror.rows())):
        if line is None or record is None or not _agree(line, record):
            seq = record.seq if record is not None else line.get("seq") if line else None
            yield f"the readable line of event {seq} and the log disagree"


def _events(lines: IO[bytes]) -> Iterator[dict[str, Any]]:
    lines.seek(0)
    for number, line in enumerate(lines, 1):
        if number > 1 and not line.startswith((b'{"row"', b'{"end"')):
            yield _parse(line, number)


def _agree(line: dict[str, Any], record: Record) -> bool:
    mine = to_json(record)
    return json.dumps({name: mine.get(name) for name in line}) == json.dumps(line)


def _sync(part: Path) -> None:
    """Make the file durable under its temporary name."""
    if size_of(f"{part}-wal"):
        raise StoreError(f"{part.name} could not be finished; nothing was made: try again")
    fd = os.open(part, os.O_RDONLY)
    with contextlib.closing(os.fdopen(fd, "rb")):
        os.fsync(fd)

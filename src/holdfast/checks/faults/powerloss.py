"""What a disk may hold after a power cut: any mix of what was written since the last sync."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Literal

from holdfast.checks.faults.record import Op

SECTOR = 512
_MEMORY = "/dev/shm"

Loss = Literal["kept", "dropped", "prefix", "reordered", "torn"]
LOSSES: tuple[Loss, ...] = ("kept", "dropped", "prefix", "reordered", "torn")


@dataclass(frozen=True, slots=True)
class CrashState:
    """A directory as one power cut might leave it; gone when the next state is asked for."""

    directory: Path
    cut: int  # the power went after this many entries of the log
    loss: Loss  # what became of the writes that were not synced
    marks: tuple[object, ...]  # every mark made before the cut


def crash_states(
    log: Sequence[Op], rng: Random, n: int, where: str | os.PathLike[str] | None = None
) -> Iterator[CrashState]:
    """Yield `n` states of the disk after power cuts at random points of `log`.

    Parameters
    ----------
    log
        What a `RecordingVFS` wrote down.
    rng
        Chooses the cuts and the losses: the same seed yields the same states.
    n
        How many states.
    where
        A directory to make them in; by default memory (/dev/shm) where there is any.

    Notes
    -----
    Whatever was synced before the cut is kept. Of the rest, file by file: everything is kept;
    everything is dropped; a prefix is kept; each write or truncation is kept or dropped alone, so
    later ones survive earlier ones; or each 512-byte sector of each write is, and the file may be
    as long as it ever was, with zeros where nothing arrived. Names created or deleted since the
    last sync of the directory survive up to a random one, in order, as journaling file systems
    have it. A write is assumed to leave the neighbouring bytes of its sector alone (SQLite's
    "powersafe overwrite"). The shared memory of a write-ahead log does not outlive the power.

    Cuts come in order, so the log is walked once; a state costs one write of the files.
    """
    cuts = sorted(rng.randrange(len(log) + 1) for _ in range(n))
    disk, done, marks = _Disk(), 0, list[object]()
    if where is None and os.access(_MEMORY, os.W_OK):
        where = _MEMORY
    for op in log:
        if op.kind == "found":  # noticed when it was first opened, but there all along
            disk.apply(op)
    with tempfile.TemporaryDirectory(prefix="holdfast-crash-", dir=where) as made:
        directory = Path(made)
        for cut in cuts:
            for op in log[done:cut]:
                if op.kind == "mark":
                    marks.append(op.value)
                elif op.kind != "found":
                    disk.apply(op)
            done = cut
            loss = rng.choice(LOSSES)
            _fill(directory, disk.after_power_loss(loss, rng))
            yield CrashState(directory, cut, loss, tuple(marks))


def _fill(directory: Path, files: dict[str, bytes]) -> None:
    """Make the directory hold these files and no others."""
    for entry in os.scandir(directory):
        os.unlink(entry.path)
    for name, content in files.items():
        with open(directory / name, "wb", buffering=0) as file:
            file.write(content)


@dataclass(slots=True)
class _File:
    """What is certainly on the disk, and what may be."""

    synced: bytes = b""
    pending: list[Op] = field(default_factory=list)

    def settle(self, loss: Loss, rng: Random) -> bytes:
        if loss == "dropped" or not self.pending:
            return self.synced
        content = bytearray(self.synced)
        if loss == "torn":
            return _torn(content, self.pending, rng)
        pending = self.pending
        if loss == "prefix":
            pending = pending[: rng.randrange(len(pending) + 1)]
        for op in pending:
            if loss != "reordered" or rng.random() < 0.5:
                _apply(content, op)
        return bytes(content)


@dataclass(slots=True)
class _Disk:
    """The files of a directory: as the system shows them, and as they were last synced."""

    shown: dict[str, _File] = field(default_factory=dict)
    synced: dict[str, _File] = field(default_factory=dict)
    pending: list[tuple[str, _File | None]] = field(default_factory=list)

    def apply(self, op: Op) -> None:
        if op.kind == "found":
            self.shown[op.file] = self.synced[op.file] = _File(op.data)
        elif op.kind == "create":
            self.shown[op.file] = _File()
            self.pending.append((op.file, self.shown[op.file]))
        elif op.kind == "delete":
            del self.shown[op.file]
            self.pending.append((op.file, None))
        elif op.kind == "sync-directory":
            self.synced = dict(self.shown)
            self.pending.clear()
        elif op.kind == "sync":
            file = self.shown[op.file]
            content = bytearray(file.synced)
            for change in file.pending:
                _apply(content, change)
            file.synced = bytes(content)
            file.pending.clear()
        else:
            self.shown[op.file].pending.append(op)

    def after_power_loss(self, loss: Loss, rng: Random) -> dict[str, bytes]:
        names = dict(self.synced)
        kept = {"kept": len(self.pending), "dropped": 0}.get(
            loss, rng.randrange(len(self.pending) + 1)
        )
        for name, file in self.pending[:kept]:
            if file is None:
                names.pop(name, None)
            else:
                names[name] = file
        return {name: file.settle(loss, rng) for name, file in names.items()}


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "truncate":
        _set_size(content, op.at)
    else:
        _put(content, op.at, op.data)


def _torn(content: bytearray, pending: list[Op], rng: Random) -> bytes:
    """Each sector of each write survives or not; so does each truncation."""
    survival = rng.choice((0.1, 0.5, 0.9))
    longest = len(content)
    for op in pending:
        if op.kind == "truncate":
            if rng.random() < survival:
                _set_size(content, op.at)
            continue
        longest = max(longest, op.at + len(op.data))
        start = 0
        while start < len(op.data):
            end = start + SECTOR - (op.at + start) % SECTOR
            if rng.random() < survival:
                _put(content, op.at + start, op.data[start:end])
            start = end
    if rng.random() < 0.3:  # the length arrived, the data did not
        _set_size(content, max(len(content), longest))
    return bytes(content)


def _put(content: bytearray, at: int, data: bytes) -> None:
    if at > len(content):
        _set_size(content, at)
    content[at : at + len(data)] = data


def _set_size(content: bytearray, size: int) -> None:
    if size < len(content):
        del content[size:]
    else:
        content.extend(bytes(size - len(content)))

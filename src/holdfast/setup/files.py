"""Editing a configuration file so that it can be undone: planned first, then written whole."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from holdfast.errors import ArgumentsError, ConflictError, NotFoundError
from holdfast.setup.clients import Client, Server
from holdfast.stores.translate import sync_folder

_BACKUP = ".before-holdfast"
_NONE = ".none-before-holdfast"  # an empty file, which says that there was no file to keep


@dataclass(frozen=True, slots=True)
class Change:
    """What is to become of a file.

    Parameters
    ----------
    path
        The file itself, links followed.
    before, after
        What it holds now and what it will; None: there is no such file.
    backup
        Where what it holds now is to be kept; None: it is not, or is already.
    done_with
        Files that are of no use any more afterwards.
    """

    path: Path
    before: bytes | None
    after: bytes | None
    backup: Path | None = None
    done_with: tuple[Path, ...] = ()

    @property
    def needed(self) -> bool:
        """Whether there is anything to do."""
        return self.before != self.after


def install(client: Client, path: Path, server: Server) -> Change:
    """Plan to put an entry for a server into a file, in the place of one that is there.

    Raises
    ------
    ArgumentsError
        If the file cannot be read, or not be edited without touching something else.
    """
    path, entry = path.resolve(), client.entry(server)
    before = _read(path)
    text = _text(path, before)
    with _Named(path):
        held = client.form.get(text, client.path)
        written = client.form.put(text, client.path, entry)
        _check(client, text, written, entry)
    after = before if held == entry else written.encode()
    old, none = _beside(path)
    if held is not None and (old.exists() or none.exists()):
        return Change(path, before, after)
    backup, stale = (old, none) if before is not None else (none, old)
    return Change(path, before, after, backup, (stale,))


def undo(client: Client, path: Path) -> Change:
    """Plan to take the entry out again.

    A file that nobody changed since becomes what it was, byte for byte, or goes if there was none.
    Of one that was changed since, only the entry is taken out.

    Raises
    ------
    NotFoundError
        If there is no entry.
    ArgumentsError
        As `install` does.
    """
    path = path.resolve()
    before = _read(path)
    text = _text(path, before)
    old, none = _beside(path)
    with _Named(path):
        held = client.form.get(text, client.path)
        if held is None:
            raise NotFoundError(f"{path} has no entry for Holdfast; nothing is to be undone")
        if old.exists() or none.exists():
            original = _read(old)
            try:
                if client.form.put(_text(old, original), client.path, held) == text:
                    return Change(path, before, original, done_with=(old, none))
            except ArgumentsError:
                pass  # what is kept there belongs to something else by now
        written = client.form.drop(text, client.path)
        _check(client, text, written, None)
    return Change(path, before, written.encode())


def apply(change: Change) -> None:
    """Do what is planned: the backup first, and each file whole or not at all.

    Raises
    ------
    ConflictError
        If the file is not any more what it was when the change was planned.
    OSError
        If something cannot be written; the file is then as it was.
    """
    if not change.needed:
        return
    if _read(change.path) != change.before:
        raise ConflictError(f"{change.path} was changed at this very moment; try again")
    change.path.parent.mkdir(parents=True, exist_ok=True)
    mode = change.path.stat().st_mode & 0o777 if change.before is not None else 0o644
    if change.backup is not None:
        _write(change.backup, change.before or b"", mode)
    if change.after is None:
        change.path.unlink()
        sync_folder(change.path.parent)
    else:
        _write(change.path, change.after, mode)
    for path in change.done_with:
        path.unlink(missing_ok=True)


class _Named:
    """Names the file in what is said to be wrong with it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ArgumentsError):
            raise ArgumentsError(f"{self.path} is left as it is: {error}") from None


def _check(client: Client, text: str, written: str, entry: object) -> None:
    """Read what is about to be written, and see that nothing but the entry is new."""
    wanted, found = client.form.load(text), client.form.load(written)
    held = wanted.setdefault(client.key, {})
    if entry is not None:
        held[client.path[1]] = entry
    else:
        del held[client.path[1]]
        if not found.get(client.key, True):  # an empty one may be left, or not
            found.pop(client.key)
        if not held:
            wanted.pop(client.key)
    if repr(_ordered(wanted)) != repr(_ordered(found)):  # not ==, since a NaN is not itself
        raise ArgumentsError("it is written in a way that cannot be edited safely; edit it by hand")


def _ordered(value: object) -> object:
    """A value whose tables are in the order of their names."""
    if isinstance(value, dict):
        return {name: _ordered(value[name]) for name in sorted(value)}
    return [_ordered(one) for one in value] if isinstance(value, list) else value


def _beside(path: Path) -> tuple[Path, Path]:
    """Where the content from before the entry is kept, and what says that there was none."""
    return path.with_name(path.name + _BACKUP), path.with_name(path.name + _NONE)


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _text(path: Path, content: bytes | None) -> str:
    try:
        return (content or b"").decode()
    except UnicodeDecodeError:
        raise ArgumentsError(f"{path} is left as it is: it is not UTF-8; mend it") from None


def _write(path: Path, content: bytes, mode: int) -> None:
    """Replace a file at once, durably."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:  # an interrupt, too, leaves nothing lying about
        os.unlink(name)
        raise
    sync_folder(path.parent)

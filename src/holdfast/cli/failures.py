"""What a failure is called, what to do about it and with which code the process ends."""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable, Sequence

import click

from holdfast.errors import (
    AccessError,
    ArgumentsError,
    AuditError,
    BudgetError,
    ConflictError,
    CorruptStoreError,
    CredentialError,
    HoldfastError,
    InvalidClaimError,
    InvalidEventError,
    MissingExtraError,
    NotFoundError,
    PatchError,
    StorageFullError,
    StoreBusyError,
    StoreError,
    TransitionError,
    UnknownNameError,
)

# The first class that matches names the exit code and what to do if the message does not say.
FAILURES: tuple[tuple[type[Exception], int, str], ...] = (
    (CorruptStoreError, 3, "find out more with: holdfast doctor FILE, and: holdfast verify FILE"),
    (AuditError, 3, "check that note, key and file belong together"),
    (ArgumentsError, 2, "see: holdfast --help"),
    (InvalidEventError, 4, "nothing of that event was stored; mend it and try again"),
    (InvalidClaimError, 4, "nothing was stored; mend it and try again"),
    (PatchError, 4, "nothing was changed; mend it and try again"),
    (BudgetError, 5, "give it a larger --budget"),
    (StorageFullError, 5, "free some space on the disk and try again"),
    (StoreBusyError, 6, "another process is using this memory; try again"),
    (ConflictError, 7, "read what is there now, and decide again"),
    (TransitionError, 7, "see which events are legal now with: holdfast state get FILE NAME"),
    (CredentialError, 8, "use one that is valid"),
    (AccessError, 8, "see what is granted with: holdfast grants FILE"),
    (NotFoundError, 1, "check the path, the name or the number"),
    (UnknownNameError, 1, "choose one of these names"),
    (MissingExtraError, 1, "install the extra that the message names"),
    (StoreError, 1, "the memory is as it was before this command"),
    (HoldfastError, 1, "see: holdfast --help"),
    (FileExistsError, 1, "choose another path"),
    (OSError, 1, "check the path and its permissions"),
    (UnicodeDecodeError, 4, "save it as UTF-8 and try again"),
)
REPORTED = (HoldfastError, OSError, UnicodeDecodeError)  # all others are bugs, and end in a trace
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_UNWRITABLE = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


def wants_json(arguments: Iterable[str]) -> bool:
    """Whether a command line asks for JSON; it may be too wrong to be parsed."""
    for argument in arguments:
        if argument == "--":
            return False
        if argument == "--json" or argument.startswith("--json="):
            return True
    return False


def explain(failure: Exception) -> tuple[int, str, str]:
    """Return the exit code, the message and the hint of an exception."""
    if isinstance(failure, OSError) and failure.errno in _FULL:
        code, hint = next(row[1:] for row in FAILURES if row[0] is StorageFullError)
    else:
        code, hint = next(row[1:] for row in FAILURES if isinstance(failure, row[0]))
    if _cannot_lock(failure):
        hint = "even reading takes a lock beside the file; make the folder writable, or copy it"
    message, _, advice = describe(failure).rpartition("; ")
    return code, message or advice, advice if message else hint


def _cannot_lock(failure: Exception) -> bool:
    """Whether a memory could not be opened because its folder cannot be written."""
    return (
        isinstance(failure, OSError)
        and failure.errno in _UNWRITABLE
        and str(failure.filename).endswith("-lock")
    )


def describe(failure: Exception) -> str:
    """Return the message of an exception on one line."""
    if isinstance(failure, UnicodeDecodeError):
        return f"the input is not UTF-8 at byte {failure.start:,}"
    if isinstance(failure, OSError) and failure.strerror:
        where = f"{failure.filename}: " if failure.filename else ""
        return f"{where}{failure.strerror.lower()}"
    return " ".join(str(failure).split()).rstrip(".") or type(failure).__name__


def fail(
    code: int,
    kind: str,
    message: str,
    hint: str = "",
    *,
    as_json: bool = False,
    details: Sequence[str] = (),
) -> int:
    """Say on standard error what went wrong, and return the exit code.

    One line and a hint, with `details` on lines of their own between them; as JSON one object,
    without the details: the document on standard output has those.
    """
    message, hint = " ".join(message.split()), " ".join(hint.split())
    if as_json:
        error = {"type": kind, "message": message, "hint": hint, "exit_code": code}
        click.echo(json.dumps({"error": error}, ensure_ascii=False), err=True)
        return code
    click.echo(f"error: {message}", err=True)
    for line in details:
        click.echo(f"  {line}", err=True)
    if hint:
        click.echo(f"hint: {hint}", err=True)
    return code

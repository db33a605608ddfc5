"""What shells that speak HTTP share: statuses, problem details (RFC 9457), the session's cookie."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from holdfast.errors import (
    AccessError,
    ArgumentsError,
    AuditError,
    BudgetError,
    ClosedError,
    ConflictError,
    CorruptStoreError,
    CredentialError,
    EventTooLargeError,
    HoldfastError,
    IdempotencyError,
    MissingExtraError,
    ModelError,
    NotFoundError,
    OverloadedError,
    StorageFullError,
    StoreBusyError,
    TransitionError,
    UnknownNameError,
)

COOKIE = "holdfast"
"""Holds the key of somebody who signed in to the inspector over plain HTTP."""
SECURE_COOKIE = f"__Host-{COOKIE}"
"""The same over HTTPS; browsers let no other host and no plain page set one of such a name."""

# The first class that matches decides.
STATUSES: tuple[tuple[type[HoldfastError], int], ...] = (
    (CredentialError, 401),
    (AccessError, 403),
    (NotFoundError, 404),
    (UnknownNameError, 404),
    (ConflictError, 409),
    (IdempotencyError, 409),
    (TransitionError, 409),
    (EventTooLargeError, 413),
    (ArgumentsError, 422),
    (AuditError, 422),
    (BudgetError, 422),
    (OverloadedError, 429),
    (MissingExtraError, 501),
    (ModelError, 502),
    (ClosedError, 503),
    (StoreBusyError, 503),
    (StorageFullError, 507),
    (CorruptStoreError, 500),
)


class RefusedError(Exception):
    """A request that is turned away before it becomes a call.

    It has an HTTP status, so it is no `HoldfastError`: those say nothing of how they are told.
    """

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


def status_of(failure: Exception) -> int:
    """The status that tells of a failure.

    >>> status_of(NotFoundError("no")), status_of(PermissionError("no"))
    (404, 500)
    """
    if isinstance(failure, RefusedError):
        return failure.status
    for kind, status in STATUSES:
        if isinstance(failure, kind):
            return status
    # Errors of ours that are errors of values are of what was sent.
    return 422 if isinstance(failure, HoldfastError) and isinstance(failure, ValueError) else 500


def described(failure: Exception) -> dict[str, Any]:
    """The problem details of a failure, whose message names no content."""
    return {
        "type": "about:blank",
        "title": type(failure).__name__,
        "status": status_of(failure),
        "detail": str(failure),
    }


def session_of(cookies: Mapping[str, str]) -> str | None:
    """The key that a browser's cookies hold; None if nobody has signed in.

    >>> session_of({"holdfast": "planted", "__Host-holdfast": "mine"})
    'mine'
    """
    return cookies.get(SECURE_COOKIE) or cookies.get(COOKIE)

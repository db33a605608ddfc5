"""Values and exceptions as answers; an exception is told by RFC 9457 problem details."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

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
    StorageFullError,
    StoreBusyError,
    TransitionError,
    UnknownNameError,
)
from holdfast.records import BulkReceipt
from holdfast.service.callers import Caller
from holdfast.wire.plain import plain

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
    (MissingExtraError, 501),
    (ModelError, 502),
    (ClosedError, 503),
    (StoreBusyError, 503),
    (StorageFullError, 507),
    (CorruptStoreError, 500),
)


class OverloadedError(Exception):
    """More is waiting than will be answered in time.

    Parameters
    ----------
    lane
        Which kind of calls waits.
    retry_after_s
        When another try may go better, in whole seconds.
    """

    def __init__(self, lane: str, retry_after_s: int = 1) -> None:
        super().__init__(f"too many {lane} calls wait already; try again in {retry_after_s} s")
        self.lane, self.retry_after_s = lane, retry_after_s


class RefusedError(Exception):
    """A request that is turned away before it becomes a call."""

    def __init__(self, status: int, message: str, **headers: str) -> None:
        super().__init__(message)
        self.status, self.headers = status, headers


class PartlyStoredError(Exception):
    """A stream that ended at a failure, and what had been stored of it by then."""

    def __init__(self, why: Exception, stored: BulkReceipt) -> None:
        super().__init__(str(why))
        self.why, self.stored = why, stored


def status_of(failure: Exception) -> int:
    """The status that tells of a failure.

    >>> status_of(NotFoundError("no")), status_of(PermissionError("no"))
    (404, 500)
    """
    if isinstance(failure, OverloadedError):
        return 429
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


def problem(failure: Exception, **more: Any) -> Response:
    """The answer that tells of a failure."""
    status = status_of(failure)
    headers = {"cache-control": "no-store"}
    if isinstance(failure, OverloadedError):
        headers["retry-after"] = str(failure.retry_after_s)
    elif status == 503:
        headers["retry-after"] = "1"
    elif status == 401:
        headers["www-authenticate"] = 'Bearer realm="holdfast"'
    if isinstance(failure, RefusedError):
        headers |= failure.headers
    told = {**described(failure), **more}
    return JSONResponse(told, status, headers, media_type="application/problem+json")


def unexpected() -> Response:
    """The answer where the fault is ours; what it was is in the log and not in the answer."""
    told = {"type": "about:blank", "title": "InternalError", "status": 500}
    detail = "something broke here; the server's log says what"
    return JSONResponse({**told, "detail": detail}, 500, media_type="application/problem+json")


def caller_of(request: Request) -> Caller:
    """Who calls. Raises `CredentialError` if nobody does."""
    caller = request.state.caller
    if not isinstance(caller, Caller):
        raise CredentialError("this needs a credential; send one as 'Authorization: Bearer KEY'")
    return caller


def answer(value: object, status: int = 200) -> Response:
    """A value as JSON. Lone surrogates, which UTF-8 cannot hold, are escaped."""
    text = json.dumps(plain(value), ensure_ascii=False, separators=(",", ":"))
    try:
        body = text.encode()
    except UnicodeEncodeError:
        body = json.dumps(plain(value), separators=(",", ":")).encode()
    return Response(body, status, {"cache-control": "no-store"}, media_type="application/json")

"""Values and exceptions as answers; an exception is told by RFC 9457 problem details."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from holdfast.errors import CredentialError, OverloadedError
from holdfast.records import BulkReceipt
from holdfast.service.callers import Caller
from holdfast.wire.http import RefusedError, described, status_of
from holdfast.wire.plain import plain

_PROBLEM = "application/problem+json"
_SENDING_S = 30.0  # that a client may take to read a piece of a stream


class PartlyStoredError(Exception):
    """A stream that ended at a failure, and what had been stored of it by then.

    No `HoldfastError`, since it is none of its own: it is answered as what it carries.
    """

    def __init__(self, why: Exception, stored: BulkReceipt) -> None:
        super().__init__(str(why))
        self.why, self.stored = why, stored


class Stream(StreamingResponse):
    """An answer in pieces; `over` is called when it ends, in whatever way, even before it began.

    Who stops reading is cut off after half a minute.
    """

    def __init__(self, body: AsyncIterator[bytes], over: Callable[[], None], **options: Any):
        super().__init__(body, **options)
        self._over = over

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""

        async def sending(message: Message) -> None:
            async with asyncio.timeout(_SENDING_S):
                await send(message)

        try:
            await super().__call__(scope, receive, sending)
        finally:
            self._over()


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
    return Response(encoded(told), status, headers, media_type=_PROBLEM)


def unexpected() -> Response:
    """The answer where the fault is ours; what it was is in the log and not in the answer."""
    told = {"type": "about:blank", "title": "InternalError", "status": 500}
    detail = "something broke here; the server's log says what"
    return Response(encoded({**told, "detail": detail}), 500, media_type=_PROBLEM)


def caller_of(request: Request) -> Caller:
    """Who calls. Raises `CredentialError` if nobody does."""
    caller = request.state.caller
    if not isinstance(caller, Caller):
        raise CredentialError("this needs a credential; send one as 'Authorization: Bearer KEY'")
    return caller


async def caller_again(request: Request) -> Caller:
    """Who calls, looked up once more, for what goes on after the request was let in.

    Raises `CredentialError` if the credential has expired or was revoked since.
    """
    caller: Caller = await request.state.again()
    return caller


def answer(value: object, status: int = 200) -> Response:
    """A value as JSON."""
    headers = {"cache-control": "no-store"}
    return Response(encoded(plain(value)), status, headers, media_type="application/json")


def encoded(value: object) -> bytes:
    """JSON in UTF-8. Lone surrogates, which UTF-8 cannot hold, are escaped."""
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()

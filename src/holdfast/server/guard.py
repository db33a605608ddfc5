"""What stands before every route: the Host and Origin it takes, who is calling, headers."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.errors import CredentialError, HoldfastError
from holdfast.server.answers import problem, unexpected
from holdfast.service.credentials import Credentials
from holdfast.wire.http import RefusedError, session_of

LOOPBACK = ("localhost", "127.0.0.1", "::1")
PUBLIC = frozenset({"/healthz", "/readyz", "/login", "/session"})
"""What is answered without a credential, beside the inspector's own files."""
STATIC = "/static/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
_log = logging.getLogger("holdfast.server")


class Guard:
    """Middleware that turns away what must not reach a route.

    Parameters
    ----------
    app
        What it stands before.
    credentials
        Who may call.
    hosts
        Names that the Host header may have, without ports; ``*`` takes any. A page in a browser
        that had its own name resolve to this machine is turned away by it.
    refused
        Told the reason of each refusal.

    Notes
    -----
    A request with an ``Origin`` must be from a page of this server. The caller is put into the
    scope's state as ``caller``; None is there only for `PUBLIC` paths and the inspector's pages,
    which send who is not signed in to the login. ``again`` looks the same credential up once more.
    """

    def __init__(
        self,
        app: ASGIApp,
        credentials: Credentials,
        hosts: Iterable[str] = LOOPBACK,
        refused: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._app, self._credentials, self._refused = app, credentials, refused
        self._hosts = frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or let the request through."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # nothing here is a websocket, so nothing needs to look at one
            await send({"type": "websocket.close", "code": 1008})
            return
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        try:
            self._check_place(scope)
            scope.setdefault("state", {})["caller"] = None
            await self._identify(scope)
        except (RefusedError, CredentialError) as failure:
            self._refused(type(failure).__name__)
            await problem(failure)(scope, receive, sending)
            return
        except (HoldfastError, OSError) as failure:  # keys that cannot be read let nobody in
            _log.error("keys cannot be read: %s", failure)
            await unexpected()(scope, receive, sending)
            return
        try:
            await self._app(scope, receive, sending)
        except Exception as failure:  # noqa: BLE001  # the server goes on and the client is told
            # Where it happened, but not its message, which may quote what was sent or stored.
            where = "".join(traceback.format_tb(failure.__traceback__))
            kind = type(failure).__name__
            _log.error(
                "a request failed: %s %s: %s\n%s", scope["method"], kind, _route(scope), where
            )
            if started:
                raise BrokenOffError(kind) from None
            await unexpected()(scope, receive, sending)

    def _check_place(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        name = _name(host)
        if "*" not in self._hosts and name not in self._hosts:
            raise RefusedError(
                421, "this server does not answer under that name; start it with --allow-host NAME"
            )
        origin = headers.get("origin")
        if origin is not None and _place(origin) != host.lower():
            raise RefusedError(403, "requests from pages of other origins are not taken")

    async def _identify(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        public = scope["path"] in PUBLIC or scope["path"].startswith(STATIC)
        kind, _, token = headers.get("authorization", "").partition(" ")
        given: str | None = token.strip() if kind.lower() == "bearer" else None
        if kind and given is None and not public:
            raise CredentialError("credentials are sent as 'Authorization: Bearer KEY'")
        if given is None and "cookie" in headers:
            given = session_of(cookie_parser(headers["cookie"]))
            if scope["method"] not in _SAFE and given and "origin" not in headers:
                given = None  # a page of ours says where it comes from; others have no such right
        if given is None and public:
            return
        try:
            scope["state"]["caller"] = await self._credentials.acaller(given)
            scope["state"]["again"] = partial(self._credentials.acaller, given)
        except CredentialError:
            if not public and not _is_page(scope, headers):
                raise


class BrokenOffError(Exception):
    """An answer that ended before it was whole; its client sees that from the connection."""


def _route(scope: Scope) -> str:
    """The pattern that a request's path fits: which memory it named is nobody else's matter."""
    return getattr(scope.get("route"), "path", "no route")


def _is_page(scope: Scope, headers: Headers) -> bool:
    """Whether a person looks at a page of the inspector, which sends them to the login."""
    return scope["method"] in ("GET", "HEAD") and _wants_page(scope["path"], headers)


def _wants_page(path: str, headers: Headers) -> bool:
    return (
        (path == "/" or path.startswith("/m/"))
        and not path.endswith(".json")
        and ("text/html" in headers.get("accept", ""))
    )


def _place(origin: str) -> str | None:
    """The name and port of an origin; None if it has none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""

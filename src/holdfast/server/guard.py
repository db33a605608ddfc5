"""What stands before every route: the Host and Origin it takes, who is calling, headers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.errors import CredentialError
from holdfast.server.answers import RefusedError, problem, unexpected
from holdfast.service.credentials import Credentials

COOKIE = "holdfast"
"""Holds the key of somebody who signed in to the inspector."""
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
    which send who is not signed in to the login.
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
        if scope["type"] != "http":
            await self._app(scope, receive, send)
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
            self._identify(scope)
        except (RefusedError, CredentialError) as failure:
            self._refused(type(failure).__name__)
            await problem(failure)(scope, receive, sending)
            return
        try:
            await self._app(scope, receive, sending)
        except Exception:  # whatever it is, the server goes on and the client is told
            _log.exception("a request failed: %s %s", scope["method"], scope["path"])
            if started:
                raise
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
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise RefusedError(403, "requests from pages of other origins are not taken")

    def _identify(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        path = scope["path"]
        kind, _, token = headers.get("authorization", "").partition(" ")
        given: str | None = token.strip() if kind.lower() == "bearer" else None
        if kind and given is None:
            raise CredentialError("credentials are sent as 'Authorization: Bearer KEY'")
        if given is None and "cookie" in headers:
            given = cookie_parser(headers["cookie"]).get(COOKIE)
            if scope["method"] not in _SAFE and given and "origin" not in headers:
                given = None  # a page of ours says where it comes from; others have no such right
        if given is None and (path in PUBLIC or path.startswith(STATIC)):
            return
        try:
            scope["state"]["caller"] = self._credentials.caller(given)
        except CredentialError:
            if path in PUBLIC or path.startswith(STATIC) or _is_page(scope, headers):
                return
            raise


def _is_page(scope: Scope, headers: Headers) -> bool:
    """Whether a person looks at a page of the inspector, which sends them to the login."""
    return scope["method"] in ("GET", "HEAD") and _wants_page(scope["path"], headers)


def _wants_page(path: str, headers: Headers) -> bool:
    return (
        (path == "/" or path.startswith("/m/"))
        and not path.endswith(".json")
        and ("text/html" in headers.get("accept", ""))
    )


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    try:
        return (urlsplit(f"//{host}").hostname or "").lower()
    except ValueError:
        return ""

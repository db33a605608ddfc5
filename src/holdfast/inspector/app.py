"""The routes of the inspector: each page as HTML, and its twin as JSON with the same data."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from holdfast.errors import AccessError, HoldfastError
from holdfast.inspector.assets import Assets
from holdfast.inspector.desk import Desk, Noted
from holdfast.inspector.pages.access import access
from holdfast.inspector.pages.audit import audit
from holdfast.inspector.pages.beliefs import belief, beliefs
from holdfast.inspector.pages.events import event, log
from holdfast.inspector.pages.forgetting import forgetting
from holdfast.inspector.pages.overview import live, memories, overview
from holdfast.inspector.pages.recall import recall
from holdfast.inspector.query import Query
from holdfast.inspector.rates import Rates
from holdfast.inspector.render import Renderer
from holdfast.server.answers import OverloadedError, status_of
from holdfast.server.guard import COOKIE
from holdfast.service.call import Service

Run = Callable[[Request, Callable[[], Response]], Awaitable[Response]]
"""Runs a function on a worker thread, as the server would have it."""

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without any, browsers post forms with the origin "null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
"""On every response: nothing from elsewhere, nothing inline, no frames."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a memory.

    `name` is its path and its template; `tab` its title in the navigation and `key` the letter
    that goes there, None for a page below one. `whole` says that a seat cannot have it.
    """

    name: str
    make: Callable[..., dict[str, Any]]
    tab: str | None = None
    key: str | None = None
    whole: bool = False
    below: str | None = None  # its path parameter


PAGES = (
    Page("overview", overview, "Overview", "o"),
    Page("log", log, "Log", "l"),
    Page("log", event, below="seq"),
    Page("beliefs", beliefs, "Beliefs", "b"),
    Page("beliefs", belief, below="id"),
    Page("recall", recall, "Recall", "r"),
    Page("forgetting", forgetting, "Forgetting", "f", whole=True),
    Page("access", access, "Access", "a", whole=True),
    Page("audit", audit, "Audit", "u", whole=True),
)
_COSTLY = frozenset({"advise", "measure", "verify"})
_TEMPLATES = {("log", "seq"): "event.html", ("beliefs", "id"): "belief.html"}


def routes(service: Service, run: Run, *, rates: Rates | None = None) -> list[Route]:
    """The routes of the inspector, to be put into a Starlette application.

    Parameters
    ----------
    service
        The memories. What a page shows is what ``request.state.caller`` may see there, a
        `holdfast.service.callers.Caller`; None is sent to ``/login``.
    run
        ``await run(request, function)`` calls a function on a worker thread.
    rates
        The observer of the service that counts its calls, for the overview; None: none are known.

    Returns
    -------
    list of Route
        ``/``, ``/login``, ``/static/…`` and ``/m/{memory}/…``, all of them for GET: no page
        changes anything. The login form posts the field ``key`` to ``/session``, and signing out
        deletes that; both are the server's.

    Notes
    -----
    Each page has a twin at its path with ``.json`` at the end, with the data that it renders.
    """
    assets = Assets()
    inspector = _Inspector(service, run, rates or Rates(), Noted(), Renderer(assets), assets)
    found = [
        Route("/", inspector.index),
        Route("/index.json", partial(inspector.index, twin=True)),
        Route("/login", inspector.login),
        Route("/static/{name}", inspector.static),
        Route("/m/{memory}", inspector.door),
        Route("/m/{memory}/live.json", partial(inspector.page, Page("live", live), twin=True)),
    ]
    for page in PAGES:
        path = f"/m/{{memory}}/{page.name}" + (f"/{{{page.below}}}" if page.below else "")
        found += [
            Route(path + ".json", partial(inspector.page, page, twin=True)),
            Route(path, partial(inspector.page, page, twin=False)),
        ]
    return found


@dataclass(frozen=True)
class _Inspector:
    """Answers requests; holds nothing but what it was made with."""

    service: Service
    run: Run
    rates: Rates
    noted: Noted
    renderer: Renderer
    assets: Assets

    async def page(self, page: Page, request: Request, twin: bool) -> Response:
        """A page of a memory, or its twin."""
        below = {page.below: request.path_params[page.below]} if page.below else {}
        template = _TEMPLATES.get((page.name, page.below or ""), f"{page.name}.html")
        return await self._answer(request, partial(page.make, **below), template, page.name, twin)

    async def index(self, request: Request, twin: bool = False) -> Response:
        """The memories of the caller."""
        return await self._answer(request, memories, "memories.html", "", twin)

    async def door(self, request: Request) -> Response:
        """A memory without a page: its overview."""
        return _redirect(f"/m/{request.path_params['memory']}/overview")

    async def login(self, request: Request) -> Response:
        """The form that asks for a key."""
        failed = request.query_params.get("failed") == "1"
        body = self.renderer.page("login.html", {"failed": failed}, **self._around(None, "", ""))
        return _html(body)

    async def static(self, request: Request) -> Response:
        """One of the files that pages load, for ever the same under its name."""
        asset = self.assets.find(request.path_params["name"])
        if asset is None:
            return Response("no such file", 404, HEADERS, "text/plain")
        headers = {
            **HEADERS, "ETag": asset.etag, "Vary": "Accept-Encoding",
            "Cache-Control": "public, max-age=31536000, immutable",
        }  # fmt: skip
        if asset.etag in request.headers.get("if-none-match", ""):
            return Response(None, 304, headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            headers["Content-Encoding"] = "gzip"
            return Response(asset.packed, 200, headers, asset.media_type)
        return Response(asset.body, 200, headers, asset.media_type)

    async def _answer(
        self,
        request: Request,
        make: Callable[[Desk, Query], dict[str, Any]],
        template: str,
        name: str,
        twin: bool,
    ) -> Response:
        caller = getattr(request.state, "caller", None)
        if caller is None:
            return _unknown(twin)
        memory = request.path_params.get("memory", "")
        desk = Desk(self.service, caller, memory, self.rates, self.noted)
        around = self._around(desk, memory, name)
        around |= {"twin": _twin_of(request), "signed_in": COOKIE in request.cookies}

        def respond() -> Response:
            try:
                _check_asker(request)
                data = make(desk, Query(request.query_params))
            except HoldfastError as error:
                return self._failed(error, around, twin)
            status = 404 if data.get("kept") is False else 200
            if twin:
                return _json(data, status)
            return _html(self.renderer.page(template, data, **around), status)

        try:
            return await self.run(request, respond)
        except OverloadedError as busy:
            return self._failed(busy, around, twin)

    def _around(self, desk: Desk | None, memory: str, name: str) -> dict[str, Any]:
        """What the frame of every page shows."""
        whole = desk is not None and desk.whole
        tabs = [p for p in PAGES if p.tab and (whole or not p.whole)] if memory else []
        return {
            "memory": memory,
            "name": name,
            "caller": None if desk is None else desk.caller.name,
            "twin": None,
            "signed_in": False,
            "whole": whole,
            "tabs": [{"name": p.name, "title": p.tab, "key": p.key} for p in tabs],
        }

    def _failed(self, error: Exception, around: dict[str, Any], twin: bool) -> Response:
        status = status_of(error)
        told = {"status": status, "type": type(error).__name__, "message": str(error)}
        if twin:
            return _json({"error": told}, status)
        return _html(self.renderer.page("error.html", told, **around), status)


def _check_asker(request: Request) -> None:
    """Refuse work that takes a while to a page of another site, which has no business asking."""
    site = request.headers.get("sec-fetch-site", "same-origin")
    if site in ("cross-site", "same-site") and not _COSTLY.isdisjoint(request.query_params):
        raise AccessError("this takes work, and another site asked for it; start it from here")


def _twin_of(request: Request) -> str:
    """Where the twin of a page is."""
    path = request.url.path if request.url.path != "/" else "/index"
    return f"{path}.json" + (f"?{request.url.query}" if request.url.query else "")


def _unknown(twin: bool) -> Response:
    """For who has not signed in."""
    if not twin:
        return _redirect("/login")
    told = {"status": 401, "type": "AccessError", "message": "sign in, or send a key"}
    return _json({"error": told}, 401)


def _redirect(to: str) -> Response:
    return RedirectResponse(to, 303, {**HEADERS, "Cache-Control": "no-store"})


def _html(body: bytes, status: int = 200) -> Response:
    headers = {**HEADERS, "Cache-Control": "no-store"}
    return Response(body, status, headers, "text/html; charset=utf-8")


def _json(data: Mapping[str, Any], status: int = 200) -> Response:
    body = json.dumps(data, separators=(",", ":")).encode("ascii")
    return Response(body, status, {**HEADERS, "Cache-Control": "no-store"}, "application/json")

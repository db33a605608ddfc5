"""The routes of the inspector: each page as HTML, and its twin as JSON with the same data."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from holdfast.errors import AccessError, HoldfastError, OverloadedError
from holdfast.inspector.assets import Assets
from holdfast.inspector.desk import Desk, Noted
from holdfast.inspector.pages.access import access
from holdfast.inspector.pages.audit import audit
from holdfast.inspector.pages.beliefs import belief, beliefs
from holdfast.inspector.pages.events import event, log
from holdfast.inspector.pages.forgetting import forgetting
from holdfast.inspector.pages.overview import live, memories, overview
from holdfast.inspector.pages.recall import recall
from holdfast.inspector.query import Query, local_path
from holdfast.inspector.rates import Rates
from holdfast.inspector.render import Renderer
from holdfast.service.call import Service
from holdfast.wire.http import session_of, status_of


class Run(Protocol):
    """Calls a function on a worker thread, as the server would have it."""

    def __call__(
        self, request: Request, function: Callable[[], Response], costly: bool = False
    ) -> Awaitable[Response]:
        """Call it; `costly` says that it reads all of a memory."""


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
    that goes there, None for a page below one. `whole` says that a seat cannot have it. `costly`
    are the parameters that have it read all of the memory.
    """

    name: str
    make: Callable[..., dict[str, Any]]
    tab: str | None = None
    key: str | None = None
    whole: bool = False
    below: str | None = None  # its path parameter
    costly: tuple[str, ...] = ()

    def costs(self, query: Mapping[str, str]) -> bool:
        """Whether a query has it read all of the memory."""
        return any(query.get(name, "").strip() for name in self.costly)


PAGES = (
    Page("overview", overview, "Overview", "o", costly=("measure",)),
    Page("log", log, "Log", "l"),
    Page("log", event, below="seq"),
    Page("beliefs", beliefs, "Beliefs", "b"),
    Page("beliefs", belief, below="id"),
    Page("recall", recall, "Recall", "r"),
    Page("forgetting", forgetting, "Forgetting", "f", whole=True, costly=("advise", "query")),
    Page("access", access, "Access", "a", whole=True),
    Page("audit", audit, "Audit", "u", whole=True, costly=("prove", "verify")),
)
_INDEX = Page("", memories)
_LIVE = Page("live", live)
_TEMPLATES = {
    ("", ""): "memories.html",
    ("log", "seq"): "event.html",
    ("beliefs", "id"): "belief.html",
}


def routes(service: Service, run: Run, *, rates: Rates | None = None) -> list[Route]:
    """The routes of the inspector, to be put into a Starlette application.

    Parameters
    ----------
    service
        The memories. What a page shows is what ``request.state.caller`` may see there, a
        `holdfast.service.callers.Caller`; None is sent to ``/login``.
    run
        ``await run(request, function, costly)`` calls a function on a worker thread. `costly` says
        that it reads all of a memory, which takes seconds where there is much: measuring,
        verifying, proving, advice on a budget, what was forgotten.
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
        Route("/m/{memory}/live.json", partial(inspector.page, _LIVE, twin=True)),
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
        caller = getattr(request.state, "caller", None)
        if caller is None:
            return _unknown(request, twin)
        memory = request.path_params.get("memory", "")
        below = {page.below: request.path_params[page.below]} if page.below else {}
        template = _TEMPLATES.get((page.name, page.below or ""), f"{page.name}.html")
        desk = Desk(self.service, caller, memory, self.rates, self.noted)
        costs = page.costs(request.query_params)
        around = self._around(desk, memory, page.name)
        around |= {"twin": _twin_of(request), "signed_in": session_of(request.cookies) is not None}

        def respond() -> Response:
            try:
                if costs:
                    _check_asker(request)
                data = page.make(desk, Query(request.query_params), **below)
            except HoldfastError as error:
                return self._failed(error, around, twin)
            status = 404 if data.get("kept") is False else 200
            if twin:
                return _json(data, status)
            return _html(self.renderer.page(template, data, **around), status)

        try:
            return await self.run(request, respond, costs)
        except OverloadedError as busy:
            return self._failed(busy, around, twin)

    async def index(self, request: Request, twin: bool = False) -> Response:
        """The memories of the caller."""
        return await self.page(_INDEX, request, twin)

    async def door(self, request: Request) -> Response:
        """A memory without a page: its overview."""
        return _redirect(f"/m/{request.path_params['memory']}/overview")

    async def login(self, request: Request) -> Response:
        """The form that asks for a key."""
        asked = request.query_params
        told = {"failed": asked.get("failed") == "1", "next": local_path(asked.get("next", ""))}
        return _html(self.renderer.page("login.html", told, **self._around(None, "", "")))

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
    if request.headers.get("sec-fetch-site", "same-origin") in ("cross-site", "same-site"):
        raise AccessError("this takes work, and another site asked for it; start it from here")


def _twin_of(request: Request) -> str:
    """Where the twin of a page is."""
    path = request.url.path if request.url.path != "/" else "/index"
    return f"{path}.json" + (f"?{request.url.query}" if request.url.query else "")


def _unknown(request: Request, twin: bool) -> Response:
    """For who has not signed in: the login, which leads back to the page that was asked for."""
    if not twin:
        query = f"?{request.url.query}" if request.url.query else ""
        page = local_path(quote(request.scope["path"]) + query)
        after = f"?next={quote(page)}" if page not in (None, "/") else ""
        return _redirect(f"/login{after}")
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

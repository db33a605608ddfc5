"""The server as an ASGI application."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from urllib.parse import parse_qsl, urlencode

import anyio.to_thread
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from holdfast.errors import AccessError, CredentialError, HoldfastError
from holdfast.inspector import local_path, routes
from holdfast.inspector.rates import Rates
from holdfast.server import bodies
from holdfast.server.answers import answer, caller_of, problem
from holdfast.server.guard import LOOPBACK, Guard
from holdfast.server.lanes import Lanes
from holdfast.server.metrics import CONTENT_TYPE, Metrics
from holdfast.server.openapi import describe
from holdfast.server.routes import Api
from holdfast.server.tracing import tracing
from holdfast.service.call import Observer, Service
from holdfast.service.credentials import Credentials
from holdfast.service.root import Root
from holdfast.wire.http import COOKIE, SECURE_COOKIE, RefusedError

_WITH_MODEL = 4  # reads at once, most of which wait for an embedder


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a server takes on.

    Parameters
    ----------
    body_bytes
        Of a JSON body.
    reading
        Reads that run at once; 0: one, or several where reads wait for a model.
    waiting
        Reads that may wait, so that an accepted one is answered soon after one that finds nobody
        before it. Writes, which share their synced write, may be eight times as many.
    """

    body_bytes: int = 32 << 20
    reading: int = 0
    waiting: int = 7


@dataclass
class Server:
    """A service, and what it takes to answer for it over HTTP.

    Parameters
    ----------
    root
        The memories.
    credentials
        Who may call.
    hosts
        Names that a Host header may have.
    limits
        How much it takes on.
    trace_content
        Whether spans hold the text of queries.
    """

    root: Root
    credentials: Credentials
    hosts: tuple[str, ...] = LOOPBACK
    limits: Limits = field(default_factory=Limits)
    trace_content: bool = False

    def __post_init__(self) -> None:
        reading = self.limits.reading or (_WITH_MODEL if self.root.waits_for_model else 1)
        self.lanes = Lanes(reading, self.limits.waiting)
        self.metrics = Metrics(self.root.opened, self.lanes.depths)
        self._rates = Rates()
        observers: list[Observer] = [
            self.metrics.observer, self._rates, tracing(content=self.trace_content),
        ]  # fmt: skip
        self._closing = threading.Event()
        self.service = Service(self.root, observers)

    def stop(self) -> None:
        """Take nothing new on, and end what streams."""
        self._closing.set()

    def app(self) -> Starlette:
        """The application. Its lifespan ends with every memory closed."""
        api = Api(
            self.service, self.lanes, self.metrics.refused, self._closing.is_set,
            self.limits.body_bytes, bodies.Room(),
        )  # fmt: skip
        mcp, mcp_life = self._mcp(api)
        routes: list[BaseRoute] = [
            Route("/healthz", self._healthy),
            Route("/readyz", self._ready),
            Route("/metrics", self._metrics),
            Route("/openapi.json", self._openapi),
            Route("/session", self._sign_in, methods=["POST"]),
            Route("/session", self._sign_out, methods=["DELETE"]),
            *api.routes(),
            *mcp,
            *self._inspector(),
        ]
        guard = Middleware(
            Guard, credentials=self.credentials, hosts=self.hosts, refused=self.metrics.refused
        )

        @asynccontextmanager
        async def lifespan(app: Starlette) -> AsyncIterator[None]:
            async with AsyncExitStack() as life:
                life.push_async_callback(anyio.to_thread.run_sync, self._close)
                for part in mcp_life:
                    await life.enter_async_context(part)
                yield

        app = Starlette(
            routes=routes,
            middleware=[guard],
            lifespan=lifespan,
            exception_handlers={
                404: _not_found,
                405: _not_allowed,
                RefusedError: _problem,
                HoldfastError: _problem,
            },
        )
        app.router.redirect_slashes = False  # to where, only a proxy before us would know
        return app

    def _close(self) -> None:
        self.stop()
        self.lanes.close()
        self.service.close()

    # ---- parts that may not be there ---------------------------------------------------------

    def _mcp(self, api: Api) -> tuple[list[BaseRoute], list[AbstractAsyncContextManager[None]]]:
        """MCP under ``/mcp``, if its package is installed."""
        found = find_spec("mcp")
        if found is None or found.origin is None:  # nothing, or some folder of that name
            return [], []
        from holdfast.mcp.http import mount

        # The guard has looked at the names of hosts.
        app, life = mount(self.service, hosts=None, run=self.lanes.run)
        bounded = bodies.Bounded(app, api.most_bytes, api.room)
        return [Route("/mcp", bounded, methods=["POST"])], [life]

    def _inspector(self) -> list[BaseRoute]:
        async def run(
            request: Request, function: Callable[[], Response], costly: bool = False
        ) -> Response:
            return await (self.lanes.slow if costly else self.lanes.read).run(function)

        return list(routes(self.service, run, rates=self._rates))

    # ---- about the server itself -------------------------------------------------------------

    async def _healthy(self, request: Request) -> Response:
        """Whether the process answers at all."""
        return answer({"status": "ok"})

    async def _ready(self, request: Request) -> Response:
        """Whether it takes requests: not while it stops, nor while its folder is not there."""
        if self._closing.is_set() or not self.root.folder.is_dir():
            return problem(RefusedError(503, "this server takes no requests now"))
        return answer({"status": "ready"})

    async def _metrics(self, request: Request) -> Response:
        """Sums over all memories, for who may see all of each."""
        who = caller_of(request)
        if who.principal is not None or "*" not in who.memories:
            raise AccessError(f"{who.name} may not see all memories; metrics are of all of them")
        text = await self.lanes.about.run(self.metrics.text)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    async def _openapi(self, request: Request) -> Response:
        return JSONResponse(await self.lanes.about.run(describe))

    async def _sign_in(self, request: Request) -> Response:
        """Keep a key in a cookie that scripts cannot read and other sites cannot send."""
        form = await _form(request)
        token, page = form.get("key", "").strip(), local_path(form.get("next", "")) or "/"
        try:
            await self.credentials.acaller(token or None)
        except CredentialError:
            return RedirectResponse(f"/login?{urlencode({'failed': 1, 'next': page})}", 303)
        answer = RedirectResponse(page, 303)
        if token:
            secure = request.url.scheme == "https"
            name = SECURE_COOKIE if secure else COOKIE
            answer.set_cookie(name, token, httponly=True, samesite="strict", secure=secure)
        return answer

    async def _sign_out(self, request: Request) -> Response:
        answer = Response(status_code=204)
        answer.delete_cookie(COOKIE, httponly=True, samesite="strict")
        answer.delete_cookie(SECURE_COOKIE, httponly=True, samesite="strict", secure=True)
        return answer


async def _form(request: Request) -> dict[str, str]:
    """The fields of a small form."""
    body = await bodies.read(request, 8192)
    return dict(parse_qsl(body.decode("utf-8", "replace")))


async def _problem(request: Request, failure: Exception) -> Response:
    """What a route that is not of the API does not answer itself."""
    return problem(failure)


async def _not_found(request: Request, failure: Exception) -> Response:
    return problem(RefusedError(404, "there is nothing under this path; see /openapi.json"))


async def _not_allowed(request: Request, failure: Exception) -> Response:
    headers = getattr(failure, "headers", None) or {}
    return problem(RefusedError(405, "this path takes another method", **headers))

"""The MCP server over streamable HTTP, to be mounted in a server that knows who calls."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager

from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from starlette.requests import Request
from starlette.types import ASGIApp

from holdfast.errors import CredentialError
from holdfast.mcp.server import Run, build, on_any_thread
from holdfast.service.call import Service
from holdfast.service.callers import Caller

LOCAL = ("127.0.0.1", "localhost", "[::1]")
"""The names under which a server on one's own machine is asked."""


def mount(
    service: Service, *, hosts: Sequence[str] | None = LOCAL, run: Run = on_any_thread
) -> tuple[ASGIApp, AbstractAsyncContextManager[None]]:
    """Make the application to route ``/mcp`` to, and what must be entered while it serves.

    Parameters
    ----------
    service
        What does the operations. It is not closed here.
    hosts
        The names that requests may ask for, in ``Host`` and ``Origin``, with or without a port:
        a page of another site that resolves to this machine is turned away. None: any.
    run
        Where the engine is called: see `holdfast.mcp.server.Run`. If it raises `OverloadedError`,
        the client is told so by a result.

    Returns
    -------
    app, lifespan
        The application wants a `Caller` in ``scope["state"]["caller"]`` and answers at whatever
        path it is routed to. Of the caller's memories it is ``?memory=NAME`` that is meant, or the
        only one. The lifespan can be entered once.

    Notes
    -----
    Stateless: each request stands alone, so any number of processes may serve, and every answer is
    one JSON document. Route only POST to it: a GET would open a stream on which nothing ever comes.
    """
    security = TransportSecuritySettings(enable_dns_rebinding_protection=False)
    if hosts is not None:
        names = [spelt for host in hosts for spelt in (host, f"{host}:*")]
        security = TransportSecuritySettings(
            enable_dns_rebinding_protection=True,
            allowed_hosts=names,
            allowed_origins=[
                f"{scheme}://{name}" for scheme in ("http", "https") for name in names
            ],
        )
    manager = StreamableHTTPSessionManager(
        build(service, _who, run), json_response=True, stateless=True, security_settings=security
    )
    return StreamableHTTPASGIApp(manager), manager.run()


def _who(request: Request | None) -> tuple[Caller, str]:
    """Who sent a request, and the memory that is meant."""
    caller = getattr(request.state, "caller", None) if request is not None else None
    if request is None or not isinstance(caller, Caller):
        raise CredentialError("this request has no credential; send one")
    return caller, request.query_params.get("memory") or caller.only_memory()

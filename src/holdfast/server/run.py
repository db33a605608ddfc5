"""Running a server until it is told to stop, and stopping it without losing anything."""

from __future__ import annotations

import ipaddress
import signal
import socket
from types import FrameType

import uvicorn

from holdfast.errors import AccessError, StoreError
from holdfast.server.app import Server

_PATIENCE_S = 30  # for requests that are being answered when it is told to stop


class _Uvicorn(uvicorn.Server):
    """Tells our streams to end as soon as it is told to stop; it waits for them."""

    def __init__(self, config: uvicorn.Config, server: Server) -> None:
        super().__init__(config)
        self._ours = server

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._ours.stop()
        # Its own handler would raise the signal again at the end, as if this were no clean stop.
        self.force_exit = self.should_exit and sig == signal.SIGINT
        self.should_exit = True


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("0.0.0.0")
    (True, True, False)
    """
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(server: Server, host: str, port: int, *, named: bool = False) -> socket.socket:
    """A socket that listens where a server is to be reached.

    Parameters
    ----------
    host, port
        Where. Port 0 takes a free one.
    named
        Whether others call it by a name of its own, as through a proxy: then it is reached from
        other machines, wherever it listens.

    Raises
    ------
    AccessError
        If other machines could reach it and nobody would have to say who they are.
    OSError
        If the address cannot be had.
    """
    if (named or not is_loopback(host)) and not server.credentials.strict:
        what = "this server" if named else host
        raise AccessError(
            f"{what} can be reached from other machines, and nobody would have to say who they "
            f"are; make a key with: holdfast key create {server.root.folder}"
        )
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family, backlog=2048)


def serve_on(server: Server, listener: socket.socket) -> None:
    """Answer requests until SIGTERM or SIGINT; then finish those that have begun.

    When it returns, every memory is closed, and all that was acknowledged is in the files.

    Raises
    ------
    StoreError
        If it never began to answer; why is on standard error.
    """
    try:
        made(server).run(sockets=[listener])
    except SystemExit:  # how uvicorn says so
        raise StoreError("the server could not start; what it printed says why") from None


def made(server: Server) -> uvicorn.Server:
    """What runs a server; its `handle_exit` stops it."""
    config = uvicorn.Config(
        server.app(),
        lifespan="on",
        log_level="warning",
        access_log=False,  # paths name memories, and queries what was asked
        server_header=False,
        timeout_graceful_shutdown=_PATIENCE_S,
        timeout_keep_alive=30,
    )
    return _Uvicorn(config, server)

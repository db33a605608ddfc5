"""The MCP server on standard input and output: how desktop clients start it."""

from __future__ import annotations

import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any, cast

import anyio
from anyio import from_thread, lowlevel
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server import Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.stdio import stdio_server

from holdfast.mcp.server import build
from holdfast.memory import Memory
from holdfast.service.call import Service
from holdfast.service.callers import Caller, May
from holdfast.service.root import OneFile

NEW_BUDGET = "64 MiB"
"""The budget of a memory that is made here, if none is given."""
_CHUNK = 1 << 16


def serve(
    path: str | os.PathLike[str],
    *,
    budget: int | str | None = None,
    principal: str | None = None,
    read_only: bool = False,
) -> None:
    """Serve a memory until the client ends it, or goes, or a signal asks to stop.

    Parameters
    ----------
    path
        The file; it is made if there is none, and the folder it lies in.
    budget
        As for `Memory.open`; for a new file `NEW_BUDGET`, if it is not given.
    principal
        Whom the client speaks for, as for `Memory.seat`; None: the owner, who sees all of it.
    read_only
        Whether it may only read.

    Notes
    -----
    Several processes may serve the same file at once. What a client got an answer for is stored;
    on end or SIGTERM the calls that are under way are finished. Nothing but the protocol is
    written to standard output.
    """
    file = Path(path)
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        budget = budget or NEW_BUDGET
    may: May = "read" if read_only else "write" if principal else "govern"
    name = "memory"
    caller = Caller(principal or "this client", may, (name,), principal)
    service = Service(OneFile(Memory.open(file, budget), name))
    try:
        anyio.run(_serve, build(service, lambda request: (caller, name)))
    except* BrokenPipeError:
        pass  # nobody reads any more; what was acknowledged is stored
    finally:
        service.close()


class _Underway:
    """Counts the requests that are being answered; a middleware of the server."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = anyio.Event()

    async def __call__(
        self, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        self._count += 1
        try:
            return await call_next(ctx)
        finally:
            self._count -= 1
            self._idle.set()

    async def over(self) -> None:
        """Wait until every request that was read has its answer written."""
        await anyio.wait_all_tasks_blocked()
        while self._count:
            self._idle = anyio.Event()
            await self._idle.wait()
            await anyio.wait_all_tasks_blocked()


async def _serve(server: Server[Any]) -> None:
    """Answer what comes in, until there is no more."""
    send, lines = anyio.create_memory_object_stream[str](0)
    stop, token, underway = anyio.Event(), lowlevel.current_token(), _Underway()
    server.middleware.append(underway)

    async def end() -> None:
        await stop.wait()
        await underway.over()  # the server would give up what it is at, once its input ends
        await send.aclose()

    def pump() -> None:
        try:
            _pump(sys.stdin.fileno(), send, token)
            from_thread.run_sync(stop.set, token=token)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.RunFinishedError):
            return  # a signal came first

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end)
        tasks.start_soon(_on_signal, stop)
        # A thread of its own, which nothing waits for: it may stand in a read that never ends.
        threading.Thread(target=pump, name="holdfast-mcp-stdin", daemon=True).start()
        # Of the file that it asks for it takes nothing but the lines.
        async with stdio_server(stdin=cast(Any, lines)) as (incoming, outgoing):
            await server.run(incoming, outgoing, server.create_initialization_options())
        tasks.cancel_scope.cancel()


async def _on_signal(stop: anyio.Event) -> None:
    """Stop when somebody asks the process to."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.set()


def _pump(
    descriptor: int, send: MemoryObjectSendStream[str], token: lowlevel.EventLoopToken
) -> None:
    """Send the lines of a file. Not through Python's buffer, whose lock would block the exit."""
    rest = b""
    while chunk := os.read(descriptor, _CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            from_thread.run(send.send, line.decode("utf-8", "replace"), token=token)
    if rest:
        from_thread.run(send.send, rest.decode("utf-8", "replace"), token=token)

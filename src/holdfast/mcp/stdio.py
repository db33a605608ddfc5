"""The MCP server on standard input and output: how desktop clients start it."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import anyio
from anyio import from_thread, lowlevel
from anyio.streams.memory import MemoryObjectSendStream
from mcp.server import Server, ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, ErrorData, JSONRPCError

from holdfast.mcp.server import build
from holdfast.memory import Memory
from holdfast.service.call import Service
from holdfast.service.callers import Caller, May
from holdfast.service.root import OneFile

NEW_BUDGET = "64 MiB"
"""The budget of a memory that is made here, if none is given."""
LONGEST = 4 << 20
"""Bytes of a message at most, as over HTTP."""
_CHUNK = 1 << 16
_ENDS = 256  # bytes that are kept of either end of a longer message: its id is in one of them
_ID = r'"id"\s*:\s*(\d{1,18}|"[^"\\\x00-\x1f]{1,100}")'
_FIRST = re.compile(r'\s*\{\s*(?:"jsonrpc"\s*:\s*"2\.0"\s*,\s*)?' + _ID)
_LAST = re.compile(_ID + r"\s*\}\s*\Z")  # one brace: nothing but the message itself is closed by it


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
    written to standard output. A message of over `LONGEST` bytes is answered with an error.
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
            _pump(sys.stdin.fileno(), send, outgoing.send, token)
            from_thread.run_sync(stop.set, token=token)
        except (anyio.ClosedResourceError, anyio.BrokenResourceError, anyio.RunFinishedError):
            return  # a signal came first

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(end)
        tasks.start_soon(_on_signal, stop)
        # Of the file that it asks for it takes nothing but the lines.
        async with stdio_server(stdin=cast(Any, lines)) as (incoming, outgoing):
            # A thread of its own, which nothing waits for: it may stand in a read that never ends.
            threading.Thread(target=pump, name="holdfast-mcp-stdin", daemon=True).start()
            await server.run(incoming, outgoing, server.create_initialization_options())
        tasks.cancel_scope.cancel()


async def _on_signal(stop: anyio.Event) -> None:
    """Stop when somebody asks the process to."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async for _ in signals:
            stop.set()


def _pump(
    descriptor: int,
    send: MemoryObjectSendStream[str],
    answer: Callable[[SessionMessage], Coroutine[Any, Any, None]],
    token: lowlevel.EventLoopToken,
) -> None:
    """Send the lines of a file, and answer those that are too long."""
    for line in _lines(descriptor):
        text = line.text()
        if line.size <= LONGEST:
            from_thread.run(send.send, text, token=token)
        else:
            from_thread.run(answer, SessionMessage(_too_long(line.size, text)), token=token)


@dataclass(slots=True)
class _Line:
    """A line as it comes in: all of it, or the two ends of one that is too long."""

    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, more: bytes) -> None:
        self.parts.append(more)
        self.size += len(more)
        if self.size > LONGEST:
            whole = b"".join(self.parts)
            self.parts = [whole[:_ENDS], whole[-_ENDS:]]

    def text(self) -> str:
        return b"".join(self.parts).decode("utf-8", "replace")


def _lines(descriptor: int) -> Iterator[_Line]:
    """The lines of a file. Not through Python's buffer, whose lock would block the exit."""
    line = _Line()
    while chunk := os.read(descriptor, _CHUNK):
        first, *others = chunk.split(b"\n")
        line.add(first)
        for other in others:
            yield line
            line = _Line()
            line.add(other)
    if line.size:
        yield line


def _too_long(size: int, ends: str) -> JSONRPCError:
    """What a message that is too long is answered; without an id if its ends do not tell it."""
    found = _FIRST.match(ends) or _LAST.search(ends)
    said = f"the message has {size} bytes, over the {LONGEST} that are taken; send less at once"
    id = json.loads(found[1]) if found else None
    return JSONRPCError(jsonrpc="2.0", id=id, error=ErrorData(code=INVALID_REQUEST, message=said))

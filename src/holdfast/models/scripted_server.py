"""An OpenAI-compatible embeddings endpoint on 127.0.0.1 that misbehaves as its script says."""

from __future__ import annotations

import json
import socket
import struct
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal, Self

from holdfast.models.scripted import ScriptedEmbedder

Behaviour = Literal[
    "ok",
    "shuffled",  # right vectors, in another order, told by their indexes
    "malformed",  # status 200, a body that is cut off
    "not an object",
    "no data",
    "rate limited",
    "unavailable",  # status 500
    "refused",  # status 401
    "hang",  # no answer until the server closes
    "drip",  # one byte at a time, never done
    "dropped",  # the connection closes without an answer
    "wrong dimensions",
    "partial",  # one vector short
    "twice",  # one vector instead of another
    "not finite",
    # Those that only chat knows (`models.scripted_chat`).
    "bad request",  # status 400
    "not text",
    "cut off",  # the connection ends in the middle of the body
    "reset",  # it breaks there
    "drip headers",  # one byte at a time, before any body
    "huge",  # a body that does not end for many megabytes
]
_STATUS = {"rate limited": 429, "unavailable": 500, "refused": 401, "bad request": 400}


@dataclass(frozen=True)
class Reply:
    """One scripted answer. `retry_after` is sent as that header where it is set."""

    behaviour: Behaviour = "ok"
    retry_after: str | None = None


@dataclass
class ScriptedServer:
    """Real HTTP, scripted answers; a context manager that leaves no thread or socket behind.

    Parameters
    ----------
    script
        How to answer the first requests, in order; every later one gets ``"ok"``.
    embedder
        Makes the vectors of good answers.

    Examples
    --------
    >>> from holdfast.models.openai import OpenAIEmbedder
    >>> with ScriptedServer() as server:
    ...     with OpenAIEmbedder("any", base_url=server.base_url, dimensions=64) as embedder:
    ...         embedder.embed(["a spare key"]).shape
    (1, 64)
    """

    script: Iterable[Reply | Behaviour] = ()
    embedder: ScriptedEmbedder = field(default_factory=ScriptedEmbedder)
    requests: list[dict[str, Any]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        self._script = iter(self.script)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._connections: set[socket.socket] = set()
        self._http = _Listener(("127.0.0.1", 0), _Handler)
        self._http.owner = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        )

    @property
    def base_url(self) -> str:
        """What a client is given."""
        return f"http://127.0.0.1:{self._http.server_port}/v1"

    def start(self) -> Self:
        """Begin to listen, until `close`: a program does not end before that."""
        self._thread.start()
        return self

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let hanging requests go, hang up on every client and stop listening."""
        self._closing.set()
        self._http.shutdown()
        with self._lock:
            for connection in self._connections:
                with suppress(OSError):  # the client was first to hang up
                    connection.shutdown(socket.SHUT_RDWR)
        self._http.server_close()  # waits for the threads of those connections
        self._thread.join()

    @contextmanager
    def connected(self, connection: socket.socket) -> Iterator[None]:
        """Remember a connection while it is served."""
        with self._lock:
            self._connections.add(connection)
        try:
            yield
        finally:
            with self._lock:
                self._connections.discard(connection)

    def next_reply(self, request: dict[str, Any]) -> Reply:
        """Record a request and take its answer off the script."""
        with self._lock:
            self.requests.append(request)
            reply = next(self._script, Reply())
        return reply if isinstance(reply, Reply) else Reply(reply)

    def error_code(self, reply: Reply) -> str:
        """What an error calls itself."""
        return reply.behaviour.replace(" ", "_")

    def body(self, reply: Reply, request: dict[str, Any]) -> bytes:
        """What is answered where the status is 200."""
        vectors = self.embedder.embed(request["input"]).tolist()
        if reply.behaviour == "wrong dimensions":
            vectors = [vector[:-1] for vector in vectors]
        if reply.behaviour == "not finite":
            vectors[-1][0] = float("nan")
        data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        if reply.behaviour == "partial":
            data.pop()
        elif reply.behaviour == "shuffled":
            data.reverse()
        elif reply.behaviour == "twice":
            data[-1]["index"] = 0
        content = json.dumps({"object": "list", "data": data}).encode()
        whole = {"not an object": b"[1, 2]", "no data": b"{}"}
        if reply.behaviour == "malformed":
            return content[: len(content) // 2]
        return whole.get(reply.behaviour, content)

    def wait_for_close(self, timeout_s: float | None = None) -> bool:
        """Block a request until the server closes, or for a while."""
        return self._closing.wait(timeout_s)


class _Listener(ThreadingHTTPServer):
    owner: ScriptedServer
    daemon_threads = False


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body leave apart, and must not wait 40 ms
    server: _Listener

    def handle(self) -> None:
        with self.server.owner.connected(self.connection), suppress(ConnectionError):
            super().handle()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        reply = self.server.owner.next_reply({"path": self.path, "headers": headers, "body": body})
        if reply.behaviour == "hang":
            self.server.owner.wait_for_close()
        elif reply.behaviour in ("drip", "drip headers"):
            self._drip(reply.behaviour == "drip headers")
        if reply.behaviour in ("hang", "drip", "drip headers", "dropped"):
            self.close_connection = True
        else:
            self._answer(reply, body)

    def _answer(self, reply: Reply, request: dict[str, Any]) -> None:
        owner = self.server.owner
        status = _STATUS.get(reply.behaviour, 200)
        content = self._error(reply) if status != 200 else owner.body(reply, request)
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        if reply.retry_after is not None:
            self.send_header("Retry-After", reply.retry_after)
        self.end_headers()
        if reply.behaviour not in ("cut off", "reset"):
            self.wfile.write(content)
            return
        self.wfile.write(content[: len(content) // 2])
        self.close_connection = True
        if reply.behaviour == "reset":
            # Closing with a linger of no seconds sends a reset in place of an orderly end.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def _error(self, reply: Reply) -> bytes:
        code = self.server.owner.error_code(reply)
        return json.dumps({"error": {"message": "as scripted", "code": code}}).encode()

    def _drip(self, headers: bool) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        if headers:
            self.flush_headers()
            self.wfile.write(b"X-Slow: ")
        else:
            self.end_headers()
        with suppress(OSError):  # the client gives up, which is what a drip is for
            while not self.server.owner.wait_for_close(0.01):
                self.wfile.write(b" ")

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: tests read `ScriptedServer.requests` instead."""

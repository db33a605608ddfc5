"""JSON over kept HTTP connections: one time limit for a whole request, bounded answers, retries."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from holdfast.errors import ModelError
from holdfast.models.retry import Retry

_AGAIN = {408, 429, 500, 502, 503, 504}  # statuses that may pass by themselves
_CHUNK = 65_536


class EndpointError(ModelError):
    """A model behind an endpoint failed, and how.

    `status` is the last answer's, None if there was none. `unanswered` counts the requests that
    were sent and got no whole answer: whoever runs the endpoint may bill them all the same.
    """

    status: int | None = None
    unanswered: int = 0


@dataclass(frozen=True)
class Answer:
    """A whole answer. `unanswered` counts the requests before it that got none."""

    status: int
    retry_after: str | None
    body: bytes
    unanswered: int = 0


class Endpoint:
    """One address that takes JSON by POST.

    Parameters
    ----------
    name
        Who asks, for messages.
    base_url, path
        ``"http://127.0.0.1:8080/v1"`` and ``"/embeddings"``.
    api_key
        Sent as a bearer token. Never read from the environment, never part of an error or repr.
    timeout_s
        The most one request may take, from connecting to the last byte. Only looking up the
        host's name is not under it.
    retry
        When to try again: connection failures, and statuses 408, 429 and 5xx.

    Raises
    ------
    ValueError
        If `base_url` is not an http or https address, or the key has characters no header may.

    Notes
    -----
    Redirects are not followed. Calls from several threads run side by side, each on a connection
    of its own. At most `retry.attempts` requests per call, the longest of which take
    ``attempts * (timeout_s + retry.max_wait_s)``.
    """

    def __init__(
        self,
        name: str,
        base_url: str,
        path: str,
        *,
        api_key: str | None,
        timeout_s: float,
        retry: Retry | None,
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            shown = base_url.rpartition("@")[2]
            raise ValueError(f"base_url must look like http://host:port/v1, found {shown!r}")
        if api_key is not None and not (api_key.isascii() and api_key.isprintable()):
            raise ValueError("api_key must be printable ASCII; is there a line break at its end?")
        self._name, self._timeout_s, self._retry = name, timeout_s, retry or Retry()
        self._path = url.path.rstrip("/") + path
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        self._key = api_key
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._secure, self._host, self._port = url.scheme == "https", url.hostname, url.port
        self._where = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{self._path}"
        self._idle: list[http.client.HTTPConnection] = []  # kept open, most recently used last
        self._lock = threading.Lock()

    def post(self, body: bytes, limit: int, also: Collection[int] = ()) -> Answer:
        """Send a body until an answer has status 200, or one of `also`.

        Raises
        ------
        EndpointError
            If the endpoint cannot be reached, refuses, or answers more than `limit` bytes.
        """
        attempt = unanswered = 0
        while True:
            attempt += 1
            status: int | None = None
            retry_after: str | None = None
            try:
                answer = self._send(body, limit)
            except _TransportError as error:
                problem = str(error)
                unanswered += error.sent
            else:
                status, retry_after = answer.status, answer.retry_after
                if status == 200 or status in also:
                    return Answer(status, retry_after, answer.body, unanswered)
                problem = f"status {status}{self.code(answer.body)}"
                if status not in _AGAIN:
                    advice = "check model, base_url and api_key"
                    raise self.failure(problem, attempt, advice, status, unanswered)
            wait_s = self._retry.wait_s(attempt, retry_after)
            if wait_s is None:
                asked = f" (it asked to wait {self._plain(retry_after)})" if retry_after else ""
                raise self.failure(problem + asked, attempt, "try again later", status, unanswered)
            self._retry.sleep(wait_s)

    def failure(
        self,
        problem: str,
        attempts: int,
        advice: str,
        status: int | None = None,
        unanswered: int = 0,
    ) -> EndpointError:
        """The error that says what was asked how often, what was found and what to do."""
        times = "once" if attempts == 1 else f"{attempts} times"
        text = f"{self._name}: asked {self._where} {times}, found {problem}; {advice}"
        error = EndpointError(text)
        error.status, error.unanswered = status, unanswered
        return error

    def code(self, body: bytes) -> str:
        """An error's code, which names no content, unlike its message, which may quote it."""
        try:
            error = json.loads(body)["error"]
            code = error.get("code") or error.get("type")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return ""
        return f" ({self._plain(code)})" if isinstance(code, str) and code else ""

    def close(self) -> None:
        """Close the kept connections; the next call opens a new one."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def _plain(self, foreign: str) -> str:
        """A foreign word that is safe to print: short, no control characters, not the key."""
        if self._key:
            foreign = foreign.replace(self._key, "***")
        return re.sub(r"[^\w .,:+*-]", "?", foreign)[:64]

    def _send(self, body: bytes, limit: int) -> Answer:
        """One request. The connection stays open only after a whole answer."""
        ends_at = time.monotonic() + self._timeout_s
        connection, whole, sent = self._connection(), False, False
        try:
            reused = connection.sock is not None
            self._connect(connection, ends_at)
            sent = True
            try:
                connection.request("POST", self._path, body, self._headers)
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if not reused:
                    raise
                connection.close()  # the server had closed the idle connection: not its failure
                self._connect(connection, ends_at)
                connection.request("POST", self._path, body, self._headers)
                response = connection.getresponse()
            chunks, size = [], 0
            while chunk := response.read1(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise _TransportError(f"an answer larger than {limit} bytes", sent)
            if response.length:
                cut = f"an answer cut off {response.length} bytes before its end"
                raise _TransportError(cut, sent)
            response.close()  # a bounded read leaves it open, and the connection waits for that
            whole = not response.will_close
            return Answer(response.status, response.getheader("Retry-After"), b"".join(chunks))
        except TimeoutError as error:
            late = f"no whole answer within {self._timeout_s:g} s"
            raise _TransportError(late, sent) from error
        except (OSError, UnicodeError, http.client.HTTPException) as error:
            raise _TransportError(f"no answer ({type(error).__name__})", sent) from error
        finally:
            if whole:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def _connect(self, connection: Any, ends_at: float) -> None:
        """Be connected, with every wait of the socket bounded by `ends_at`."""
        if connection.sock is None:
            connection.timeout = _left(ends_at)
            connection.connect()
            connection.sock = _TimedSocket(connection.sock)
        connection.sock.ends_at = ends_at

    def _connection(self) -> http.client.HTTPConnection:
        """A kept connection, or a new one when every kept one is in use."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout_s)


class _TransportError(Exception):
    """No whole answer came back; `sent`: to a request that was sent."""

    def __init__(self, problem: str, sent: bool) -> None:
        super().__init__(problem)
        self.sent = sent


class _TimedSocket:
    """As much of a socket as `http.client` uses, under one deadline.

    A socket's own timeout starts anew with every byte, so a trickle would never run into it.
    """

    def __init__(self, sock: Any) -> None:
        self._sock = sock
        self.ends_at = 0.0

    def sendall(self, data: Any) -> None:
        self._sock.settimeout(_left(self.ends_at))
        self._sock.sendall(data)

    def makefile(self, mode: str) -> io.BufferedReader:
        return io.BufferedReader(_TimedReader(self._sock, self.ends_at))

    def close(self) -> None:
        self._sock.close()


class _TimedReader(io.RawIOBase):
    """What arrives on a socket until a deadline."""

    def __init__(self, sock: socket.socket, ends_at: float) -> None:
        self._sock, self._ends_at = sock, ends_at
        self._raw = sock.makefile("rb", buffering=0)  # keeps the socket open while it is read

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._sock.settimeout(_left(self._ends_at))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        if not self.closed:
            self._raw.close()
        super().close()


def _left(ends_at: float) -> float:
    """Seconds until a deadline, which are never none: then it is over."""
    left = ends_at - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left

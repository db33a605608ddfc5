"""Any OpenAI-compatible embeddings endpoint, over kept HTTP connections."""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

import numpy as np

from holdfast.errors import ModelError
from holdfast.models.base import Vectors
from holdfast.models.retry import Retry
from holdfast.models.units import unit_vectors

_AGAIN = {408, 429, 500, 502, 503, 504}  # statuses that may pass by themselves
_BYTES_PER_NUMBER = 64  # generous for one number in JSON, with indentation
_CHUNK = 65_536
_SPARE = 1_048_576  # bytes a body may hold beside its numbers


@dataclass(frozen=True)
class _Answer:
    status: int
    retry_after: str | None
    body: bytes


class _TransportError(Exception):
    """No whole answer came back."""


class OpenAIEmbedder:
    """Vectors from an endpoint that speaks OpenAI's ``POST /embeddings``.

    Parameters
    ----------
    model
        The model's name, as the endpoint knows it.
    base_url
        Up to and including the version: ``"http://127.0.0.1:8080/v1"``.
    dimensions
        Numbers per vector that this model answers with.
    api_key
        Sent as a bearer token. Never read from the environment, never part of an error or repr.
    timeout_s
        The most one request may take, from connecting to the last byte.
    batch_size
        Texts per request.
    retry
        When to try again: connection failures, and statuses 408, 429 and 5xx.
    shorten
        Also ask the endpoint to shorten its vectors to `dimensions` (not every model can).

    Raises
    ------
    ValueError
        If `base_url` is not an http or https address.

    Notes
    -----
    An answer is checked before it is used: as many vectors as texts, each index once, the right
    number of finite numbers. Redirects are not followed. Calls from several threads run side
    by side, each on a connection of its own, so a query does not wait for a batch.
    """

    def __init__(
        self,
        model: str,
        *,
        base_url: str,
        dimensions: int,
        api_key: str | None = None,
        timeout_s: float = 10.0,
        batch_size: int = 128,
        retry: Retry | None = None,
        shorten: bool = False,
    ) -> None:
        url = urlsplit(base_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"base_url must look like http://host:port/v1, found {base_url!r}")
        self.name = f"openai/{model}/{dimensions}"
        self.dimensions = dimensions
        self._model, self._shorten, self._batch_size = model, shorten, max(1, batch_size)
        self._timeout_s, self._retry = timeout_s, retry or Retry()
        self._path = url.path.rstrip("/") + "/embeddings"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if api_key is not None:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._secure, self._host, self._port = url.scheme == "https", url.hostname, url.port
        self._where = f"{url.scheme}://{url.netloc.rpartition('@')[2]}{self._path}"
        self._idle: list[http.client.HTTPConnection] = []  # kept open, most recently used last
        self._lock = threading.Lock()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors, (len(texts), dimensions), float32.

        Raises
        ------
        ModelError
            If the endpoint cannot be reached, refuses, or answers something unusable.
        """
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for first in range(0, len(texts), self._batch_size):
            batch = list(texts[first : first + self._batch_size])
            vectors[first : first + len(batch)] = self._batch(batch)
        return vectors

    def close(self) -> None:
        """Close the kept connections; the next call opens a new one."""
        with self._lock:
            while self._idle:
                self._idle.pop().close()

    def __enter__(self) -> OpenAIEmbedder:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _batch(self, texts: list[str]) -> Vectors:
        # Endpoints refuse the empty string, but an embedder answers for every text.
        request: dict[str, object] = {"model": self._model, "input": [t or " " for t in texts]}
        request["encoding_format"] = "float"
        if self._shorten:
            request["dimensions"] = self.dimensions
        body = json.dumps(request).encode()
        limit = len(texts) * self.dimensions * _BYTES_PER_NUMBER + _SPARE
        attempt = 0
        while True:
            attempt += 1
            retry_after: str | None = None
            try:
                answer = self._send(body, limit)
            except _TransportError as error:
                problem = str(error)
            else:
                if answer.status == 200:
                    return self._read(answer.body, len(texts))
                problem = f"status {answer.status}{_code(answer.body)}"
                retry_after = answer.retry_after
                if answer.status not in _AGAIN:
                    raise self._failure(problem, attempt, "check model, base_url and api_key")
            wait_s = self._retry.wait_s(attempt, retry_after)
            if wait_s is None:
                asked = f" (it asked to wait {_plain(retry_after)})" if retry_after else ""
                raise self._failure(problem + asked, attempt, "try again later")
            self._retry.sleep(wait_s)

    def _send(self, body: bytes, limit: int) -> _Answer:
        """One request. The connection stays open only after a whole answer."""
        ends_at = time.monotonic() + self._timeout_s
        connection, whole = self._connection(), False
        try:
            reused = connection.sock is not None
            try:
                connection.request("POST", self._path, body, self._headers)
                response = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if not reused:
                    raise
                connection.close()  # the server had closed the idle connection: not its failure
                connection.request("POST", self._path, body, self._headers)
                response = connection.getresponse()
            chunks, size = [], 0
            # A socket's timeout starts anew with every byte, so the whole needs its own.
            while chunk := response.read1(_CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise _TransportError(f"an answer larger than {limit} bytes")
                if time.monotonic() > ends_at:
                    raise TimeoutError
            if response.length:
                raise _TransportError(f"an answer cut off {response.length} bytes before its end")
            response.close()  # a bounded read leaves it open, and the connection waits for that
            whole = not response.will_close
            header = response.getheader("Retry-After")
            return _Answer(response.status, header, b"".join(chunks))
        except TimeoutError as error:
            raise _TransportError(f"no whole answer within {self._timeout_s:g} s") from error
        except (OSError, http.client.HTTPException) as error:
            raise _TransportError(f"no answer ({type(error).__name__})") from error
        finally:
            if whole:
                with self._lock:
                    self._idle.append(connection)
            else:
                connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        """A kept connection, or a new one when every kept one is in use."""
        with self._lock:
            if self._idle:
                return self._idle.pop()
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout_s)

    def _read(self, body: bytes, count: int) -> Vectors:
        """The vectors of a good answer, in the order of the texts."""
        try:
            data = json.loads(body)["data"]
            order = [entry.get("index", place) for place, entry in enumerate(data)]
            rows = [entry["embedding"] for entry in data]
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._failure(
                "an answer that is no embeddings object", 1, "check that base_url ends in /v1"
            ) from error
        if len(rows) != count:
            raise self._failure(f"{len(rows)} vectors for {count} texts", 1, "lower batch_size")
        if not all(isinstance(index, int) for index in order) or sorted(order) != [*range(count)]:
            raise self._failure("indexes that do not name each text once", 1, "report it there")
        found = unit_vectors(rows, count, self.dimensions, self.name)
        vectors = np.empty_like(found)
        vectors[order] = found
        return vectors

    def _failure(self, problem: str, attempts: int, advice: str) -> ModelError:
        times = "once" if attempts == 1 else f"{attempts} times"
        return ModelError(f"{self.name}: asked {self._where} {times}, found {problem}; {advice}")


def _code(body: bytes) -> str:
    """The error's code, which names no content, unlike its message, which may quote the input."""
    try:
        error = json.loads(body)["error"]
        code = error.get("code") or error.get("type")
    except (ValueError, KeyError, TypeError, AttributeError):
        return ""
    return f" ({_plain(code)})" if isinstance(code, str) and code else ""


def _plain(foreign: str) -> str:
    """A foreign word that is safe to print: short, and free of control characters."""
    return re.sub(r"[^\w .,:+-]", "?", foreign)[:64]

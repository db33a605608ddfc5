"""Any OpenAI-compatible embeddings endpoint, over kept HTTP connections."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from holdfast.models.base import Vectors
from holdfast.models.endpoint import Endpoint
from holdfast.models.retry import Retry
from holdfast.models.units import unit_vectors

_BYTES_PER_NUMBER = 64  # generous for one number in JSON, with indentation
_SPARE = 1_048_576  # bytes a body may hold beside its numbers


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
        self.name = f"openai/{model}/{dimensions}"
        self.dimensions = dimensions
        self._model, self._shorten, self._batch_size = model, shorten, max(1, batch_size)
        self._endpoint = Endpoint(
            self.name,
            base_url,
            "/embeddings",
            api_key=api_key,
            timeout_s=timeout_s,
            retry=retry,
        )

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
        self._endpoint.close()

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
        return self._read(self._endpoint.post(body, limit).body, len(texts))

    def _read(self, body: bytes, count: int) -> Vectors:
        """The vectors of a good answer, in the order of the texts."""
        try:
            data = json.loads(body)["data"]
            order = [entry.get("index", place) for place, entry in enumerate(data)]
            rows = [entry["embedding"] for entry in data]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._endpoint.failure(
                "an answer that is no embeddings object", 1, "check that base_url ends in /v1"
            ) from error
        if len(rows) != count:
            raise self._endpoint.failure(
                f"{len(rows)} vectors for {count} texts", 1, "lower batch_size"
            )
        if not all(isinstance(index, int) for index in order) or sorted(order) != [*range(count)]:
            raise self._endpoint.failure(
                "indexes that do not name each text once", 1, "report it there"
            )
        found = unit_vectors(rows, count, self.dimensions, self.name)
        vectors = np.empty_like(found)
        vectors[order] = found
        return vectors

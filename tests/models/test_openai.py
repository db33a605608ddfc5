"""The HTTP embedder against a real server on 127.0.0.1 that misbehaves as scripted."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

import numpy as np
import pytest

from holdfast.checks.embedder import check_embedder
from holdfast.errors import ModelError
from holdfast.models.openai import OpenAIEmbedder
from holdfast.models.retry import Retry
from holdfast.models.scripted import ScriptedEmbedder
from holdfast.models.scripted_server import Reply, ScriptedServer

TEXTS = ["where is the spare key?", "rain on Thursday", "a third text"]


class Waits(list[float]):
    """A sleep that only takes notes."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@contextmanager
def client(
    server: ScriptedServer, waits: Waits | None = None, **options: object
) -> Iterator[OpenAIEmbedder]:
    retry = Retry(attempts=3, sleep=waits if waits is not None else Waits(), rng=Random(1))
    options = {"dimensions": 64, "retry": retry, **options}
    with OpenAIEmbedder("tiny", base_url=server.base_url, **options) as embedder:  # type: ignore[arg-type]
        yield embedder


def expected() -> list[list[float]]:
    return [pytest.approx(vector, abs=1e-6) for vector in ScriptedEmbedder().embed(TEXTS).tolist()]


def test_keeps_the_contract() -> None:
    with ScriptedServer() as server, client(server) as embedder:
        check_embedder(embedder, tolerance=0.0)


def test_sends_what_the_interface_asks_for() -> None:
    options = {"api_key": "secret", "batch_size": 2, "shorten": True}
    with ScriptedServer() as server, client(server, **options) as embedder:
        assert embedder.embed([*TEXTS[:2], ""]).shape == (3, 64)
        first, second = server.requests
    assert first["path"] == "/v1/embeddings"
    assert first["headers"]["authorization"] == "Bearer secret"
    assert first["body"] == {
        "model": "tiny",
        "input": TEXTS[:2],
        "encoding_format": "float",
        "dimensions": 64,
    }
    assert second["body"]["input"] == [" "]
    assert embedder.name == "openai/tiny/64"


def test_order_is_by_index() -> None:
    with ScriptedServer(["shuffled"]) as server, client(server) as embedder:
        assert embedder.embed(TEXTS).tolist() == expected()


@pytest.mark.parametrize("behaviour", ["rate limited", "unavailable", "dropped"])
def test_what_may_pass_is_tried_again_with_growing_waits(behaviour: str) -> None:
    waits = Waits()
    script = [Reply(behaviour)] * 2  # type: ignore[arg-type]
    with ScriptedServer(script) as server, client(server, waits) as embedder:
        assert embedder.embed(TEXTS).tolist() == expected()
        assert len(server.requests) == 3
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0


@pytest.mark.parametrize(
    ("header", "waited"), [("2", 2.0), ("0", 0.0), ("Thu, 01 Jan 1970 00:00:07 GMT", 3.0)]
)
def test_retry_after_is_honoured(header: str, waited: float) -> None:
    waits = Waits()
    retry = Retry(sleep=waits, clock=lambda: 4.0)
    script = [Reply("rate limited", retry_after=header)]
    with ScriptedServer(script) as server, client(server, retry=retry) as embedder:
        assert embedder.embed(TEXTS).tolist() == expected()
    assert waits == [waited]


def test_retry_after_beyond_patience_is_an_error_at_once() -> None:
    waits = Waits()
    with (
        ScriptedServer([Reply("rate limited", retry_after="3600")]) as server,
        client(server, waits) as embedder,
        pytest.raises(ModelError, match=r"status 429 \(rate_limited\) \(it asked to wait 3600\)"),
    ):
        embedder.embed(TEXTS)
    assert waits == []


def test_retries_are_bounded() -> None:
    with ScriptedServer(["unavailable"] * 9) as server, client(server) as embedder:
        with pytest.raises(ModelError, match="3 times, found status 500"):
            embedder.embed(TEXTS)
        assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("malformed", "no embeddings object"),
        ("not an object", "no embeddings object"),
        ("no data", "no embeddings object"),
        ("partial", "2 vectors for 3 texts"),
        ("twice", "each text once"),
        ("wrong dimensions", r"found \(3, 63\)"),
        ("not finite", "not finite, the first at index 2"),
        ("refused", r"once, found status 401 \(refused\); check model, base_url and api_key"),
    ],
)
def test_an_unusable_answer_is_refused_and_the_next_call_works(
    behaviour: str, message: str
) -> None:
    script = [Reply(behaviour)]  # type: ignore[arg-type]
    with ScriptedServer(script) as server, client(server, api_key="secret") as embedder:
        with pytest.raises(ModelError, match=message) as raised:
            embedder.embed(TEXTS)
        assert len(server.requests) == 1
        assert "secret" not in str(raised.value)
        assert TEXTS[0] not in str(raised.value)
        assert embedder.embed(TEXTS).tolist() == expected()


@pytest.mark.parametrize("behaviour", ["hang", "drip"])
def test_silence_and_trickles_end_at_the_timeout(behaviour: str) -> None:
    script = [Reply(behaviour)]  # type: ignore[arg-type]
    options = {"timeout_s": 0.1, "retry": Retry(attempts=1)}
    with ScriptedServer(script) as server, client(server, **options) as embedder:
        with pytest.raises(ModelError, match=r"no whole answer within 0\.1 s"):
            embedder.embed(TEXTS)
        assert embedder.embed(TEXTS).tolist() == expected()


def test_a_connection_is_kept_and_a_closed_one_is_replaced_without_a_retry() -> None:
    waits = Waits()
    with ScriptedServer(["ok", "dropped"]) as server, client(server, waits) as embedder:
        embedder.embed(TEXTS)
        assert embedder.embed(TEXTS).tolist() == expected()
        embedder.close()
        assert embedder.embed(TEXTS).tolist() == expected()
    assert waits == []


def test_a_query_does_not_wait_for_a_batch_that_hangs() -> None:
    options = {"timeout_s": 5.0, "retry": Retry(attempts=1)}
    with ScriptedServer(["hang"]) as server, client(server, **options) as embedder:
        failures: list[ModelError] = []

        def batch() -> None:
            try:
                embedder.embed(TEXTS)
            except ModelError as error:
                failures.append(error)

        thread = threading.Thread(target=batch)
        thread.start()
        while not server.requests:
            time.sleep(0.001)
        assert embedder.embed(TEXTS).tolist() == expected()
        assert thread.is_alive()
        server.close()
        thread.join(10)
    assert len(failures) == 1


def test_nobody_listening_is_a_model_error() -> None:
    with ScriptedServer() as server:
        address = server.base_url
    embedder = OpenAIEmbedder(
        "tiny", base_url=address, dimensions=64, retry=Retry(attempts=2, sleep=Waits())
    )
    with pytest.raises(ModelError, match=r"2 times, found no answer \(ConnectionRefusedError\)"):
        embedder.embed(TEXTS)


@pytest.mark.parametrize("address", ["", "127.0.0.1:80/v1", "ftp://127.0.0.1/v1", "http:///v1"])
def test_an_address_must_be_one(address: str) -> None:
    with pytest.raises(ValueError, match="base_url must look like"):
        OpenAIEmbedder("tiny", base_url=address, dimensions=64)


def test_a_closed_server_leaves_no_thread_behind() -> None:
    before = threading.active_count()
    with ScriptedServer(["hang"]) as server, client(server, timeout_s=0.1) as embedder:
        embedder.embed(TEXTS)
    assert threading.active_count() == before


def test_no_texts_ask_nothing() -> None:
    with ScriptedServer() as server, client(server) as embedder:
        assert embedder.embed([]).dtype == np.float32
        assert server.requests == []

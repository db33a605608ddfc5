"""The chat client against a real server on 127.0.0.1 that misbehaves as scripted."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest

from holdfast.errors import ModelError
from holdfast.models.chat import OpenAIChat
from holdfast.models.endpoint import Endpoint, EndpointError
from holdfast.models.retry import Retry
from holdfast.models.scripted_chat import ChatReply, ScriptedChatServer
from holdfast.models.scripted_server import Reply

ASKED = [{"role": "user", "content": "where is the spare key?"}]
SCHEMA = {"type": "object", "properties": {}, "required": [], "additionalProperties": False}
KEY = "sk-7f3a9b"


class Waits(list[float]):
    """A sleep that only takes notes."""

    def __call__(self, seconds: float) -> None:
        self.append(seconds)


@contextmanager
def client(
    server: ScriptedChatServer, waits: Waits | None = None, **options: Any
) -> Iterator[OpenAIChat]:
    retry = Retry(attempts=3, sleep=waits if waits is not None else Waits(), rng=Random(1))
    with OpenAIChat("tiny", server.base_url, **{"retry": retry, **options}) as chat:
        yield chat


def test_sends_what_the_interface_asks_for_and_counts_what_it_cost() -> None:
    prices = {"price_in_per_mtok": 2.0, "price_out_per_mtok": 10.0}
    script = [ChatReply(text="under the blue pot", usage=(1000, 50), finish="length")]
    with ScriptedChatServer(script) as server, client(server, api_key=KEY, **prices) as chat:
        found = chat.complete(ASKED, SCHEMA, max_tokens=50)
        (request,) = server.requests
    assert (found.text, found.tokens_in, found.tokens_out) == ("under the blue pot", 1000, 50)
    assert found.cost == pytest.approx(0.002 + 0.0005)
    assert (found.cut, found.unanswered) == (True, 0)
    assert chat.name == "openai/tiny"
    assert request["path"] == "/v1/chat/completions"
    assert request["headers"]["authorization"] == f"Bearer {KEY}"
    assert request["body"] == {
        "model": "tiny",
        "messages": ASKED,
        "temperature": 0,
        "max_tokens": 50,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA},
        },
    }


def test_fields_can_be_named_and_added() -> None:
    options = {"limit_field": "max_completion_tokens", "options": {"seed": 7}}
    with ScriptedChatServer() as server, client(server, **options) as chat:
        chat.complete(ASKED, max_tokens=5)
        body = server.requests[0]["body"]
    assert body == {"model": "tiny", "messages": ASKED, "max_completion_tokens": 5, "seed": 7}


@pytest.mark.parametrize(
    ("formats", "asked"),
    [
        (("json_schema", "plain"), ["json_schema", "json_schema"]),
        (("json_object", "plain"), ["json_schema", "json_object", "json_object"]),
        (("plain",), ["json_schema", "json_object", None, None]),
    ],
)
def test_what_an_endpoint_cannot_is_tried_once_and_remembered(
    formats: tuple[str, ...], asked: list[str | None]
) -> None:
    with ScriptedChatServer(formats=formats) as server, client(server) as chat:
        for _ in range(2):
            assert chat.complete(ASKED, SCHEMA).text == "{}"
        sent = [r["body"].get("response_format", {"type": None})["type"] for r in server.requests]
    assert sent == asked


def test_a_request_that_is_bad_in_any_format_is_an_error_and_nothing_is_remembered() -> None:
    with ScriptedChatServer(["bad request"] * 3) as server, client(server) as chat:
        with pytest.raises(ModelError, match=r"status 400 \(bad_request\); check model"):
            chat.complete(ASKED, SCHEMA)
        chat.complete(ASKED, SCHEMA)
        assert server.requests[-1]["body"]["response_format"]["type"] == "json_schema"


@pytest.mark.parametrize(
    "behaviour", ["rate limited", "unavailable", "dropped", "cut off", "reset"]
)
def test_what_may_pass_is_tried_again_with_growing_waits(behaviour: Any) -> None:
    waits = Waits()
    with (
        ScriptedChatServer([Reply(behaviour)] * 2) as server,
        client(server, waits) as chat,
    ):
        found = chat.complete(ASKED)
        assert len(server.requests) == 3
    assert found.unanswered == (2 if behaviour in ("dropped", "cut off", "reset") else 0)
    assert 0.25 <= waits[0] <= 0.5 <= waits[1] <= 1.0


def test_retry_after_is_honoured() -> None:
    waits = Waits()
    script = [ChatReply("rate limited", retry_after="7"), ChatReply(text="now")]
    with ScriptedChatServer(script) as server, client(server, waits) as chat:
        assert chat.complete(ASKED).text == "now"
    assert waits == [7.0]


def test_attempts_end_and_the_error_says_how() -> None:
    with ScriptedChatServer(["unavailable", "reset", "unavailable"]) as server:
        with client(server) as chat, pytest.raises(EndpointError) as raised:
            chat.complete(ASKED)
        asked = f"asked {server.base_url}/chat/completions 3 times"
    assert str(raised.value) == (
        f"openai/tiny: {asked}, found status 500 (unavailable); try again later"
    )
    assert (raised.value.status, raised.value.unanswered) == (500, 1)


@pytest.mark.parametrize("behaviour", ["malformed", "not an object", "no data", "not text"])
def test_an_unusable_answer_is_refused_and_the_next_call_works(behaviour: Any) -> None:
    with ScriptedChatServer([Reply(behaviour)]) as server, client(server) as chat:
        with pytest.raises(EndpointError, match="no chat completion") as raised:
            chat.complete(ASKED)
        assert (raised.value.status, raised.value.unanswered) == (200, 1)
        assert chat.complete(ASKED).text == "{}"


@pytest.mark.parametrize("behaviour", ["hang", "drip", "drip headers"])
def test_silence_and_trickles_end_at_the_timeout(behaviour: Any) -> None:
    options = {"timeout_s": 0.15, "retry": Retry(attempts=1)}
    with ScriptedChatServer([Reply(behaviour)]) as server, client(server, **options) as chat:
        began = time.monotonic()
        with pytest.raises(EndpointError, match=r"no whole answer within 0\.15 s") as raised:
            chat.complete(ASKED)
        assert time.monotonic() - began < 1.0
        assert raised.value.unanswered == 1
        assert chat.complete(ASKED).text == "{}"


def test_a_whole_request_has_one_time_limit_on_a_kept_connection_too() -> None:
    options = {"timeout_s": 0.15, "retry": Retry(attempts=1)}
    with ScriptedChatServer(["ok", "drip headers"]) as server, client(server, **options) as chat:
        chat.complete(ASKED)
        began = time.monotonic()
        with pytest.raises(EndpointError, match="no whole answer"):
            chat.complete(ASKED)
        assert time.monotonic() - began < 1.0


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (rb'{"error": {"code": "a\u001bb"}}', " (a?b)"),
        (b'{"error": {"type": "kind"}}', " (kind)"),
        (b"<html>", ""),
        (b"[" * 100_000, ""),
        (b'{"error": "words that may quote"}', ""),
    ],
)
def test_only_the_code_of_an_error_is_shown(body: bytes, shown: str) -> None:
    endpoint = Endpoint("x", "http://h/v1", "/p", api_key=KEY, timeout_s=1.0, retry=None)
    assert endpoint.code(body) == shown


def test_an_answer_is_not_read_beyond_its_limit() -> None:
    options = {"max_answer_bytes": 100_000, "retry": Retry(attempts=1)}
    with (
        ScriptedChatServer(["huge"]) as server,
        client(server, **options) as chat,
        pytest.raises(EndpointError, match="larger than 100000 bytes"),
    ):
        chat.complete(ASKED)


def test_nobody_listening_cannot_be_billed() -> None:
    with ScriptedChatServer() as server:
        address = server.base_url
    chat = OpenAIChat("tiny", address, retry=Retry(attempts=2, sleep=Waits()))
    with pytest.raises(EndpointError, match=r"2 times, found no answer \(Conn") as raised:
        chat.complete(ASKED)
    assert (raised.value.status, raised.value.unanswered) == (None, 0)


def test_a_host_that_no_name_can_be_is_a_model_error() -> None:
    chat = OpenAIChat("tiny", f"http://{'a' * 70}.example/v1", retry=Retry(attempts=1))
    with pytest.raises(ModelError, match="no answer"):
        chat.complete(ASKED)


@pytest.mark.parametrize("usage", [None, (-1, 2**60)])
def test_unreported_tokens_are_taken_to_be_as_many_as_there_can_be(usage: Any) -> None:
    script = [ChatReply(text="é" * 10, usage=usage)]
    with ScriptedChatServer(script) as server, client(server) as chat:
        found = chat.complete(ASKED, max_tokens=15)
        most = chat.bound(ASKED, max_tokens=15)
    assert (found.tokens_in, found.tokens_out) == (most.tokens_in, 15)
    assert most.tokens_in >= len(ASKED[0]["content"])
    assert most.tokens == most.tokens_in + 15


def test_the_bound_counts_the_schema_and_the_price() -> None:
    chat = OpenAIChat(
        "tiny", "http://127.0.0.1:9/v1", price_in_per_mtok=1.0, price_out_per_mtok=1.0
    )
    plain, strict = chat.bound(ASKED, max_tokens=1), chat.bound(ASKED, SCHEMA, max_tokens=1)
    assert strict.tokens_in - plain.tokens_in == len(json.dumps(SCHEMA))
    assert strict.cost == pytest.approx(strict.tokens / 1e6)


def test_the_key_is_in_no_error_and_no_repr() -> None:
    script = [
        ChatReply("refused", code=f"bad key {KEY}"),
        ChatReply("rate limited", retry_after=f"{KEY}"),
        "malformed",
        "reset",
    ]
    seen = []
    with ScriptedChatServer(script) as server:
        options = {"api_key": KEY, "retry": Retry(attempts=1)}
        with client(server, **options) as chat:
            for _ in script:
                with pytest.raises(ModelError) as raised:
                    chat.complete(ASKED)
                seen += [str(raised.value), repr(raised.value), repr(raised.value.__cause__)]
            seen += [repr(chat), str(chat), repr(chat.complete(ASKED))]
        assert all(KEY not in json.dumps(request["body"]) for request in server.requests)
    assert "bad key ***" in seen[0]
    assert all(KEY not in text for text in seen)


@pytest.mark.parametrize("key", [f"{KEY}\n", f"{KEY}é"])
def test_a_key_that_no_header_may_hold_is_refused_unseen(key: str) -> None:
    with pytest.raises(ValueError, match="printable ASCII") as raised:
        OpenAIChat("tiny", "http://127.0.0.1:9/v1", api_key=key)
    assert KEY not in str(raised.value)


def test_a_password_in_the_address_is_not_shown() -> None:
    with pytest.raises(ValueError, match="base_url must look like") as raised:
        OpenAIChat("tiny", f"ftp://ana:{KEY}@127.0.0.1/v1")
    assert KEY not in str(raised.value)


@pytest.mark.parametrize("price", [-1.0, float("nan"), float("inf")])
def test_a_price_must_be_one(price: float) -> None:
    with pytest.raises(ValueError, match="prices are finite"):
        OpenAIChat("tiny", "http://127.0.0.1:9/v1", price_in_per_mtok=price)


def test_text_with_half_a_character_can_be_asked_about() -> None:
    asked = [{"role": "user", "content": "a \ud800 b"}]
    with ScriptedChatServer() as server, client(server) as chat:
        assert chat.complete(asked).text == "{}"
        assert server.requests[0]["body"]["messages"] == asked

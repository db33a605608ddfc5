"""Many events in: what was stored is told, sending again is safe, and a line is a line."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server needs the extra 'server'")
pytest.importorskip("prometheus_client", reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

import httpx
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request

from holdfast.server import bodies
from holdfast.wire.http import RefusedError

from serverlab import Lab

PATH = "/v1/memories/new/observe_many"


@pytest.fixture
def new(full: Lab) -> Lab:
    """A server with an empty memory, "new"."""
    full.client.put("/v1/memories/new", json={"budget": "4 MiB"})
    return full


def texts(lab: Lab) -> list[Any]:
    """The contents of all that is stored."""
    log = lab.client.get("/v1/memories/new/log", params={"limit": 10_000}).json()
    return [one["event"]["content"] for one in log]


def send(lab: Lab, body: str | bytes, **options: Any) -> httpx.Response:
    return lab.client.post(PATH, content=body, **options)


def lines(*events: Any) -> str:
    return "".join(json.dumps(one) + "\n" for one in events)


def test_lines_and_an_array_store_the_same(new: Lab) -> None:
    events = [{"content": "one", "speaker": "Ana", "metadata": {"a": 1}, "kind": "note"},
              {"content": {"base64": base64.b64encode(b"\0\xff").decode()}},
              {"content": "three", "at": "2026-03-01", "scope": "lab", "x": 5}]  # fmt: skip
    assert send(new, lines(*events)).json().get("events") == 3
    answer = new.client.post(PATH, json=[*events, "four"])
    assert answer.json() == {
        "events": 4, "duplicates": 0, "first": 4, "last": 7, "demoted": 0, "evicted": 0,
    }  # fmt: skip
    log = new.client.get("/v1/memories/new/log").json()
    first, second = [one["event"] for one in log[:3]], [one["event"] for one in log[3:6]]
    assert first == second or [one.pop("at") for one in (*first[:2], *second[:2])]
    assert first == second
    assert first[1]["content"] == {"base64": "AP8="}
    assert first[2]["metadata"] == {"x": 5}
    assert texts(new)[6] == "four"


def test_blank_lines_other_ends_and_no_last_end_are_fine(new: Lab) -> None:
    body = '\n\r\n{"content": "a"}\r\n   \n{"content": "b"}\n\n{"content": "c"}'
    assert send(new, body).json()["events"] == 3
    assert texts(new) == ["a", "b", "c"]
    assert send(new, "").json()["events"] == 0
    assert new.client.post(PATH, json=[]).json()["events"] == 0


@pytest.mark.parametrize(
    "bad",
    ["{", "5", "[]", '"text"', '{"content": ""}', '{"content": 5}', '{"content": "a", "at": "x"}',
     '{"content": "a", "kind": "nothing"}', "{} ", "\x00",
     '{"content": "a", "parents": ["x"]}', '{"content": "a", "pinned": 1}', '{"speaker": "CANARY"}',
     '{"content": "a", "scope": "' + "s" * 2000 + '"}', '{"content": NaN}', "CANARY", '["CANARY"]',
     '{"content": {"base64": "CANARY!"}}', '{"content": "CANARY", "metadata": 5}',
     '{"content": "a", "at": "CANARY"}', '{"content": "a", "kind": "x"}' + "[" * 100_000],
)  # fmt: skip
def test_a_bad_line_ends_it_and_the_answer_says_what_was_stored(new: Lab, bad: str) -> None:
    body = lines({"content": "one"}, {"content": "two"}) + bad + "\n" + lines({"content": "four"})
    answer = send(new, body)
    assert answer.status_code == 422, answer.text
    told = answer.json()
    assert told["title"] == "InvalidEventError"
    assert told["detail"].startswith("line 3 is no event: ")
    assert "CANARY" not in answer.text
    assert told["stored"]["events"] == 2
    assert texts(new) == ["one", "two"]


def test_a_bad_value_in_an_array_is_named_by_its_place(new: Lab) -> None:
    answer = new.client.post(PATH, json=["one", {"content": "two"}, None, "four"])
    told = answer.json()
    assert (answer.status_code, told["stored"]["events"]) == (422, 2)
    assert told["detail"].startswith("line 3 is no event: it is neither")
    for whole in ({"events": ["a"]}, "text", 5):
        assert new.client.post(PATH, json=whole).status_code == 422
    assert texts(new) == ["one", "two"]


def test_text_that_is_not_utf8_is_named_and_nothing_of_its_line_is_stored(new: Lab) -> None:
    answer = send(new, lines({"content": "one"}).encode() + b'{"content": "\xff"}\n')
    assert answer.json()["detail"] == "line 2 is no event: it is not UTF-8"
    assert texts(new) == ["one"]


def test_to_send_again_what_has_keys_stores_nothing_twice(new: Lab) -> None:
    events = [{"content": f"event {n}", "key": f"k{n}"} for n in range(300)]
    assert send(new, lines(*events[:200])).json()["duplicates"] == 0
    assert send(new, lines(*events)).json()["duplicates"] == 200
    assert texts(new) == [one["content"] for one in events]
    answer = send(new, lines({"content": "another", "key": "k5"}))
    assert (answer.status_code, answer.json()["title"]) == (409, "IdempotencyError")
    single = {"content": "event 5", "key": "k5"}
    receipts = [new.client.post("/v1/memories/new/observe", json=single).json() for _ in range(3)]
    assert receipts == [receipts[0]] * 3
    assert receipts[0]["seq"] == 6
    answer = new.client.post("/v1/memories/new/observe", json={**single, "content": "x"})
    assert (answer.status_code, answer.json()["title"]) == (409, "IdempotencyError")


def test_what_the_engine_refuses_is_told_with_no_more_than_was_stored(new: Lab) -> None:
    large = {"content": "L" * (3 << 20), "key": "large"}
    events = [{"content": f"{n} " + "word " * 500, "key": f"k{n}"} for n in range(900)]
    answer = send(new, lines(*events[:600], large, *events[600:]))
    told = answer.json()
    assert (answer.status_code, told["title"]) == (413, "EventTooLargeError")
    held = len(texts(new))
    assert 0 < told["stored"]["events"] <= held
    answer = send(new, lines(*events))
    assert answer.json()["events"] == 900
    assert answer.json()["duplicates"] == held  # so all that was stored is there once


def test_a_line_over_the_limit_tells_what_was_stored_before(new: Lab) -> None:
    def body() -> Iterator[bytes]:
        yield lines(*({"content": f"{n}"} for n in range(9000))).encode()
        for _ in range(26):
            yield b"x" * (1 << 20)

    answer = send(new, body())
    told = answer.json()
    assert (answer.status_code, told["stored"]["events"]) == (413, 9000)
    assert told["detail"].startswith("line 9001 has over")


def test_a_seat_stores_as_itself_and_stops_where_it_may_not(new: Lab) -> None:
    seat = new.key("write", principal="agent/bo")
    body = lines({"content": "mine"}, {"content": "not mine", "scope": "team"})
    answer = send(new, body, headers=seat)
    assert answer.status_code == 403
    assert answer.json()["stored"]["events"] <= len(texts(new)) <= 1
    assert send(new, lines({"content": "mine"}), headers=seat).json()["events"] == 1
    log = new.client.get("/v1/memories/new/log").json()
    assert {(one["event"]["speaker"], one["event"]["scope"]) for one in log} == {
        ("agent/bo", "agent/bo")
    }
    assert send(new, body, headers=new.key("read")).status_code == 403


# ---- cutting into lines ------------------------------------------------------------------------


def cut(chunks: list[bytes], batch_bytes: int) -> list[list[tuple[int, bytes]]]:
    """The batches of lines that come of a body in such pieces."""

    async def all_of() -> list[list[tuple[int, bytes]]]:
        messages = iter([
            *({"type": "http.request", "body": one, "more_body": True} for one in chunks),
            {"type": "http.request", "body": b"", "more_body": False},
        ])  # fmt: skip

        async def receive() -> Any:
            return next(messages)

        request = Request({"type": "http", "headers": [], "method": "POST"}, receive)
        found: AsyncIterator[Any] = bodies.lines(request, batch_bytes)
        return [batch async for batch in found]

    return asyncio.run(all_of())


@given(st.lists(st.binary(max_size=12).map(lambda b: b.replace(b"a", b"\n"))), st.integers(1, 999))
def test_lines_do_not_depend_on_the_pieces_they_come_in(chunks: list[bytes], size: int) -> None:
    body = b"".join(chunks)
    expected = body.split(b"\n")
    expected = expected if expected[-1] else expected[:-1]
    found = [line for batch in cut(chunks, size) for line in batch]
    assert found == list(enumerate(expected, 1))


def test_a_long_line_in_small_pieces_takes_linear_time_and_no_line_is_unbounded() -> None:
    pieces = [b"x" * 1024] * (12 << 10)  # 12 MiB; to join all anew at each would take a minute
    ((one,),) = cut(pieces, 1 << 20)
    assert one == (1, b"x" * (12 << 20))
    with pytest.raises(RefusedError, match="line 1 has over"):
        cut([b"x" * (1 << 20)] * 25, 1 << 20)


def test_many_empty_lines_come_in_bounded_batches() -> None:
    batches = cut([b"\n" * 50_000] * 20, 1 << 20)
    assert sum(map(len, batches)) == 1_000_000
    assert max(map(len, batches)) <= 100_000

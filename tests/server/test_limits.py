"""Requests that are odd, too large or too many are refused in one way, and cost little."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server needs the extra 'server'")
pytest.importorskip("prometheus_client", reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

import httpx

from holdfast.errors import OverloadedError
from holdfast.server import lanes
from holdfast.server.app import Limits
from holdfast.server.lanes import Lane

from serverlab import Bare, Lab

OBSERVE = "/v1/memories/ana/observe"


def problem(answer: httpx.Response, status: int) -> str:
    """The detail of an answer that must be a problem of this status."""
    assert answer.status_code == status, answer.text[:300]
    assert answer.headers["content-type"] == "application/problem+json"
    return str(answer.json()["detail"])


# ---- bodies ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status"),
    [(b"{", 422), (b"[]", 422), (b'"x"', 422), (b"null", 422), (b"\xff", 422), (b"\x00", 422),
     (b'{"content": NaN}', 422), (b'{"content": "a", "at": Infinity}', 422),
     (b'{"content": "a", "at": 1e999}', 422), (b'{"content": "a", "parents": [1e2]}', 200),
     (b'{"content": ' + b"9" * 5000 + b"}", 422), (b"", 422), (b"   ", 422),
     (b'{"content": "a", "content": "b"}', 200), (b'{"content": "a", "parents": [-1]}', 422),
     (b'{"content": "a", "seq": 5}', 422), (b'\xef\xbb\xbf{"content": "a"}', 200),
     (b'{"content": "\\ud800"}', 200), (b'{"content": "a", "metadata": {"\\ud800": 1}}', 200)],
)  # fmt: skip
def test_a_body_is_a_json_object_of_arguments(full: Lab, body: bytes, status: int) -> None:
    headers = {"content-type": "application/json"}
    answer = full.client.post(OBSERVE, content=body, headers=headers)
    if status == 200:
        assert answer.status_code == 200, answer.text
    else:
        problem(answer, status)


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "json",
                                  "multipart/form-data; boundary=x", "text/json"])  # fmt: skip
def test_a_body_that_is_not_said_to_be_json_is_refused(full: Lab, kind: str) -> None:
    answer = full.client.post(OBSERVE, content=b'{"content": "a"}', headers={"content-type": kind})
    assert "content-type: application/json" in problem(answer, 415)


@pytest.mark.parametrize("kind", ["application/json", "Application/JSON; charset=utf-8",
                                  "application/vnd.api+json"])  # fmt: skip
def test_a_body_that_is_said_to_be_json_is_taken(full: Lab, kind: str) -> None:
    answer = full.client.post(OBSERVE, content=b'{"content": "a"}', headers={"content-type": kind})
    assert answer.status_code == 200


@pytest.mark.parametrize("shape", ["[", '{"a":'])
def test_json_nested_without_end_is_refused(full: Lab, shape: str) -> None:
    deep = f'{{"name": "d", "value": {shape * 200_000}'
    headers = {"content-type": "application/json"}
    path = "/v1/memories/ana/put_document"
    problem(full.client.post(path, content=deep, headers=headers), 422)
    for depth in (100, 900, 5_000, 50_000):
        closed = {"[": "]", '{"a":': "}"}[shape]
        inner = shape * depth + "1" + closed * depth
        whole = f'{{"name": "d{depth}", "value": {inner}}}'
        answer = full.client.post(path, content=whole, headers=headers)
        assert answer.status_code in (200, 413, 422), (depth, answer.text[:200])
    assert full.client.get("/v1/memories/ana/documents").status_code == 200


def test_a_body_over_the_limit_is_refused_by_what_it_says_and_by_what_it_is(live: Any) -> None:
    client = live(Limits(body_bytes=10_000))
    large = b'{"content": "' + b"a" * 20_000 + b'"}'
    headers = {"content-type": "application/json"}
    assert "10000" in problem(client.post(OBSERVE, content=large, headers=headers), 413)

    def pieces() -> Any:
        for start in range(0, len(large), 1000):
            yield large[start : start + 1000]

    assert "10000" in problem(client.post(OBSERVE, content=pieces(), headers=headers), 413)
    assert client.post(OBSERVE, json={"content": "a" * 5000}).status_code == 200


@pytest.mark.parametrize(
    ("length", "sent"),
    [("99999999999", b"{}"), ("-5", b"{}"), ("2, 5", b"{}"), ("0x2", b"{}"), ("\xb2", b"{}"),
     ("5", b"{}"), ("1e3", b"{}")],
)  # fmt: skip
def test_lies_about_the_length_are_refused_or_waited_for_but_break_nothing(
    live: Any, length: str, sent: bytes
) -> None:
    client = live()
    authorization = client.headers["authorization"]
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=2) as raw:
        head = (
            f"POST {OBSERVE} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {authorization}\r\n"
            f"content-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        )
        raw.sendall(head.encode("latin-1") + sent)
        raw.settimeout(0.5)
        try:
            said = raw.recv(65536)
        except TimeoutError:
            said = b"HTTP/1.1 4 waits for the rest"
        assert said.startswith(b"HTTP/1.1 4"), said
    assert client.get("/v1/memories/ana/usage").status_code == 200


def test_an_event_as_large_as_an_event_may_be_is_taken_and_a_larger_one_named(full: Lab) -> None:
    full.client.put("/v1/memories/big", json={"budget": "1 MiB"})

    def observe(size: int) -> httpx.Response:
        return full.client.post("/v1/memories/big/observe", json={"content": "a" * size})

    said = problem(observe(1 << 20), 413)
    largest = int(said.split("limit of ")[1].split(";")[0])
    assert largest > 100_000
    assert problem(observe(largest + 1), 413).startswith(f"an event of {largest + 1} bytes")
    assert observe(largest).status_code == 200


# ---- paths and queries -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/memories/ana/nothing", 404), ("/v1/memories/ana/open", 404), ("/v1", 404),
     ("/v1/memories/ana/close", 404), ("/v1/memories/ana/fork", 404), ("/nowhere", 404),
     ("/v1/memories/nobody/usage", 404), ("/v1/memories/..%2fana/usage", 404),
     ("/v1/memories/%2e%2e/usage", 422), ("/v1/memories/ana%00/usage", 422),
     ("/v1/memories/ana%0a/usage", 422), ("/v1/memories/%F0%9F%92%A9/usage", 422),
     ("/v1/memories/ana%20/usage", 422), ("/v1/memories/%ff/usage", 422),
     ("/v1/memories/" + "a" * 65 + "/usage", 422), ("/v1/memories/ana/" + "a" * 9000, 404),
     ("/v1/memories/ana/__class__", 404), ("/v1/memories/ana/_store", 404),
     ("/v1/memories/ana/usage%00", 404), ("/v1/memories/ana/us%61ge", 200),
     ("/v1/memories/ana/usage/more", 404), ("/v1/memories//usage", 404)],
)  # fmt: skip
def test_odd_paths(full: Lab, path: str, status: int) -> None:
    answer = full.client.get(path, follow_redirects=False)
    assert answer.status_code == status, answer.text[:200]
    if status != 200:
        assert len(problem(answer, status)) < 300


@pytest.mark.parametrize("path", ["/v1/memories/", "/v1/memories/ana/usage/", "/healthz/"])
def test_a_slash_too_many_is_another_path(full: Lab, path: str) -> None:
    problem(full.client.get(path, follow_redirects=False), 404)
    assert full.client.get(path.rstrip("/")).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
def test_other_methods_are_405_with_those_that_are_taken(full: Lab, method: str) -> None:
    for path, takes in (("/v1/memories/ana/usage", "GET"), ("/healthz", "GET"),
                        ("/v1/memories/ana/observe_many", "POST")):  # fmt: skip
        answer = full.client.request(method, path)
        problem(answer, 405)
        assert takes in answer.headers["allow"]


@pytest.mark.parametrize(
    ("query", "status"),
    [("query=key", 200), ("query=a&query=b", 422), ("query=a&scope=lab&scope=team", 200),
     ("query=a&tokens=1&tokens=2", 422), ("query=a&nobody=1", 422), ("", 422),
     ("query=a&since=1700000000", 200), ("query=a&since=2026-03-01", 200),
     ("query=a&since=then", 422), ("query=a&since=nan", 422), ("query=a&since=1e400", 422),
     ("query=a&explain=true", 200), ("query=a&explain=perhaps", 422), ("query=%ff%fe", 200),
     ("query=" + "a" * 20_000, 200), ("query=a&tokens=-1", 422), ("query=a&limit=-1", 422),
     ("query=kelp+Ana&hops=999999999", 200), ("query=a&tokens=9223372036854775807", 200),
     ("query=a&before=-9223372036854775808", 200), ("query=a&tokens=0", 200),
     ("query=a&beliefs=-1", 200), ("query=a;tokens=5", 200), ("query=a&&&=", 422)],
)  # fmt: skip
def test_odd_queries(full: Lab, query: str, status: int) -> None:
    answer = full.client.get(f"/v1/memories/ana/recall?{query}")
    assert answer.status_code == status, answer.text[:200]


# ---- too much at once --------------------------------------------------------------------------


def test_a_lane_takes_so_many_and_refuses_the_next() -> None:
    async def scenario() -> list[str]:
        lane, go = Lane("read", 2, 3), threading.Event()
        calls = [asyncio.create_task(lane.run(lambda n=n: go.wait(5) and n)) for n in range(5)]
        await asyncio.sleep(0.05)
        assert lane.waiting == 3
        with pytest.raises(OverloadedError, match="try again in 1 s"):
            await lane.run(lambda: 9)
        patient = asyncio.create_task(lane.run(lambda: 9, patient=True))
        calls[0].cancel()  # who hangs up leaves its call behind, and its place taken
        await asyncio.sleep(0)
        assert lane.waiting == 4
        go.set()
        found = await asyncio.gather(*calls, patient, return_exceptions=True)
        lane.close()
        await asyncio.sleep(0)
        assert lane.waiting == lane._inside == 0
        with pytest.raises(RuntimeError):
            await lane.run(lambda: 1)
        assert lane._inside == 0
        return [str(one) or type(one).__name__ for one in found]

    assert asyncio.run(scenario()) == ["CancelledError", "1", "2", "3", "4", "9"]


def test_after_a_refusal_fewer_wait_until_it_has_been_calm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "_PAUSE_S", 0.01)
    monkeypatch.setattr(lanes, "_STRAINED_S", 0.3)

    async def fill(lane: Lane) -> int:
        """How many of twenty it takes at once."""
        go = threading.Event()
        calls = [asyncio.create_task(lane.run(lambda: go.wait(5))) for _ in range(20)]
        await asyncio.sleep(0.05)
        go.set()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in found} == {bool, OverloadedError}
        return found.count(True)

    async def scenario() -> list[int]:
        lane = Lane("read", 1, 6)
        first, strained = await fill(lane), await fill(lane)
        await asyncio.sleep(0.4)
        calm = await fill(lane)
        lane.close()
        return [first, strained, calm]

    assert asyncio.run(scenario()) == [7, 3, 7]


def test_the_more_are_refused_the_later_they_are_told_and_the_later_they_should_come() -> None:
    async def scenario() -> list[tuple[float, int]]:
        lane, go = Lane("read", 1, 0), threading.Event()
        taken = asyncio.create_task(lane.run(lambda: go.wait(20)))
        await asyncio.sleep(0.01)
        began, found = time.monotonic(), []

        async def refused() -> None:
            with pytest.raises(OverloadedError) as wrong:
                await lane.run(lambda: None)
            found.append((time.monotonic() - began, wrong.value.retry_after_s))

        await asyncio.gather(*(refused() for _ in range(600)))
        go.set()
        assert await taken
        lane.close()
        return found

    found = asyncio.run(scenario())
    assert {after for _, after in found} == {1, 2, 3}  # 600 at 250 a second
    for took, after in found:
        assert 0.74 * max(1, after - 1) <= took <= 1.25 * after + 0.5


class Slow(Bare):
    """A server whose slow lane is asked to wait."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.go, call = threading.Event(), self.service.call

        def waiting(caller: Any, memory: str, name: str, given: Any) -> Any:
            if name == "verify":
                self.go.wait(10)
            return call(caller, memory, name, given)

        self.service.call = waiting  # type: ignore[method-assign]


def test_a_full_lane_says_so_and_the_others_go_on(live: Callable[..., Any]) -> None:
    client = live(Limits(waiting=2), Slow)
    with ThreadPoolExecutor(8) as pool:
        began = [pool.submit(client.get, "/v1/memories/ana/verify") for _ in range(8)]
        time.sleep(1.6)  # a refusal takes a second
        refused = [one.result() for one in began if one.done()]
        assert len(refused) == 4
        for one in refused:
            assert "slow" in problem(one, 429)
            assert one.headers["retry-after"] == "1"
        assert client.get("/v1/memories/ana/recall?query=key").status_code == 200
        assert client.post(OBSERVE, json={"content": "still"}).status_code == 200
        text = client.get("/metrics").text
        assert 'holdfast_queue_depth{lane="slow"} 2.0' in text
        assert 'holdfast_rejected_total{reason="OverloadedError"} 4.0' in text
        client.server.go.set()
        assert sorted(one.result().status_code for one in began) == [200] * 4 + [429] * 4


def test_a_bulk_load_gives_its_place_back(full: Lab) -> None:
    body = "\n".join(json.dumps({"content": f"line {n}"}) for n in range(10))
    for _ in range(20):  # more than may be under way at once
        answer = full.client.post("/v1/memories/ana/observe_many", content=body)
        assert answer.json()["events"] == 10

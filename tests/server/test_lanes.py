"""Who asks for much keeps nobody else waiting: lanes by operation, places for streams, room."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server needs the extra 'server'")
pytest.importorskip("prometheus_client", reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

import httpx
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import OverloadedError
from holdfast.server import bodies, streams
from holdfast.server.app import Limits, Server
from holdfast.server.lanes import Lanes, Places
from holdfast.service.call import offered
from holdfast.service.callers import Caller
from holdfast.wire.http import RefusedError

from serverlab import Lab, lab

LIVE = Callable[..., Any]
OBSERVE = "/v1/memories/ana/observe"
MIB = 1 << 20

READ = """recall rank why_not log get episodes loss_totals beliefs history belief document documents
 document_history document_diff automaton automata automaton_history grants credit watch snapshots
 checkpoints usage"""
WRITE = """observe used_events believe retract put_document patch_document delete_document declare
 step grant withdraw promote used delete_snapshot"""


def test_every_operation_has_its_lane() -> None:
    expected = {**dict.fromkeys(READ.split(), "read"), **dict.fromkeys(WRITE.split(), "write")}
    lanes = Lanes()
    for operation in offered():
        assert lanes.of(operation).name == expected.pop(operation.name, "slow"), operation.name
    assert expected == {}


def test_closing_leaves_no_lane_open() -> None:
    async def scenario() -> None:
        lanes = Lanes()
        every = [getattr(lanes, name) for name in lanes.depths()]
        assert [lane.name for lane in every] == ["read", "write", "slow", "bulk", "watch", "about"]
        lanes.close()
        for lane in every:
            with pytest.raises(RuntimeError, match="after shutdown"):
                await lane.run(lambda: None, patient=True)

    asyncio.run(scenario())


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), max_size=40))
def test_places_are_bounded_and_shared(steps: list[tuple[str, bool]]) -> None:
    places, held = Places("watch", 4), {name: list[ExitStack]() for name in "abc"}
    for name, comes in steps:
        if not comes:
            if held[name]:
                held[name].pop().close()
            continue
        free = sum(map(len, held.values())) < 4 and len(held[name]) < 2
        stack = ExitStack()
        if free:
            stack.enter_context(places.taken(Caller(name)))
            held[name].append(stack)
        else:
            with pytest.raises(OverloadedError, match="try again in 5 s"):
                stack.enter_context(places.taken(Caller(name)))


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 120)), max_size=40))
def test_room_is_never_exceeded_and_comes_back(steps: list[tuple[int, int]]) -> None:
    room, sizes = bodies.Room(100), [0] * 6  # two bodies of each of three callers
    with ExitStack() as stack:
        holds = [stack.enter_context(room.share(f"caller {n // 2}")) for n in range(6)]
        for n, size in steps:
            wanted = [*sizes[:n], size, *sizes[n + 1 :]]
            pair = n // 2 * 2
            fits = sum(wanted) <= 100 and sum(wanted[pair : pair + 2]) <= 50
            if fits or size <= sizes[n]:
                holds[n](size)
                sizes = wanted
            else:
                with pytest.raises(RefusedError) as wrong:
                    holds[n](size)
                assert (wrong.value.status, wrong.value.headers["retry-after"]) == (429, "1")
    with room.share("another") as hold:
        hold(50)


# ---- bodies ------------------------------------------------------------------------------------


@contextmanager
def sending(client: httpx.Client, path: str, key: dict[str, str], head: str) -> Iterator[Any]:
    """A connection on which a request has begun, whose body is still to come."""
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=5) as raw:  # type: ignore[arg-type]
        raw.sendall(
            f"POST {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: {key['authorization']}\r\n"
            f"content-type: application/json\r\n{head}\r\n\r\n".encode()
        )
        yield raw


def test_a_body_without_the_right_for_it_is_not_read(live: LIVE) -> None:
    client = live()
    reader = {"authorization": f"Bearer {client.keys.create(may='read')[1]}"}
    other = {"authorization": f"Bearer {client.keys.create(may='write', memories=['x'])[1]}"}
    for key, path, status in (
        (reader, OBSERVE, 403), (other, OBSERVE, 404), (reader, "/v1/memories/ana/import", 403),
        (reader, "/v1/memories/ana/observe_many", 403), (reader, "/v1/memories/ana/erase", 403),
        (reader, "/v1/memories/ana/recall", 413),  # a question of that size
    ):  # fmt: skip
        with sending(client, path, key, f"content-length: {31 * MIB}") as raw:
            assert raw.recv(100).startswith(f"HTTP/1.1 {status} ".encode()), path


def test_a_body_that_does_not_come_is_given_up(live: LIVE, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "_SILENCE_S", 0.3)
    client = live()
    for path in (OBSERVE, "/v1/memories/ana/observe_many"):
        with sending(client, path, client.headers, "content-length: 500") as raw:
            raw.sendall(b'{"content": ')
            began = time.monotonic()
            assert raw.recv(100).startswith(b"HTTP/1.1 408 ")
            assert 0.2 < time.monotonic() - began < 3


def test_all_bodies_together_are_bounded(live: LIVE, monkeypatch: pytest.MonkeyPatch) -> None:
    room = bodies.Room(64 * MIB)
    monkeypatch.setattr(bodies, "Room", lambda: room)
    client = live()
    body = b'{"content": "' + b"a" * (20 * MIB)
    with ExitStack() as stack:
        begun = [
            stack.enter_context(
                sending(client, OBSERVE, client.headers, "content-length: 33554432")
            )
            for _ in range(3)
        ]
        answers = []
        with ThreadPoolExecutor(3) as pool:
            list(pool.map(lambda raw: raw.sendall(body), begun))
        for raw in begun:
            raw.settimeout(0.5)
            try:
                answers.append(raw.recv(100)[:12])
            except TimeoutError:
                answers.append(b"it waits")
        # One caller may have half of it: two bodies of 20 MiB are over that.
        assert sorted(answers) == [b"HTTP/1.1 429", b"HTTP/1.1 429", b"it waits"]
        other = {"authorization": f"Bearer {client.keys.create(may='write')[1]}"}
        assert client.post(OBSERVE, json={"content": "short"}, headers=other).status_code == 200
    for _ in range(50):
        if not room._held:
            return
        time.sleep(0.05)
    raise AssertionError("room that was held by who has gone did not come back")


@pytest.mark.parametrize("operation", ["belief", "promote", "used"])
def test_a_refusal_can_name_what_utf8_cannot_hold(full: Lab, operation: str) -> None:
    given = {"id": "\ud800", "to": "team", "query": "x"}
    takes = {"belief": ("id",), "promote": ("id", "to"), "used": ("id", "query")}[operation]
    body = json.dumps({name: given[name] for name in takes})
    headers = {"content-type": "application/json"}
    answer = full.client.post(f"/v1/memories/ana/{operation}", content=body, headers=headers)
    assert (answer.status_code, answer.json()["title"]) == (404, "NotFoundError")


# ---- under load --------------------------------------------------------------------------------


def test_loads_leave_the_slow_lane_to_others(live: LIVE, monkeypatch: pytest.MonkeyPatch) -> None:
    go, store = threading.Event(), streams.Streams._store

    def waiting(self: Any, *given: Any) -> Any:
        go.wait(20)
        return store(self, *given)

    monkeypatch.setattr(streams.Streams, "_store", waiting)
    client = live()
    keys = [{"authorization": f"Bearer {client.keys.create(may='write')[1]}"} for _ in range(2)]
    line = json.dumps({"content": "a line"})
    with ThreadPoolExecutor(12) as pool:
        path = "/v1/memories/ana/observe_many"
        loads = [
            pool.submit(client.post, path, content=line, headers=keys[n % 2]) for n in range(12)
        ]
        time.sleep(0.5)
        try:
            for operation, given in (("verify", {}), ("snapshot", {"name": "now"})):
                answer = client.post(f"/v1/memories/ana/{operation}", json=given)
                assert answer.status_code == 200, answer.text
            assert client.get("/v1/memories/ana/export").status_code == 200
        finally:
            go.set()
        assert {one.result().status_code for one in loads} == {200}


class Slow(Server):
    """A server with all of its parts whose recalls wait to be told to go on."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.go, call = threading.Event(), self.service.call

        def waiting(caller: Any, memory: str, name: str, given: Any) -> Any:
            if name == "recall":
                self.go.wait(20)
            return call(caller, memory, name, given)

        self.service.call = waiting  # type: ignore[method-assign]


@pytest.mark.filterwarnings("ignore")
def test_calls_over_mcp_wait_where_all_others_do(live: LIVE) -> None:
    pytest.importorskip("mcp", reason="the MCP SDK is not installed: holdfast[mcp]")
    client = live(Limits(waiting=3), Slow)
    call = {
        "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "recall", "arguments": {"query": "where is the key?"}},
    }  # fmt: skip
    headers = {
        "accept": "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25",
    }  # fmt: skip

    def ask() -> Any:
        answer = client.post("/mcp?memory=ana", json=call, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()["result"]

    with ThreadPoolExecutor(12) as pool:
        asked = [pool.submit(ask) for _ in range(12)]
        time.sleep(0.3)
        try:
            began = time.monotonic()
            assert 'holdfast_queue_depth{lane="read"} 3.0' in client.get("/metrics").text
            assert client.get("/openapi.json").status_code == 200
            assert client.post(OBSERVE, json={"content": "still"}).status_code == 200
            assert time.monotonic() - began < 5
        finally:
            time.sleep(1.5)
            client.server.go.set()
        found = [one.result() for one in asked]
    refused = [one["content"][0]["text"] for one in found if one.get("isError")]
    assert len(refused) == 8
    assert all("too busy" in one and "try again in" in one for one in refused)


@pytest.mark.filterwarnings("ignore")
def test_mcp_takes_posts_only_and_bounded_ones(live: LIVE) -> None:
    pytest.importorskip("mcp", reason="the MCP SDK is not installed: holdfast[mcp]")
    client = live(None, Server)
    for method in ("GET", "DELETE", "PUT"):
        answer = client.request(method, "/mcp", headers={"accept": "text/event-stream"})
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    reader = {"authorization": f"Bearer {client.keys.create(may='read')[1]}"}
    for key, size in ((reader, 2 * MIB), (client.headers, 33 * MIB)):
        with sending(client, "/mcp?memory=ana", key, f"content-length: {size}") as raw:
            assert raw.recv(100).startswith(b"HTTP/1.1 413 ")


@pytest.mark.filterwarnings("ignore")
def test_costly_pages_of_the_inspector_have_the_slow_lane(full: Lab) -> None:
    seen: list[str] = []

    class Noting(Server):
        """Says in which lane the inspector's pages are made."""

        def __post_init__(self) -> None:
            super().__post_init__()
            for lane in (self.lanes.read, self.lanes.slow):
                lane.run = partial(noting, lane.name, lane.run)  # type: ignore[method-assign]

    async def noting(name: str, run: Any, function: Any) -> Any:
        seen.append(name)
        return await run(function)

    with lab(full.folder, Noting) as found:
        for page in ("overview", "audit", "audit?verify=1"):
            path, _, query = page.partition("?")
            assert found.client.get(f"/m/ana/{path}.json?{query}").status_code == 200
    assert seen == ["read", "read", "slow"]

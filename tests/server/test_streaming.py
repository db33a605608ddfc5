"""Server-sent events: as they happen, from where one was, and nothing is held for who has gone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server needs the extra 'server'")
pytest.importorskip("prometheus_client", reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

import httpx
from starlette.requests import ClientDisconnect

from holdfast import Memory
from holdfast.server import answers, streams, watch
from holdfast.service.credentials import Credentials
from holdfast.service.keys import Keys
from holdfast.service.root import Root
from holdfast.state.records import Change
from holdfast.wire.plain import plain

from serverlab import Bare, Lab, serving

PATH = "/v1/memories/ana/watch"
LIVE = Callable[..., httpx.Client]


class Reader:
    """Reads the events of a stream, one after the other."""

    def __init__(self, answer: httpx.Response) -> None:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        self.lines = answer.iter_lines()

    def next(self) -> dict[str, str]:
        """The fields of the next event, comments left out."""
        found: dict[str, str] = {}
        for line in self.lines:
            if line.startswith(":"):
                continue
            if line:
                name, _, value = line.partition(": ")
                found[name] = value
            elif found:
                return found
        raise EOFError("the stream ended")


def say(client: httpx.Client, value: str) -> int:
    body = {"subject": "cup", "predicate": "colour", "value": value}
    return int(client.post("/v1/memories/ana/believe", json=body).json()["seq"])


def freed(client: Any) -> bool:
    """Whether nobody holds a memory within a second."""
    for _ in range(100):
        if not any(entry.users for entry in client.server.root._open.values()):
            return True
        time.sleep(0.01)
    return False


def test_changes_come_as_they_happen_and_a_client_goes_on_where_it_was(live: LIVE) -> None:
    client = live()
    last = client.get("/v1/memories/ana/changes").json()[-1]["seq"]
    with client.stream("GET", PATH, params={"after": last}) as answer:
        reader = Reader(answer)
        first = say(client, "red")
        event = reader.next()
        assert (event["id"], event["event"]) == (str(first), "change")
        change = json.loads(event["data"])
        assert (change["seq"], change["detail"]["value"]) == (first, "red")
    second = say(client, "blue")  # while nobody looks
    third = say(client, "green")
    headers = {"last-event-id": event["id"]}
    with client.stream("GET", PATH, params={"after": 0}, headers=headers) as answer:
        reader = Reader(answer)
        seen = [reader.next()["id"]]
        while seen[-1] != str(third):
            seen.append(reader.next()["id"])
    assert set(seen) == {str(second), str(third)}
    assert freed(client)


def test_all_of_the_past_is_what_changes_tells(live: LIVE) -> None:
    client = live()
    expected = client.get("/v1/memories/ana/changes").json()
    with client.stream("GET", PATH, params={"timeout_s": 0}) as answer:
        reader, found = Reader(answer), []
        for _ in expected:
            found.append(json.loads(reader.next()["data"]))
        with pytest.raises(EOFError):
            reader.next()
    assert found == expected
    assert freed(client)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_it_ends_after_so_many(live: LIVE, most: int) -> None:
    client = live()
    assert len(client.get("/v1/memories/ana/changes").json()) > 5
    with client.stream("GET", PATH, params={"limit": most}) as answer:
        reader = Reader(answer)
        for _ in range(most):
            assert reader.next()["event"] == "change"
        with pytest.raises(EOFError):
            reader.next()


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "9" * 30, "\xb2"])
def test_an_id_that_is_none_is_passed_over_or_refused(full: Lab, last: str) -> None:
    headers = {"last-event-id": last.encode("latin-1")}
    answer = full.client.get(PATH, params={"timeout_s": 0}, headers=headers)
    assert answer.status_code == (422 if len(last) > 20 else 200)


@pytest.mark.parametrize("query", ["after=x", "nobody=1", "timeout_s=nan", "after=1&after=2"])
def test_arguments_that_do_not_fit_are_refused_before_it_begins(full: Lab, query: str) -> None:
    answer = full.client.get(f"{PATH}?{query}")
    assert answer.status_code == 422
    assert not any(one.users for one in full.server.root._open.values())


def test_who_only_listens_is_told_that_it_is_still_there(
    live: LIVE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_HEARTBEAT_S", 0.3)
    client = live()
    with client.stream("GET", PATH, params={"after": 10**6}) as answer:
        lines = answer.iter_lines()
        heard = [line for _, line in zip(range(5), lines, strict=False) if line]
    assert heard == [": watching", ": still here", ": still here"]


def test_who_is_gone_holds_nothing_and_the_place_is_free(live: LIVE) -> None:
    client = live()
    for _ in range(3):
        with client.stream("GET", PATH, params={"after": 10**6}) as answer:
            Reader(answer)
        assert freed(client)
    with client.stream("GET", "/v1/memories/ana/export") as answer:
        assert answer.status_code == 200  # and goes without reading it
    assert freed(client)


def test_a_right_that_is_withdrawn_ends_the_stream_and_says_so(live: LIVE) -> None:
    client: Any = live()
    token = client.keys.create(may="read", principal="agent/bo")[1]
    bo = {"authorization": f"Bearer {token}"}
    with client.stream("GET", PATH, params={"scope": "team", "after": 10**6}, headers=bo) as answer:
        reader = Reader(answer)
        body = {"principal": "agent/bo", "right": "read", "scope": "team"}
        client.post("/v1/memories/ana/withdraw", json=body)
        event = reader.next()
        assert event["event"] == "problem"
        assert json.loads(event["data"])["status"] == 403
        with pytest.raises(EOFError):
            reader.next()
    answer = client.get(PATH, params={"scope": "team"}, headers=bo)
    assert answer.status_code == 403
    assert freed(client)


def test_more_watchers_than_there_may_be_are_refused(
    live: LIVE, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "_MOST_WATCHERS", 4)
    client: Any = live()
    others = [
        {"authorization": f"Bearer {client.keys.create(may='read')[1]}"} for _ in range(3)
    ]  # fmt: skip
    with client.stream("GET", PATH), client.stream("GET", PATH):
        refused = client.get(PATH)  # one caller has half of the places
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "5")
        with (
            client.stream("GET", PATH, headers=others[0]) as third,
            client.stream("GET", PATH, headers=others[1]) as fourth,
        ):
            assert (third.status_code, fourth.status_code) == (200, 200)
            assert client.get(PATH, headers=others[2]).status_code == 429
    for _ in range(5):  # who has gone has left his place
        time.sleep(0.2)
        with client.stream("GET", PATH) as answer:
            assert answer.status_code == 200


def test_watchers_keep_nobody_from_other_memories(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        Memory.open(tmp_path / f"{name}.holdfast", "1 MiB").close()
    keys = Keys(tmp_path)
    owner = {"authorization": f"Bearer {keys.create(may='govern')[1]}"}
    reader = {"authorization": f"Bearer {keys.create(may='read')[1]}"}
    server = Bare(Root(tmp_path, most_open=2), Credentials(keys))
    body = {"subject": "cup", "predicate": "colour", "value": "red"}
    with (
        serving(server) as address,
        httpx.Client(base_url=address, timeout=20) as client,
        client.stream("GET", "/v1/memories/one/watch", headers=reader) as one,
        client.stream("GET", "/v1/memories/two/watch", headers=reader),
    ):
        events = Reader(one)
        began = time.monotonic()
        for _ in range(10):
            answer = client.get("/v1/memories/three/usage", headers=owner)
            assert answer.status_code == 200, answer.text
        assert time.monotonic() - began < 1.0  # and it need not be opened each time
        said = client.post("/v1/memories/one/believe", json=body, headers=owner)
        assert events.next()["id"] == str(said.json()["seq"])


def test_watchers_of_memories_that_nobody_uses_do_not_open_them_again(tmp_path: Path) -> None:
    opened: list[str] = []

    class Counting(Root):
        @contextmanager
        def hold(self, name: str) -> Iterator[Memory]:
            opened.append(name)
            with super().hold(name) as memory:
                yield memory

    for name in ("one", "two"):
        Memory.open(tmp_path / f"{name}.holdfast", "1 MiB").close()
    keys = Keys(tmp_path)
    reader = {"authorization": f"Bearer {keys.create(may='read')[1]}"}
    server = Bare(Counting(tmp_path, most_open=1), Credentials(keys))
    with (
        serving(server) as address,
        httpx.Client(base_url=address, timeout=20) as client,
        client.stream("GET", "/v1/memories/one/watch", headers=reader),
        client.stream("GET", "/v1/memories/two/watch", headers=reader),
    ):
        time.sleep(0.5)
        opened.clear()
        time.sleep(1.0)
    assert opened == []


@pytest.mark.parametrize("how", ["revoked", "expired"])
def test_a_key_that_is_good_no_more_ends_the_stream(
    live: LIVE, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr(watch, "_HEARTBEAT_S", 0.5)
    client: Any = live()
    key, token = client.keys.create(may="read", ttl_s=1.5 if how == "expired" else None)
    reader = {"authorization": f"Bearer {token}"}
    with client.stream("GET", PATH, params={"after": 10**6}, headers=reader) as answer:
        events = Reader(answer)
        if how == "revoked":
            client.keys.revoke(key.id)
            say(client, "secret")
        event = events.next()  # of its own accord where nothing happens
        assert (event["event"], json.loads(event["data"])["status"]) == ("problem", 401)
        assert "secret" not in event["data"]
        with pytest.raises(EOFError):
            events.next()


def test_an_export_ends_with_its_key(live: LIVE, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "_PAGE", 2)
    client: Any = live()
    key, token = client.keys.create(may="read")
    reader = {"authorization": f"Bearer {token}"}
    whole = client.get("/v1/memories/ana/export", headers=reader).text.splitlines()
    assert whole == client.get("/v1/memories/ana/export").text.splitlines()
    assert len(whole) > 10
    server, page = client.server, streams.Streams._page

    def last(self: Any, caller: Any, memory: str, after: int) -> Any:
        if after:
            client.keys.revoke(key.id)
        return page(self, caller, memory, after)

    monkeypatch.setattr(streams.Streams, "_page", last)
    with client.stream("GET", "/v1/memories/ana/export", headers=reader) as answer:
        lines = answer.iter_lines()
        first = [next(lines) for _ in range(4)]
        assert first == whole[:4]
        with pytest.raises(httpx.RemoteProtocolError):
            list(lines)
    assert not any(one.users for one in server.root._open.values())


def test_streams_end_when_the_server_stops(live: LIVE) -> None:
    client: Any = live()
    with client.stream("GET", PATH, params={"after": 10**6}) as answer:
        reader = Reader(answer)
        threading.Timer(0.3, client.server.stop).start()
        began = time.monotonic()
        with pytest.raises(EOFError):
            reader.next()
        assert time.monotonic() - began < 3
    assert client.get("/v1/memories").status_code == 503
    assert client.get("/readyz").status_code == 503
    assert client.get("/healthz").status_code == 200


# ---- pieces ---------------------------------------------------------------------------------


def test_a_stream_that_never_began_gives_back_what_it_holds() -> None:
    over = []

    async def body() -> Any:
        yield b"never"

    async def send(_: Any) -> None:
        raise OSError("the connection is gone")

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def scenario() -> None:
        response = answers.Stream(body(), lambda: over.append(1))
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET"}
        with pytest.raises(ClientDisconnect):
            await response(scope, receive, send)

    asyncio.run(scenario())
    assert over == [1]


def test_who_stops_reading_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "_SENDING_S", 0.05)
    over = []

    async def body() -> Any:
        yield b"first"

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            await asyncio.sleep(60)

    async def receive() -> Any:
        await asyncio.sleep(60)

    async def scenario() -> None:
        response = answers.Stream(body(), lambda: over.append(1))
        scope = {"type": "http", "asgi": {"spec_version": "2.3"}, "method": "GET"}
        with pytest.raises(TimeoutError):
            await response(scope, receive, send)

    asyncio.run(scenario())
    assert over == [1]


def fields(told: bytes) -> list[list[str]]:
    """The names of the fields of each event."""
    return [
        [line.split(": ")[0] for line in one.split("\n")]
        for one in told.decode().removesuffix("\n\n").split("\n\n")
    ]


def test_a_change_is_one_event_whatever_it_holds() -> None:
    change = Change(5, 0, 1.0, "add", "b5.0", detail={"value": "a\nid: 9\n\nevent: x\r\u2028"})
    told = watch.sent([change], 0, 1)
    assert fields(told) == [["id", "event", "data"]]
    data = told.decode().split("\n")[2].removeprefix("data: ")
    assert json.loads(data) == plain(change)


def test_only_the_last_change_of_an_event_says_where_to_go_on() -> None:
    changes = [Change(seq, n, 1.0, "add", f"b{seq}.{n}") for seq, n in
               ((5, 0), (5, 1), (6, 0), (7, 0), (7, 1), (7, 2))]  # fmt: skip
    ids = [each[0] == "id" for each in fields(watch.sent(changes, 0, 6))]
    assert ids == [False, True, True, False, False, True]
    # Nor does one that was cut off in the middle of its event, by a limit or by a piece's end.
    assert fields(watch.sent(changes, 0, 1))[0][0] == "event"
    assert fields(watch.sent(changes, 3, 5))[1][0] == "event"
    assert fields(watch.sent(changes, 1, 2))[0][0] == "id"


def test_a_stamp_changes_with_every_write_and_with_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.holdfast"
    memory, seen = Memory.open(path, "1 MiB"), set()
    for n in range(3):
        memory.observe(f"event {n}")
        assert watch.stamp_of(path) is None  # another write could come within the same tick
        time.sleep(0.15)
        seen.add(watch.stamp_of(path))
        list(memory.log())
        memory.changes()
        assert watch.stamp_of(path) in seen
    assert len(seen) == 3
    assert None not in seen
    memory.close()
    time.sleep(0.15)
    closed = watch.stamp_of(path)
    with Memory.open(path) as again:
        list(again.log())
        assert watch.stamp_of(path) == closed
    assert watch.stamp_of(path) == closed
    assert watch.stamp_of(tmp_path / "none.holdfast") == ()

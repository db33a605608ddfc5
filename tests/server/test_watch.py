"""Server-sent events: as they happen, from where one was, and nothing is held for who has gone."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server needs the extra 'server'")
pytest.importorskip("prometheus_client", reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

import httpx
from serverlab import Lab
from starlette.requests import ClientDisconnect

from holdfast.server import streams
from holdfast.state.records import Change
from holdfast.wire.plain import plain

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


def test_it_ends_after_so_many(live: LIVE) -> None:
    with live().stream("GET", PATH, params={"limit": 1}) as answer:
        reader = Reader(answer)
        reader.next()
        assert list(reader.lines)[-1] == ""


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
    monkeypatch.setattr(streams, "_HEARTBEAT_S", 0.3)
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
    monkeypatch.setattr(streams, "_MOST_WATCHERS", 2)
    client = live()
    with client.stream("GET", PATH), client.stream("GET", PATH):
        answer = client.get(PATH)
        assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")
    assert freed(client)
    with client.stream("GET", PATH) as answer:
        assert answer.status_code == 200


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


# ---- what is held ------------------------------------------------------------------------------


def test_a_hold_is_given_back_once_the_call_that_runs_has_ended() -> None:
    hold, closed = streams.Hold(), []
    with hold.use() as entered:
        entered.callback(closed.append, 1)
    with hold.use():
        hold.release()
        hold.release()
        assert closed == []
    assert closed == [1]
    with pytest.raises(OSError, match="nobody reads"), hold.use():
        pass
    hold.release()
    assert closed == [1]


def test_a_stream_that_never_began_gives_back_what_it_holds() -> None:
    over = []

    async def body() -> Any:
        yield b"never"

    async def send(_: Any) -> None:
        raise OSError("the connection is gone")

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    async def scenario() -> None:
        response = streams.Held(body(), lambda: over.append(1))
        scope = {"type": "http", "asgi": {"spec_version": "2.4"}, "method": "GET"}
        with pytest.raises(ClientDisconnect):
            await response(scope, receive, send)

    asyncio.run(scenario())
    assert over == [1]


def test_a_change_is_one_event_whatever_it_holds() -> None:
    change = Change(5, 0, 1.0, "add", "b5.0", detail={"value": "a\nid: 9\n\nevent: x\r\u2028"})
    (*fields, end, rest) = streams.sent(change).decode().split("\n")
    assert (end, rest) == ("", "")
    assert [one.split(": ")[0] for one in fields] == ["id", "event", "data"]
    assert json.loads(fields[2].removeprefix("data: ")) == plain(change)

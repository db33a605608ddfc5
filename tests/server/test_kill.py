"""A server that is killed at any moment, or told to stop, has lost nothing that it acknowledged."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the server needs the extra 'server'")


from holdfast import Memory

KILLS = int(os.environ.get("HOLDFAST_KILLS", "5"))
WRITERS = 4
START_S = 60.0


@contextmanager
def process(folder: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A server of the command line over a folder, and its port."""
    run = "from holdfast.cli import main; main()"
    command = [sys.executable, "-c", run, "serve", "--root", str(folder), "--port", "0"]
    # Its errors go where ours go: a pipe that nobody reads would stop it.
    started = subprocess.Popen([*command, "--json"], stdout=subprocess.PIPE, text=True)
    try:
        assert started.stdout is not None
        line = started.stdout.readline()
        assert line, "the server did not start"
        port = int(json.loads(line)["address"].rpartition(":")[2])
        wait_until_it_answers(port)
        yield started, port
    finally:
        started.kill()
        started.wait(20)
        if started.stdout is not None:
            started.stdout.close()


def wait_until_it_answers(port: int) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        try:
            if ask(port, "GET", "/readyz")[0] == 200:
                return
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the server does not answer")


def ask(port: int, method: str, path: str, body: object = None) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        return send(connection, method, path, body)
    finally:
        connection.close()


def send(
    connection: http.client.HTTPConnection, method: str, path: str, body: object = None
) -> tuple[int, bytes]:
    data = None if body is None else json.dumps(body).encode()
    connection.request(method, path, data, {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


class Writer(threading.Thread):
    """Writes one event after the other until the server is gone; the last may be in doubt."""

    def __init__(self, name: str, port: int, first: str | None) -> None:
        super().__init__(name=name)
        self.port, self.doubtful = port, first
        self.acknowledged: list[str] = []
        self.refused: list[int] = []

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            for n in range(100_000):
                text = self.doubtful or f"{self.name} {n}"
                self.doubtful = text
                event = {"content": text, "key": text}
                status, _ = send(connection, "POST", "/v1/memories/ana/observe", event)
                if status == 503:
                    self.doubtful = None  # refused, so not stored
                    return
                if status != 200:
                    self.refused.append(status)
                    return
                self.acknowledged.append(text)
                self.doubtful = None
        except (OSError, http.client.HTTPException):
            pass  # it is gone
        finally:
            connection.close()


def stored(folder: Path) -> Counter[str]:
    """How often each event is in the log."""
    with Memory.open(folder / "ana.holdfast") as memory:
        assert memory.verify().ok
        return Counter(one.event.text for one in memory.log())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Memory.open(tmp_path / "ana.holdfast", "64 MiB").close()
    return tmp_path


def test_kill_9_under_load_loses_nothing_acknowledged(folder: Path) -> None:
    rng = random.Random(20)
    acknowledged: list[str] = []
    doubtful: list[str | None] = [None] * WRITERS
    kept = 0
    for kill in range(KILLS):
        with process(folder) as (server, port):
            writers = [Writer(f"w{n} k{kill}", port, doubtful[n]) for n in range(WRITERS)]
            for writer in writers:
                writer.start()
            time.sleep(rng.uniform(0.05, 1.0))
            server.kill()
            for writer in writers:
                writer.join(30)
                assert not writer.is_alive()
        assert [writer.refused for writer in writers] == [[]] * WRITERS
        for writer in writers:
            acknowledged += writer.acknowledged
        doubtful = [writer.doubtful for writer in writers]
        found = stored(folder)
        lost = [text for text in acknowledged if found[text] != 1]
        assert not lost, f"kill {kill}: {len(lost)} of {len(acknowledged)}, first {lost[0]!r}"
        assert set(found) - set(acknowledged) <= set(doubtful)
        kept += sum(text in found for text in doubtful if text)
    print(f"{KILLS} kills: {len(acknowledged)} acknowledged, 0 lost, {kept} stored unacknowledged")
    assert len(acknowledged) >= KILLS


def test_a_stop_under_load_answers_what_has_begun_and_loses_nothing(folder: Path) -> None:
    with process(folder) as (server, port):
        writers = [Writer(f"w{n}", port, None) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(0.7)
        server.send_signal(signal.SIGTERM)
        for writer in writers:
            writer.join(30)
        assert server.wait(30) == 0
    found = stored(folder)
    texts = [text for writer in writers for text in writer.acknowledged]
    assert len(texts) >= WRITERS
    assert [found[text] for text in texts] == [1] * len(texts)
    # A connection that was closed while idle may have carried one more request that nobody read.
    assert sum(found.values()) - len(texts) <= 0


def test_what_was_sent_in_bulk_and_acknowledged_survives_a_kill(folder: Path) -> None:
    body = "".join(json.dumps({"content": f"line {n}", "key": str(n)}) + "\n" for n in range(2000))
    for _ in range(2):
        with process(folder) as (server, port):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
            headers = {"content-type": "application/x-ndjson"}
            connection.request("POST", "/v1/memories/ana/observe_many", body.encode(), headers)
            answer = connection.getresponse()
            told = json.loads(answer.read())
            server.kill()
            connection.close()
        assert told["events"] == 2000
        assert stored(folder) == Counter(f"line {n}" for n in range(2000))
    assert told["duplicates"] == 2000

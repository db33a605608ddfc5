"""The load benchmark measures what it says, of a real server, in one run."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("uvicorn", reason="the server needs the extra 'server'")


from holdfast.bench.load import Load, run
from holdfast.bench.report import to_json
from holdfast.bench.server import run as measure
from holdfast.bench.server import tables


def test_a_run_has_every_cell_and_an_overload(tmp_path: Path) -> None:
    result = measure(
        directory=tmp_path, events=300, budget="4 MiB", seconds=0.3, repeats=1, connections=(1, 2)
    )
    cells = [(row["operation"], row["connections"]) for row in result["results"]]
    assert cells == [("recall", 1), ("recall", 2), ("observe", 1), ("observe", 2)]
    for row in result["results"]:
        assert row["server_per_s"] > 5
        assert row["ratio"] == round(row["server_per_s"] / row["engine_per_s"], 3)
        assert 0 < row["server_ms"]["p50"] <= row["server_ms"]["p99"]
    overload = result["overload"]
    assert overload["connections"] == 20
    assert overload["other_statuses"] == overload["without_retry_after"] == 0
    assert overload["accepted_per_s"] > 5
    assert overload["rss_bytes"] > 20 << 20
    assert json.loads(to_json(result)) == result
    assert [table.row_count for table in tables(result)] == [4, len(overload)]
    assert list(tmp_path.iterdir()) == []


class _Answers(BaseHTTPRequestHandler):
    """Accepts every second request; one refusal in two says when to come back."""

    protocol_version = "HTTP/1.1"
    seen: list[bytes]

    def do_POST(self) -> None:  # its base names it so
        self.seen.append(self.rfile.read(int(self.headers["content-length"])))
        number = len(self.seen)
        self.send_response(200 if number % 2 else 429)
        if number % 4 == 0:
            self.send_header("Retry-After", "1")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


def test_the_client_counts_what_is_accepted_and_what_is_refused() -> None:
    _Answers.seen = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _Answers) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        found = run(Load(server.server_port, "/x", ['{"n": 1}', '{"n": 2}'], 1, 0.3))
        server.shutdown()
        thread.join()
    statuses = found["statuses"]
    assert statuses["200"] + statuses["429"] == len(_Answers.seen)
    assert abs(statuses["200"] - statuses["429"]) <= 1
    assert found["without_retry_after"] == pytest.approx(statuses["429"] / 2, abs=1)
    assert found["per_s"] == pytest.approx(statuses["200"] / 0.3, rel=0.2)
    assert set(_Answers.seen) == {b'{"n": 1}', b'{"n": 2}'}
    assert found["accepted_ms"]["p99"] >= found["accepted_ms"]["p50"] > 0

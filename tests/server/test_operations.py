"""Every operation over HTTP does and says what the method does and returns."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from holdfast import Memory
from holdfast.errors import HoldfastError
from holdfast.operations import BY_NAME
from holdfast.server.answers import status_of
from holdfast.service.call import offered
from holdfast.wire.arguments import PAGE, arguments, pages
from holdfast.wire.plain import plain

from fullworld import CALLS, copy_to, options
from serverlab import Lab, lab

STREAMED = ("observe_many", "watch", "export", "import")
# Salts of new events are drawn at random, so what hashes them differs between two copies.
RANDOM = {"root", "leaf", "leaves", "path", "signature", "note"}


def told(value: Any) -> Any:
    """A result as JSON brings it, without what no two copies have in common."""

    def clean(one: Any) -> Any:
        if isinstance(one, dict):
            return {name: clean(each) for name, each in one.items() if name not in RANDOM}
        return [clean(each) for each in one] if isinstance(one, list) else one

    return clean(json.loads(json.dumps(plain(value))))


def direct(memory: Memory, name: str, given: dict[str, Any]) -> tuple[int, Any]:
    """The status and the body that a call should be answered with."""
    operation = BY_NAME[name]
    try:
        filled = arguments(operation, given)
        limit = filled.pop(PAGE, 1000) if pages(operation) else None
        result = getattr(memory, operation.method)(**filled)
        return 200, told(list(islice(result, limit)) if isinstance(result, Iterator) else result)
    except HoldfastError as failure:
        return status_of(failure), {"title": type(failure).__name__, "detail": str(failure)}


def over_http(lab: Lab, name: str, given: dict[str, Any]) -> tuple[int, Any]:
    answer = lab.client.post(f"/v1/memories/ana/{name}", json=given)
    if answer.status_code == 200:
        assert answer.headers["content-type"] == "application/json"
        return 200, told(answer.json())
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert (body["status"], body["type"]) == (answer.status_code, "about:blank")
    return answer.status_code, {name: body[name] for name in ("title", "detail")}


def test_every_operation_over_http_is_the_direct_call(tmp_path: Path) -> None:
    served, beside = tmp_path / "served", tmp_path / "beside"
    served.mkdir()
    copy_to(served)
    shutil.copytree(served, beside)
    seen = set()
    with lab(served) as there, Memory.open(beside / "ana.holdfast", **options()) as memory:
        for name, given in CALLS:
            if name in STREAMED:
                continue
            expected = direct(memory, name, given)
            assert over_http(there, name, given) == expected, name
            seen.add((name, expected[0]))
    assert {name for name, status in seen if status == 200} == {
        one.name for one in offered() if one.name not in STREAMED
    }
    assert {status for _, status in seen} >= {200, 404, 409}


def test_reads_may_be_asked_in_the_query_of_a_get(full: Lab) -> None:
    for name, given in CALLS:
        if BY_NAME[name].effect != "read" or name in STREAMED:
            continue
        path = f"/v1/memories/ana/{name}"
        by_post = full.client.post(path, json=given)
        by_get = full.client.get(path, params={k: _text(v) for k, v in given.items()})
        assert by_get.status_code == by_post.status_code, (name, by_get.text)
        if by_get.status_code == 200:
            assert by_get.json() == by_post.json(), name
        head = full.client.head(path, params={k: _text(v) for k, v in given.items()})
        assert (head.status_code, head.content) == (by_get.status_code, b"")


def _text(value: Any) -> Any:
    return str(value).lower() if isinstance(value, bool) else value


def test_writes_are_no_gets(full: Lab) -> None:
    before = full.client.get("/v1/memories/ana/state_hash").json()
    for operation in offered():
        if operation.effect != "read":
            answer = full.client.get(f"/v1/memories/ana/{operation.name}")
            assert (answer.status_code, answer.headers["allow"]) == (405, "POST"), operation.name
    assert full.client.get("/v1/memories/ana/state_hash").json() == before


def test_what_streams_takes_no_other_method(full: Lab) -> None:
    for name in ("export", "watch"):
        answer = full.client.post(f"/v1/memories/ana/{name}", json={})
        assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
        head = full.client.head(f"/v1/memories/ana/{name}")
        assert (head.status_code, head.content) == (200, b"")
    assert not any(one.users for one in full.server.root._open.values())


def test_memories_are_made_named_and_resized(full: Lab) -> None:
    put = full.client.put
    first = put("/v1/memories/bo", json={"budget": "1 MiB"})
    assert (first.status_code, first.json()) == (201, {"name": "bo", "budget": "1 MiB"})
    assert put("/v1/memories/bo", json={"budget": 2 << 20}).status_code == 200
    assert full.client.get("/v1/memories").json() == {"memories": ["ana", "bo"]}
    assert full.client.get("/v1/memories/bo/usage").json()["budget"] == 2 << 20
    for body in ({}, {"budget": None}, {"budget": True}, {"budget": 1.5}, {"budget": []},
                 {"budget": "1 MiB", "more": 1}, [], "1 MiB"):  # fmt: skip
        assert put("/v1/memories/cy", json=body).status_code == 422, body
    for budget in ("1 KiB", 0, -1, "much", "", 10**40, 1 << 60, "9999999 TiB"):
        assert put("/v1/memories/cy", json={"budget": budget}).status_code == 422, budget
    assert put("/v1/memories/bo", json={"budget": "1 KiB"}).status_code == 422
    assert full.client.get("/v1/memories").json() == {"memories": ["ana", "bo"]}


def test_an_export_is_that_of_the_method_and_imports_again(full: Lab, tmp_path: Path) -> None:
    answer = full.client.get("/v1/memories/ana/export")
    assert answer.headers["content-type"] == "application/x-ndjson"
    lines = answer.text.splitlines()
    log = full.client.get("/v1/memories/ana/log", params={"limit": 10_000}).json()
    assert [json.loads(line)["seq"] for line in lines] == [one["seq"] for one in log]

    full.client.put("/v1/memories/copy", json={"budget": "4 MiB"})
    whole = [line for line in lines if json.loads(line)["tier"] == "verbatim"]
    text = "\n".join(line for line in whole if '"state"' not in line)
    answer = full.client.post("/v1/memories/copy/import", content=text.encode())
    assert answer.status_code == 200, answer.text
    count = answer.json()["events"]
    assert count == len(text.splitlines()) > 20
    again = full.client.get("/v1/memories/copy/log", params={"limit": 10_000}).json()
    kept = {one["seq"]: one["event"]["content"] for one in log}
    assert [one["event"]["content"] for one in again] == [
        kept[json.loads(line)["seq"]] for line in text.splitlines()
    ]


@pytest.mark.parametrize("bad", ["{", "[]", '{"content": ""}', '{"content": 5}', "\xff"])
def test_an_import_with_a_bad_line_stores_nothing(full: Lab, bad: str) -> None:
    full.client.put("/v1/memories/copy", json={"budget": "1 MiB"})
    line = '{"content": "fine", "kind": "message"}'
    body = f"{line}\n{bad}\n{line}\n".encode("latin-1")
    answer = full.client.post("/v1/memories/copy/import", content=body)
    assert answer.status_code == 422, answer.text
    assert "2" in answer.json()["detail"]
    assert full.client.get("/v1/memories/copy/log").json() == []


def test_a_seat_neither_exports_nor_imports(full: Lab) -> None:
    seat = full.key("govern", principal="agent/bo")
    assert full.client.get("/v1/memories/ana/export", headers=seat).status_code == 403
    answer = full.client.post("/v1/memories/ana/import", headers=seat, content=b"")
    assert answer.status_code == 403
    assert full.client.get("/v1/memories/ana/export?lossless=true").status_code == 422
    assert not any(one.users for one in full.server.root._open.values())

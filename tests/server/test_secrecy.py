"""What is sent and stored shows up where it was asked for, and in no error, log, metric or span."""

from __future__ import annotations

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the server needs the extra 'server'")
pytest.importorskip("prometheus_client", reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from holdfast.operations import BY_NAME
from holdfast.server.tracing import convention, tracing
from holdfast.service.call import Service, offered
from holdfast.service.callers import OWNER, Caller
from holdfast.service.credentials import Credentials
from holdfast.service.keys import Keys
from holdfast.service.root import Root

from fullworld import OVEN, copy_to, options
from serverlab import HERE, Bare, Lab, lab

CANARY = "canary-7f3a"
# Each is refused, or fails, with the canary in whatever is content.
REFUSED: tuple[tuple[str, dict[str, Any]], ...] = (
    ("observe", {"content": CANARY, "kind": "nothing"}),
    ("observe", {"content": CANARY, "at": 1e300}),
    ("observe", {"content": CANARY, "metadata": {CANARY: CANARY * 6000}}),
    ("observe", {"content": {"base64": CANARY + "!"}}),
    ("observe", {"content": [CANARY]}),
    ("observe", {"content": CANARY * 30_000}),
    ("observe", {"content": CANARY, "speaker": "s" * 5000}),
    ("observe_many", {"events": [CANARY]}),
    ("recall", {"query": CANARY, "tokens": CANARY}),
    ("recall", {"query": [CANARY]}),
    ("recall", {"query": CANARY, "scope": []}),
    ("rank", {"query": CANARY, "limit": {CANARY: 1}}),
    ("why_not", {"seq": CANARY, "query": CANARY}),
    ("forgotten", {"query": CANARY, "since": [CANARY]}),
    ("believe", {"subject": "a", "predicate": "b", "value": CANARY, "confidence": 5}),
    ("believe", {"subject": "a", "predicate": "b", "value": CANARY, "kind": "x"}),
    ("believe", {"subject": "a", "predicate": "b", "value": CANARY, "trust": "x"}),
    ("believe", {"subject": "", "predicate": "", "value": CANARY}),
    ("retract", {"subject": "a", "predicate": "b", "value": [CANARY]}),
    ("put_document", {"name": "desk", "value": {CANARY: CANARY}, "expect": 99}),
    ("put_document", {"name": "", "value": CANARY}),
    ("patch_document", {"name": "desk", "patch": [{"op": CANARY, "path": "/x"}]}),
    ("patch_document", {"name": "a", "patch": [{"op": "test", "path": "/b", "value": CANARY}]}),
    ("patch_document", {"name": "desk", "patch": CANARY}),
    ("declare", {"automaton": {**OVEN, "states": CANARY}}),
    ("used", {"id": "b999.0", "query": CANARY}),
    ("used_events", {"events": [CANARY]}),
)  # fmt: skip


@pytest.mark.parametrize(("name", "given_"), REFUSED, ids=lambda one: str(one)[:40])
def test_content_is_in_no_refusal_log_or_metric(
    full: Lab, caplog: pytest.LogCaptureFixture, name: str, given_: dict[str, Any]
) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = full.client.post(f"/v1/memories/ana/{name}", json=given_)
    assert 400 <= answer.status_code < 500, answer.text
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)
    assert not [one for one in caplog.records if one.name.startswith("holdfast")]
    assert CANARY not in full.client.get("/metrics").text


class Broken(Bare):
    """A server with a fault of its own, whose exception quotes what it was given."""

    def __post_init__(self) -> None:
        super().__post_init__()

        def fail(caller: Any, memory: str, name: str, given_: Any) -> Any:
            raise RuntimeError(f"{memory} {given_!r}")

        self.service.call = fail  # type: ignore[method-assign]


def test_a_fault_of_ours_is_told_without_trace_or_content(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy_to(tmp_path)
    with lab(tmp_path, Broken) as found, caplog.at_level(logging.DEBUG):
        answer = found.client.post("/v1/memories/ana/recall", json={"query": CANARY})
        assert answer.status_code == 500
        assert answer.json() == {
            "type": "about:blank", "title": "InternalError", "status": 500,
            "detail": "something broke here; the server's log says what",
        }  # fmt: skip
    (logged,) = [one for one in caplog.records if one.levelno >= logging.ERROR]
    text = logging.Formatter().format(logged)
    assert "RuntimeError" in text
    assert "/v1/memories/{memory}/{operation}" in text
    assert "in fail" in text  # where it happened
    assert CANARY not in text
    assert "ana" not in text.replace("/{memory}", "")


# ---- metrics -----------------------------------------------------------------------------------


def families(lab: Lab) -> dict[str, Any]:
    text = lab.client.get("/metrics").text
    return {one.name: one for one in text_string_to_metric_families(text)}


def test_metrics_tell_of_calls_bytes_events_and_queues(full: Lab) -> None:
    client = full.client
    client.post("/v1/memories/ana/observe", json={"content": "a"})
    client.post("/v1/memories/ana/observe_many", json=["a", "b"])
    for _ in range(3):
        client.get("/v1/memories/ana/recall?query=key")
    client.get("/v1/memories/ana/get?seq=999999")
    client.get("/v1/memories", headers={"authorization": "Bearer x"})
    usage = client.get("/v1/memories/ana/usage").json()
    found = families(full)

    def value(name: str, sample: str = "", **labels: str) -> float:
        (one,) = [
            one for one in found[name].samples
            if one.name == (sample or name) and one.labels == labels
        ]  # fmt: skip
        return float(one.value)

    assert value("holdfast_recall_seconds", "holdfast_recall_seconds_count") == 3
    assert value("holdfast_append_seconds", "holdfast_append_seconds_count") == 2
    count = "holdfast_operation_seconds_count"
    assert value("holdfast_operation_seconds", count, operation="get") == 1
    assert value("holdfast_failed", "holdfast_failed_total", operation="get",
                 error="NotFoundError") == 1  # fmt: skip
    assert value("holdfast_rejected", "holdfast_rejected_total", reason="CredentialError") == 1
    assert value("holdfast_budget_bytes", kind="limit") == usage["budget"]
    assert value("holdfast_budget_bytes", kind="used") == usage["disk"]
    assert value("holdfast_events", tier="verbatim") == usage["events"]["verbatim"]
    assert value("holdfast_memories_open") == 1
    assert value("holdfast_log_tree_size") == sum(usage["events"].values())
    assert value("holdfast_queue_depth", lane="read") == 0


def test_labels_do_not_grow_with_what_is_asked(full: Lab) -> None:
    client = full.client
    for name in ("ana", "nobody", "x" * 70, "..", "a%00"):
        for operation in ("usage", "nothing", "erase", CANARY):
            client.post(f"/v1/memories/{name}/{operation}", json={"x": 1})
            client.get(f"/v1/memories/{name}/{operation}?query={CANARY}")
    for n in range(30):
        client.post("/v1/memories/ana/observe", json={"content": "a", "scope": f"{CANARY}/{n}"})
        client.get("/v1/memories", headers={"authorization": f"Bearer hf_{n}_x"})
        client.get(f"/v1/{n}")
    samples = [one for family in families(full).values() for one in family.samples]
    known = {one.name for one in offered()}
    for one in samples:
        assert set(one.labels) <= {"operation", "error", "reason", "kind", "tier", "lane", "le"}
        assert one.labels.get("operation", "usage") in known
        assert re.fullmatch(r"[A-Za-z]+Error", one.labels.get("error", "AnError"))
    assert len(samples) < 500


# ---- spans -------------------------------------------------------------------------------------


@contextlib.contextmanager
def spans(folder: Path, *, content: bool = False) -> Iterator[tuple[Service, Any]]:
    """A service whose spans are kept, and where."""
    sdk = pytest.importorskip("opentelemetry.sdk.trace", reason="spans are kept by the SDK")
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter, provider = InMemorySpanExporter(), sdk.TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    copy_to(folder)
    service = Service(
        Root(folder, options=options()), [tracing(content=content, provider=provider)]
    )
    yield service, exporter.get_finished_spans
    service.close()


def test_a_call_is_a_span_named_by_the_conventions_and_without_content(tmp_path: Path) -> None:
    with spans(tmp_path) as (service, finished):
        service.call(OWNER, "ana", "recall", {"query": CANARY})
        service.call(OWNER, "ana", "observe", {"content": CANARY, "metadata": {"x": CANARY}})
        reader = Caller("x", "read", ("*",))
        wrong = {"query": CANARY, "tokens": CANARY}
        for caller, name, given_ in (
            (OWNER, "get", {"seq": 10**6}),
            (reader, "erase", {}),
            (OWNER, "recall", wrong),
        ):
            with pytest.raises(Exception, match=r"event|may only|tokens"):
                service.call(caller, "ana", name, given_)
        with pytest.raises(Exception, match="a memory's name"):
            service.call(OWNER, "x" * 500, "usage", {})
        found = finished()
    told = [(one.name, one.attributes.get("error.type"), one.status.status_code.name)
            for one in found]  # fmt: skip
    assert told == [
        ("search_memory", None, "UNSET"),
        ("create_memory", None, "UNSET"),
        ("search_memory", "NotFoundError", "ERROR"),
        ("delete_memory", "AccessError", "ERROR"),
        ("search_memory", "ArgumentsError", "ERROR"),
        ("search_memory", "ArgumentsError", "ERROR"),
    ]
    for one in found:
        assert one.kind.name == "INTERNAL"
        assert one.attributes["gen_ai.operation.name"] == one.name
        assert one.attributes["gen_ai.memory.store.id"] in ("ana", "x" * 64)
        assert one.attributes["holdfast.operation"] in BY_NAME
        assert one.events == ()
        assert CANARY not in one.to_json()


def test_the_query_is_in_a_span_only_when_that_is_asked_for(tmp_path: Path) -> None:
    with spans(tmp_path, content=True) as (service, finished):
        service.call(OWNER, "ana", "recall", {"query": CANARY})
        service.call(OWNER, "ana", "observe", {"content": CANARY})
        first, second = finished()
    assert first.attributes["gen_ai.memory.query.text"] == CANARY
    assert CANARY not in second.to_json()


@given(st.sampled_from(offered()))
def test_every_operation_has_a_name_of_the_conventions(operation: Any) -> None:
    assert convention(operation) in {
        "search_memory", "create_memory", "update_memory", "delete_memory",
    }  # fmt: skip


# ---- the whole server --------------------------------------------------------------------------


def test_health_tells_a_folder_that_has_gone(tmp_path: Path) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    server = Bare(Root(folder), Credentials(Keys(folder), open=True))
    with TestClient(server.app(), base_url=HERE) as client:
        assert client.get("/readyz").status_code == 200
        folder.rename(tmp_path / "moved")
        answer = client.get("/readyz")
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert client.get("/healthz").status_code == 200

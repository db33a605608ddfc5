"""What pages tell of a whole memory: counts of one look, parts of the budget, bounds, costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the inspector needs the extra 'server'")
pytest.importorskip("jinja2", reason="the inspector needs the extra 'server'")
pytest.importorskip("pydantic", reason="the inspector needs the extra 'server'")
pytest.importorskip("httpx", reason="the test client needs httpx")

from house import application, on_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.testclient import TestClient

from holdfast import Memory
from holdfast.inspector.journal import Journal
from holdfast.service.callers import OWNER, Caller

CHEAP = (
    "overview", "overview?measure=", "log?contains=kettle", "log/4208", "beliefs?query=lives",
    "recall?query=kettle", "forgetting", "forgetting?action=evicted", "access", "audit",
)  # fmt: skip
COSTLY = (
    "overview?measure=1", "forgetting?advise=0.9", "forgetting?query=kettle", "audit?prove=4208",
    "audit?verify=1", "audit.json?verify=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a memory in which much rests on few events."""
    folder = tmp_path_factory.mktemp("crowded")
    with Memory.open(folder / "crowd.holdfast", "8 MiB", durability="off") as memory:
        seq = memory.observe("A hundred and thirty people came.", scope="team").seq
        for n in range(130):
            memory.believe(f"person {n}", "came", "yes", scope="team", evidence=[seq])
        for n in range(130):
            memory.believe("the bell", "rang", f"{n} times", scope="bells", by="Bo")
        told = memory.observe("The gate is green.", scope="team").seq
        memory.believe("the gate", "is", "green", scope="team", evidence=[told])
        memory.grant("agent/bo", "read", "team")
        for n in range(210):
            memory.revoke(f"source {n}")
    return folder


@pytest.fixture
def crowd(crowded: Path) -> Iterator[TestClient]:
    with TestClient(application(crowded)) as made:
        yield made


def test_what_reads_all_of_a_memory_is_run_apart(furnished: Path) -> None:
    apart: list[str] = []

    async def run(
        request: Request, function: Callable[[], Response], costly: bool = False
    ) -> Response:
        if costly:
            apart.append(request.url.path.split("/")[-1] + "?" + request.url.query)
        return await on_thread(request, function)

    with TestClient(application(furnished, run=run)) as client:
        for path in CHEAP:
            assert client.get(f"/m/ana/{path}").status_code == 200
        assert apart == []
        for path in COSTLY:
            assert client.get(f"/m/ana/{path}").status_code == 200
        assert apart == list(COSTLY)


def test_the_parts_of_the_budget_are_those_of_the_store(client: Any) -> None:
    page = client.get("/m/ana/live.json").json()
    parts = {one["name"]: one["nbytes"] for one in page["parts"]}
    with client.app.state.service.root.hold("ana") as memory:
        capacity = memory._store.capacity()
    usage = page["usage"]
    assert parts["wal"] + parts["reserved"] == usage["budget"] - capacity == 294_912
    assert parts["free"] == usage["free"]
    assert min(parts.values()) >= 0
    assert parts["pages"] > 0
    pages = [one for name, one in parts.items() if name not in ("free", "wal", "reserved")]
    assert sum(pages) % 4096 == 0
    assert sum(pages) + parts["free"] == capacity
    text = client.get("/m/ana/overview").text
    assert "288.0 KiB of this budget stay apart" in text
    assert "unused" not in text


def test_all_counts_are_of_one_look(client: Any) -> None:
    page = client.get("/m/ana/overview.json").json()
    events = page["usage"]["events"]
    assert page["kept"] == events["verbatim"] + events["gist"] + events["trace"]
    assert page["seen"] == sum(events.values())
    now = client.get("/m/ana/live.json").json()  # what the page is brought up to date with
    assert (now["kept"], now["seen"]) == (page["kept"], page["seen"])


def test_what_was_kept_and_what_was_found_are_told_apart(furnished: Path) -> None:
    with TestClient(application(furnished)) as client:
        text = client.get("/m/ana/overview?measure=1").text
    assert "Kept verbatim</h2>" in text
    assert ">Fidelity<" not in text
    assert "an event comes back within 1,000 tokens in" in text
    assert "What one-word questions find within 1,000 tokens" in text


def test_calls_through_the_server_are_counted(tmp_path: Path) -> None:
    Memory.open(tmp_path / "bo.holdfast", "1 MiB").close()
    with TestClient(application(tmp_path)) as client:
        service = client.app.state.service  # type: ignore[attr-defined]
        for n in range(7):
            service.call(OWNER, "bo", "observe", {"content": f"Note {n}."})
        service.call(OWNER, "bo", "recall", {"query": "note"})
        rates = client.get("/m/bo/live.json").json()["rates"]
        assert (rates["writes_per_minute"], rates["recalls_per_minute"]) == (7.0, 1.0)
        assert '<span data-live-text="writes">7</span>' in client.get("/m/bo/overview").text


def test_a_look_that_was_made_tells_what_the_next_one_takes(furnished: Path) -> None:
    with TestClient(application(furnished)) as client:
        before = client.get("/m/ana/audit.json").json()
        assert before["verify_s"] == pytest.approx(1e-4 * before["kept"])
        assert "it takes about a second; writers wait" in client.get("/m/ana/audit").text
        found = client.get("/m/ana/audit.json?verify=1").json()
        assert found["verify_s"] == found["verified"]["took_s"] > 0
        assert client.get("/m/ana/overview.json").json()["verify_s"] == found["verify_s"]


def test_the_list_tells_of_open_memories_and_opens_none(furnished: Path) -> None:
    with TestClient(application(furnished)) as client:
        root = client.app.state.service.root  # type: ignore[attr-defined]
        listed = {one["name"]: one for one in client.get("/index.json").json()["memories"]}
        assert list(root.opened()) == []
        assert [one["open"] for one in listed.values()] == [None] * 3
        files = [furnished / f"ana.holdfast{ending}" for ending in ("", "-wal", "-shm")]
        assert listed["ana"]["disk"] == sum(one.stat().st_size for one in files if one.exists())
        assert "KiB on disk, not open now" in client.get("/").text
        usage = client.get("/m/ana/live.json").json()
        one = client.get("/index.json").json()["memories"][0]
        assert [name for name, _ in root.opened()] == ["ana"]
        newest = client.get("/m/ana/log.json?count=1").json()["events"][0]["at"]
    assert one["disk"] == usage["usage"]["disk"]
    assert one["open"] == {
        "budget": usage["usage"]["budget"], "events": usage["kept"], "newest": newest,
    }  # fmt: skip


def test_an_empty_folder_says_how_to_fill_it(tmp_path: Path) -> None:
    with TestClient(application(tmp_path)) as client:
        text = client.get("/").text
        assert "holdfast observe FOLDER/ana.holdfast" in text
        assert "ADDRESS/v1/memories/ana" in text
    with TestClient(application(tmp_path, Caller("bo", "read", ("*",)))) as client:
        assert "none that this key may read" in client.get("/").text


def test_what_rests_on_an_event_is_bounded(crowd: TestClient) -> None:
    page = crowd.get("/m/crowd/log/1.json").json()
    assert len(page["beliefs"]) == 100
    assert page["more"] is True
    assert "These are 100 of them; there are more." in crowd.get("/m/crowd/log/1").text
    few = crowd.get("/m/crowd/log/262.json").json()
    assert few["more"] is False
    assert [one["subject"] for one in few["beliefs"]] == ["the gate"]
    began = crowd.get("/m/crowd/log/2.json").json()["beliefs"]
    assert [one["subject"] for one in began] == ["person 0"]


def test_versions_of_a_belief_are_bounded(crowd: TestClient) -> None:
    now, *_ = crowd.get("/m/crowd/beliefs.json?subject=the+bell").json()["beliefs"]
    page = crowd.get(f"/m/crowd/beliefs/{now['id']}.json").json()
    assert (len(page["versions"]), page["older"], page["newer"]) == (100, 30, 0)
    assert page["versions"][-1]["belief"]["value"] == "129 times"
    assert page["versions"][0]["diff"]  # against the one that is not shown
    text = crowd.get(f"/m/crowd/beliefs/{now['id']}").text
    assert "30 older and 0 newer are not shown" in text
    first = page["versions"][0]["replaces"]
    back = crowd.get(f"/m/crowd/beliefs/{first}.json").json()
    assert first in [one["belief"]["id"] for one in back["versions"]]
    assert back["older"] + len(back["versions"]) + back["newer"] == 130


def test_receipts_are_bounded(crowd: TestClient) -> None:
    page = crowd.get("/m/crowd/audit.json").json()
    assert len(page["receipts"]) == 200
    assert page["receipts_more"] is True
    assert page["receipts"][0]["detail"]["op"] == "revoke"
    assert "These are the newest 200; there are more." in crowd.get("/m/crowd/audit").text


@pytest.mark.parametrize("who", ["", "agent/bo", "agent/nobody"])
@pytest.mark.parametrize("most", [1, 7, 10_000])
def test_the_journal_tells_what_changes_tells(crowded: Path, who: str, most: int) -> None:
    with Memory.open(crowded / "crowd.holdfast") as memory:
        at = memory.seat(who) if who else memory
        every = [one for one in reversed(at.changes()) if one.action != "gap"]
        moments, more = Journal(at).moments(most)
        assert moments == [one.at for one in every[:most]]
        assert more is (len(every) > most)
        added = [one for one in every if one.action in ("add", "grant")]
        assert Journal(at).receipts({"add", "grant"}, most) == (added[:most], len(added) > most)
        beliefs = at.beliefs(status="all", limit=10_000)
        for seq in (1, 2, 200, 300):
            resting = {
                one.id for one in beliefs
                if one.id.startswith(f"b{seq}.") or seq in [e.seq for e in one.evidence]
            }  # fmt: skip
            found, more = Journal(at).resting_on(seq, most)
            assert {one.id for one in found} <= resting
            assert (len(found), more) == (min(most, len(resting)), len(resting) > most)

"""Every page without a browser: it parses, its twin has all it shows, and nothing gets out."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="the inspector needs the extra 'server'")
pytest.importorskip("jinja2", reason="the inspector needs the extra 'server'")
pytest.importorskip("pydantic", reason="the inspector needs the extra 'server'")
pytest.importorskip("httpx", reason="the test client needs httpx")

from house import OWNER, PAYLOADS, START, application
from starlette.testclient import TestClient

from holdfast.inspector.app import HEADERS
from holdfast.inspector.assets import FILES, Assets
from holdfast.inspector.render import Renderer
from holdfast.inspector.words import visible
from holdfast.service.callers import Caller

TEMPLATES = Path(__file__).parents[2] / "src/holdfast/inspector/templates"
STATIC = TEMPLATES.parent / "static"
PAGES = {
    "/": "memories.html",
    "/m/ana/overview": "overview.html",
    "/m/ana/log": "log.html",
    "/m/ana/log?seq=4200": "log.html",
    "/m/ana/log?contains=kettle&order=oldest": "log.html",
    "/m/ana/log?scope=team/garden&speaker=Ana&tier=trace&kind=message": "log.html",
    "/m/ana/log/4208": "event.html",
    "/m/ana/beliefs?status=all": "beliefs.html",
    "/m/ana/beliefs?query=lives&as_of=2026-01-20": "beliefs.html",
    "/m/ana/recall": "recall.html",
    "/m/ana/recall?query=where+is+the+spare+key&seq=4000": "recall.html",
    "/m/ana/forgetting": "forgetting.html",
    "/m/ana/forgetting?advise=0.9&query=kettle&action=evicted": "forgetting.html",
    "/m/ana/access": "access.html",
    "/m/ana/audit": "audit.html",
    "/m/ana/audit?prove=4208": "audit.html",
}
EMPTY = [f"/m/empty/{name}" for name in
         ("overview", "log", "beliefs", "recall", "forgetting", "access", "audit")]  # fmt: skip
ENTRANCES = {  # for who has not signed in
    "/": "",
    "/m/ana/log": "?next=/m/ana/log",
    "/m/ana/log?speaker=Ana&tier=gist": "?next=/m/ana/log%3Fspeaker%3DAna%26tier%3Dgist",
    "/m/ana/beliefs/b4210.0": "?next=/m/ana/beliefs/b4210.0",
    "/m/ana/log?contains=%20%26": "?next=/m/ana/log%3Fcontains%3D%2520%2526",
    "/m/ana/log?contains=" + "a" * 3000: "",
}
VOID = frozenset(("br", "hr", "img", "input", "link", "meta"))


class Strict(HTMLParser):
    """Refuses what does not nest, and what the policy of the pages would not run."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.text: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), f"<{tag}> has an attribute twice"
        assert not [name for name in given if name.startswith("on") or name == "style"], (
            tag,
            attrs,
        )
        assert tag != "style"
        assert tag != "script" or (given.get("src") or "").startswith("/static/")
        self.ids += [given["id"] or ""] if "id" in given else []
        self.links += [given[name] or "" for name in ("href", "src", "action") if name in given]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open, f"</{tag}> closes nothing"
        assert self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def parsed(body: str) -> Strict:
    """The page, which has to nest."""
    found = Strict()
    found.feed(body)
    found.close()
    assert not found.open
    assert len(set(found.ids)) == len(found.ids)
    return found


def twin_of(path: str) -> str:
    """Where the twin of a page is."""
    before, mark, query = path.partition("?")
    return ("/index" if before == "/" else before) + ".json" + mark + query


@pytest.mark.parametrize("path", [*PAGES, *EMPTY])
def test_a_page_parses_links_only_here_and_has_its_headers(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    assert answer.headers["cache-control"] == "no-store"
    page = parsed(answer.text)
    assert all(re.match(r"/(?!/)|#", link) for link in page.links), page.links
    assert twin_of(path) in [link.replace("&amp;", "&") for link in page.links]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_is_its_twin_rendered(client: Any, path: str) -> None:
    data = client.get(twin_of(path)).json()
    name = path.partition("?")[0].split("/")[3] if path != "/" else ""
    tabs = [("overview", "o"), ("log", "l"), ("beliefs", "b"), ("recall", "r")]
    tabs += [("forgetting", "f"), ("access", "a"), ("audit", "u")]
    around: dict[str, Any] = {
        "memory": "ana" if name else "", "name": name, "caller": OWNER.name, "whole": True,
        "twin": twin_of(path), "signed_in": False,
        "tabs": [{"name": tab, "title": tab.capitalize(), "key": key} for tab, key in tabs]
                if name else [],
    }  # fmt: skip
    rendered = Renderer(Assets()).page(PAGES[path], data, **around).decode()
    assert rendered == client.get(path).text


def test_the_log_is_windowed_filtered_and_linked(client: Any) -> None:
    page = client.get("/m/ana/log.json?count=5").json()
    newest = client.get("/m/ana/log.json?count=5&order=oldest&offset=0").json()
    assert page["total"] == newest["total"] > 3000
    assert [one["seq"] for one in page["events"]] == sorted(
        (one["seq"] for one in page["events"]), reverse=True
    )
    assert newest["events"][0]["seq"] < 10
    assert page["events"][0]["text"] == "The last event."
    second = client.get(f"/m/ana/log.json?count=5&offset={page['after']}").json()
    assert second["events"][0]["seq"] < page["events"][-1]["seq"]
    walked = client.get("/m/ana/log.json?count=200&tier=gist&scope=team/yard&speaker=Bo").json()
    assert walked["events"]
    for one in walked["events"]:
        assert (one["tier"], one["scope"], one["speaker"]) == ("gist", "team/yard", "Bo")
    since = client.get(f"/m/ana/log.json?since={START}&until=2026-01-03").json()
    assert all(START <= one["at"] < START + 2 * 86_400 for one in since["events"])


def test_a_search_reads_a_bounded_stretch_and_goes_on(client: Any) -> None:
    found = client.get("/m/ana/log.json?contains=SPARE+KEY&count=10").json()
    assert [one["text"] for one in found["events"]] == [
        "I moved from Lisbon to Porto in May. The spare key is under the blue pot."
    ]
    assert found["searched"] == found["total"]
    first = client.get("/m/ana/log.json?contains=note&count=3").json()
    assert len(first["events"]) == 3
    again = client.get(f"/m/ana/log.json?contains=note&count=3&offset={first['after']}").json()
    seqs = [one["seq"] for one in first["events"] + again["events"]]
    assert seqs == sorted(set(seqs), reverse=True)


def test_an_event_is_shown_byte_for_byte_with_what_rests_on_it(client: Any) -> None:
    beliefs = client.get("/m/ana/beliefs.json?subject=Ana&status=all&scope=team").json()["beliefs"]
    porto = next(one for one in beliefs if one["value"] == "a small house in Porto")
    seq = porto["evidence"][0]["seq"]
    page = client.get(f"/m/ana/log/{seq}")
    assert "I moved from Lisbon to Porto in May. The spare key is under the blue pot." in page.text
    assert f"/m/ana/beliefs/{porto['id']}" in parsed(page.text).links
    twin = client.get(f"/m/ana/log/{seq}.json").json()
    assert twin["event"]["event"]["metadata"] == {"client": "desk", "n": 7}
    assert twin["event"]["digest"] == porto["evidence"][0]["digest"]


def test_what_is_gone_is_told_with_the_losses_that_span_it(client: Any) -> None:
    lost = client.get("/m/ana/forgetting.json?action=evicted&limit=1000").json()["losses"]
    assert lost
    span = range(lost[0]["first"], lost[0]["last"] + 1)
    gone = next(n for n in span if client.get(f"/m/ana/log/{n}.json").status_code == 404)
    answer = client.get(f"/m/ana/log/{gone}.json")
    assert all(one["first"] <= gone <= one["last"] for one in answer.json()["losses"])
    assert f"Event {gone} is not kept" in client.get(f"/m/ana/log/{gone}").text


def test_beliefs_travel_through_time_and_show_what_changed(client: Any) -> None:
    now = client.get("/m/ana/beliefs.json?subject=Bo&predicate=works_on").json()["beliefs"]
    then = client.get("/m/ana/beliefs.json?subject=Bo&predicate=works_on&as_of=2026-01-03").json()
    assert len(now) == len(then["beliefs"]) == 1
    assert now[0]["value"] != then["beliefs"][0]["value"]
    chain = client.get(f"/m/ana/beliefs/{now[0]['id']}.json").json()["versions"]
    assert len(chain) == 7
    assert [one["belief"]["valid_from"] for one in chain] == sorted(
        one["belief"]["valid_from"] for one in chain
    )
    for before, after in pairwise(chain):
        assert after["replaces"] == before["belief"]["id"]
        parts = after["diff"]
        assert "".join(p["text"] for p in parts if p["op"] != "ins") == before["belief"]["value"]
        assert "".join(p["text"] for p in parts if p["op"] != "del") == after["belief"]["value"]


def test_evidence_is_the_quoted_span_of_the_event(client: Any) -> None:
    beliefs = client.get("/m/ana/beliefs.json?subject=Ana&scope=team&status=all").json()["beliefs"]
    porto = next(one for one in beliefs if one["value"] == "a small house in Porto")
    page = client.get(f"/m/ana/beliefs/{porto['id']}.json").json()
    piece = next(v for v in page["versions"] if v["belief"]["id"] == porto["id"])["evidence"][0]
    assert piece["before"] + piece["quote"] + piece["after"] == (
        "I moved from Lisbon to Porto in May. The spare key is under the blue pot."
    )
    assert piece["intact"] is True
    text = client.get(f"/m/ana/beliefs/{porto['id']}").text
    assert "<mark>I moved from Lisbon to Porto in May.</mark>" in text


def test_recall_adds_up(client: Any) -> None:
    page = client.get("/m/ana/recall.json?query=where+is+the+spare+key&tokens=400").json()
    assert page["context"]["tokens"] <= 400
    packed = {one["seq"] for one in page["context"]["items"]}
    assert page["candidates"][0]["event"]["text"].startswith("I moved from Lisbon")
    for one in page["candidates"]:
        assert sum(one["parts"].values()) == pytest.approx(one["score"])
        assert (one["fate"] == "packed") == (one["event"]["seq"] in packed)
    assert {one["fate"] for one in page["candidates"]} > {"packed"}
    text = client.get("/m/ana/recall?query=where+is+the+spare+key&tokens=400").text
    shown = "".join(parsed(text).text)
    assert page["context"]["text"] in shown


def test_the_parts_of_the_budget_add_up_to_it(client: Any) -> None:
    page = client.get("/m/ana/live.json").json()
    assert sum(one["nbytes"] for one in page["parts"]) == page["usage"]["budget"]
    overview = client.get("/m/ana/overview.json").json()
    last = sum(page["usage"]["events"].values())
    strip = overview["strip"]
    assert strip[0]["first"] == 1
    assert strip[-1]["last"] == last
    assert sum(one["verbatim"] for one in strip) == page["usage"]["events"]["verbatim"]
    gone = sum(page["usage"]["events"][name] for name in ("evicted", "erased", "withdrawn"))
    assert sum(one["gone"] for one in strip) == gone


def test_measuring_and_verifying_are_remembered(furnished: Path) -> None:
    with TestClient(application(furnished)) as fresh:
        assert fresh.get("/m/ana/overview.json").json()["fidelity"] is None
        found = fresh.get("/m/ana/overview.json?measure=1").json()["fidelity"]["found"]
        assert 0 < found["low"] <= found["value"] <= found["high"] <= 1
        assert fresh.get("/m/ana/audit.json?verify=1").json()["verified"]["ok"] is True
        page = fresh.get("/m/ana/overview.json").json()
        assert page["fidelity"]["found"] == found
        assert page["verified"]["ok"] is True
        assert len(page["measurements"]) == 1


def test_audit_has_receipts_and_proofs_that_hold(client: Any) -> None:
    from holdfast.trust.tree import verify_inclusion

    page = client.get("/m/ana/audit.json?prove=4208").json()
    assert [one["action"] for one in page["receipts"]] == ["snapshot", "revoke", "erase"]
    assert len(page["checkpoints"]) >= 2
    proof = page["proof"]
    verify_inclusion(
        proof["index"], proof["size"], bytes.fromhex(proof["leaf"]),
        tuple(bytes.fromhex(one) for one in proof["path"]), bytes.fromhex(proof["root"]),
    )  # fmt: skip
    lost = client.get("/m/ana/audit.json?prove=900").json()["proof"]
    assert "not kept whole" in lost["problem"]
    assert "path" not in page["snapshots"][0]


def test_access_counts_every_kept_event(client: Any) -> None:
    page = client.get("/m/ana/access.json").json()
    kept = client.get("/m/ana/log.json").json()["total"]
    assert sum(one["events"] for one in page["scopes"]) == kept
    assert sum(one["events"] for one in page["speakers"]) == kept
    assert page["revoked"] == ["web"]
    assert {(g["principal"], g["right"], g["scope"]) for g in page["grants"]} == {
        ("agent/bo", "read", "team"), ("agent/cho", "directive", "team/garden"),
    }  # fmt: skip


@pytest.mark.parametrize("path", [
    "/m/attacked/overview", "/m/attacked/log?count=200",
    "/m/attacked/beliefs?status=all&limit=1000",
    "/m/attacked/recall?query=window+script+img&limit=100", "/m/attacked/access",
    "/m/attacked/audit", "/m/attacked/forgetting",
])  # fmt: skip
def test_what_was_planted_comes_out_as_text(client: Any, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 200
    page = parsed(answer.text)  # nests, and has no handler, style, or script of its own
    assert all(re.match(r"/(?!/)|#", link) for link in page.links)
    assert client.get(twin_of(path)).status_code == 200


def test_every_planted_text_is_shown_as_it_is(client: Any) -> None:
    events = client.get("/m/attacked/log.json?count=200&kind=message").json()["events"]
    assert len(events) >= len(PAYLOADS) - 1
    for one in events:
        page = parsed(client.get(f"/m/attacked/log/{one['seq']}").text)
        whole = client.get(f"/m/attacked/log/{one['seq']}.json").json()["event"]["event"]["content"]
        assert visible(whole).strip() in "".join(page.text)


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_query_comes_back_as_text(client: Any, payload: str) -> None:
    given = dict.fromkeys(("query", "contains", "scope", "speaker", "subject"), payload)
    for name in ("log", "beliefs", "recall", "forgetting"):
        try:
            answer = client.get(f"/m/ana/{name}", params=given)
        except UnicodeEncodeError:
            return  # no client can send half a character
        assert answer.status_code in (200, 400, 403, 422)
        parsed(answer.text)


@pytest.mark.parametrize(("path", "status", "words"), [
    ("/m/nobody/overview", 404, "there is no memory nobody"),
    ("/m/..%2f..%2fetc/overview", 404, ""),
    ("/m/a%20b/log", 422, "a memory's name has"),
    ("/m/ana/beliefs/b1.0x", 404, "belief b1.0x is not"),
    ("/m/ana/log/99999999999999999999", 422, "an event is named by its number"),
    ("/m/ana/log/x", 422, "an event is named by its number"),
    ("/m/ana/log?offset=-1", 422, "offset must be a whole number"),
    ("/m/ana/log?tier=evicted", 422, "tier must be one of"),
    ("/m/ana/log?since=yesterday", 422, "since is no time"),
    ("/m/ana/log?since=nan", 422, "since is no time"),
    ("/m/ana/forgetting?advise=2", 422, "advise must be over 0"),
    ("/m/ana/recall?query=x&tokens=0", 422, "tokens must be a whole number"),
])  # fmt: skip
def test_mistakes_are_told(client: Any, path: str, status: int, words: str) -> None:
    answer = client.get(path)
    assert answer.status_code == status
    assert words.lower() in answer.text.replace("&#39;", "'").lower()
    if words:
        parsed(answer.text)
        told = client.get(twin_of(path))
        assert told.status_code == status
        assert words in told.json()["error"]["message"]


def test_who_is_not_signed_in_is_sent_to_the_login(furnished: Path) -> None:
    with TestClient(application(furnished, None), follow_redirects=False) as stranger:
        for path, after in ENTRANCES.items():
            answer = stranger.get(path)
            assert (answer.status_code, answer.headers["location"]) == (303, f"/login{after}")
        assert stranger.get("/m/ana/log.json").status_code == 401
        assert stranger.get("/m/ana/live.json").status_code == 401
        page = parsed(stranger.get("/login?failed=1").text)
        assert "/session" in page.links
        assert "it is unknown, has expired or was revoked" in "".join(page.text)
        assert 'name="next"' not in stranger.get("/login").text


@pytest.mark.parametrize(("given", "kept"), [
    ("/m/ana/log?speaker=Ana", "/m/ana/log?speaker=Ana"),
    ("/m/ana/log?contains=%22%3E", "/m/ana/log?contains=%22%3E"),
    ('/"><script>', "/&#34;&gt;&lt;script&gt;"),
    ("//evil.example", None), ("/\\evil.example", None), ("/\t/evil.example", None),
    ("https://evil.example", None), ("javascript:alert(1)", None), ("", None),
    ("/" + "a" * 4000, None),
])  # fmt: skip
def test_the_login_leads_back_to_a_page_of_this_server_only(
    furnished: Path, given: str, kept: str | None
) -> None:
    with TestClient(application(furnished, None)) as stranger:
        text = stranger.get("/login", params={"next": given, "failed": "1"}).text
        parsed(text)
        found = re.search('<input type="hidden" name="next" value="([^"]*)">', text)
        assert (found and found[1]) == kept


def test_another_site_cannot_have_work_done(client: Any) -> None:
    for path in ("overview?measure=1", "audit.json?verify=1", "forgetting?advise=0.9"):
        answer = client.get(f"/m/ana/{path}", headers={"sec-fetch-site": "cross-site"})
        assert answer.status_code == 403
    linked = client.get("/m/ana/log?seq=4000", headers={"sec-fetch-site": "cross-site"})
    assert linked.status_code == 200


def test_who_is_signed_in_can_sign_out(client: Any) -> None:
    assert "Sign out" not in client.get("/").text
    assert "Sign out" in client.get("/", headers={"cookie": "holdfast=k"}).text


def test_a_seat_sees_its_scopes_and_no_page_about_the_whole(furnished: Path) -> None:
    bo = Caller("bo", "read", ("ana",), "agent/bo")
    with TestClient(application(furnished, bo)) as seat:
        seat.get("/m/ana/log")  # opens it
        index = seat.get("/index.json").json()
        assert index["memories"] == [{"name": "ana", "disk": None, "open": None}]
        assert index["makes"] is False
        overview = seat.get("/m/ana/overview.json").json()
        assert overview["usage"] is None
        for told in (overview, seat.get("/m/ana/live.json").json()):
            assert told["rates"] is told["seen"] is None
            assert told["parts"] == []
        assert overview["kept"] == seat.get("/m/ana/log.json").json()["total"]
        assert all(one["gone"] == 0 for one in overview["strip"])
        log = seat.get("/m/ana/log.json?count=200").json()
        assert log["total"] > 0
        assert {one["scope"].split("/")[0] for one in log["events"]} == {"team"}
        assert seat.get("/m/ana/recall.json?query=spare+key").json()["context"]["items"]
        assert seat.get("/m/ana/beliefs.json").status_code == 200
        for name in ("forgetting", "access", "audit"):
            assert seat.get(f"/m/ana/{name}").status_code == 403
            assert f"/m/ana/{name}" not in parsed(seat.get("/m/ana/overview").text).links
        assert seat.get("/m/empty/overview").status_code == 404


def test_nothing_is_changed_by_looking(client: Any) -> None:
    service = client.app.state.service
    with service.root.hold("ana") as memory:
        before = memory.state_hash(), sum(memory.usage().events.values())
    for path in PAGES:
        client.get(path)
        assert client.post(path.partition("?")[0]).status_code == 405
    with service.root.hold("ana") as memory:
        assert (memory.state_hash(), sum(memory.usage().events.values())) == before


def test_files_are_small_and_kept(client: Any) -> None:
    assets = Assets()
    found = [assets.find(assets.name_of(name)) for name in FILES]
    assert sum(len(one.packed) for one in found) < 40 * 1024
    for one in found:
        answer = client.get(f"/static/{one.name}", headers={"accept-encoding": "gzip"})
        assert answer.content == one.body
        assert answer.headers["content-encoding"] == "gzip"
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-security-policy"] == HEADERS["Content-Security-Policy"]
        plain = client.get(f"/static/{one.name}", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        again = client.get(f"/static/{one.name}", headers={"if-none-match": one.etag})
        assert (again.status_code, again.content) == (304, b"")
    assert client.get("/static/inspector.css").status_code == 404
    assert client.get("/static/..%2fapp.py").status_code == 404


def test_templates_never_turn_escaping_off() -> None:
    for path in TEMPLATES.glob("*.html"):
        text = path.read_text()
        assert not re.search(r"\|\s*safe|autoescape|Markup|\sstyle=|\son\w+=", text), path.name
    script = (STATIC / "inspector.js").read_text()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script)
    assert not re.search(r"https?://(?!www\.w3\.org)", script + (STATIC / "icon.svg").read_text())

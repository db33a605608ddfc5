"""Nothing is answered to who does not say who they are, nor to pages of other places."""

from __future__ import annotations

import logging
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="the server needs the extra 'server'")
pytest.importorskip("prometheus_client", reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

import httpx
from starlette.routing import Mount, Route
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from holdfast.errors import CredentialError
from holdfast.server.app import Server
from holdfast.service.call import offered
from holdfast.service.callers import Caller
from holdfast.service.credentials import Credentials
from holdfast.service.keys import FILE, Keys
from holdfast.service.root import Root
from holdfast.wire.http import COOKIE, SECURE_COOKIE

from fullworld import copy_to, options
from serverlab import HERE, Bare, Lab, lab, serving

PUBLIC = {"/healthz", "/readyz", "/login", "/session", "/static/{name}"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")
PARTS = {"memory": "ana", "operation": "usage", "seq": "1", "id": "b5.0"}


def filled(path: str) -> str:
    """A path of which every part has a value that there is."""
    return re.sub(r"\{(\w+)[^}]*\}", lambda found: PARTS.get(found[1], "x"), path)


def paths(server: Server) -> set[str]:
    """Every path of the application, and every one that it describes."""
    app = server.app()
    assert not [one for one in app.routes if isinstance(one, Mount)], "walk into it here, too"
    walked = {one.path for one in app.routes if isinstance(one, Route)}
    with TestClient(app, base_url=HERE) as client:
        token = server.credentials.keys.create()[1]
        described = client.get("/openapi.json", headers={"authorization": f"Bearer {token}"})
    return walked | set(described.json()["paths"])


@pytest.fixture
def whole(tmp_path: Path) -> Server:
    """A server with all of its parts, and a key."""
    copy_to(tmp_path)
    keys = Keys(tmp_path)
    keys.create()
    return Server(Root(tmp_path, options=options()), Credentials(keys, open=True))


@pytest.mark.filterwarnings("ignore")
def test_every_route_is_denied_without_a_credential(whole: Server) -> None:
    found = paths(whole)
    assert len(found) > 70
    assert {"/mcp", "/", "/m/{memory}/log", "/v1/memories/{memory}/erase", "/metrics"} <= found
    server = Server(whole.root, whole.credentials)
    server.root._closed = False
    with TestClient(server.app(), base_url=HERE, follow_redirects=False) as client:
        for path in sorted(found - PUBLIC):
            for method in METHODS:
                for bad in (
                    {},
                    {"authorization": "Bearer hf_no_key"},
                    {"cookie": f"{COOKIE}=x"},
                    {"authorization": "Basic b3duZXI6"},
                    {"authorization": "Bearer"},
                ):
                    answer = client.request(method, filled(path), headers=bad)
                    assert answer.status_code == 401, (method, path, bad)
                    if method != "HEAD":
                        assert answer.json()["title"] == "CredentialError"
                    assert answer.headers["www-authenticate"].startswith("Bearer")
            page = client.get(filled(path), headers={"accept": "text/html"})
            if path == "/" or (path.startswith("/m/") and not path.endswith(".json")):
                assert page.status_code in (302, 303, 307), (path, page.status_code)
                assert page.headers["location"].startswith(("/login", "/m/ana/overview"))
                assert "spare key" not in page.text
            else:
                assert page.status_code == 401, path


@pytest.mark.filterwarnings("ignore")
def test_a_public_path_is_no_way_to_another(whole: Server) -> None:
    with TestClient(whole.app(), base_url=HERE, follow_redirects=False) as client:
        for path in ("/static/../v1/memories", "/static/%2e%2e/v1/memories", "/static//v1/memories",
                     "/healthz/../v1/memories", "/static/..%2fv1%2fmemories", "//v1/memories",
                     "/v1/memories/ana/usage?x=/static/", "/login/../metrics", "/healthz/",
                     "/./v1/memories", "/V1/memories", "/m/ana/log.json", "/static/../keys.json",
                     "/static/%2e%2e%2f%2e%2e%2fkeys.json"):  # fmt: skip
            answer = client.get(path, headers={"accept": "text/html"})
            assert answer.status_code in (401, 404), (path, answer.status_code)
            assert "hash" not in answer.text
        assert client.get("/healthz").json() == {"status": "ok"}
        assert client.get("/readyz").json() == {"status": "ready"}
        assert client.get("/healthz", headers={"authorization": "Basic x"}).status_code == 200


def test_wrong_rights_are_403_and_what_is_not_ones_own_is_404(full: Lab) -> None:
    reader, writer = full.key("read"), full.key("write")
    stranger, seat = full.key("govern", memories=["bo-*"]), full.key("govern", principal="x")
    for operation in offered():
        method = "GET" if operation.name in ("export", "watch") else "POST"
        path = f"/v1/memories/ana/{operation.name}"

        def status(key: dict[str, str], path: str = path, method: str = method) -> int:
            return full.client.request(method, path, headers=key, json={}).status_code

        assert status(stranger) == 404, operation.name
        assert status(stranger, path.replace("ana", "nowhere")) == 404
        if operation.effect != "read":
            assert status(reader) == 403, operation.name
        if operation.effect == "govern":
            assert status(writer) == 403, operation.name
            assert status(seat) == 403, operation.name
    put = {"budget": "1 MiB"}
    assert full.client.put("/v1/memories/new", headers=writer, json=put).status_code == 403
    assert full.client.put("/v1/memories/new", headers=seat, json=put).status_code == 403
    assert full.client.put("/v1/memories/new", headers=stranger, json=put).status_code == 404
    assert full.client.get("/v1/memories", headers=stranger).json() == {"memories": []}


@pytest.mark.parametrize(
    ("host", "status"),
    [("127.0.0.1", 200), ("127.0.0.1:8642", 200), ("LOCALHOST:1", 200), ("[::1]:8642", 200),
     ("evil.test", 421), ("127.0.0.1.evil.test", 421), ("evil.test:8642", 421), ("", 421),
     ("localhost.evil.test", 421), ("127.0.0.1@evil.test", 421), ("[::1", 421), ("::1", 421)],
)  # fmt: skip
def test_a_host_that_is_not_its_own_is_turned_away(full: Lab, host: str, status: int) -> None:
    for path in ("/v1/memories", "/healthz"):
        assert full.client.get(path, headers={"host": host}).status_code == status


@pytest.mark.parametrize(
    ("origin", "status"),
    [("http://127.0.0.1", 200), ("http://127.0.0.1:80", 403), ("http://evil.test", 403),
     ("null", 403), ("", 403), ("http://localhost", 403), ("http://127.0.0.1.evil.test", 403),
     ("http://127.0.0.1@evil.test", 403), ("file://", 403), ("http://[", 403)],
)  # fmt: skip
def test_a_page_of_another_origin_is_turned_away(full: Lab, origin: str, status: int) -> None:
    body = {"content": "from a page"}
    answer = full.client.post("/v1/memories/ana/observe", headers={"origin": origin}, json=body)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


def test_any_host_may_be_allowed(tmp_path: Path) -> None:
    copy_to(tmp_path)
    with lab(tmp_path, hosts=("*",)) as found:
        assert found.client.get("/v1/memories", headers={"host": "any.test"}).status_code == 200


def test_a_cookie_counts_for_changes_only_from_a_page_of_ours(full: Lab) -> None:
    del full.client.headers["authorization"]
    token = full.keys.create(may="write")[1]
    signed = full.client.post("/session", data={"key": token}, follow_redirects=False)
    assert (signed.status_code, signed.headers["location"]) == (303, "/")
    cookie = signed.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert "Domain" not in cookie

    assert full.client.get("/v1/memories").status_code == 200
    path, body = "/v1/memories/ana/observe", {"content": "x"}
    assert full.client.post(path, json=body).status_code == 401
    assert full.client.post(path, json=body, headers={"origin": HERE}).status_code == 200
    foreign = {"origin": "http://evil.test"}
    assert full.client.post(path, json=body, headers=foreign).status_code == 403

    ended = full.client.delete("/session", headers={"origin": HERE})
    assert ended.status_code == 204
    full.client.cookies.clear()
    assert full.client.get("/v1/memories").status_code == 401


@pytest.mark.parametrize("form", [{}, {"key": ""}, {"key": "hf_a_b"}, {"key": "x" * 5000}])
def test_signing_in_with_what_is_no_key_sets_no_cookie(full: Lab, form: dict[str, str]) -> None:
    del full.client.headers["authorization"]
    answer = full.client.post("/session", data=form, follow_redirects=False)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?failed")
    assert "set-cookie" not in answer.headers
    assert full.client.post("/session", content=b"key=" + b"x" * 9000).status_code == 413


def test_a_revoked_key_and_its_cookie_end_with_the_next_request(full: Lab) -> None:
    key, token = full.keys.create(may="read")
    headers = {"authorization": f"Bearer {token}"}
    assert full.client.get("/v1/memories", headers=headers).status_code == 200
    full.keys.revoke(key.id)
    assert full.client.get("/v1/memories", headers=headers).status_code == 401
    del full.client.headers["authorization"]
    full.client.cookies.set(COOKIE, token)
    assert full.client.get("/v1/memories").status_code == 401


def test_keys_that_cannot_be_read_let_nobody_in_and_are_not_told_of(
    full: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    (full.folder / FILE).write_text("broken")
    with caplog.at_level(logging.ERROR, "holdfast.server"):
        answer = full.client.get("/v1/memories")
    assert answer.status_code == 500
    assert str(full.folder) not in answer.text
    assert FILE in caplog.text
    assert full.client.get("/healthz").status_code == 200 or "authorization" in full.client.headers


class Unreadable(Credentials):
    """Credentials whose file belongs to somebody else."""

    async def acaller(self, token: str | None) -> Caller:
        """Whom a request is from."""
        raise PermissionError(13, "Permission denied", FILE)


def test_a_file_of_keys_of_somebody_else_lets_nobody_in(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    copy_to(tmp_path)
    server = Bare(Root(tmp_path, options=options()), Unreadable(Keys(tmp_path)))
    with (
        TestClient(server.app(), base_url=HERE) as client,  # what gets past the guard is raised
        caplog.at_level(logging.ERROR, "holdfast.server"),
    ):
        answer = client.get("/v1/memories")
    assert (answer.status_code, answer.json()["title"]) == (500, "InternalError")
    assert FILE in caplog.text
    assert FILE not in answer.text


@pytest.mark.parametrize(("scheme", "name"), [("http", COOKIE), ("https", SECURE_COOKIE)])
def test_over_https_the_cookie_is_one_that_no_other_host_can_set(
    tmp_path: Path, scheme: str, name: str
) -> None:
    copy_to(tmp_path)
    keys = Keys(tmp_path)
    token = keys.create(may="read")[1]
    server = Bare(Root(tmp_path, options=options()), Credentials(keys))
    with TestClient(server.app(), base_url=f"{scheme}://127.0.0.1") as client:
        answer = client.post("/session", data={"key": token}, follow_redirects=False)
        (cookie,) = answer.headers.get_list("set-cookie")
        assert cookie.startswith(f"{name}={token};")
        parts = {part.strip().lower() for part in cookie.split(";")[1:]}
        assert {"httponly", "path=/", "samesite=strict"} <= parts
        assert ("secure" in parts) == (scheme == "https")
        assert not any(part.startswith("domain") for part in parts)
        assert client.get("/v1/memories").status_code == 200
        client.cookies.clear()
        for both in (f"{COOKIE}=planted; {name}={token}", f"{name}={token}; {COOKIE}=planted"):
            if scheme == "https":  # by a page of a host beside this one
                seen = client.get("/v1/memories", headers={"cookie": both})
                assert seen.status_code == 200
        origin = {"origin": f"{scheme}://127.0.0.1"}
        gone = client.delete("/session", headers=origin)
        assert gone.status_code == 204
        assert [one.partition("=")[0] for one in gone.headers.get_list("set-cookie")] == [
            COOKIE, SECURE_COOKIE,
        ]  # fmt: skip


def test_without_keys_this_machine_is_the_owner_until_the_first_key(tmp_path: Path) -> None:
    copy_to(tmp_path)
    keys = Keys(tmp_path)
    server = Bare(Root(tmp_path, options=options()), Credentials(keys, open=True))
    with TestClient(server.app(), base_url=HERE) as client:
        assert client.get("/v1/memories").json() == {"memories": ["ana"]}
        keys.create()
        assert client.get("/v1/memories").status_code == 401


def test_there_are_no_websockets(full: Lab) -> None:
    with pytest.raises(WebSocketDisconnect), full.client.websocket_connect("/v1/memories"):
        pass


def test_every_answer_forbids_sniffing_and_reading_by_others(full: Lab) -> None:
    for path in ("/v1/memories", "/healthz", "/nowhere", "/v1/memories/ana/get", "/metrics"):
        headers = full.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cross-origin-resource-policy"] == "same-origin"
        assert headers["referrer-policy"] == "no-referrer"
        assert "server" not in headers


class Issuer:
    """Knows one token, and takes its time."""

    def caller(self, token: str) -> Caller:
        """Whom it stands for."""
        time.sleep(0.5)
        if token != "good":
            raise CredentialError("this token does not hold")
        return Caller("token of bo", "read", ("ana",), "agent/bo")


def test_an_issuer_that_takes_its_time_holds_up_nobody_else(tmp_path: Path) -> None:
    copy_to(tmp_path)
    keys = Keys(tmp_path)
    key = {"authorization": f"Bearer {keys.create()[1]}"}
    server = Bare(Root(tmp_path, options=options()), Credentials(keys, Issuer(), open=True))
    with serving(server) as address, ThreadPoolExecutor(6) as pool:
        url = f"{address}/v1/memories"
        httpx.get(url, headers=key)

        def ask(token: str) -> httpx.Response:
            return httpx.get(url, headers={"authorization": f"Bearer {token}"}, timeout=20)

        waiting = [pool.submit(ask, token) for token in ("good", "bad", "good")]
        began = time.monotonic()
        assert httpx.get(url, headers=key).status_code == 200
        assert time.monotonic() - began < 0.4
        assert not any(one.done() for one in waiting)
        assert [one.result().status_code for one in waiting] == [200, 401, 200]
        assert waiting[0].result().json() == {"memories": ["ana"]}
        assert httpx.get(url).status_code == 401  # with an issuer, nobody comes without

"""The server over streamable HTTP, in an application that says who calls."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mcp", reason="the MCP SDK is not installed: holdfast[mcp]")

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client
from starlette.applications import Starlette
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from holdfast.errors import OverloadedError
from holdfast.mcp.http import mount
from holdfast.mcp.server import on_any_thread
from holdfast.operations import Operation
from holdfast.service.call import Service
from holdfast.service.callers import OWNER, Caller
from holdfast.service.root import Root

CALLERS = {
    "ana": Caller("ana", "govern", ("ana",)),
    "both": Caller("both", "write", ("*",)),
    "bo": Caller("bo", "write", ("team",), "agent/bo"),
}
HEADERS = {"accept": "application/json, text/event-stream"}


class Credentials:
    """Stands in for whatever a server finds out who calls by: the name is the credential."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"").decode().removeprefix("Bearer ")
        if given in CALLERS:
            scope.setdefault("state", {})["caller"] = CALLERS[given]
        await self.app(scope, receive, send)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(Root(tmp_path))
    for name in ("ana", "team"):
        made.make(OWNER, name, "1 MiB")
    yield made
    made.close()


def serve(
    service: Service,
    task: Callable[[httpx2.AsyncClient], Awaitable[Any]],
    who: str,
    **options: Any,
) -> Any:
    """What a task gets of an HTTP client whose server is this."""

    async def main() -> Any:
        app, lifespan = mount(service, **options)
        outer = Credentials(Starlette(routes=[Route("/mcp", app, methods=["POST"])]))
        headers = {**HEADERS, "authorization": f"Bearer {who}"}
        transport = httpx2.ASGITransport(outer)
        async with lifespan, httpx2.AsyncClient(transport=transport, headers=headers) as http:
            return await task(http)

    return anyio.run(main)


def ask(
    service: Service,
    who: str,
    task: Callable[[Client], Awaitable[Any]],
    query: str = "",
    mode: str = "auto",
    **options: Any,
) -> Any:
    async def connect(http: httpx2.AsyncClient) -> Any:
        wire = streamable_http_client(f"http://localhost/mcp{query}", http_client=http)
        async with Client(wire, mode=mode) as client:
            try:
                return await task(client)
            except MCPError as error:
                return error

    return serve(service, connect, who, **options)


def remember(words: str) -> Callable[[Client], Awaitable[Any]]:
    return lambda client: client.call_tool("remember", {"content": words})


@pytest.mark.parametrize("mode", ["legacy", "2026-07-28"])
def test_both_eras_reach_the_memory_of_the_caller(service: Service, mode: str) -> None:
    async def task(client: Client) -> Any:
        await client.call_tool("remember", {"content": "The key is under the pot."})
        return await client.call_tool("recall", {"query": "where is the key?"})

    found = ask(service, "ana", task, mode=mode)
    assert found.structured_content["items"][0]["citation"] == "e1[0:25]"
    assert [one.event.text for one in service.call(OWNER, "ana", "log", {})] == [
        "The key is under the pot."
    ]


def test_the_address_names_a_memory_of_several(service: Service) -> None:
    refused = ask(service, "both", remember("x"))
    assert refused.is_error
    assert "may use several memories; name one" in refused.content[0].text
    assert not ask(service, "both", remember("For the team."), "?memory=team").is_error
    assert not ask(service, "both", remember("For ana."), "?memory=ana").is_error
    (only,) = service.call(OWNER, "team", "log", {})
    assert only.event.text == "For the team."


def test_an_address_opens_no_memory_of_others(service: Service) -> None:
    for name in ("team", "nobody", "../ana"):
        refused = ask(service, "ana", remember("x"), f"?memory={name}")
        assert refused.is_error
    assert service.call(OWNER, "team", "log", {}) == []


def test_a_principal_has_its_seat(service: Service) -> None:
    ask(service, "bo", remember("The staging key is under the pot."))
    (only,) = service.call(OWNER, "team", "log", {})
    assert (only.event.speaker, only.event.scope) == ("agent/bo", "agent/bo")


def test_without_a_credential_nothing_is_told(service: Service) -> None:
    refused = ask(service, "nobody", remember("x"))
    assert refused.content[0].text == "this request has no credential; send one"
    error = ask(service, "nobody", lambda client: client.list_tools())
    assert error.error.message == "this request has no credential; send one"


def test_the_engine_is_called_where_the_server_says(service: Service) -> None:
    asked: list[str] = []

    async def run(operation: Operation, function: Callable[[], Any]) -> Any:
        asked.append(operation.name)
        if operation.name == "recall":
            raise OverloadedError("read", 2)
        return await on_any_thread(operation, function)

    async def task(client: Client) -> Any:
        await client.call_tool("remember", {"content": "The key is under the pot."})
        state = await client.read_resource("holdfast://state")
        return state, await client.call_tool("recall", {"query": "where is the key?"})

    state, refused = ask(service, "ana", task, run=run)
    assert asked == ["observe", "all_documents", "recall"]
    assert '"complete": true' in state.contents[0].text
    assert refused.is_error
    assert refused.content[0].text == "too busy for more read calls; try again in 2 s"


def test_nothing_waits_on_a_stream_that_stays_empty(service: Service) -> None:
    async def ask_for_it(http: httpx2.AsyncClient) -> list[int]:
        with anyio.fail_after(5):
            url = "http://localhost/mcp"
            return [(await http.get(url)).status_code, (await http.delete(url)).status_code]

    assert serve(service, ask_for_it, "ana") == [405, 405]


@pytest.mark.parametrize(
    ("headers", "options", "status"),
    [
        ({"host": "localhost:8080"}, {}, 200),
        ({"host": "evil.example"}, {}, 421),
        ({"host": "localhost", "origin": "http://localhost:3000"}, {}, 200),
        ({"host": "localhost", "origin": "http://evil.example"}, {}, 403),
        ({"host": "memory.example"}, {"hosts": ["memory.example"]}, 200),
        ({"host": "memory.example:8443", "origin": "https://memory.example"},
         {"hosts": ["memory.example"]}, 200),
        ({"host": "localhost"}, {"hosts": ["memory.example"]}, 421),
        ({"host": "any.example"}, {"hosts": None}, 200),
    ],
)  # fmt: skip
def test_pages_of_other_sites_are_turned_away(
    service: Service, headers: dict[str, str], options: dict[str, Any], status: int
) -> None:
    hello = {
        "jsonrpc": "2.0", "id": 1, "method": "initialize",
        "params": {
            "protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "t", "version": "1"},
        },
    }  # fmt: skip

    async def post(http: httpx2.AsyncClient) -> httpx2.Response:
        return await http.post("http://localhost/mcp", json=hello, headers=headers)

    found = serve(service, post, "ana", **options)
    assert found.status_code == status
    if status == 200:
        assert found.headers["content-type"] == "application/json"
        assert "mcp-session-id" not in found.headers
        assert found.json()["result"]["serverInfo"]["name"] == "holdfast"

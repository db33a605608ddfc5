"""A server over a folder with a full memory, to be asked in this process or over loopback."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

for _needed in ("starlette", "uvicorn", "pydantic", "jwt", "prometheus_client", "opentelemetry"):
    pytest.importorskip(_needed, reason="the server needs the extra 'server'")
pytest.importorskip("httpx", reason="the server is asked by httpx")

import httpx  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from holdfast.server.app import Limits, Server  # noqa: E402
from holdfast.server.run import listen, made  # noqa: E402
from holdfast.service.credentials import Credentials  # noqa: E402
from holdfast.service.keys import Keys  # noqa: E402
from holdfast.service.root import Root  # noqa: E402

from fullworld import copy_to, options  # noqa: E402

HERE = "http://127.0.0.1"


class Bare(Server):
    """A server without MCP and the inspector, which have tests of their own."""

    def _mcp(self, api: Any) -> Any:
        return [], []

    def _inspector(self) -> Any:
        return []


@dataclass
class Lab:
    """A server, its keys, and clients for it that bear one."""

    server: Server
    keys: Keys
    folder: Path
    client: TestClient

    def key(self, may: Any = "govern", **options: Any) -> dict[str, str]:
        """Headers with a new key."""
        return {"authorization": f"Bearer {self.keys.create(may=may, **options)[1]}"}


@contextmanager
def lab(
    folder: Path, kind: type[Server] = Bare, limits: Limits | None = None, **more: Any
) -> Iterator[Lab]:
    """A server over a folder, asked in this process by somebody with every right."""
    keys = Keys(folder)
    root = Root(folder, options=options())
    server = kind(root, Credentials(keys), limits=limits or Limits(), **more)
    with TestClient(server.app(), base_url=HERE, raise_server_exceptions=False) as client:
        found = Lab(server, keys, folder, client)
        client.headers.update(found.key())
        yield found


@contextmanager
def serving(server: Server) -> Iterator[str]:
    """The address of a server that answers over loopback; it is stopped as by a signal."""
    listener = listen(server, "127.0.0.1", 0)
    uvicorn = made(server)
    thread = threading.Thread(target=uvicorn.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        yield f"{HERE}:{listener.getsockname()[1]}"
    finally:
        uvicorn.handle_exit(signal.SIGTERM, None)
        thread.join(20)
        assert not thread.is_alive()


@pytest.fixture
def full(tmp_path: Path) -> Iterator[Lab]:
    """A server over a folder with a full memory, "ana"."""
    copy_to(tmp_path)
    with lab(tmp_path) as found:
        yield found


@pytest.fixture
def live(tmp_path: Path) -> Iterator[Callable[..., httpx.Client]]:
    """Starts servers over loopback; gives a client of the owner, with `server` and `address`."""
    copy_to(tmp_path)
    with ExitStack() as stack:

        def start(limits: Limits | None = None, kind: type[Server] = Bare) -> httpx.Client:
            keys = Keys(tmp_path)
            token = keys.create(may="govern")[1]
            root = Root(tmp_path, options=options())
            server = kind(root, Credentials(keys), limits=limits or Limits())
            address = stack.enter_context(serving(server))
            headers = {"authorization": f"Bearer {token}"}
            client = httpx.Client(base_url=address, headers=headers, timeout=20)
            client.server, client.keys = server, keys  # type: ignore[attr-defined]
            return stack.enter_context(client)

        yield start

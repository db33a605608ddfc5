"""Starting a server, and what is said if it cannot."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

pytest.importorskip("starlette", reason="needs the extra 'server'")
pytest.importorskip("uvicorn", reason="needs the extra 'server'")

from holdfast.errors import AccessError, StoreError
from holdfast.server.app import Server
from holdfast.server.run import listen, serve_on
from holdfast.service.credentials import Credentials
from holdfast.service.keys import Keys
from holdfast.service.root import Root


def served(folder: Path) -> Server:
    return Server(Root(folder), Credentials(Keys(folder), open=True))


@pytest.mark.parametrize(("host", "named"), [("0.0.0.0", False), ("127.0.0.1", True)])
def test_where_others_reach_it_there_must_be_a_key(tmp_path: Path, host: str, named: bool) -> None:
    with pytest.raises(AccessError, match="make a key with: holdfast key create"):
        listen(served(tmp_path), host, 0, named=named)
    key, _ = Keys(tmp_path).create()
    Keys(tmp_path).revoke(key.id)  # that there was one is enough: then nobody is let in
    listen(served(tmp_path), "127.0.0.1", 0, named=True).close()


def test_a_server_that_cannot_start_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @asynccontextmanager
    async def broken(app: object) -> AsyncIterator[None]:
        raise RuntimeError("no")
        yield

    server = Server(Root(tmp_path), Credentials(Keys(tmp_path), open=True))
    app = server.app()
    app.router.lifespan_context = broken
    monkeypatch.setattr(server, "app", lambda: app)
    with listen(server, "127.0.0.1", 0) as listener, pytest.raises(StoreError, match="not start"):
        serve_on(server, listener)

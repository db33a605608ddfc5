"""LangGraph's SqliteStore with its vector index. Runs in its own environment."""

from __future__ import annotations

import sqlite3
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

# By name, so that the project type-checks without the peer.
_sqlite = import_module("langgraph.store.sqlite")


class Peer:
    """WAL and synchronous=FULL: each put is durable, at one sync; its fastest durable setting.

    The index needs a Python whose sqlite3 can load extensions: make the environment with one.
    """

    searches = True
    version = version("langgraph-checkpoint-sqlite")

    def __init__(self, folder: Path, dimensions: int) -> None:
        self._vector: list[float] = []
        connection = sqlite3.connect(
            folder / "store.db", check_same_thread=False, isolation_level=None
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        index: Any = {"dims": dimensions, "embed": self._embed, "fields": ["text"]}
        self._store = _sqlite.SqliteStore(connection, index=index)
        self._store.setup()
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        sync = connection.execute("PRAGMA synchronous").fetchone()[0]
        self.settings = f"journal_mode={mode}, synchronous={sync}, vector index, one put at a time"

    def _embed(self, texts: list[str]) -> list[list[float]]:
        return [self._vector for _ in texts]

    def add(self, n: int, user: str, text: str, vector: Any) -> None:
        """One put in the user's namespace."""
        self._vector = vector.tolist()
        self._store.put(("memories", user), str(n), {"text": text})

    def settle(self) -> None:
        """Nothing was put off."""

    def search(self, user: str, text: str, vector: Any, k: int) -> list[int]:
        """Nearest in the user's namespace."""
        self._vector = vector.tolist()
        found = self._store.search(("memories", user), query=text, limit=k)
        return [int(item.key) for item in found]

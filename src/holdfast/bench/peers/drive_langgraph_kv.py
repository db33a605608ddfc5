"""LangGraph's SqliteStore as a plain key-value store. Runs in its own environment."""

from __future__ import annotations

import sqlite3
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

# By name, so that the project type-checks without the peer.
_sqlite = import_module("langgraph.store.sqlite")


class Peer:
    """Without an index: its fastest durable puts, which nothing can then search by meaning.

    WAL and synchronous=FULL: each put is durable at one sync.
    """

    searches = False
    version = version("langgraph-checkpoint-sqlite")

    def __init__(self, folder: Path, dimensions: int) -> None:
        del dimensions
        connection = sqlite3.connect(
            folder / "store.db", check_same_thread=False, isolation_level=None
        )
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        self._store = _sqlite.SqliteStore(connection)
        self._store.setup()
        mode = connection.execute("PRAGMA journal_mode").fetchone()[0]
        sync = connection.execute("PRAGMA synchronous").fetchone()[0]
        self.settings = f"journal_mode={mode}, synchronous={sync}, no index, one put at a time"

    def add(self, n: int, user: str, text: str, vector: Any) -> None:
        """One put in the user's namespace."""
        del vector
        self._store.put(("memories", user), str(n), {"text": text})

    def settle(self) -> None:
        """Nothing was put off."""

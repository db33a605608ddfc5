"""LanceDB, one table. Runs in its own environment."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

# By name, so that the project type-checks without the peer.
lancedb, pa = import_module("lancedb"), import_module("pyarrow")


class Peer:
    """One table, exact search, the user as a prefilter; each add is one new table version."""

    version = version("lancedb")
    settings = "one table, exact, cosine, where user; a version per add; compacted before search"
    searches = True

    def __init__(self, folder: Path, dimensions: int) -> None:
        schema = pa.schema(
            [
                ("n", pa.int64()),
                ("user", pa.string()),
                ("text", pa.string()),
                ("vector", pa.list_(pa.float32(), dimensions)),
            ]
        )
        self._table = lancedb.connect(str(folder)).create_table("turns", schema=schema)

    def add(self, n: int, user: str, text: str, vector: Any) -> None:
        """One add."""
        self._table.add([{"n": n, "user": user, "text": text, "vector": vector.tolist()}])

    def settle(self) -> None:
        """Compact: one fragment per add makes search many times slower."""
        self._table.optimize()

    def search(self, user: str, text: str, vector: Any, k: int) -> list[int]:
        """Nearest of the user's."""
        del text
        quoted = user.replace("'", "''")
        query = self._table.search(vector).distance_type("cosine").where(f"user = '{quoted}'")
        return [int(row["n"]) for row in query.limit(k).select(["n"]).to_list()]

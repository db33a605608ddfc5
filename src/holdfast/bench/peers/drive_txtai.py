"""txtai, dense and keyword together. Runs in its own environment."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

# By name, so that the project type-checks without the peer.
_txtai = import_module("txtai")


class Peer:
    """Hybrid index with content. An upsert is in RAM until `save`: its adds are NOT durable."""

    version = version("txtai")
    settings = "hybrid, content=True, external vectors; upserts are durable only after save()"
    searches = True

    def __init__(self, folder: Path, dimensions: int) -> None:
        del dimensions
        self._folder = folder
        self._vector: Any = np.zeros(1, np.float32)
        self._index = _txtai.Embeddings(
            {
                "method": "external",
                "transform": lambda texts: np.stack([self._vector] * len(texts)),
                "hybrid": True,
                "content": True,
            }
        )

    def add(self, n: int, user: str, text: str, vector: Any) -> None:
        """One upsert."""
        self._vector = vector
        self._index.upsert([(n, {"text": text, "user": user}, None)])

    def settle(self) -> None:
        """Save: only now is anything on disk."""
        self._index.save(str(self._folder / "index"))

    def search(self, user: str, text: str, vector: Any, k: int) -> list[int]:
        """Hybrid search in SQL, the user as a condition."""
        self._vector = vector
        found = self._index.search(
            "select id from txtai where similar(:q, 1000) and user = :u",
            k,
            parameters={"q": text, "u": user},
        )
        return [int(row["id"]) for row in found]

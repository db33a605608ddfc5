"""mem0 without a language model: `infer=False`, its default local store. Own environment."""

from __future__ import annotations

import os
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

os.environ["MEM0_TELEMETRY"] = "False"

# By name, so that the project type-checks without the peer.
_mem0, _base = import_module("mem0"), import_module("mem0.configs.base")


class _Given:
    """In place of its embedder: answers with the vector made beforehand."""

    def __init__(self) -> None:
        self.vector: list[float] = []

    def embed(self, text: str, memory_action: str | None = None) -> list[float]:
        return self.vector

    def embed_batch(self, texts: list[str], memory_action: str = "add") -> list[list[float]]:
        return [self.vector for _ in texts]


class Peer:
    """`infer=False`: what is given is stored as it is; the vector store is local Qdrant."""

    version = version("mem0ai")
    settings = "infer=False, local Qdrant on disk, history in SQLite, user_id"
    searches = True

    def __init__(self, folder: Path, dimensions: int) -> None:
        os.environ.setdefault("OPENAI_API_KEY", "unused")  # its constructor wants one; no call
        config = _base.MemoryConfig(history_db_path=str(folder / "history.db"))
        store: Any = config.vector_store.config
        store.path, store.on_disk = str(folder / "qdrant"), True
        store.embedding_model_dims = dimensions
        self._memory = _mem0.Memory(config)
        self._given = _Given()
        self._memory.embedding_model = self._given

    def add(self, n: int, user: str, text: str, vector: Any) -> None:
        """One add."""
        self._given.vector = vector.tolist()
        self._memory.add(text, user_id=user, metadata={"n": n}, infer=False)

    def settle(self) -> None:
        """Nothing was put off."""

    def search(self, user: str, text: str, vector: Any, k: int) -> list[int]:
        """Its search, at its defaults but for the limit."""
        self._given.vector = vector.tolist()
        found = self._memory.search(text, filters={"user_id": user}, top_k=k, threshold=0.0)
        return [int(item["metadata"]["n"]) for item in found["results"]]

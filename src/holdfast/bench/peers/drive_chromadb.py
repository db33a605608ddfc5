"""Chroma, one persistent collection. Runs in its own environment."""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

# By name, so that the project type-checks without the peer.
chromadb, _config = import_module("chromadb"), import_module("chromadb.config")


class Peer:
    """Defaults but for cosine distance and no telemetry; the user is a metadata filter."""

    version = version("chromadb")
    settings = "PersistentClient, one collection, cosine, where user; its own sync policy"
    searches = True

    def __init__(self, folder: Path, dimensions: int) -> None:
        del dimensions
        client = chromadb.PersistentClient(
            str(folder), _config.Settings(anonymized_telemetry=False)
        )
        self._turns = client.create_collection(
            "turns", embedding_function=None, metadata={"hnsw:space": "cosine"}
        )

    def add(self, n: int, user: str, text: str, vector: Any) -> None:
        """One add."""
        self._turns.add(
            ids=[str(n)],
            documents=[text],
            embeddings=[vector.tolist()],
            metadatas=[{"user": user}],
        )

    def settle(self) -> None:
        """Nothing was put off."""

    def search(self, user: str, text: str, vector: Any, k: int) -> list[int]:
        """Nearest of the user's."""
        del text
        found = self._turns.query(
            query_embeddings=[vector.tolist()], n_results=k, where={"user": user}, include=[]
        )
        return [int(n) for n in found["ids"][0]]

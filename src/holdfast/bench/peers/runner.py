"""Runs inside a peer's environment: one job in on stdin, one JSON result out on stdout.

Imports nothing of Holdfast, so that an environment holds the peer and NumPy alone.
"""

from __future__ import annotations

import importlib.util
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np


def main() -> None:
    """Add every text one by one, then ask every question."""
    job = json.load(sys.stdin)
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever a peer prints must not mix with the result
    vectors, query_vectors = np.load(job["vectors"]), np.load(job["query_vectors"])
    begun = time.perf_counter()
    driver = _load(Path(__file__).with_name(f"drive_{job['peer']}.py"))
    imported = time.perf_counter() - begun
    peer = driver.Peer(Path(job["folder"]), int(vectors.shape[1]))
    rows, added = job["rows"], []
    stop = time.perf_counter() + job["seconds"]
    for n, (user, text) in enumerate(rows):
        begun = time.perf_counter()
        peer.add(n, user, text, vectors[n])
        added.append(time.perf_counter() - begun)
        if begun > stop:
            break
    begun = time.perf_counter()
    peer.settle()
    settled = time.perf_counter() - begun
    rankings, searched = [], []
    if peer.searches and len(added) == len(rows):
        for (user, text), vector in zip(job["queries"], query_vectors, strict=True):
            begun = time.perf_counter()
            rankings.append(peer.search(user, text, vector, job["k"]))
            searched.append(time.perf_counter() - begun)
    result: dict[str, Any] = {
        "version": peer.version,
        "settings": peer.settings,
        "import_s": imported,
        "settled_s": settled,
        "added_s": added,
        "searched_s": searched,
        "rankings": rankings,
        "disk_bytes": sum(p.stat().st_size for p in Path(job["folder"]).rglob("*") if p.is_file()),
    }
    json.dump(result, answers)
    answers.close()
    os._exit(0)  # some peers leave threads that never end


def _load(path: Path) -> Any:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"no driver at {path}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    main()

"""Small data sets written for these tests, and where real ones may lie."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

Rows = Sequence[Mapping[str, Any]]
MakeSet = Callable[..., Path]


@pytest.fixture
def make_set(tmp_path: Path) -> MakeSet:
    """Write a data set of this name from short rows; absent fields get plain values."""

    def make(name: str, turns: Rows, queries: Rows = ()) -> Path:
        folder = tmp_path / name
        folder.mkdir()
        plain = {"stream": "s", "session": "1", "ts": None, "who": "Ana"}
        _write(folder / "turns.jsonl.gz", [{**plain, "i": i, **t} for i, t in enumerate(turns)])
        asked = {"stream": "s", "at": None, "type": "t", "gold": [], "extra": {}}
        _write(folder / "queries.jsonl.gz", [{**asked, **query} for query in queries])
        return folder

    return make


@pytest.fixture
def real_set() -> Callable[[str], Path]:
    """The directory of a public set by name; skips where it is not on this machine."""
    default = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    root = Path(os.environ.get("HOLDFAST_DATA", default))

    def find(name: str) -> Path:
        if not (root / name).is_dir():
            pytest.skip(f"data set {name} is not at {root}; set HOLDFAST_DATA")
        return root / name

    return find


def _write(path: Path, rows: Rows) -> None:
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)

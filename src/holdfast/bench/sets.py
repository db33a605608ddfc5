"""Standard sets as they lie in a folder, and hashes of what a figure depends on."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import holdfast
from holdfast.bench.datasets import Dataset, load
from holdfast.bench.prefeval import load_pairs

_FILLER = "longmemeval_oracle_user"
JOINED = {"conversations": ("locomo", "longmemeval_oracle_user", "longmemeval_s_mini")}
"""Sets by name that are several as one."""
_SHELLS = ("bench", "checks", "cli", "demo")  # no figure of recall depends on these


@dataclass(frozen=True, slots=True)
class Found:
    """A set that is there: its turns and questions, and a hash of the files they came from."""

    data: Dataset
    digest: str


def open_set(root: Path, name: str) -> Found | None:
    """A set by name, or None where it is not there.

    "conversations" is three sets as one, each too small to weigh beside what a file takes anyway.
    PrefEval's pairs are buried in turns of LongMemEval, which may be redistributed and whose
    speakers are a user and an assistant too.
    """
    folder = root / name
    if name in JOINED:
        parts = [root / part for part in JOINED[name]]
        if not all(map(_is_set, parts)):
            return None
        sets = [load(part) for part in parts]
        streams = {key: turns for one in sets for key, turns in one.streams.items()}
        queries = {key: asked for one in sets for key, asked in one.queries.items()}
        return Found(Dataset(name, streams, queries), digest(f for p in parts for f in _files(p)))
    if name == "prefeval":
        filler = root / _FILLER
        if not ((folder / "pairs.jsonl.gz").is_file() and _is_set(filler)):
            return None
        files = [folder / "pairs.jsonl.gz", *_files(filler)]
        return Found(load_pairs(folder, load(filler)), digest(files))
    return Found(load(folder), digest(_files(folder))) if _is_set(folder) else None


def engine_digest() -> str:
    """A hash of everything recall depends on in this package, weights included."""
    root = Path(holdfast.__file__).parent
    return digest(
        path
        for path in sorted(root.rglob("*"))
        if path.is_file()
        and "__pycache__" not in path.parts
        and path.relative_to(root).parts[0] not in _SHELLS
    )


def protocol_digest() -> str:
    """A hash of what decides how a figure is taken: the files that feed, ask, rank and score."""
    return module_digest(
        *("baselines", "bm25", "cells", "datasets", "dense"),
        *("prefeval", "recall", "scorers", "times"),
    )


def digest(paths: Iterable[Path]) -> str:
    """A short hash over the content of files, in order."""
    total = hashlib.blake2b(digest_size=8)
    for path in paths:
        total.update(hashlib.blake2b(path.read_bytes()).digest())
    return total.hexdigest()


def _is_set(folder: Path) -> bool:
    return (folder / "turns.jsonl.gz").is_file()


def _files(folder: Path) -> list[Path]:
    files = [folder / "turns.jsonl.gz", folder / "queries.jsonl.gz"]
    return [path for path in files if path.is_file()]


def module_digest(*names: str) -> str:
    """A hash of benchmark files by name."""
    return digest(Path(__file__).parent / f"{name}.py" for name in names)

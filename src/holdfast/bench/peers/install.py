"""One virtual environment per peer, outside the project, made only when asked for."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from holdfast.errors import UnknownNameError

# Packages in the order they are installed: an earlier step fixes what a later one would choose.
PEERS: Mapping[str, tuple[tuple[str, ...], ...]] = MappingProxyType(
    {
        "langgraph": (("langgraph-checkpoint-sqlite", "sqlite-vec", "numpy"),),
        "langgraph_kv": (("langgraph-checkpoint-sqlite", "numpy"),),
        "chromadb": (("chromadb", "numpy"),),
        "mem0": (("mem0ai", "numpy"),),
        "lancedb": (("lancedb", "numpy"),),
        "txtai": (("torch==2.13.0",), ("txtai", "numpy")),
    }
)


def cache_directory() -> Path:
    """Where environments live unless told otherwise: the user's cache."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "holdfast" / "peers"


def python_of(name: str, cache: Path | None = None) -> Path:
    """The interpreter of a peer's environment, whether or not it is there.

    Raises
    ------
    UnknownNameError
        If no peer has that name.
    """
    if name not in PEERS:
        raise UnknownNameError(f"no peer {name!r}; known: {', '.join(PEERS)}")
    return (cache or cache_directory()) / name / "bin" / "python"


def install(name: str, cache: Path | None = None, python: str = sys.executable) -> Path:
    """Make a peer's environment and install it with pip; return its interpreter.

    Uses the network, as pip is configured, and only when asked. `python` is the interpreter the
    environment is made from; "langgraph" needs one whose sqlite3 loads extensions.
    """
    own = python_of(name, cache)
    if not own.exists():
        subprocess.run([python, "-m", "venv", str(own.parent.parent)], check=True)
    for packages in PEERS[name]:
        command = [str(own), "-m", "pip", "install", "--quiet", *packages]
        subprocess.run(command, check=True, stdout=sys.stderr)
    return own

"""One furnished memory for all tests of the inspector; each gets a client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="session")
def furnished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a full memory, one with attacks in every field, and an empty one."""
    from house import attack, furnish

    from holdfast import Memory

    folder = tmp_path_factory.mktemp("memories")
    furnish(folder)
    attack(folder)
    Memory.open(folder / "empty.holdfast", "1 MiB").close()
    return folder


@pytest.fixture(scope="session")
def client(furnished: Path) -> Iterator[Any]:
    """The owner's client."""
    from house import application
    from starlette.testclient import TestClient

    with TestClient(application(furnished), base_url="http://127.0.0.1") as made:
        yield made

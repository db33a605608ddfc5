"""The files that pages load: a style sheet, a script, an icon; named by what is in them."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType

FILES: Mapping[str, str] = MappingProxyType(
    {
        "inspector.css": "text/css; charset=utf-8",
        "inspector.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }
)


@dataclass(frozen=True, slots=True)
class Asset:
    """One file, as it is sent: whole or packed. `name` changes whenever a byte of it does."""

    name: str
    media_type: str
    body: bytes
    packed: bytes
    etag: str


class Assets:
    """All of them, read and packed once.

    Examples
    --------
    >>> assets = Assets()
    >>> assets.find(assets.name_of("inspector.css")).media_type
    'text/css; charset=utf-8'
    >>> assets.find("inspector.css") is None
    True
    """

    def __init__(self) -> None:
        folder = files("holdfast.inspector") / "static"
        self._names: dict[str, str] = {}
        self._found: dict[str, Asset] = {}
        for plain_name, media_type in FILES.items():
            body = folder.joinpath(plain_name).read_bytes()
            mark = hashlib.sha256(body).hexdigest()[:16]
            stem, _, ending = plain_name.rpartition(".")
            name = f"{stem}.{mark}.{ending}"
            self._names[plain_name] = name
            self._found[name] = Asset(
                name, media_type, body, gzip.compress(body, 9, mtime=0), f'"{mark}"'
            )

    def name_of(self, plain_name: str) -> str:
        """The name that a file goes by."""
        return self._names[plain_name]

    def find(self, name: str) -> Asset | None:
        """The file of a name, None if there is none."""
        return self._found.get(name)

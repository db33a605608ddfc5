"""Vectors made once for every distinct text, kept in a folder, shared by all who want the same."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.models.base import Embedder, Vectors

_KEY_BYTES = 16
_AT_ONCE = 256  # texts embedded between two writes


class CachedEmbedder:
    """An embedder that looks a text up before it asks the model behind it.

    Two files per model: hashes of texts, and float32 vectors in the same order. Both are only
    appended to, so a run that is stopped loses at most what it was about to write, and the vectors
    are read through a memory map. One process at a time.

    Notes
    -----
    A figure that was taken through this cache is no latency of embedding, and has to say so.
    """

    def __init__(self, folder: Path, model: Embedder) -> None:
        self.name, self.dimensions = model.name, model.dimensions
        self._model = model
        self._lock = threading.Lock()
        folder.mkdir(parents=True, exist_ok=True)
        stem = hashlib.blake2b(model.name.encode(), digest_size=6).hexdigest()
        self._keys, self._rows = folder / f"{stem}.keys", folder / f"{stem}.f32"
        for path in (self._keys, self._rows):
            path.touch()
        row_bytes = 4 * self.dimensions
        kept = min(self._keys.stat().st_size // _KEY_BYTES, self._rows.stat().st_size // row_bytes)
        with self._keys.open("r+b") as file:  # a half-written end is cut off
            file.truncate(kept * _KEY_BYTES)
            keys = file.read()
        with self._rows.open("r+b") as file:
            file.truncate(kept * row_bytes)
        self._places = {keys[n * _KEY_BYTES : (n + 1) * _KEY_BYTES]: n for n in range(kept)}
        self._map()

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit vectors, (len(texts), dimensions), float32; those that are not kept are made."""
        with self._lock:
            keys = [_key(text) for text in texts]
            missing = {k: t for k, t in zip(keys, texts, strict=True) if k not in self._places}
            if missing:
                self._add(list(missing), list(missing.values()))
            return np.array(self._kept[[self._places[key] for key in keys]])

    def warm(self, texts: Iterable[str], progress: Callable[[str], None] | None = None) -> None:
        """Make what is missing now, so that nobody waits for it later."""
        wanted = [text for text in dict.fromkeys(texts) if _key(text) not in self._places]
        for start in range(0, len(wanted), _AT_ONCE):
            if progress and start % (8 * _AT_ONCE) == 0:
                progress(f"vectors: {start:,} of {len(wanted):,} texts")
            self.embed(wanted[start : start + _AT_ONCE])

    def _add(self, keys: Sequence[bytes], texts: Sequence[str]) -> None:
        made = np.ascontiguousarray(self._model.embed(texts), np.float32)
        with self._rows.open("ab") as file:
            file.write(made.tobytes())
        with self._keys.open("ab") as file:  # after the vectors: a key promises one
            file.write(b"".join(keys))
        for key in keys:
            self._places[key] = len(self._places)
        self._map()

    def _map(self) -> None:
        shape = (len(self._places), self.dimensions)
        self._kept: Any = (
            np.memmap(self._rows, np.float32, "r", shape=shape)
            if self._places
            else np.empty(shape, np.float32)
        )


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()

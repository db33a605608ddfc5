"""A deterministic embedder for tests and examples: real, small, and slow or broken on demand."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import shake_128

import numpy as np

from holdfast.errors import ModelError
from holdfast.models.base import Vectors

_WORD = re.compile(r"\w+")


@dataclass
class ScriptedEmbedder:
    """A bag of hashed words as a unit vector; texts that share words are near each other.

    Parameters
    ----------
    dimensions
        Numbers per vector. Two texts without a common word have a cosine of about
        ``1 / sqrt(dimensions)`` either way.
    delay_s
        How long each call takes. May be changed while running.
    fail_after
        How many calls succeed before every further one raises `ModelError`. None: all do.
    sleep
        How a call waits.

    Notes
    -----
    Each word is a vector of signs drawn from a hash of its case-folded form; a text is their sum.

    Examples
    --------
    >>> spare, keys, rain = ScriptedEmbedder().embed(["a spare key", "the spare key", "rain"])
    >>> bool(spare @ keys > 0.4 > spare @ rain)
    True
    """

    dimensions: int = 64
    delay_s: float = 0.0
    fail_after: int | None = None
    sleep: Callable[[float], None] = time.sleep
    calls: int = field(default=0, init=False)

    @property
    def name(self) -> str:
        """Identity of the vectors it makes."""
        return f"scripted/{self.dimensions}"

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors, (len(texts), dimensions), float32."""
        self.calls += 1
        if self.delay_s:
            self.sleep(self.delay_s)
        if self.fail_after is not None and self.calls > self.fail_after:
            raise ModelError(f"{self.name}: call {self.calls} fails, as its script says")
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._unit(text)
        return vectors

    def _unit(self, text: str) -> Vectors:
        words = _WORD.findall(text.casefold()) or [text]
        total = np.sum([self._signs(word) for word in words], axis=0)
        if not total.any():  # two words may cancel out; the text itself then gives a direction
            total = self._signs("\0" + text)
        unit: Vectors = (total / np.linalg.norm(total)).astype(np.float32)
        return unit

    def _signs(self, word: str) -> Vectors:
        digest = shake_128(word.encode("utf-8", "surrogatepass")).digest(-(-self.dimensions // 8))
        bits = np.unpackbits(np.frombuffer(digest, dtype=np.uint8))[: self.dimensions]
        return bits.astype(np.float32) * 2 - 1

"""The scripted embedder keeps the contract, and the contract catches embedders that do not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from holdfast.checks.embedder import check_embedder
from holdfast.errors import ModelError
from holdfast.models.base import Embedder, Vectors
from holdfast.models.scripted import ScriptedEmbedder


@pytest.mark.parametrize("dimensions", [5, 64, 384, 1000])
def test_it_keeps_the_contract_exactly(dimensions: int) -> None:
    embedder = ScriptedEmbedder(dimensions=dimensions)
    assert isinstance(embedder, Embedder)
    check_embedder(embedder, tolerance=0.0)


def test_its_vectors_never_change() -> None:
    """Stored vectors outlive a process, so these numbers are part of the name."""
    vector = ScriptedEmbedder(dimensions=8).embed(["Spare key"])[0]
    signs = np.array([-1, 0, 1, -1, 0, -1, 0, -1])
    assert vector.tolist() == pytest.approx((signs / np.sqrt(5)).tolist(), abs=1e-7)


def test_shared_words_are_near_and_case_does_not_matter() -> None:
    key, same, other = ScriptedEmbedder(dimensions=256).embed(
        ["The spare KEY is here", "the spare key is here", "Rain all Thursday long"]
    )
    assert key.tolist() == same.tolist()
    assert abs(float(key @ other)) < 0.3


def test_it_fails_when_told_to() -> None:
    embedder = ScriptedEmbedder(fail_after=2)
    embedder.embed(["a"])
    embedder.embed(["b"])
    with pytest.raises(ModelError, match="call 3 fails"):
        embedder.embed(["c"])


def test_it_waits_as_long_as_told() -> None:
    waits: list[float] = []
    ScriptedEmbedder(delay_s=0.25, sleep=waits.append).embed(["a"])
    assert waits == [0.25]


class _Broken(ScriptedEmbedder):
    """Breaks one rule of the contract."""

    def __init__(self, fault: str) -> None:
        super().__init__()
        self.fault = fault
        self.buffer = np.zeros((100, self.dimensions), dtype=np.float32)

    def embed(self, texts: Sequence[str]) -> Vectors:
        vectors = super().embed(texts)
        if self.fault == "identity":
            self.dimensions += 1
        elif self.fault == "dtype":
            return vectors.astype(np.float64)  # type: ignore[return-value]
        elif self.fault == "length":
            return vectors * 2
        elif self.fault == "count":
            return vectors[:1]
        elif self.fault == "constant":
            return np.full_like(vectors, 1 / np.sqrt(self.dimensions))
        elif self.fault == "order":
            return vectors[np.argsort([len(text) for text in texts], kind="stable")]
        elif self.fault == "shared buffer":
            self.buffer[: len(texts)] = vectors[::-1] if self.calls % 2 else vectors
            return self.buffer[: len(texts)]
        elif self.fault == "batch":
            mixed = vectors + 0.3 * vectors.mean(axis=0, keepdims=True) if len(texts) else vectors
            return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
        return vectors


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("identity", "identity changed"),
        ("dtype", "float64, want float32"),
        ("length", r"length 2\.000"),
        ("count", "gave shape"),
        ("constant", "cosine of 1.000"),
        ("order", "alone and together"),
        ("shared buffer", "already given out"),
        ("batch", "alone and together"),
    ],
)
def test_the_contract_catches(fault: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_embedder(_Broken(fault))

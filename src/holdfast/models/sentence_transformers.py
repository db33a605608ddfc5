"""Any model of the sentence-transformers library, on torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from holdfast.models.base import Vectors
from holdfast.models.extras import need
from holdfast.models.units import unit_vectors


class Encoder(Protocol):
    """The one method of a SentenceTransformer that is used."""

    def encode(self, sentences: list[str], **options: Any) -> Any:
        """Vectors, (len(sentences), d)."""
        ...


class SentenceTransformers:
    """Vectors from a sentence-transformers model.

    Parameters
    ----------
    model
        A folder, the name of a model already in the local cache, or a loaded model. Nothing is
        ever downloaded.
    name
        The identity stored beside the vectors: change it when the model changes. None: made from
        `model`, which must then be a folder or a name.
    device
        Where it runs: ``"cpu"``, ``"cuda"``.
    batch_size
        Texts per forward pass.

    Raises
    ------
    MissingExtraError
        If sentence-transformers is not installed.
    ModelError
        If the model answers something that is no set of vectors.
    ValueError
        If a loaded model comes without a name.
    """

    def __init__(
        self,
        model: str | Path | Encoder,
        *,
        name: str | None = None,
        device: str = "cpu",
        batch_size: int = 32,
    ) -> None:
        if isinstance(model, str | Path):
            library = need("sentence_transformers", "sentence-transformers")
            self._encoder: Encoder = library.SentenceTransformer(
                str(model), device=device, local_files_only=True
            )
            name = name or f"sentence-transformers/{Path(model).name}"
        else:
            self._encoder = model
        if name is None:
            raise ValueError("a loaded model needs a name, under which its vectors are stored")
        self.name = name
        self._batch_size = batch_size
        # Asking beats reading: the attribute that holds the width differs between versions.
        self.dimensions = int(np.asarray(self._encode(["width"])).shape[-1])

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors, (len(texts), dimensions), float32."""
        if not texts:
            return np.empty((0, self.dimensions), dtype=np.float32)
        return unit_vectors(self._encode(list(texts)), len(texts), self.dimensions, self.name)

    def _encode(self, texts: list[str]) -> Any:
        return self._encoder.encode(
            texts,
            batch_size=self._batch_size,
            convert_to_numpy=True,
            normalize_embeddings=True,
            show_progress_bar=False,
        )

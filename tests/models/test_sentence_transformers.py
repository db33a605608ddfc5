"""The shell around sentence-transformers; the library itself is torch-sized and not needed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from holdfast.checks.embedder import check_embedder
from holdfast.errors import MissingExtraError, ModelError
from holdfast.models.scripted import ScriptedEmbedder
from holdfast.models.sentence_transformers import SentenceTransformers


class Loaded:
    """A loaded model, as far as the shell can tell. Its vectors have length three."""

    def __init__(self, extra_row: bool = False) -> None:
        self.extra_row = extra_row
        self.options: dict[str, Any] = {}

    def encode(self, sentences: list[str], **options: Any) -> Any:
        self.options = options
        vectors = 3 * ScriptedEmbedder(dimensions=12).embed(sentences)
        return np.repeat(vectors, 2, axis=0) if self.extra_row else vectors


def test_a_loaded_model_keeps_the_contract() -> None:
    loaded = Loaded()
    embedder = SentenceTransformers(loaded, name="mine/1", batch_size=7)
    assert (embedder.name, embedder.dimensions) == ("mine/1", 12)
    check_embedder(embedder, tolerance=0.0)
    assert loaded.options["batch_size"] == 7
    assert loaded.options["show_progress_bar"] is False


def test_a_loaded_model_needs_a_name() -> None:
    with pytest.raises(ValueError, match="needs a name"):
        SentenceTransformers(Loaded())


def test_a_wrong_answer_is_a_model_error() -> None:
    embedder = SentenceTransformers(Loaded(extra_row=True), name="mine/1")
    with pytest.raises(ModelError, match=r"found \(2, 12\)"):
        embedder.embed(["one"])


@pytest.mark.skipif(find_spec("sentence_transformers") is not None, reason="it is installed")
def test_its_absence_names_the_extra() -> None:
    with pytest.raises(MissingExtraError, match=r"holdfast\[sentence-transformers\]"):
        SentenceTransformers("some/model")

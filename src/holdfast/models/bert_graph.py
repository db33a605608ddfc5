"""The sentence encoder as an ONNX graph, in float32 or int8, straight from its weights."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from holdfast.models.bert import EPSILON, HEADS, POSITIONS, TYPES, WORDS, Floats, block, layers
from holdfast.models.extras import need
from holdfast.models.safetensors import Tensors

RECIPE = "int8-1"  # part of every cached file's name: a change here means new vectors

# Seven bits, not eight: processors without dot-product instructions add pairs of 8-bit products
# into 16 bits, which full-range weights overflow. With this range every machine computes the
# same vectors; the price is about 0.001 of mean cosine.
_WEIGHT_RANGE = 63


def quantise(weight: Floats, limit: int) -> tuple[npt.NDArray[np.int8], Floats]:
    """Symmetric int8 codes of a matrix and one scale per column."""
    scale = np.maximum(np.abs(weight).max(axis=0) / limit, np.finfo(np.float32).tiny)
    return np.rint(weight / scale).astype(np.int8), scale.astype(np.float32)


def build(weights: Tensors, *, int8: bool, metadata: Mapping[str, str] | None = None) -> bytes:
    """The serialised model: input ``ids`` (batch, tokens) int64, output ``vectors`` (batch, 384).

    There is no mask: texts of a batch must have the same number of tokens. In int8, activations
    are quantised per call with one scale for the whole batch, so that a text's vector is
    reproducible only if it travels alone.

    Raises
    ------
    MissingExtraError
        If the onnx package is absent.
    ModelError
        If the weights are not a MiniLM encoder's.
    """
    return _Graph(weights, int8).encoder(layers(weights), metadata or {})


class _Graph:
    """Collects nodes and constants while the encoder is written out once, top to bottom."""

    def __init__(self, weights: Tensors, int8: bool) -> None:
        self._onnx = need("onnx", "minilm")
        self._helper = need("onnx.helper", "minilm")
        self._numpy = need("onnx.numpy_helper", "minilm")
        self._weights, self._int8 = weights, int8
        self._nodes: list[Any] = []
        self._constants: list[Any] = []

    def encoder(self, depth: int, metadata: Mapping[str, str]) -> bytes:
        x = self._norm(self._embeddings("ids"), "embeddings.LayerNorm")  # (B, T, C)
        for layer in range(depth):
            query, key, value, out, norm_1, up, down, norm_2 = block(layer)
            qkv = self._linear(x, query, key, value)  # one product for all three: (B, T, 3C)
            q, k, v = self._add("Split", qkv, outputs=3, axis=-1, num_outputs=3)
            mixed = self._one("MultiHeadAttention", q, k, v, fused=True, num_heads=HEADS)
            x = self._norm(self._one("Add", x, self._linear(mixed, out)), norm_1)
            inner = self._one("Gelu", self._linear(x, up))
            x = self._norm(self._one("Add", x, self._linear(inner, down)), norm_2)
        axis = self._constant(np.array([1]))
        total = self._one("ReduceSum", x, axis, keepdims=0)  # (B, C); the mean's divisor cancels
        length = self._one("ReduceL2", total, axis, keepdims=1)
        self._nodes.append(self._helper.make_node("Div", [total, length], ["vectors"]))
        return self._model(metadata)

    def _embeddings(self, ids: str) -> str:
        words = self._weights[f"{WORDS}.weight"]
        places = self._weights[f"{POSITIONS}.weight"] + self._weights[f"{TYPES}.weight"][0]
        if self._int8:  # full range: these codes are looked up, never multiplied in 16 bits
            codes, scale = quantise(words.T, 127)  # one scale per word
            found = self._one("Gather", self._constant(codes.T), ids)
            found = self._one("Cast", found, to=self._onnx.TensorProto.FLOAT)
            x = self._one("Mul", found, self._one("Gather", self._constant(scale[:, None]), ids))
        else:
            x = self._one("Gather", self._constant(words), ids)
        zero = self._constant(np.array([0]))
        tokens = self._one("Shape", ids, start=1, end=2)
        return self._one("Add", x, self._one("Slice", self._constant(places), zero, tokens, zero))

    def _linear(self, x: str, *names: str) -> str:
        weight = np.concatenate([self._weights[f"{name}.weight"] for name in names]).T
        bias = self._constant(np.concatenate([self._weights[f"{name}.bias"] for name in names]))
        if not self._int8:
            return self._one("Add", self._one("MatMul", x, self._constant(weight)), bias)
        codes, scale = (self._constant(part) for part in quantise(weight, _WEIGHT_RANGE))
        return self._one("DynamicQuantizeMatMul", x, codes, scale, "", bias, fused=True)

    def _norm(self, x: str, name: str) -> str:
        parts = [self._constant(self._weights[f"{name}.{part}"]) for part in ("weight", "bias")]
        return self._one("LayerNormalization", x, *parts, axis=-1, epsilon=EPSILON)

    def _one(self, kind: str, *inputs: str, fused: bool = False, **options: Any) -> str:
        return self._add(kind, *inputs, fused=fused, **options)[0]

    def _add(
        self, kind: str, *inputs: str, outputs: int = 1, fused: bool = False, **options: Any
    ) -> list[str]:
        names = [f"{kind}_{len(self._nodes)}_{index}" for index in range(outputs)]
        domain = "com.microsoft" if fused else ""  # where ONNX Runtime keeps its fused operators
        node = self._helper.make_node(kind, inputs, names, domain=domain, **options)
        self._nodes.append(node)
        return names

    def _constant(self, values: npt.NDArray[Any]) -> str:
        name = f"constant_{len(self._constants)}"
        self._constants.append(self._numpy.from_array(np.ascontiguousarray(values), name))
        return name

    def _model(self, metadata: Mapping[str, str]) -> bytes:
        types, info = self._onnx.TensorProto, self._helper.make_tensor_value_info
        ids = info("ids", types.INT64, ["batch", "tokens"])
        vectors = info("vectors", types.FLOAT, ["batch", self._weights[f"{WORDS}.weight"].shape[1]])
        graph = self._helper.make_graph(self._nodes, "minilm", [ids], [vectors], self._constants)
        opsets = [self._helper.make_opsetid(*pair) for pair in (("", 20), ("com.microsoft", 1))]
        model = self._helper.make_model(graph, opset_imports=opsets, ir_version=9)
        self._helper.set_model_props(model, dict(metadata))
        return bytes(model.SerializeToString())

"""The sentence encoder in plain NumPy: the definition that the fast graph is a claim about."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from holdfast.errors import ModelError
from holdfast.models.safetensors import Tensors

HEADS = 12
EPSILON = 1e-12
WORDS = "embeddings.word_embeddings"
POSITIONS = "embeddings.position_embeddings"
TYPES = "embeddings.token_type_embeddings"

Floats = npt.NDArray[np.float32]

_erf = np.vectorize(math.erf, otypes=[np.float32])


def layers(weights: Tensors) -> int:
    """How many encoder layers the weights hold.

    Raises
    ------
    ModelError
        If a tensor is missing, or the widths are not those of the MiniLM family.
    """
    blocks = {name.split(".")[2] for name in weights if name.startswith("encoder.layer.")}
    needed = [f"{name}.weight" for name in (WORDS, POSITIONS, TYPES)]
    needed += [f"embeddings.LayerNorm.{part}" for part in ("weight", "bias")]
    for layer in range(len(blocks)):
        needed += [f"{name}.{part}" for name in block(layer) for part in ("weight", "bias")]
    missing = [name for name in needed if name not in weights]
    if missing or not blocks:
        raise ModelError(
            f"a MiniLM encoder was asked for; {len(missing)} of {len(needed)} tensors are missing, "
            f"the first {missing[0] if missing else 'encoder.layer.0'}; point model_dir at "
            f"all-MiniLM-L6-v2"
        )
    width = weights[f"{WORDS}.weight"].shape[1]
    if width != 384:
        raise ModelError(f"a MiniLM encoder is 384 numbers wide; these weights are {width}")
    return len(blocks)


def block(layer: int) -> tuple[str, ...]:
    """Names of one layer's parts: query, key, value, output, norm, up, down, norm."""
    root = f"encoder.layer.{layer}"
    return (
        *(f"{root}.attention.self.{part}" for part in ("query", "key", "value")),
        f"{root}.attention.output.dense",
        f"{root}.attention.output.LayerNorm",
        f"{root}.intermediate.dense",
        f"{root}.output.dense",
        f"{root}.output.LayerNorm",
    )


def forward(weights: Tensors, ids: Sequence[int]) -> Floats:
    """One text's unit vector, (width,).

    Parameters
    ----------
    ids
        Token ids with the opening and closing marks, at most as many as there are positions.

    Notes
    -----
    A post-norm transformer encoder: learned absolute positions, scaled dot-product attention,
    exact (erf) GELU, then the mean over tokens, scaled to length one. The mean's divisor cancels.
    """

    def linear(x: Floats, name: str) -> Floats:
        y: Floats = x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
        return y

    def norm(x: Floats, name: str) -> Floats:
        centred = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt((centred**2).mean(axis=-1, keepdims=True) + EPSILON)
        y: Floats = centred / spread * weights[f"{name}.weight"] + weights[f"{name}.bias"]
        return y

    def heads(x: Floats) -> Floats:
        return x.reshape(len(x), HEADS, -1).transpose(1, 0, 2)  # (H, T, D)

    x = weights[f"{WORDS}.weight"][np.asarray(ids)]  # (T, C)
    x = x + weights[f"{POSITIONS}.weight"][: len(ids)] + weights[f"{TYPES}.weight"][0]
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(layers(weights)):
        query, key, value, out, norm_1, up, down, norm_2 = block(layer)
        q, k, v = (heads(linear(x, name)) for name in (query, key, value))
        scores = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])  # (H, T, T)
        share = np.exp(scores - scores.max(axis=-1, keepdims=True))
        share /= share.sum(axis=-1, keepdims=True)
        mixed = (share @ v).transpose(1, 0, 2).reshape(x.shape)  # (T, C)
        x = norm(x + linear(mixed, out), norm_1)
        inner = linear(x, up)  # (T, 4C)
        inner = inner * 0.5 * (1.0 + _erf(inner / math.sqrt(2.0)))
        x = norm(x + linear(inner, down), norm_2)
    total = x.sum(axis=0)
    return np.asarray(total / np.linalg.norm(total), dtype=np.float32)

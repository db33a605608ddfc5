"""The contract every embedder keeps, as a suite anyone can run on theirs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from holdfast.models.base import Embedder, Vectors

_TEXTS = (
    "The spare key hangs behind the kitchen door.",
    "Rain is expected on Thursday.",
    "a",
    "Der Zug nach Zürich fährt um 7:42 Uhr.",
    "倉庫の鍵は青い箱の中にあります。",
    "🌊🪨 held fast",
    "tabs\tand\nlines and \u0000 nothing",
    " ",
    "",
)
_LONG = "The tide comes in and the tide goes out again. " * 2000


def check_embedder(embedder: Embedder, *, tolerance: float = 1e-2) -> None:
    """Run the whole contract.

    Parameters
    ----------
    embedder
        The one to judge. It is called about a dozen times with up to nine texts.
    tolerance
        How far any number of a vector may move when the same text is embedded in other company.
        Models whose arithmetic depends on the batch need some; exact ones pass with 0.

    Raises
    ------
    AssertionError
        With what was asked and what was found, at the first rule broken.
    """
    for check in CHECKS:
        check(embedder, tolerance)


def check_identity(embedder: Embedder, tolerance: float) -> None:
    """It has a name and a width, and keeps them when used."""
    name, dimensions = embedder.name, embedder.dimensions
    _expect(isinstance(name, str) and name.strip() != "", f"name is {name!r}, want some text")
    _expect(
        isinstance(dimensions, int) and dimensions > 0, f"dimensions is {dimensions!r}, want an int"
    )
    embedder.embed(_TEXTS[:1])
    _expect((embedder.name, embedder.dimensions) == (name, dimensions), "its identity changed")


def check_shape(embedder: Embedder, tolerance: float) -> None:
    """One float32 row per text, for none, one and many, from lists and tuples."""
    for texts in ((), [], _TEXTS[:1], list(_TEXTS)):
        _embed(embedder, texts)


def check_unit_length(embedder: Embedder, tolerance: float) -> None:
    """Every vector is finite and of length one, whatever the text."""
    for index, vector in enumerate(_embed(embedder, [*_TEXTS, _LONG])):
        length = float(np.linalg.norm(vector))
        _expect(
            abs(length - 1.0) <= 1e-3, f"text {index} has a vector of length {length:.3f}, want 1"
        )


def check_repeatable(embedder: Embedder, tolerance: float) -> None:
    """The same batch twice gives the same vectors, which are the caller's to keep."""
    first = _embed(embedder, _TEXTS)
    kept = first.copy()
    second = _embed(embedder, _TEXTS)
    _expect(np.array_equal(first, kept), "a later call changed vectors already given out")
    _close(first, second, tolerance, "the same batch a second time")


def check_purity(embedder: Embedder, tolerance: float) -> None:
    """A text's vector does not depend on what else is in the batch, nor on its place in it."""
    together = _embed(embedder, _TEXTS)
    alone = np.concatenate([_embed(embedder, [text]) for text in _TEXTS])
    _close(together, alone, tolerance, "texts alone and together")
    reverse = _embed(embedder, _TEXTS[::-1])[::-1]
    _close(together, reverse, tolerance, "texts in reverse order")
    beside_long = _embed(embedder, [_TEXTS[0], _LONG])[:1]
    _close(together[:1], beside_long, tolerance, "a text beside a very long one")


def check_distinguishes(embedder: Embedder, tolerance: float) -> None:
    """Different texts differ, and a repeated text agrees with itself."""
    key, rain, again = _embed(embedder, [_TEXTS[0], _TEXTS[1], _TEXTS[0]])
    _close(key, again, tolerance, "one text twice in a batch")
    cosine = float(key @ rain)
    _expect(cosine < 0.99, f"unrelated texts have a cosine of {cosine:.3f}, want less than 0.99")


CHECKS: tuple[Callable[[Embedder, float], None], ...] = (
    check_identity,
    check_shape,
    check_unit_length,
    check_repeatable,
    check_purity,
    check_distinguishes,
)


def _embed(embedder: Embedder, texts: tuple[str, ...] | list[str]) -> Vectors:
    vectors = embedder.embed(texts)
    _expect(isinstance(vectors, np.ndarray), f"embed gave {type(vectors).__name__}, want an array")
    _expect(vectors.dtype == np.float32, f"vectors are {vectors.dtype}, want float32")
    want = (len(texts), embedder.dimensions)
    _expect(vectors.shape == want, f"{len(texts)} texts gave shape {vectors.shape}, want {want}")
    return vectors


def _close(left: Vectors, right: Vectors, tolerance: float, what: str) -> None:
    # The norm's own rounding is allowed on top, so that a tolerance of 0 means equal arithmetic.
    moved = float(np.abs(left - right).max(initial=0.0))
    _expect(moved <= tolerance + 1e-6, f"{what}: numbers moved by {moved:.4f}, want {tolerance}")


def _expect(holds: bool, otherwise: str) -> None:
    # Raised rather than asserted: a contract must hold under `python -O` as well.
    if not holds:
        raise AssertionError(otherwise)

"""One spelling for NumPy arrays and torch tensors: the array API standard."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from holdfast.errors import MissingExtraError

Array = Any
"""A NumPy array or a torch tensor."""


def namespace(array: Array) -> ModuleType:
    """The functions of the array API standard for this kind of array.

    NumPy is its own namespace. A tensor needs `array-api-compat`, which comes with the extra
    ``torch``.

    Raises
    ------
    MissingExtraError
        If it is a tensor and that is not installed.
    """
    if isinstance(array, np.ndarray):
        return np
    try:
        from array_api_compat import array_namespace
    except ImportError:
        raise MissingExtraError(
            "plans over tensors need array-api-compat; pip install 'holdfast[torch]'"
        ) from None
    found: ModuleType = array_namespace(array)
    return found


def to_float(array: Array) -> Array:
    """As double precision, whatever it was."""
    xp = namespace(array)
    return xp.astype(array, xp.float64)


def arange_like(array: Array, n: int) -> Array:
    """0 to n - 1 as 64-bit integers, where `array` lives."""
    xp = namespace(array)
    if xp is np:
        return np.arange(n)
    return xp.arange(n, dtype=xp.int64, device=array.device)

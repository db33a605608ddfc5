"""Import optional packages at the moment they are needed, with one clear error if absent."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from holdfast.errors import MissingExtraError


def need(module: str, extra: str) -> Any:
    """The imported `module`, which the optional dependency group `extra` provides.

    Raises
    ------
    MissingExtraError
        If it, or something it needs, is not installed.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module} is needed here but cannot be imported ({error}); "
            f'install it: pip install "holdfast[{extra}]", or in a copy of the repository: '
            f'pip install ".[{extra}]"'
        ) from error

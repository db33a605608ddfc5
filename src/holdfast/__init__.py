"""Holdfast: bounded, streaming, faithful memory for AI agents.

Importing does no work; `Memory` and what it needs load on first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from holdfast import errors
from holdfast.records import (
    BulkReceipt,
    Context,
    Episode,
    Event,
    Hit,
    Item,
    Omission,
    Quote,
    Receipt,
    Record,
    Scope,
    ScopeHit,
    Tier,
    Usage,
)

if TYPE_CHECKING:
    from holdfast.aio import AsyncMemory
    from holdfast.memory import Memory, Verification

__version__ = "0.1.0"

__all__ = [
    "AsyncMemory",
    "BulkReceipt",
    "Context",
    "Episode",
    "Event",
    "Hit",
    "Item",
    "Memory",
    "Omission",
    "Quote",
    "Receipt",
    "Record",
    "Scope",
    "ScopeHit",
    "Tier",
    "Usage",
    "Verification",
    "errors",
]

_LAZY = {
    "AsyncMemory": "holdfast.aio",
    "Memory": "holdfast.memory",
    "Verification": "holdfast.memory",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)

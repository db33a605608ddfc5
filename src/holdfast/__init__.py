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
from holdfast.state.records import Belief, Change, Claim, Evidence, Trust

if TYPE_CHECKING:
    from holdfast.aio import AsyncMemory
    from holdfast.memory import Memory
    from holdfast.seat import Seat
    from holdfast.several import recall_across
    from holdfast.state.automaton import Automaton
    from holdfast.verify import Verification

__version__ = "0.1.0"

__all__ = [
    "AsyncMemory",
    "Automaton",
    "Belief",
    "BulkReceipt",
    "Change",
    "Claim",
    "Context",
    "Episode",
    "Event",
    "Evidence",
    "Hit",
    "Item",
    "Memory",
    "Omission",
    "Quote",
    "Receipt",
    "Record",
    "Scope",
    "ScopeHit",
    "Seat",
    "Tier",
    "Trust",
    "Usage",
    "Verification",
    "errors",
    "recall_across",
]

_LAZY = {
    "AsyncMemory": "holdfast.aio",
    "Automaton": "holdfast.state.automaton",
    "Memory": "holdfast.memory",
    "Seat": "holdfast.seat",
    "Verification": "holdfast.verify",
    "recall_across": "holdfast.several",
}


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'holdfast' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_LAZY[name]), name)

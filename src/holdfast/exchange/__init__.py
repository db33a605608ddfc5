"""A memory as lines of JSON and back: its events, or all of it."""

from __future__ import annotations

from holdfast.exchange.events import (
    Progress,
    export,
    from_json,
    known_keys,
    parse,
    refuse_conflict,
    to_json,
)
from holdfast.exchange.whole import Restored, export_whole, restore

__all__ = [
    "Progress", "Restored", "export", "export_whole", "from_json", "known_keys", "parse",
    "refuse_conflict", "restore", "to_json",
]  # fmt: skip

"""The heap of this process: what Python has freed, and the system does not know of yet."""

from __future__ import annotations

import ctypes


def give_back() -> None:
    """Hand freed memory back to the system: the allocator keeps tens of megabytes otherwise."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it; others need no telling
    if trim is not None:
        trim(0)

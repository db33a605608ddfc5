"""The inspector: pages that show what a memory holds, why, and what it let go of. Read-only."""

from __future__ import annotations

from holdfast.inspector.app import routes
from holdfast.inspector.query import local_path
from holdfast.inspector.rates import Rates

__all__ = ["Rates", "local_path", "routes"]

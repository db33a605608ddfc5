"""What other programs remember, read into a memory: one file for each format.

A reader turns a source into events and, where it holds statements with a validity, into beliefs.
Readers know one format and nothing of memories; `load` knows memories and no format.
"""

from __future__ import annotations

from holdfast.interchange.formats import FORMATS, LOSSLESS, detect
from holdfast.interchange.load import Imported, Prepared, load, prepare
from holdfast.interchange.source import Source, opened

__all__ = [
    "FORMATS", "LOSSLESS", "Imported", "Prepared", "Source", "detect", "load", "opened", "prepare",
]  # fmt: skip

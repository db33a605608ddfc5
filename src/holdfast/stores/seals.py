"""Checksums for rows that have none of their own, so that `verify` can tell that they changed."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from typing import Any

import apsw

from holdfast.errors import CorruptStoreError
from holdfast.stores.base import SHELVES

CHECK = "check"
"""The key of the row of `meta` that is a hash over all others."""
_MARK = b"\0"  # before a CRC-32; rows from before there was one begin otherwise


def sealed(data: bytes, *context: bytes | int) -> bytes:
    """Some data with a checksum over it and what it belongs to."""
    return _MARK + _sum(data, context).to_bytes(4, "little") + data


def unsealed(row: bytes, what: str, *context: bytes | int) -> bytes:
    """The inverse of `sealed`; raises `CorruptStoreError` if either changed.

    A row that does not begin as a sealed one is given back as it is: who reads it can tell.
    """
    if row[:1] != _MARK:
        return row
    data = row[5:]
    if _sum(data, context).to_bytes(4, "little") != row[1:5]:
        raise CorruptStoreError(f"{what} fails its CRC-32; run verify")
    return data


def whole_key(row: tuple[Any, ...]) -> tuple[bytes, int, bytes, bytes]:
    """An idempotency key with its event, body digest and receipt, checked."""
    key, seq, body, receipt = row
    try:
        return key, seq, body, unsealed(receipt, f"the receipt of {seq}", key, seq, body)
    except TypeError:
        raise CorruptStoreError("an idempotency key is not as it was written") from None


def _sum(data: bytes, context: Iterable[bytes | int]) -> int:
    return zlib.crc32(data, zlib.crc32(repr(list(context)).encode()))


def meta_sum(db: apsw.Connection) -> str:
    """A hash over the schema and all of `meta` but itself."""
    rows = db.execute("SELECT key, value FROM meta WHERE key <> ? ORDER BY key", (CHECK,))
    schema = db.execute("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY name")
    both = [rows.fetchall(), schema.fetchall()]
    return hashlib.sha256(repr(both).encode()).hexdigest()[:16]


def seal_meta(db: apsw.Connection) -> None:
    """Bring that hash up to date."""
    db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (CHECK, meta_sum(db)))


def meta_problems(db: apsw.Connection) -> list[str]:
    """Whether it fits, and whether every small row is on a shelf that there is."""
    try:
        found = db.execute("SELECT value FROM meta WHERE key = ?", (CHECK,)).fetchall()
        shelves = db.execute("SELECT DISTINCT CAST(shelf AS BLOB) FROM cell").fetchall()
        known = {(shelf.encode(),) for shelf in SHELVES}
        whole = found == [(meta_sum(db),)] and known.issuperset(shelves)
    except UnicodeDecodeError:
        whole = False
    return [] if whole else ["the schema, the settings or a shelf was changed"]

"""One probe, and how a few of them lie together in a cell of a store."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b

from holdfast.codec import BYTES, Row, Who
from holdfast.errors import CorruptStoreError
from holdfast.fidelity.question import QUERY_BYTES, ask
from holdfast.fidelity.worth import worth_of
from holdfast.records import Tier
from holdfast.trust.levels import source_of

_FIXED = struct.Struct("<qqBBIeI8s8sBBB")
_SCOPE_BYTES = 32
PROBE_BYTES = _FIXED.size + _SCOPE_BYTES + QUERY_BYTES
"""Of a probe, at the most."""
CELL_BYTES = 960
"""Of a cell, at the most: a row of more does not fit into its page of the tree."""
_HALF = struct.Struct("<e")
_BELOW = struct.Struct("<d")
_HEAD = struct.Struct("<I")  # CRC-32 of the rest
_ABSENT = b"\xff" * 8


@dataclass(frozen=True, slots=True)
class Probe:
    """What to ask about one event, and what to expect; of the answer only a digest.

    `scope` is the outermost part of the event's scope, empty where that is longer than 32 bytes.
    `source` is a digest of whoever answers for the event. Without a `query` nothing can be asked:
    the event is no text, or was lowered before its probe was made.
    """

    seq: int
    at: int  # microseconds since 1970, UTC
    kind: int
    worth: int
    size: int
    surprise: float
    start: int
    end: int
    answer: bytes
    source: bytes
    scope: str
    query: str

    @classmethod
    def of(cls, row: Row, drawn: float) -> Probe:
        """The probe of an event."""
        query, start, end, answer = "", 0, 0, _ABSENT
        if row.tier == Tier.VERBATIM and not row.flags & BYTES:
            content = row.body[: len(row.body) - row.extra]
            query, start, end, answer = ask(content, row.who.speaker, drawn)
        return cls(
            row.seq, row.at, row.kind, worth_of(row), row.size, _rounded(row.surprise), start, end,
            answer, source_digest(row.who), outermost(row.who.scope), query,
        )  # fmt: skip

    def blank(self) -> Probe:
        """It without anything that was said, or who said it: good for counting only."""
        return replace(self, start=0, end=0, answer=_ABSENT, source=_ABSENT, scope="", query="")

    def to_bytes(self) -> bytes:
        scope = self.scope.encode("utf-8", "surrogatepass")
        query = self.query.encode("utf-8", "surrogatepass")
        return _FIXED.pack(
            self.seq, self.at, self.kind, self.worth, self.size, self.surprise, self.start,
            self.answer, self.source, self.end - self.start, len(scope), len(query),
        ) + scope + query  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes) -> Probe:
        """The inverse of `to_bytes`."""
        (
            seq, at, kind, worth, size, surprise, start, answer, source, span, n_scope, n_query,
        ) = _FIXED.unpack_from(data)  # fmt: skip
        edge = _FIXED.size + n_scope
        scope = data[_FIXED.size : edge].decode("utf-8", "surrogatepass")
        query = data[edge : edge + n_query].decode("utf-8", "surrogatepass")
        return cls(
            seq, at, kind, worth, size, surprise, start, start + span, answer, source, scope, query
        )


def _rounded(surprise: float) -> float:
    """As it is stored: in half precision."""
    found: float = _HALF.unpack(_HALF.pack(surprise))[0]
    return found


def outermost(scope: str) -> str:
    """The first part of a scope; empty if it is long."""
    first = scope.partition("/")[0]
    return first if len(first.encode("utf-8", "surrogatepass")) <= _SCOPE_BYTES else ""


def source_digest(who: Who) -> bytes:
    """Eight bytes that tell sources apart and say nothing of them."""
    return digest_of(source_of(who))


def digest_of(source: str) -> bytes:
    """As `source_digest`, of the name of a source."""
    return blake2b(source.encode("utf-8", "surrogatepass"), digest_size=8).digest()


def sealed(body: bytes) -> bytes:
    """A cell's content behind its CRC-32."""
    return _HEAD.pack(zlib.crc32(body)) + body


def unsealed(data: bytes, id: int) -> bytes:
    """The inverse of `sealed`; raises `CorruptStoreError` if it changed."""
    if len(data) < _HEAD.size or _HEAD.pack(zlib.crc32(data[_HEAD.size :])) != data[: _HEAD.size]:
        raise CorruptStoreError(f"probes {id} fail their CRC-32; run verify")
    return data[_HEAD.size :]


def pack(below: float, probes: Iterable[bytes]) -> bytes:
    """The probes of one cell, and the threshold that they were under."""
    body = b"".join(len(probe).to_bytes(1, "little") + probe for probe in probes)
    return sealed(_BELOW.pack(below) + body)


def unpack(data: bytes, id: int) -> tuple[float, list[Probe]]:
    """The inverse of `pack`."""
    body = unsealed(data, id)
    found: list[Probe] = []
    (below,) = _BELOW.unpack_from(body)
    at = _BELOW.size
    while at < len(body):
        end = at + 1 + body[at]
        found.append(Probe.from_bytes(body[at + 1 : end]))
        at = end
    return below, found

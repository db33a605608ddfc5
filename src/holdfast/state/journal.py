"""The journal of state: one entry for each operation, as bytes and back.

State is the fold of its journal and nothing else, so replaying it gives the same state, and leaving
a source out of it gives the state as if that source had never spoken.
"""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import zstandard

from holdfast.errors import CorruptStoreError
from holdfast.state.reconcile import Statement
from holdfast.state.records import Change, Claim, Evidence

MOST_PER_EVENT = 1 << 12  # operations that one event may bring
SINCE = "u"
"""In the body of an entry that stands for others: the event that brought the first of them."""

# What most entries have in common; part of the format, so it never changes.
_SAMPLE = (
    b'{"a":1700000000.0,"b":{"e":[[1,0,40,"I live in Lisbon and work as a teacher.","00"]],'
    b'"k":"preference","p":"likes","s":"user","v":"coffee","vf":1700000000.0,"w":"","al":[],'
    b'"st":"retract","i":true,"m":true,"cf":0.9},"c":{"a":"supersede","r":["b1.0"],"w":"b2.0"},'
    b'"o":"claim","p":"user","t":2,"z":"user/ana/session/1"}lives_in works_at decided plans always'
)
_DICT = zstandard.ZstdCompressionDict(_SAMPLE, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
_CRC = struct.Struct("<I")


@dataclass(frozen=True, slots=True)
class Entry:
    """One operation on state: what it was, who asked for it, and what came of it.

    `seq` is the event that brought it, `n` its place among that event's. `at` is when the event
    happened, `recorded_at` when it was stored. `body` is what the fold of `op` reads.
    """

    seq: int
    n: int
    at: float
    recorded_at: float
    source: str
    trust: int
    scope: str
    op: str
    body: Mapping[str, Any]
    action: str = ""
    what: str = ""
    retired: tuple[str, ...] = ()

    @property
    def id(self) -> int:
        """Its place in the journal."""
        return self.seq * MOST_PER_EVENT + self.n

    @property
    def sources(self) -> tuple[str, ...]:
        """Who answers for it: several where it stands for entries that were dropped, or copies
        what somebody else said."""
        return (self.source, *self.body.get("o", ()))

    @property
    def change(self) -> Change:
        """What it did, as watchers see it."""
        return Change(
            self.seq, self.n, self.recorded_at, self.action, self.what, self.scope, self.retired,
            _detail(self),
        )  # fmt: skip


def statement(entry: Entry) -> Statement:
    """The statement that an entry of op "claim" holds."""
    return Statement(
        claim_from(entry.body), entry.seq, entry.n, entry.recorded_at, entry.at, entry.source,
        entry.trust,
    )  # fmt: skip


_TOLD: Mapping[str, Mapping[str, str]] = {  # what watchers are told of each operation's body
    "document": {"form": "f"},
    "step": {"event": "e"},
    "grant": {"right": "r", "given": "g"},
    "revoke": {"revoked": "r"},
    "erase": {"events": "events", "entries": "entries"},
}


def _detail(entry: Entry) -> Mapping[str, Any]:
    if entry.op == "claim":
        said = {"subject": entry.body["s"], "predicate": entry.body["p"], "value": entry.body["v"]}
        return said | ({"from": entry.body["pr"]} if "pr" in entry.body else {})
    told = _TOLD.get(entry.op, {})
    return {"op": entry.op} | {n: entry.body[k] for n, k in told.items() if k in entry.body}


def encode(entry: Entry) -> bytes:
    """An entry as it is stored: CRC-32, then compressed JSON. Its place is the key it has."""
    line: dict[str, Any] = {
        "a": entry.at, "b": entry.body, "c": [entry.action, entry.what, *entry.retired],
        "o": entry.op, "p": entry.source, "r": entry.recorded_at, "t": entry.trust,
        "z": entry.scope,
    }  # fmt: skip
    # Not escaped: reading escapes would join two lone surrogates to one character.
    text = json.dumps(
        line, separators=(",", ":"), sort_keys=True, allow_nan=False, ensure_ascii=False
    )
    packed = zstandard.ZstdCompressor(level=3, dict_data=_DICT, write_content_size=True).compress(
        text.encode("utf-8", "surrogatepass")
    )
    return _CRC.pack(zlib.crc32(packed, entry.id & 0xFFFFFFFF)) + packed


def decode(id: int, data: bytes) -> Entry:
    """The inverse of `encode`; raises `CorruptStoreError` if the entry is damaged."""
    seq, n = divmod(id, MOST_PER_EVENT)
    try:
        (crc,) = _CRC.unpack_from(data)
        packed = data[_CRC.size :]
        if zlib.crc32(packed, id & 0xFFFFFFFF) != crc:
            raise CorruptStoreError(f"entry {seq}.{n} of the journal fails its CRC-32; run verify")
        line = json.loads(zstandard.ZstdDecompressor(dict_data=_DICT).decompress(packed))
        action, what, *retired = line["c"]
        return Entry(
            seq, n, line["a"], line["r"], line["p"], line["t"], line["z"], line["o"], line["b"],
            action, what, tuple(retired),
        )  # fmt: skip
    except (struct.error, zstandard.ZstdError, ValueError, LookupError, TypeError) as error:
        raise CorruptStoreError(f"entry {seq}.{n} of the journal cannot be read: {error}") from None


_SHORT = {
    "kind": "k", "stance": "st", "inferred": "i", "many": "m", "why_it_matters": "w",
    "confidence": "cf", "valid_from": "vf", "valid_until": "vu", "scope": "sc",
}  # fmt: skip
_DEFAULTS = {field.name: field.default for field in fields(Claim)}


def claim_to(claim: Claim) -> dict[str, Any]:
    """A claim as JSON; fields at their defaults are left out."""
    line: dict[str, Any] = {"s": claim.subject, "p": claim.predicate, "v": claim.value}
    for name, short in _SHORT.items():
        if (value := getattr(claim, name)) != _DEFAULTS[name]:
            line[short] = value
    if claim.aliases:
        line["al"] = list(claim.aliases)
    if claim.evidence:
        line["e"] = [[e.seq, e.start, e.end, e.quote, e.digest.hex()] for e in claim.evidence]
    return line


def claim_from(line: Mapping[str, Any]) -> Claim:
    """The inverse of `claim_to`; keys that are not a claim's are passed over."""
    given = {name: line[short] for name, short in _SHORT.items() if short in line}
    return Claim(
        line["s"],
        line["p"],
        line["v"],
        aliases=tuple(line.get("al", ())),
        evidence=tuple(
            Evidence(seq, start, end, quote, bytes.fromhex(digest))
            for seq, start, end, quote, digest in line.get("e", ())
        ),
        **given,
    )


def bind(claim: Claim, seq: int, content: bytes, digest: bytes) -> Claim:
    """The claim with its evidence tied to the event that it came with.

    Evidence of event 0 is of this one; without any, the whole event is the evidence.
    """
    pieces = claim.evidence or (Evidence(0, 0, len(content), _text(content)),)
    tied = tuple(
        replace(piece, seq=seq, digest=digest) if piece.seq == 0 else piece for piece in pieces
    )
    return replace(claim, evidence=tied)


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogatepass")

"""Records to bytes and back: single rows for the tail of the log, compressed blocks for the rest.

A row is a fixed head and a body. A block is the heads of up to a few hundred rows turned into
columns (delta-coded, byte-shuffled) followed by their bodies, then zstd with a checksum and, where
one has been trained, a dictionary. Both forms carry the same fields, so sealing a tail into a
block rearranges bytes and re-derives nothing.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zlib
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import zstandard

from holdfast.errors import CorruptStoreError
from holdfast.records import KINDS, Event, Kind, Quote, Record, Tier

HEAD = np.dtype(
    [
        ("seq", "<i8"),
        ("at", "<i8"),  # microseconds since 1970, UTC
        ("recorded", "<i8"),  # the same
        ("size", "<u4"),  # bytes of the original content
        ("tokens", "<u4"),
        ("length", "<u4"),  # index terms in the text
        ("episode", "<u4"),
        ("extra", "<u4"),  # bytes of the body that are the JSON extras, at its end
        ("surprise", "<f2"),  # bits per term
        ("tier", "u1"),
        ("kind", "u1"),
        ("flags", "u1"),
    ]
)
_HEAD = struct.Struct("<qqqIIIIIeBBB")
_TAIL = struct.Struct("<IHI")  # length of body, length of "who", CRC-32 of all that follows
_BLOCK = struct.Struct("<BII")  # format, rows, bytes of the "who" table
_FORMAT = 1

BYTES, PINNED, DATED = 1, 2, 4  # flags
_LEVEL = 6  # a third slower than 3 and 3 % smaller; 9 is twice as slow for 1 % more
_DICTIONARY_BYTES = 16_384
_WORTH_IT = 0.97  # a dictionary must save more than 3 %; on chats it saves about 10 %
DICTIONARY_BLOCKS = 96  # blocks to learn from
_MICROS = 1_000_000


class Who(NamedTuple):
    """The labels that many events share; a block stores each combination once."""

    speaker: str | None
    role: str | None
    channel: str | None
    scope: str


@dataclass(frozen=True, slots=True)
class Row:
    """One event as it is written: the head's fields, who it is from, and the body."""

    seq: int
    at: int
    recorded: int
    size: int
    tokens: int
    length: int
    episode: int
    surprise: float
    tier: int
    kind: int
    flags: int
    who: Who
    body: bytes
    extra: int


def digest(content: bytes) -> bytes:
    """BLAKE2b-64 of an event's content."""
    return hashlib.blake2b(content, digest_size=8).digest()


def content_bytes(content: str | bytes) -> bytes:
    """The bytes that sizes, spans and digests are about. Lone surrogates survive the trip."""
    return content.encode("utf-8", "surrogatepass") if isinstance(content, str) else content


def to_row(
    event: Event,
    content: bytes,
    *,
    seq: int,
    at: float,
    recorded_at: float,
    episode: int,
    tokens: int,
    length: int,
    surprise: float,
    dated: bool,
) -> Row:
    """A new event as a verbatim row."""
    extras: dict[str, Any] = {}
    if event.metadata:
        extras["metadata"] = dict(event.metadata)
    if event.key is not None:
        extras["key"] = event.key
    if event.parents:
        extras["parents"] = event.parents
    extra = json.dumps(extras, separators=(",", ":")).encode() if extras else b""
    flags = (
        (0 if isinstance(event.content, str) else BYTES)
        | (PINNED if event.pinned else 0)
        | (DATED if dated else 0)
    )
    return Row(
        seq=seq,
        at=round(at * _MICROS),
        recorded=round(recorded_at * _MICROS),
        size=len(content),
        tokens=tokens,
        length=length,
        episode=episode,
        surprise=surprise,
        tier=int(Tier.VERBATIM),
        kind=KINDS.index(event.kind),
        flags=flags,
        who=Who(event.speaker, event.role, event.channel, event.scope),
        body=content + extra,
        extra=len(extra),
    )


def to_record(row: Row) -> Record:
    """The public value of a row, at whatever tier it is."""
    kept, extra = row.body, b""
    if row.extra:
        kept, extra = row.body[: -row.extra], row.body[-row.extra :]
    extras = json.loads(extra) if extra else {}
    quotes: tuple[Quote, ...] = ()
    terms: tuple[str, ...] = ()
    content: str | bytes = b"" if row.flags & BYTES else ""
    if row.tier == Tier.VERBATIM:
        content = kept if row.flags & BYTES else kept.decode("utf-8", "surrogatepass")
        mark = digest(kept)
    else:
        mark, rest = kept[:8], kept[8:]
        if row.tier == Tier.GIST:
            quotes = _decode_quotes(rest)
        elif rest:
            terms = tuple(rest.decode("utf-8", "surrogatepass").split("\n"))
    event = Event(
        content=content,
        speaker=row.who.speaker,
        role=row.who.role,
        channel=row.who.channel,
        kind=_kind(row.kind),
        at=row.at / _MICROS,
        scope=row.who.scope,
        metadata=extras.get("metadata", {}),
        key=extras.get("key"),
        parents=tuple(extras.get("parents", ())),
        pinned=bool(row.flags & PINNED),
    )
    return Record(
        seq=row.seq,
        event=event,
        recorded_at=row.recorded / _MICROS,
        tier=Tier(row.tier),
        size=row.size,
        digest=mark,
        quotes=quotes,
        terms=terms,
        episode=row.episode,
    )


def to_gist(row: Row, spans: Sequence[tuple[int, int]], length: int, tokens: int) -> Row:
    """The row demoted to exact quotes: byte spans of its content. Extras go."""
    content = row.body[: len(row.body) - row.extra]
    body = [digest(content), struct.pack("<H", len(spans))]
    body += [struct.pack("<II", start, end) for start, end in spans]
    body += [content[start:end] for start, end in spans]
    return replace(
        row, tier=int(Tier.GIST), body=b"".join(body), extra=0, length=length, tokens=tokens
    )


def to_trace(row: Row, terms: Sequence[str], length: int, tokens: int) -> Row:
    """The row demoted to key terms. Its digest still names the exact content it was."""
    mark = (
        row.body[:8]
        if row.tier == Tier.GIST
        else digest(row.body[: len(row.body) - row.extra])
    )
    body = mark + "\n".join(terms).encode("utf-8", "surrogatepass")
    return replace(row, tier=int(Tier.TRACE), body=body, extra=0, length=length, tokens=tokens)


def _decode_quotes(rest: bytes) -> tuple[Quote, ...]:
    (n,) = struct.unpack_from("<H", rest)
    spans = [struct.unpack_from("<II", rest, 2 + 8 * i) for i in range(n)]
    at, quotes = 2 + 8 * n, []
    for start, end in spans:
        text = rest[at : at + end - start].decode("utf-8", "surrogatepass")
        quotes.append(Quote(start, end, text))
        at += end - start
    return tuple(quotes)


def _kind(index: int) -> Kind:
    return KINDS[index]


def encode_tail(row: Row) -> bytes:
    """A row as it lies in the tail: head, who, body, guarded by a CRC-32."""
    head = _HEAD.pack(
        row.seq, row.at, row.recorded, row.size, row.tokens, row.length, row.episode,
        row.extra, row.surprise, row.tier, row.kind, row.flags,
    )  # fmt: skip
    who = _encode_who(row.who)
    rest = b"".join((head, who, row.body))
    return _TAIL.pack(len(row.body), len(who), zlib.crc32(rest)) + rest


def decode_tail(data: bytes) -> Row:
    """The inverse of `encode_tail`; raises `CorruptStoreError` if the CRC-32 does not match."""
    try:
        n_body, n_who, crc = _TAIL.unpack_from(data)
        rest = data[_TAIL.size :]
        if zlib.crc32(rest) != crc or len(rest) != _HEAD.size + n_who + n_body:
            raise CorruptStoreError("a row in the log's tail fails its CRC-32; run verify")
        seq, at, recorded, size, tokens, length, episode, extra, surprise, tier, kind, flags = (
            _HEAD.unpack_from(rest)
        )
    except struct.error:
        raise CorruptStoreError("a row in the log's tail is cut short; run verify") from None
    who = _decode_who(rest[_HEAD.size : _HEAD.size + n_who])
    body = rest[_HEAD.size + n_who :]
    return Row(
        seq, at, recorded, size, tokens, length, episode, surprise, tier, kind, flags,
        who, body, extra,
    )  # fmt: skip


@lru_cache(maxsize=4096)
def _encode_who(who: Who) -> bytes:
    return json.dumps(who, separators=(",", ":")).encode()


@lru_cache(maxsize=4096)
def _decode_who(data: bytes) -> Who:
    speaker, role, channel, scope = json.loads(data)
    return Who(speaker, role, channel, scope)


@dataclass(frozen=True, eq=False)
class Block:
    """A decoded block: columns of heads, bodies by offset. Rows are made on request."""

    head: dict[str, npt.NDArray[Any]]
    who_of: npt.NDArray[np.int64]  # (n,) index into `who`
    who: tuple[Who, ...]
    offset: npt.NDArray[np.int64]  # (n + 1,) where each body starts
    bodies: bytes

    def __len__(self) -> int:
        return len(self.who_of)

    @cached_property
    def _lists(self) -> list[list[Any]]:
        """Everything as plain lists: reading single rows out of arrays is ten times slower."""
        columns = [*(self.head[name] for name in _ROW_FIELDS), self.who_of, self.offset]
        return [column.tolist() for column in columns]

    def find(self, seq: int) -> int | None:
        """The place of an event in the block, None if it is not there."""
        seqs = self._lists[0]
        i = bisect_left(seqs, seq)
        return i if i < len(seqs) and seqs[i] == seq else None

    def row(self, i: int) -> Row:
        seq, at, recorded, size, tokens, length, episode, surprise, tier, kind, flags, extra, who, (
            offset
        ) = self._lists
        return Row(
            seq[i], at[i], recorded[i], size[i], tokens[i], length[i], episode[i], surprise[i],
            tier[i], kind[i], flags[i], self.who[who[i]], self.bodies[offset[i] : offset[i + 1]],
            extra[i],
        )  # fmt: skip

    def rows(self) -> list[Row]:
        return [self.row(i) for i in range(len(self))]


_ROW_FIELDS = (
    "seq", "at", "recorded", "size", "tokens", "length", "episode", "surprise", "tier", "kind",
    "flags", "extra",
)  # fmt: skip


class BlockCodec:
    """Blocks to compressed bytes and back, with an optional trained dictionary.

    A block names the dictionary it needs inside its zstd frame, so blocks made before and after
    training live side by side; `dictionaries` must hold every one that is still in use.
    """

    def __init__(self, dictionaries: Sequence[bytes] = (), level: int = _LEVEL) -> None:
        self.dictionaries = tuple(dictionaries)
        self._dictionaries = {0: None} | {
            d.dict_id(): d for d in map(zstandard.ZstdCompressionDict, dictionaries)
        }
        newest = self._dictionaries[next(reversed(self._dictionaries))]
        self._compress = zstandard.ZstdCompressor(
            level=level, dict_data=newest, write_checksum=True, write_content_size=True
        )
        self._decompress = {
            key: zstandard.ZstdDecompressor(dict_data=d) if d else zstandard.ZstdDecompressor()
            for key, d in self._dictionaries.items()
        }

    def encode(self, rows: Sequence[Row]) -> bytes:
        return self._compress.compress(pack_block(rows))

    def decode(self, data: bytes) -> Block:
        """Raises `CorruptStoreError` if the checksum fails or the dictionary is unknown."""
        try:
            key = zstandard.get_frame_parameters(data).dict_id
            return unpack_block(self._decompress[key].decompress(data))
        except (zstandard.ZstdError, struct.error, KeyError, ValueError, IndexError) as error:
            raise CorruptStoreError(f"a block of the log cannot be read: {error}") from None


    def train(self, blocks: Sequence[Sequence[Row]]) -> bytes | None:
        """A dictionary learnt from some blocks, if it makes others of them smaller; else None."""
        packed = [pack_block(rows) for rows in blocks]
        learn, judge = packed[::2], packed[1::2]
        samples = [data[i : i + 2048] for data in learn for i in range(0, len(data), 2048)]
        try:
            found = zstandard.train_dictionary(_DICTIONARY_BYTES, samples).as_bytes()
        except zstandard.ZstdError:
            return None  # too little to learn from, or too little that repeats
        trained = BlockCodec([found])
        now = sum(len(self._compress.compress(data)) for data in judge)
        then = sum(len(trained._compress.compress(data)) for data in judge)
        return found if then < _WORTH_IT * now else None


def pack_block(rows: Sequence[Row]) -> bytes:
    """Rows as one uncompressed block: columns first, then the bodies."""
    whos = {who: i for i, who in enumerate(dict.fromkeys(row.who for row in rows))}
    table = json.dumps(list(whos), separators=(",", ":")).encode()
    head = np.array(
        [
            (r.seq, r.at, r.recorded, r.size, r.tokens, r.length, r.episode, r.extra, r.surprise,
             r.tier, r.kind, r.flags)
            for r in rows
        ],
        dtype=HEAD,
    )  # fmt: skip
    parts = [_BLOCK.pack(_FORMAT, len(rows), len(table)), table]
    for name in ("seq", "at", "recorded"):
        parts += _pack_deltas(head[name])
    for name in ("size", "tokens", "length", "episode", "extra", "surprise", "tier", "kind", "flags"):
        parts.append(_shuffle(head[name]))
    parts.append(_shuffle(np.array([whos[row.who] for row in rows], "<u2")))
    parts.append(_shuffle(np.array([len(row.body) for row in rows], "<u4")))
    parts += [row.body for row in rows]
    return b"".join(parts)


def unpack_block(data: bytes) -> Block:
    """The inverse of `pack_block`."""
    version, n, n_table = _BLOCK.unpack_from(data)
    if version != _FORMAT:
        raise CorruptStoreError(f"a block has format {version}; this version reads {_FORMAT}")
    at = _BLOCK.size + n_table
    who = tuple(Who(*entry) for entry in json.loads(data[_BLOCK.size : at]))
    head: dict[str, npt.NDArray[Any]] = {}
    for name in ("seq", "at", "recorded"):
        head[name], at = _unpack_deltas(data, at, n)
    for name in ("size", "tokens", "length", "episode", "extra", "surprise", "tier", "kind", "flags"):
        head[name], at = _unshuffle(data, at, n, HEAD[name])
    who_of, at = _unshuffle(data, at, n, np.dtype("<u2"))
    lengths, at = _unshuffle(data, at, n, np.dtype("<u4"))
    offset = np.zeros(n + 1, np.int64)
    np.cumsum(lengths, out=offset[1:])
    return Block(head, who_of.astype(np.int64), who, offset, data[at:])


def _pack_deltas(values: npt.NDArray[np.int64]) -> list[bytes]:
    """First value, common divisor of the steps, then the steps: times in whole seconds cost little."""
    steps = np.diff(values)
    scale = int(np.gcd.reduce(steps)) if len(steps) else 1
    scale = scale or 1
    return [struct.pack("<qq", int(values[0]), scale), _shuffle(steps // scale)]


def _unpack_deltas(data: bytes, at: int, n: int) -> tuple[npt.NDArray[np.int64], int]:
    first, scale = struct.unpack_from("<qq", data, at)
    steps, at = _unshuffle(data, at + 16, n - 1, np.dtype("<i8"))
    values = np.empty(n, np.int64)
    values[0] = first
    np.cumsum(steps * scale, out=values[1:])
    values[1:] += first
    return values, at


def _shuffle(values: npt.NDArray[Any]) -> bytes:
    """Byte planes, lowest first: zstd folds the all-zero planes of small numbers to nothing."""
    flat = np.ascontiguousarray(values)
    return flat.view(np.uint8).reshape(len(flat), flat.itemsize).T.tobytes()


def _unshuffle(
    data: bytes, at: int, n: int, dtype: np.dtype[Any]
) -> tuple[npt.NDArray[Any], int]:
    end = at + n * dtype.itemsize
    planes = np.frombuffer(data, np.uint8, end - at, at).reshape(dtype.itemsize, n)
    return np.ascontiguousarray(planes.T).view(dtype).reshape(n), end

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
import threading
import zlib
from array import array
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
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
        ("length", "<u4"),  # index terms in what is kept
        ("episode", "<u4"),
        ("surprise", "<f2"),  # bits per term
        ("tier", "u1"),
        ("kind", "u1"),
        ("flags", "u1"),
        ("extra", "<u4"),  # bytes of the body that are the JSON extras, at its end
        ("who", "<u2"),  # place in the block's table
        ("nbytes", "<u4"),  # of the body
    ]
)
_DELTAS = ("seq", "at", "recorded")
_N_FIELDS = 12  # of a row's head; the last two are about its place in the block
_HEAD = struct.Struct("<qqqIIIIeBBBI")
_TAIL = struct.Struct("<IHI")  # length of body, length of "who", CRC-32 of all that follows
_BLOCK = struct.Struct("<BII")  # format, rows, bytes of the "who" table
_FORMAT = 2  # 1: `nbytes` as it is

BYTES, PINNED, DATED = 1, 2, 4  # flags; the higher bits are those of `derive.cues`
_LEVEL = 3  # of a block that was just filled
_PACKED_LEVEL = 9  # of one that is written anew to save room: 6 % smaller, at a third of the speed
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


class Row(NamedTuple):
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
    extra: int
    who: Who
    body: bytes


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
    cues: int,
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
        (0 if isinstance(event.content, str) else BYTES) | (PINNED if event.pinned else 0) | cues
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
        extra=len(extra),
        who=Who(event.speaker, event.role, event.channel, event.scope),
        body=content + extra,
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
    return row._replace(
        tier=int(Tier.GIST), body=b"".join(body), extra=0, length=length, tokens=tokens
    )


def to_trace(row: Row, terms: Sequence[str], length: int, tokens: int) -> Row:
    """The row demoted to key terms. Its digest still names the exact content it was."""
    mark = row.body[:8] if row.tier == Tier.GIST else digest(row.body[: len(row.body) - row.extra])
    body = mark + "\n".join(terms).encode("utf-8", "surrogatepass")
    return row._replace(tier=int(Tier.TRACE), body=body, extra=0, length=length, tokens=tokens)


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
    head = _HEAD.pack(*row[:_N_FIELDS])
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
        head = _HEAD.unpack_from(rest)
    except (struct.error, TypeError):
        raise CorruptStoreError("a row in the log's tail is cut short; run verify") from None
    who = _decode_who(rest[_HEAD.size : _HEAD.size + n_who])
    return Row._make((*head, who, rest[_HEAD.size + n_who :]))


@lru_cache(maxsize=4096)
def _encode_who(who: Who) -> bytes:
    return json.dumps(who, separators=(",", ":")).encode()


@lru_cache(maxsize=4096)
def _decode_who(data: bytes) -> Who:
    speaker, role, channel, scope = json.loads(data)
    return Who(speaker, role, channel, scope)


@dataclass(frozen=True, eq=False)
class Block:
    """A decoded block: heads as one table, bodies by offset. Rows are made on request."""

    head: npt.NDArray[np.void]  # (n,) of `HEAD`
    table: bytes  # the labels its rows share, one JSON array a line
    bodies: bytes

    def __len__(self) -> int:
        return len(self.head)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> Block:
        """The block that holds these rows."""
        whos = {who: i for i, who in enumerate(dict.fromkeys([row.who for row in rows]))}
        head = np.array(
            [(*row[:_N_FIELDS], whos[row.who], len(row.body)) for row in rows], dtype=HEAD
        )
        table = b"\n".join(map(_encode_who, whos))
        return cls(head, table, b"".join([row.body for row in rows]))

    def keep(self, kept: npt.NDArray[np.bool_]) -> Block:
        """The block of only the rows flagged in `kept`, without labels that none of them has."""
        offsets, bodies = self._offsets, self.bodies
        edges = np.flatnonzero(np.diff(kept, prepend=False, append=False)).tolist()
        runs = zip(edges[::2], edges[1::2], strict=True)
        kept_bodies = b"".join([bodies[offsets[a] : offsets[b]] for a, b in runs])
        head = self.head[kept]
        used, head["who"] = np.unique(head["who"], return_inverse=True)
        table = b"\n".join([self._lines[place] for place in used.tolist()])
        return Block(head, table, kept_bodies)

    def join(self, later: Block) -> Block:
        """This block with a later one's rows behind its own."""
        mine, theirs = self.table.split(b"\n"), later.table.split(b"\n")
        table = {line: i for i, line in enumerate(dict.fromkeys(mine + theirs))}
        head = np.concatenate([self.head, later.head])
        for lines, rows in ((mine, slice(len(self))), (theirs, slice(len(self), None))):
            place = np.array([table[line] for line in lines], "<u2")
            head["who"][rows] = place[head["who"][rows]]
        return Block(head, b"\n".join(table), self.bodies + later.bodies)

    @property
    def first(self) -> int:
        return int(self.head["seq"][0])

    @property
    def last(self) -> int:
        return int(self.head["seq"][-1])

    @cached_property
    def who(self) -> tuple[Who, ...]:
        """The labels of its rows, by `head["who"]`."""
        return tuple(map(_decode_who, self._lines))

    @cached_property
    def _lines(self) -> list[bytes]:
        return self.table.split(b"\n")

    # Plain arrays, not NumPy's: taking single numbers out of these is several times faster.
    @cached_property
    def _seqs(self) -> array[int]:
        return array("q", self.head["seq"].tobytes())

    @cached_property
    def _offsets(self) -> array[int]:
        """Where each body starts, and where the last one ends."""
        ends = np.cumsum(self.head["nbytes"], dtype=np.int64)
        return array("q", b"\0" * 8 + ends.tobytes())

    def find(self, seq: int) -> int | None:
        """The place of an event in the block, None if it is not there."""
        i = bisect_left(self._seqs, seq)
        return i if i < len(self._seqs) and self._seqs[i] == seq else None

    def row(self, i: int) -> Row:
        return self._row(i, self.head[i].item())

    def rows(self) -> list[Row]:
        return [self._row(i, head) for i, head in enumerate(self.head.tolist())]

    def _row(self, i: int, head: tuple[Any, ...]) -> Row:
        body = self.bodies[self._offsets[i] : self._offsets[i + 1]]
        who = _decode_who(self._lines[head[_N_FIELDS]])
        return Row._make((*head[:_N_FIELDS], who, body))


class BlockCodec:
    """Blocks to compressed bytes and back, with an optional trained dictionary.

    A block names the dictionary it needs inside its zstd frame, so blocks made before and after
    training live side by side; `dictionaries` must hold every one that is still in use. If `plain`,
    none is used for new blocks.
    """

    def __init__(self, dictionaries: Sequence[bytes] = (), plain: bool = False) -> None:
        self.dictionaries = tuple(dictionaries)
        self._lock = threading.Lock()  # zstd's contexts are for one thread at a time
        self._dictionaries = {0: None} | {
            d.dict_id(): d for d in map(zstandard.ZstdCompressionDict, dictionaries)
        }
        newest = None if plain else self._dictionaries[next(reversed(self._dictionaries))]
        self._compress, self._pack = (
            zstandard.ZstdCompressor(
                level=level, dict_data=newest, write_checksum=True, write_content_size=True
            )
            for level in (_LEVEL, _PACKED_LEVEL)
        )
        self._decompress = {
            key: zstandard.ZstdDecompressor(dict_data=d) if d else zstandard.ZstdDecompressor()
            for key, d in self._dictionaries.items()
        }

    def encode(self, block: Block, packed: bool = False) -> bytes:
        """The block as bytes; `packed`: as few as is worth the time."""
        data = pack_block(block)
        with self._lock:
            return (self._pack if packed else self._compress).compress(data)

    def decode(self, data: bytes) -> Block:
        """Raises `CorruptStoreError` if the checksum fails or the dictionary is unknown."""
        try:
            key = zstandard.get_frame_parameters(data).dict_id
            with self._lock:
                raw = self._decompress[key].decompress(data)
            return unpack_block(raw)
        except (zstandard.ZstdError, struct.error, KeyError, ValueError, IndexError) as error:
            raise CorruptStoreError(f"a block of the log cannot be read: {error}") from None

    def train(self, blocks: Sequence[Block]) -> bytes | None:
        """A dictionary learnt from some blocks, if it makes others of them smaller; else None."""
        packed = [pack_block(block) for block in blocks]
        learn, judge = packed[::2], packed[1::2]
        samples = [data[i : i + 2048] for data in learn for i in range(0, len(data), 2048)]
        try:
            found = zstandard.train_dictionary(_DICTIONARY_BYTES, [*samples]).as_bytes()
        except zstandard.ZstdError:
            return None  # too little to learn from, or too little that repeats
        trained = BlockCodec([found])
        now = sum(len(self._compress.compress(data)) for data in judge)
        then = sum(len(trained._compress.compress(data)) for data in judge)
        return found if then < _WORTH_IT * now else None


def pack_block(block: Block) -> bytes:
    """A block as bytes: heads as byte planes, then the bodies."""
    head = block.head.copy()
    head["nbytes"] -= head["size"]  # nothing, for what is kept whole
    parts = [_BLOCK.pack(_FORMAT, len(head), len(block.table)), block.table]
    parts += [_to_steps(head[name]) for name in _DELTAS]
    # Byte planes, lowest byte first: zstd folds the all-zero planes of small numbers to nothing.
    parts.append(head.view(np.uint8).reshape(len(head), HEAD.itemsize).T.tobytes())
    parts.append(block.bodies)
    return b"".join(parts)


def unpack_block(data: bytes) -> Block:
    """The inverse of `pack_block`."""
    version, n, n_table = _BLOCK.unpack_from(data)
    if not 1 <= version <= _FORMAT:
        raise CorruptStoreError(f"a block has format {version}; this version reads up to {_FORMAT}")
    at = _BLOCK.size + n_table
    planes_at = at + len(_DELTAS) * _STEPS.size
    planes = np.frombuffer(data, np.uint8, n * HEAD.itemsize, planes_at)
    head = planes.reshape(HEAD.itemsize, n).T.copy().view(HEAD)[:, 0]
    for i, name in enumerate(_DELTAS):
        _from_steps(head[name], *_STEPS.unpack_from(data, at + i * _STEPS.size))
    if version > 1:
        head["nbytes"] += head["size"]
    return Block(head, data[_BLOCK.size : at], data[planes_at + n * HEAD.itemsize :])


_STEPS = struct.Struct("<qq")  # first value, common divisor of the steps


def _to_steps(values: npt.NDArray[np.int64]) -> bytes:
    """Turn a column into its steps over their common divisor, in place."""
    first = int(values[0])
    steps = np.diff(values)
    scale = (int(np.gcd.reduce(steps)) if len(steps) else 1) or 1
    values[0] = 0
    values[1:] = steps // scale
    return _STEPS.pack(first, scale)


def _from_steps(values: npt.NDArray[np.int64], first: int, scale: int) -> None:
    """The inverse of `_to_steps`, in place."""
    np.cumsum(values, out=values)
    values *= scale
    values += first

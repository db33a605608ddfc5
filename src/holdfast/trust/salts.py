"""Salts that can be destroyed one by one, all derived from one key.

The audit log commits to each event by a hash with a salt of its own. While the salt exists, the
event proves that it is the one committed to; once the salt is destroyed, the hash says nothing
about the event, not even to one who guesses it, and every proof over the hash stays valid.

Storing 16 bytes for each event would be easy and large. The salts come from a tree of keys
instead: the key of a node is hashed into the keys of its two children, down to buckets of 32
events, whose key is squeezed into their salts. To destroy a salt, the keys above it are replaced
by those beside its path, from which the destroyed ones cannot be computed: a puncturable
pseudorandom function.

References
----------
Goldreich, Goldwasser, Micali, How to Construct Random Functions, Journal of the ACM 33(4), 1986:
the tree. Boneh, Waters, Constrained Pseudorandom Functions and Their Applications, ASIACRYPT
2013: puncturing it. The differences: keyed BLAKE2b doubles a key; a leaf is a bucket of 32 values,
squeezed from SHAKE-256, so that most calls derive nothing; what survives of a bucket is kept as
salts, not as keys.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from hashlib import blake2b, shake_256
from zlib import crc32

from holdfast.errors import AuditError
from holdfast.trust.lost import chapter_id, decode_chapter, encode_chapter

SALT_BYTES = 16
KEY_BYTES = 32
MAX_EVENTS = 1 << 48
_BITS = 5  # a bucket holds 2**5 consecutive events
_BUCKET = 1 << _BITS
_LEVELS = 43  # from the bucket to the master key
_PERSON = b"holdfast.salt.v1"
_HEAD = struct.Struct("<QI")
_SALTS = struct.Struct(f"{SALT_BYTES}s" * _BUCKET)


class Salts:
    """A 16-byte salt for each event number in [0, 2**48), each of them destroyable.

    Parameters
    ----------
    master
        32 random bytes. The same bytes give the same salts.

    Notes
    -----
    `salt` costs a list look-up, and for each bucket of 32 events entered about 2 hashes if the
    numbers ascend, up to 43 if they jump. `destroy` costs at most 44 hashes for an event. State
    grows by at most 43 keys of 32 bytes and 31 salts for an event, less for events that lie close
    together; a destroyed run costs what its two ends cost.

    What is destroyed is gone from this object and from the rows it gives. It remains in older
    copies of the rows, in backups and snapshots and in freed pages, until these are overwritten,
    and in the interpreter's freed memory for a while.

    Examples
    --------
    >>> salts = Salts(bytes(32))
    >>> before = salts.salt(7), salts.salt(8)
    >>> _ = salts.destroy([7])
    >>> salts.salt(7) is None, salts.salt(8) == before[1]
    (True, True)
    """

    def __init__(self, master: bytes) -> None:
        if len(master) != KEY_BYTES:
            raise ValueError(f"a master key has {KEY_BYTES} bytes, not {len(master)}")
        self._clear()
        self._put(1 << _LEVELS, master, set())

    def _clear(self) -> None:
        self._keys: dict[int, dict[int, bytes]] = {}  # chapter → number → key, as in `tree`
        self._loose: dict[int, dict[int, bytes]] = {}  # bucket → place in it → surviving salt
        self._forget()

    def _forget(self) -> None:
        """Drop what was derived: it may lead to what is about to be destroyed."""
        self._bucket: int | None = None
        self._current: Sequence[bytes | None] = ()
        self._path: list[bytes] = [b""] * (_LEVELS + 1)  # the keys above the bucket `_under`
        self._under, self._top = 0, -1  # filled from level 0 to `_top`

    @classmethod
    def load(cls, rows: Iterable[tuple[int, bytes]]) -> Salts:
        """What was stored as the rows of `row`, in any order; destroyed is what none leads to.

        Raises
        ------
        AuditError
            If a row is damaged.
        """
        salts = cls.__new__(cls)
        salts._clear()
        for row_id, row in rows:
            salts.restore(row_id, row)
        return salts

    def restore(self, row_id: int, row: bytes | None) -> None:
        """Set one row to what is stored, or to nothing: undoes a change not committed."""
        self._forget()
        found, at = row_id, row_id >> 1
        if row_id & 1:
            self._loose.pop(at, None)
            if row is not None:
                found, self._loose[at] = _decode_loose(row)
                found = found << 1 | 1
        else:
            self._keys.pop(at, None)
            if row is not None:
                found, self._keys[at] = decode_chapter(row)
                found <<= 1
        if found != row_id:
            raise AuditError(f"row {row_id} of the salts holds row {found}; restore it")

    def row(self, row_id: int) -> bytes | None:
        """The row of this id; None if nothing is in it now, so that no row is due."""
        at = row_id >> 1
        if row_id & 1:
            loose = self._loose.get(at)
            return _encode_loose(at, loose) if loose else None
        keys = self._keys.get(at)
        return encode_chapter(keys) if keys else None

    def rows(self) -> list[int]:
        """The ids of all rows, in [0, 2**62): even for keys, odd for what is left of buckets."""
        return sorted([*(at << 1 for at in self._keys), *(at << 1 | 1 for at in self._loose)])

    def salt(self, seq: int) -> bytes | None:
        """The salt of an event, 16 bytes; None if it was destroyed."""
        bucket = seq >> _BITS
        if bucket != self._bucket:
            self._turn_to(bucket)
        return self._current[seq & (_BUCKET - 1)]

    def destroy(self, seqs: Iterable[int]) -> set[int]:
        """Make the salts of these events, and of no other, underivable for ever.

        Returns the ids of the changed rows. The old bytes of each must be overwritten. An event
        whose salt is destroyed already changes nothing.
        """
        gone: dict[int, set[int]] = {}
        for seq in seqs:
            _check(seq)
            gone.setdefault(seq >> _BITS, set()).add(seq & (_BUCKET - 1))
        self._forget()
        changed: set[int] = set()
        for bucket in sorted(gone):
            loose = self._loose.pop(bucket, None)
            left = loose
            if left is None:
                key = self._puncture(bucket, changed)
                left = {} if key is None else dict(enumerate(_squeeze(key)))
            left = {at: salt for at, salt in left.items() if at not in gone[bucket]}
            if left:
                self._loose[bucket] = left
            if len(left) != len(loose or ()):
                changed.add(bucket << 1 | 1)
        return changed

    def _turn_to(self, bucket: int) -> None:
        _check(bucket << _BITS)
        loose = self._loose.get(bucket)
        if loose is not None:
            self._current = [loose.get(at) for at in range(_BUCKET)]
        else:
            key = self._key_of(bucket)
            self._current = (None,) * _BUCKET if key is None else _squeeze(key)
        self._bucket = bucket

    def _key_of(self, bucket: int) -> bytes | None:
        """The key of a bucket, from the nearest key above it that is known."""
        path = self._path
        level = (bucket ^ self._under).bit_length()  # of the lowest node above both
        if level > self._top:
            level = self._covering(bucket)
            self._top = level
            if level < 0:
                return None
            number = _number(level, bucket)
            path[level] = self._keys[chapter_id(level, bucket >> level)][number]
        self._under = bucket
        while level:
            level -= 1
            path[level] = _children(path[level + 1])[bucket >> level & 1]
        return path[0]

    def _covering(self, bucket: int) -> int:
        """The level of the kept key above a bucket; -1 if there is none."""
        for level in range(_LEVELS + 1):
            keys = self._keys.get(chapter_id(level, bucket >> level))
            if keys and _number(level, bucket) in keys:
                return level
        return -1

    def _puncture(self, bucket: int, changed: set[int]) -> bytes | None:
        """Replace the key above a bucket by the keys beside its path; its own, if it had one."""
        level = self._covering(bucket)
        if level < 0:
            return None
        chapter = chapter_id(level, bucket >> level)
        key = self._keys[chapter].pop(_number(level, bucket))
        if not self._keys[chapter]:
            del self._keys[chapter]
        changed.add(chapter << 1)
        while level:
            level -= 1
            children = _children(key)
            side = bucket >> level & 1
            key = children[side]
            self._put(_number(level, bucket ^ (1 << level)), children[1 - side], changed)
        return key

    def _put(self, number: int, key: bytes, changed: set[int]) -> None:
        level = (number & -number).bit_length() - 1
        chapter = chapter_id(level, number >> (level + 1))
        self._keys.setdefault(chapter, {})[number] = key
        changed.add(chapter << 1)


def _check(seq: int) -> None:
    if not 0 <= seq < MAX_EVENTS:
        raise ValueError(f"event {seq} has no salt: events are numbered from 0 to below 2**48")


def _number(level: int, bucket: int) -> int:
    """The number of the node of this level above a bucket."""
    return (bucket >> level << 1 | 1) << level


def _children(key: bytes) -> tuple[bytes, bytes]:
    both = blake2b(key=key, digest_size=2 * KEY_BYTES, person=_PERSON).digest()
    return both[:KEY_BYTES], both[KEY_BYTES:]


def _squeeze(key: bytes) -> tuple[bytes, ...]:
    """The 32 salts of a bucket."""
    return _SALTS.unpack(shake_256(_PERSON + key).digest(_SALTS.size))


def _encode_loose(bucket: int, salts: dict[int, bytes]) -> bytes:
    """What is left of a bucket: its number (8), a bit for each salt (4), the salts, CRC-32 (4)."""
    mask = sum(1 << at for at in salts)
    body = _HEAD.pack(bucket, mask) + b"".join(salts[at] for at in sorted(salts))
    return body + crc32(body).to_bytes(4, "little")


def _decode_loose(row: bytes) -> tuple[int, dict[int, bytes]]:
    body, check = row[:-4], row[-4:]
    if len(body) < _HEAD.size or crc32(body).to_bytes(4, "little") != check:
        raise AuditError(f"a row of salts of {len(row)} bytes fails its checksum; restore it")
    bucket, mask = _HEAD.unpack_from(body)
    places = [at for at in range(_BUCKET) if mask >> at & 1]
    if len(body) != _HEAD.size + SALT_BYTES * len(places):
        raise AuditError(f"bucket {bucket} says {len(places)} salts in {len(row)} bytes")
    starts = range(_HEAD.size, len(body), SALT_BYTES)
    return bucket, {
        at: body[start : start + SALT_BYTES] for at, start in zip(places, starts, strict=True)
    }

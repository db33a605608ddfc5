"""What a Merkle tree keeps of the leaves it lost: hashes, each complete pair collapsed.

A node is named by its number ``(2 * index + 1) << level``, twice its in-order position: the leaf
of index i is ``2 * i + 1``, and disjoint subtrees have numbers in the order of their leaves.
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Mapping
from hashlib import sha256
from zlib import crc32

from holdfast.errors import AuditError

MAX_LEAVES = 1 << 60
_BAND = 8  # levels in a chapter
_HEAD = struct.Struct("<QH")


def leaf_hash(commitment: bytes) -> bytes:
    """The hash of a leaf, 32 bytes: SHA-256 of a zero byte and what the leaf commits to."""
    return sha256(b"\x00" + commitment).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of an inner node, 32 bytes: SHA-256 of a one byte and both children's hashes."""
    return sha256(b"\x01" + left + right).digest()


def chapter_id(level: int, index: int) -> int:
    """The chapter that stores a node, below 2**62: eight levels of a subtree, at most 256 nodes."""
    return _chapter_of(((index << 1) | 1) << level)


def _chapter_of(number: int) -> int:
    band = ((number & -number).bit_length() - 1) // _BAND
    return (number >> (_BAND * band + _BAND + 1)) << 3 | band


def encode_chapter(nodes: Mapping[int, bytes]) -> bytes:
    """The nodes of one chapter, number → 32 bytes, as one row: 14 bytes and 34 for each node.

    Little-endian: chapter (8), count (2); then for each node its 11-bit number within the chapter
    (2), which tells level and index; then the hashes; then the CRC-32 of all that (4).
    """
    numbers = sorted(nodes)
    chapter = _chapter_of(numbers[0])
    assert all(_chapter_of(number) == chapter for number in numbers), "nodes of two chapters"
    shift = _BAND * (chapter & 7)
    local = [number >> shift & 0x7FF for number in numbers]
    body = _HEAD.pack(chapter, len(numbers)) + struct.pack(f"<{len(local)}H", *local)
    body += b"".join(nodes[number] for number in numbers)
    return body + crc32(body).to_bytes(4, "little")


def decode_chapter(row: bytes) -> tuple[int, dict[int, bytes]]:
    """The id and the nodes of a row that `encode_chapter` made; AuditError if it is damaged."""
    body, check = row[:-4], row[-4:]
    if len(body) < _HEAD.size or crc32(body).to_bytes(4, "little") != check:
        raise AuditError(f"a chapter of {len(row)} bytes fails its checksum; restore it")
    chapter, count = _HEAD.unpack_from(body)
    if len(body) != _HEAD.size + 34 * count:
        raise AuditError(f"chapter {chapter} says {count} nodes in {len(row)} bytes; restore it")
    shift, hashes = _BAND * (chapter & 7), _HEAD.size + 2 * count
    base = chapter >> 3 << (shift + _BAND + 1)
    nodes = {
        base | local << shift: body[hashes + 32 * at : hashes + 32 * at + 32]
        for at, local in enumerate(struct.unpack_from(f"<{count}H", body, _HEAD.size))
    }
    if len(nodes) != count or any(_chapter_of(number) != chapter for number in nodes):
        raise AuditError(f"chapter {chapter} holds nodes that are not its own; restore it")
    return chapter, nodes


class LostLeaves:
    """The hashes of lost leaves, each complete pair collapsed into its parent.

    Parameters
    ----------
    boundaries
        Tree sizes that must stay provable, such as those of signed checkpoints. No pair is
        collapsed across one of them: not if its parent's leaves [a, b) have ``a < boundary < b``.

    Notes
    -----
    Of n leaves of which r are retained, with c boundaries, at most about ``(r + c) * log2(n / r)``
    hashes are kept, whatever the order in which the others were lost. `lose` costs amortised O(1)
    for a leaf. Differs from RFC 9162, whose logs never lose a leaf.
    """

    def __init__(self, boundaries: Iterable[int] = ()) -> None:
        self._chapters: dict[int, dict[int, bytes]] = {}
        self._bands = 0  # how many bands of eight levels hold, or held, a node
        self._boundaries: list[int] = sorted(set(boundaries))
        self._order: list[int] | None = None  # the numbers of all nodes, sorted; None: stale

    @classmethod
    def load(cls, rows: Iterable[bytes], boundaries: Iterable[int] = ()) -> LostLeaves:
        """What was stored as the rows of `chapter`, in any order."""
        lost = cls(boundaries)
        for row in rows:
            chapter, nodes = decode_chapter(row)
            if lost._open(chapter):
                raise AuditError(f"chapter {chapter} is stored twice; restore the log")
            lost._chapters[chapter] = nodes
        return lost

    @classmethod
    def of(
        cls, nodes: Iterable[tuple[int, int, bytes]], boundaries: Iterable[int] = ()
    ) -> LostLeaves:
        """From hashes as `subtrees` gives them, (level, index, hash)."""
        lost = cls(boundaries)
        for level, index, digest in nodes:
            lost._put((2 * index + 1) << level, digest, set())
        return lost

    def restore(self, chapter: int, row: bytes | None) -> None:
        """Set one chapter to its stored row, or to nothing: undoes a change not committed."""
        self._order = None
        self._chapters.pop(chapter, None)
        if row is not None:
            found, nodes = decode_chapter(row)
            if found != chapter:
                raise AuditError(f"chapter {chapter} was asked for, the row holds {found}")
            self._open(chapter).update(nodes)

    def chapter(self, chapter: int) -> bytes | None:
        """The row that stores a chapter; None if it holds nothing now, so that no row is due."""
        nodes = self._chapters.get(chapter)
        return encode_chapter(nodes) if nodes else None

    def chapters(self) -> list[int]:
        """The ids of all chapters that hold something."""
        return sorted(chapter for chapter, nodes in self._chapters.items() if nodes)

    def __len__(self) -> int:
        """How many hashes are kept."""
        return sum(map(len, self._chapters.values()))

    @property
    def boundaries(self) -> tuple[int, ...]:
        """The tree sizes that stay provable, ascending."""
        return tuple(self._boundaries)

    def lose(self, pairs: Iterable[tuple[int, bytes]]) -> set[int]:
        """Take in lost leaves as (index, leaf hash); returns the ids of the changed chapters.

        AuditError if one was lost before or has no hash of 32 bytes; nothing has changed then.
        """
        leaves = list(pairs)
        seen: set[int] = set()
        for index, digest in leaves:
            if not 0 <= index < MAX_LEAVES or len(digest) != 32:
                raise AuditError(f"leaf {index} with a hash of {len(digest)} bytes cannot be lost")
            if index in seen or self.covers(index):
                raise AuditError(f"leaf {index} was lost before; lose each leaf once")
            seen.add(index)
        changed: set[int] = set()
        for index, digest in leaves:
            self._put(2 * index + 1, digest, changed)
        return changed

    def keep_boundary(self, size: int) -> None:
        """Keep the tree of this size provable from now on; costs up to log2(size) hashes.

        AuditError if leaves on both sides are one hash already: say it at that size, not later.
        """
        covering = self._covering(size)
        if covering is not None and covering[0] < size:
            raise AuditError(
                f"size {size} cannot be kept provable: {span(*covering)} are already one hash"
            )
        if size not in self._boundaries:
            insort(self._boundaries, size)

    def forget_boundary(self, size: int) -> set[int]:
        """Collapse across this size from now on; returns the ids of the changed chapters."""
        changed: set[int] = set()
        if size in self._boundaries:
            self._boundaries.remove(size)
            number = 2 * size - (size & -size)  # the widest node that ends at the boundary
            digest = self._chapters.get(_chapter_of(number), {}).get(number) if size else None
            if digest is not None:
                self._put(number, digest, changed)
        return changed

    def covers(self, index: int) -> bool:
        """Whether this leaf is lost and its hash part of a kept one. O(log n)."""
        return self._covering(index) is not None

    def subtrees(self) -> Iterator[tuple[int, int, bytes]]:
        """Every kept hash as (level, index, hash): of the leaves from index << level on."""
        for number, digest in self.between(0, MAX_LEAVES):
            level = (number & -number).bit_length() - 1
            yield level, number >> (level + 1), digest

    def ranges(self) -> Iterator[tuple[int, int]]:
        """The lost leaves as maximal runs [start, stop), ascending."""
        start = stop = 0
        for first, last in [*map(leaves_of, self._numbers()), (-1, -1)]:
            if first != stop:
                if stop > start:
                    yield start, stop
                start = first
            stop = last

    def between(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """The kept nodes whose middle is in the leaves [start, stop], in order: number, hash."""
        order = self._numbers()
        for number in order[bisect_left(order, 2 * start) : bisect_right(order, 2 * stop)]:
            yield number, self._chapters[_chapter_of(number)][number]

    def _numbers(self) -> list[int]:
        if self._order is None:
            self._order = sorted(number for nodes in self._chapters.values() for number in nodes)
        return self._order

    def _covering(self, index: int) -> tuple[int, int] | None:
        """The leaves [a, b) of the kept node above this leaf, itself included."""
        for band in range(self._bands):
            shift = _BAND * band
            nodes = self._chapters.get(index >> (shift + _BAND) << 3 | band)
            if nodes:
                low = 1 << shift
                number = 2 * (index & -low) | low
                for _ in range(_BAND):
                    if number in nodes:
                        return leaves_of(number)
                    number = (number ^ low) | (low << 1)
                    low <<= 1
        return None

    def _open(self, chapter: int) -> dict[int, bytes]:
        self._bands = max(self._bands, (chapter & 7) + 1)
        return self._chapters.setdefault(chapter, {})

    def _put(self, number: int, digest: bytes, changed: set[int]) -> None:
        """Put a node in its chapter, or its parent if the sibling is there, and so on upward."""
        self._order = None
        boundaries, chapter = self._boundaries, _chapter_of(number)
        nodes = self._open(chapter)
        nodes.pop(number, None)
        changed.add(chapter)
        low = number & -number
        while (sibling := number ^ (low << 1)) in nodes:
            middle = (number + low if number < sibling else number - low) >> 1
            at = bisect_right(boundaries, middle - low)
            if at < len(boundaries) and boundaries[at] < middle + low:
                break
            other = nodes.pop(sibling)
            digest = node_hash(other, digest) if sibling < number else node_hash(digest, other)
            number, low = 2 * middle, 2 * low
            if (above := _chapter_of(number)) != chapter:
                if not nodes:
                    del self._chapters[chapter]
                chapter, nodes = above, self._open(above)
                changed.add(chapter)
        nodes[number] = digest


def leaves_of(number: int) -> tuple[int, int]:
    """The leaves [start, stop) below the node of this number."""
    low = number & -number
    return (number - low) >> 1, (number + low) >> 1


def span(start: int, stop: int) -> str:
    return f"leaf {start}" if stop - start == 1 else f"leaves {start} to {stop - 1}"

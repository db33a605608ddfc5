"""A Merkle tree over a log that forgets: RFC 9162 roots and proofs from what is left.

The tree is that of RFC 9162 §2.1 with SHA-256; its roots and proofs are byte for byte those of
the RFC. What differs is what is kept. A transparency log keeps every leaf; a bounded memory loses
most. `LostLeaves` keeps the hashes of the lost ones and replaces each complete pair by its parent,
so that a run of lost leaves costs O(log) hashes, and `Tree` computes roots and proofs from those
hashes and the leaves still retained, in one pass.

A node is named by its number ``(2 * index + 1) << level``, twice its in-order position: the leaf
of index i is ``2 * i + 1``, and disjoint subtrees have numbers in the order of their leaves.

References
----------
Laurie, Messeri, Stradling, Certificate Transparency Version 2.0, RFC 9162, §2.1
"""

from __future__ import annotations

import struct
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import sha256
from heapq import merge
from zlib import crc32

from holdfast.errors import AuditError

Leaves = Callable[[int, int], Iterable[tuple[int, bytes]]]

MAX_LEAVES = 1 << 60
EMPTY_ROOT = sha256().digest()
_BAND = 8  # levels in a chapter
_HEAD = struct.Struct("<QH")
_NONE = (4 * MAX_LEAVES, b"")  # after every node


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
                f"size {size} cannot be kept provable: {_span(*covering)} are already one hash"
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
        for first, last in [*map(_leaves_of, self._numbers()), (-1, -1)]:
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
                        return _leaves_of(number)
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


class Tree:
    """Roots and proofs of a tree of which only some leaves are retained.

    Parameters
    ----------
    size
        Leaves in all, retained and lost.
    lost
        The hashes of the lost ones.
    leaves
        ``leaves(start, stop)`` yields (index, leaf hash) of the retained leaves in [start, stop),
        ascending; `stop` may be beyond the size. A proof asks for disjoint ranges only: at most
        one pass.

    Raises
    ------
    AuditError
        From each method, if a hash that it needs is missing: a leaf that is neither retained nor
        lost, or lost leaves collapsed across a size that was not a boundary.

    Notes
    -----
    O(n + h log h) time for n retained leaves and h hashes of lost ones; O(log) memory beside the
    sorted list of the latter's numbers, which `LostLeaves` holds on to.

    Examples
    --------
    >>> hashes = [leaf_hash(bytes([n])) for n in range(5)]
    >>> lost = LostLeaves()
    >>> _ = lost.lose((n, hashes[n]) for n in range(4))
    >>> len(lost)
    1
    >>> tree = Tree(5, lost, lambda a, b: [(4, hashes[4])] if a <= 4 < b else [])
    >>> verify_inclusion(4, 5, hashes[4], tree.inclusion(4), tree.root())
    """

    def __init__(self, size: int, lost: LostLeaves, leaves: Leaves) -> None:
        self.size, self._lost, self._leaves = size, lost, leaves

    def root(self, size: int | None = None) -> bytes:
        """The root hash of the first `size` leaves, by default of all (RFC 9162 §2.1.1)."""
        return self._hash(0, self._checked(size))

    def inclusion(self, index: int, size: int | None = None, *, level: int = 0) -> list[bytes]:
        """The proof that a leaf is in the tree of this size (RFC 9162 §2.1.3.1).

        With a level, the proof for the node of that level and index: for a run of lost leaves
        that `LostLeaves.subtrees` names, the RFC's proof for its leaves less its lowest hashes.
        """
        size = self._checked(size)
        first, last = index << level, (index + 1) << level
        if not 0 <= first < last <= size:
            raise AuditError(f"leaves {first} to below {last} are not in a tree of size {size}")
        return [self._hash(*one) for one in _beside(size, first, last)[1:]]

    def consistency(self, old: int, new: int | None = None) -> list[bytes]:
        """The proof that the tree of size `old` is the beginning of the other (§2.1.4.1).

        Empty if the sizes are equal, or if the old tree is: the RFC leaves that case open.
        """
        new = self._checked(new)
        if not 0 <= old <= new:
            raise AuditError(f"a tree of size {old} is not the beginning of one of size {new}")
        ranges = _beside(new, 0, old) if old else []
        if (0, old) in ranges:  # the verifier knows this one: it is the old root
            ranges.remove((0, old))
        return [self._hash(*one) for one in ranges]

    def problems(self) -> Iterator[str]:
        """Say, in order, where a leaf is not held exactly once: retained or lost, never both."""
        lost = sorted(_leaves_of(number) for number, _ in self._lost.between(0, MAX_LEAVES))
        retained = ((at, at + 1) for at, _ in self._leaves(0, MAX_LEAVES))
        position = 0
        for start, stop in merge(lost, retained):
            if start > position:
                yield f"{_span(position, start)}: neither retained nor lost"
            if start < position:
                yield f"{_span(start, min(position, stop))}: held twice or out of order"
            if stop > self.size:
                yield f"{_span(max(start, self.size), stop)}: beyond the size {self.size}"
            position = max(position, stop)
        if position < self.size:
            yield f"{_span(position, self.size)}: neither retained nor lost"

    def _checked(self, size: int | None) -> int:
        size = self.size if size is None else size
        if not 0 <= size <= self.size:
            raise AuditError(f"size {size} was asked of a tree of size {self.size}")
        return size

    def _parts(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        """Retained leaves and lost subtrees, in order, as (number, hash)."""
        lost = self._lost.between(start, stop)
        waiting, hashed = next(lost, _NONE)
        for index, digest in self._leaves(start, stop):
            number = 2 * index + 1
            while waiting < number:
                yield waiting, hashed
                waiting, hashed = next(lost, _NONE)
            yield number, digest
        if waiting != _NONE[0]:
            yield waiting, hashed
            yield from lost

    def _hash(self, start: int, stop: int) -> bytes:
        """The RFC's MTH(D[start:stop]): a binary counter of complete subtrees, then a fold."""
        stack: list[bytes] = []
        position = 0
        for number, digest in self._parts(start, stop):
            bit = width = number & -number
            first = (number - width) >> 1
            if first != start + position or first + width > stop:
                raise self._failed(start, stop, start + position, first)
            while position & bit:
                digest = sha256(b"\x01" + stack.pop() + digest).digest()
                bit <<= 1
            stack.append(digest)
            position += width
        if start + position != stop:
            raise self._failed(start, stop, start + position, stop)
        found = stack.pop() if stack else EMPTY_ROOT
        while stack:
            found = node_hash(stack.pop(), found)
        return found

    def _failed(self, start: int, stop: int, position: int, found: int) -> AuditError:
        """The error that at this position there is what begins at `found` instead."""
        at = min(position, found)
        first, last = self._lost._covering(at) or (at, at + 1)
        why = "held twice" if found < position else "neither retained nor lost"
        if first < start or last > stop:
            why = "collapsed into one hash"
        return AuditError(
            f"the hash of {_span(start, stop)} cannot be computed: {_span(first, last)}: {why}"
        )


def verify_inclusion(
    index: int, size: int, digest: bytes, proof: Iterable[bytes], root: bytes, *, level: int = 0
) -> None:
    """Return if the proof shows that a leaf is in the tree of this root (RFC 9162 §2.1.3.2).

    With a level, that the node of that level and index is.

    Raises
    ------
    AuditError
        If it does not.
    """
    asked = f"the inclusion proof of {index} in size {size}"
    if index < 0 or (index + 1) << level > size:
        raise AuditError(f"node {index} of level {level} is not in a tree of size {size}")
    if _climb(index, (size - 1) >> level, [digest, *proof], asked)[1] != root:
        raise AuditError(f"{asked} does not lead to the root")


def verify_consistency(
    old: int, new: int, proof: Iterable[bytes], old_root: bytes, new_root: bytes
) -> None:
    """Return if the proof shows that the old tree begins the new one (RFC 9162 §2.1.4.2).

    An empty tree begins every tree, by an empty proof.

    Raises
    ------
    AuditError
        If it does not.
    """
    asked = f"the consistency proof of sizes {old} and {new}"
    path = list(proof)
    if not 0 <= old <= new:
        raise AuditError(f"{asked} is asked of an older tree that is larger")
    if old in (0, new):
        if path:
            raise AuditError(f"{asked} is too long")
        if (old == 0 and old_root != EMPTY_ROOT) or (old == new and old_root != new_root):
            raise AuditError(f"{asked} is of two roots that differ")
        return
    if old & (old - 1) == 0:
        path = [old_root, *path]
    shift = (old & -old).bit_length() - 1  # the ones at the end of old - 1
    if _climb((old - 1) >> shift, (new - 1) >> shift, path, asked) != (old_root, new_root):
        raise AuditError(f"{asked} does not lead to both roots")


def _climb(fn: int, sn: int, path: list[bytes], asked: str) -> tuple[bytes, bytes]:
    """The loop of both of the RFC's algorithms: its fr and sr; for inclusion r is sr."""
    if any(len(step) != 32 for step in path):
        raise AuditError(f"{asked} holds something that is not a hash of 32 bytes")
    if not path:
        raise AuditError(f"{asked} is too short")
    fr = sr = path[0]
    for step in path[1:]:
        if sn == 0:
            raise AuditError(f"{asked} is too long")
        if fn & 1 or fn == sn:
            fr, sr = node_hash(step, fr), node_hash(step, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = node_hash(sr, step)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise AuditError(f"{asked} is too short")
    return fr, sr


def _leaves_of(number: int) -> tuple[int, int]:
    """The leaves [start, stop) below the node of this number."""
    low = number & -number
    return (number - low) >> 1, (number + low) >> 1


def _beside(size: int, first: int, last: int) -> list[tuple[int, int]]:
    """On the way to leaf ``last - 1``, the node within [first, last), then those beside, upward.

    RFC 9162 splits after the largest power of two that is below the count of leaves.
    """
    start, stop, ranges = 0, size, []
    while start < first or stop > last:
        middle = start + (1 << ((stop - start - 1).bit_length() - 1))
        if last <= middle:
            ranges.append((middle, stop))
            stop = middle
        else:
            ranges.append((start, middle))
            start = middle
    return [(start, stop), *reversed(ranges)]


def _span(start: int, stop: int) -> str:
    return f"leaf {start}" if stop - start == 1 else f"leaves {start} to {stop - 1}"

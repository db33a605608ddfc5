"""A Merkle tree over a log that forgets: RFC 9162 roots and proofs from what is left.

The tree is that of RFC 9162 §2.1 with SHA-256; its roots and proofs are byte for byte those of
the RFC. What differs is what is kept. A transparency log keeps every leaf; a bounded memory loses
most. `LostLeaves` keeps the hashes of the lost ones and replaces each complete pair by its parent,
so that a run of lost leaves costs O(log) hashes, and `Tree` computes roots and proofs from those
hashes and the leaves still retained, in one pass.

References
----------
Laurie, Messeri, Stradling, Certificate Transparency Version 2.0, RFC 9162, §2.1
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from heapq import merge

from holdfast.errors import AuditError
from holdfast.trust.lost import MAX_LEAVES, LostLeaves, leaves_of, node_hash, span

Leaves = Callable[[int, int], Iterable[tuple[int, bytes]]]

EMPTY_ROOT = sha256().digest()
_NONE = (4 * MAX_LEAVES, b"")  # after every node


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
        lost = sorted(leaves_of(number) for number, _ in self._lost.between(0, MAX_LEAVES))
        retained = ((at, at + 1) for at, _ in self._leaves(0, MAX_LEAVES))
        position = 0
        for start, stop in merge(lost, retained):
            if start > position:
                yield f"{span(position, start)}: neither retained nor lost"
            if start < position:
                yield f"{span(start, min(position, stop))}: held twice or out of order"
            if stop > self.size:
                yield f"{span(max(start, self.size), stop)}: beyond the size {self.size}"
            position = max(position, stop)
        if position < self.size:
            yield f"{span(position, self.size)}: neither retained nor lost"

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
            f"the hash of {span(start, stop)} cannot be computed: {span(first, last)}: {why}"
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

"""Roots and proofs are those of RFC 9162, whatever was lost, in whatever order."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from hashlib import sha256
from itertools import pairwise
from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import AuditError
from holdfast.trust.lost import (
    MAX_LEAVES,
    LostLeaves,
    chapter_id,
    decode_chapter,
    encode_chapter,
    leaf_hash,
    node_hash,
)
from holdfast.trust.tree import EMPTY_ROOT, Tree, verify_consistency, verify_inclusion

# The leaves and hashes of the tests of Certificate Transparency and of transparency-dev/merkle.
CT_LEAVES = [
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
]
CT_ROOTS = [
    bytes.fromhex(text)
    for text in (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    )
]
CT_INCLUSION = {  # (index, size): proof
    (0, 1): [],
    (0, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (5, 8): [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 3): ["fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"],
}
CT_CONSISTENCY = {  # (old, new): proof
    (1, 1): [],
    (1, 8): [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ],
    (6, 8): [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ],
    (2, 5): [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ],
}


# The definitions of RFC 9162 §2.1, word for word, over all leaf hashes.


def split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def mth(leaves: Sequence[bytes]) -> bytes:
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return leaves[0]
    k = split(len(leaves))
    return sha256(b"\x01" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: Sequence[bytes]) -> list[bytes]:
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m: int, leaves: Sequence[bytes], known: bool = True) -> list[bytes]:
    if m == len(leaves):
        return [] if known else [mth(leaves)]
    k = split(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], known), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


class Log:
    """A log that is told what to lose; every range asked for is noted."""

    def __init__(self, hashes: Sequence[bytes], boundaries: Sequence[int] = ()) -> None:
        self.hashes = list(hashes)
        self.kept = dict(enumerate(self.hashes))
        self.lost = LostLeaves(boundaries)
        self.asked: list[tuple[int, int]] = []

    def lose(self, indexes: Sequence[int]) -> set[int]:
        return self.lost.lose([(index, self.kept.pop(index)) for index in indexes])

    def leaves(self, start: int, stop: int) -> Iterator[tuple[int, bytes]]:
        self.asked.append((start, stop))
        return ((at, self.kept[at]) for at in sorted(self.kept) if start <= at < stop)

    @property
    def tree(self) -> Tree:
        return Tree(len(self.hashes), self.lost, self.leaves)


def hashes(n: int) -> list[bytes]:
    return [leaf_hash(at.to_bytes(4, "big")) for at in range(n)]


def flipped(data: bytes, bit: int) -> bytes:
    bit %= 8 * len(data)
    return (int.from_bytes(data, "big") ^ (1 << bit)).to_bytes(len(data), "big")


# Vectors


@pytest.mark.parametrize("size", range(9))
def test_published_roots(size: int) -> None:
    log = Log([leaf_hash(leaf) for leaf in CT_LEAVES])
    assert log.tree.root(size) == CT_ROOTS[size]
    assert CT_ROOTS[0] == EMPTY_ROOT


def test_published_inclusion_proofs() -> None:
    log = Log([leaf_hash(leaf) for leaf in CT_LEAVES])
    for (index, size), proof in CT_INCLUSION.items():
        assert [step.hex() for step in log.tree.inclusion(index, size)] == proof
        verify_inclusion(index, size, log.hashes[index], map(bytes.fromhex, proof), CT_ROOTS[size])


def test_published_consistency_proofs() -> None:
    tree = Log([leaf_hash(leaf) for leaf in CT_LEAVES]).tree
    for (old, new), proof in CT_CONSISTENCY.items():
        assert [step.hex() for step in tree.consistency(old, new)] == proof
        verify_consistency(
            old, new, [bytes.fromhex(step) for step in proof], CT_ROOTS[old], CT_ROOTS[new]
        )


# Against the definitions, and against others' implementations


@pytest.mark.parametrize("size", [*range(1, 34), 63, 64, 65, 100])
def test_every_proof_is_the_definitions(size: int) -> None:
    log = Log(hashes(size))
    root = log.tree.root()
    assert root == mth(log.hashes)
    for index in range(size):
        proof = log.tree.inclusion(index)
        assert proof == path(index, log.hashes)
        verify_inclusion(index, size, log.hashes[index], proof, root)
    for old in range(1, size + 1):
        proof = log.tree.consistency(old)
        assert proof == subproof(old, log.hashes)
        verify_consistency(old, size, proof, mth(log.hashes[:old]), root)
    assert log.tree.consistency(0) == []
    verify_consistency(0, size, [], EMPTY_ROOT, root)


def test_same_as_pymerkle() -> None:
    pymerkle = pytest.importorskip("pymerkle", reason="an independent RFC 9162 implementation")
    theirs = pymerkle.InmemoryTree(algorithm="sha256")
    ours = Log([])
    for at in range(40):
        ours.hashes.append(leaf_hash(b"%d" % at))
        ours.kept[at] = ours.hashes[-1]
        assert theirs.append_entry(b"%d" % at) == at + 1  # it counts from one
        assert theirs.get_root() == ours.tree.root()
    ours.lost.keep_boundary(29)
    root = ours.tree.root()
    ours.lose([*range(3, 17), 21, 20, 30, 31])
    for index in sorted(ours.kept):
        proof = theirs.prove_inclusion(index + 1)
        assert proof.path[0] == ours.hashes[index]
        # It lists the leaf first and then the RFC's proof.
        assert list(proof.path[1:]) == ours.tree.inclusion(index)
        pymerkle.verify_inclusion(ours.hashes[index], root, proof)
    proof = theirs.prove_consistency(29, 40)
    pymerkle.verify_consistency(ours.tree.root(29), root, proof)
    verify_consistency(29, 40, ours.tree.consistency(29), theirs.get_root(29), theirs.get_root())


def test_same_as_aics_tlog() -> None:
    theirs = pytest.importorskip("aics_tlog.tree", reason="needs Python 3.12 or newer")
    log = Log(hashes(77), [50])
    log.lose([*range(3, 40), 44, 50, 51, 52, 53])
    root, old_root = log.tree.root(), log.tree.root(50)
    for index in log.kept:
        proof = log.tree.inclusion(index)
        assert theirs.verify_inclusion(log.hashes[index], index, 77, proof, root)
    assert theirs.verify_consistency(50, 77, old_root, root, log.tree.consistency(50))


# What is lost


@st.composite
def histories(draw: st.DrawFn) -> Log:
    """Appends, losses, and boundaries kept and forgotten, in any order."""
    log = Log([])
    for _ in range(draw(st.integers(1, 12))):
        for _ in range(draw(st.integers(0, 40))):
            log.kept[len(log.hashes)] = leaf_hash(len(log.hashes).to_bytes(4, "big"))
            log.hashes.append(log.kept[len(log.hashes)])
        if draw(st.booleans()):
            log.lost.keep_boundary(len(log.hashes))
        if draw(st.booleans()) and log.kept:
            log.lose(draw(st.lists(st.sampled_from(sorted(log.kept)), unique=True)))
        if draw(st.booleans()) and log.kept:  # the oldest, which collapse best
            oldest = sorted(log.kept)[: draw(st.integers(0, len(log.kept)))]
            log.lose(draw(st.permutations(oldest)))
        if draw(st.booleans()) and log.lost.boundaries:
            log.lost.forget_boundary(draw(st.sampled_from(log.lost.boundaries)))
    return log


@given(histories())
def test_roots_and_proofs_are_as_if_nothing_was_lost(log: Log) -> None:
    tree, size = log.tree, len(log.hashes)
    root = mth(log.hashes)
    assert list(tree.problems()) == []
    assert tree.root() == root
    for index in sorted(log.kept)[:20]:
        assert tree.inclusion(index) == path(index, log.hashes)
    sizes = [one for one in log.lost.boundaries if one] + [size] * (size > 0)
    for old in sizes:
        assert tree.root(old) == mth(log.hashes[:old])
        for new in (one for one in sizes if one >= old):
            proof = tree.consistency(old, new)
            assert proof == subproof(old, log.hashes[:new])
            verify_consistency(old, new, proof, tree.root(old), tree.root(new))
    for level, index, digest in log.lost.subtrees():
        first, last = index << level, (index + 1) << level
        assert digest == mth(log.hashes[first:last])
        proof = tree.inclusion(index, level=level)
        assert proof == path(first, log.hashes)[level:]
        verify_inclusion(index, size, digest, proof, root, level=level)


@given(histories())
def test_each_leaf_is_covered_once(log: Log) -> None:
    covered = [at for start, stop in log.lost.ranges() for at in range(start, stop)]
    assert covered == [at for at in range(len(log.hashes)) if at not in log.kept]
    assert [at for at in range(len(log.hashes) + 5) if log.lost.covers(at)] == covered
    runs = list(log.lost.ranges())
    assert all(one[1] < two[0] for one, two in pairwise(runs))


@given(histories())
def test_hashes_are_few(log: Log) -> None:
    size, runs = len(log.hashes), len(list(log.lost.ranges()))
    cuts = runs + len(log.lost.boundaries)
    assert len(log.lost) <= cuts * 2 * max(1, math.ceil(math.log2(size or 1)))
    # The same leaves, lost in order and with the boundaries known before, give the same hashes.
    again = LostLeaves(log.lost.boundaries)
    again.lose(
        (at, log.hashes[at]) for start, stop in log.lost.ranges() for at in range(start, stop)
    )
    assert list(again.subtrees()) == list(log.lost.subtrees())


@given(histories())
def test_rows_hold_everything(log: Log) -> None:
    rows = [log.lost.chapter(chapter) for chapter in log.lost.chapters()]
    loaded = LostLeaves.load([row for row in rows if row], log.lost.boundaries)
    assert list(loaded.subtrees()) == list(log.lost.subtrees())
    assert len(loaded) == len(log.lost)
    assert loaded.boundaries == log.lost.boundaries


@given(st.data())
def test_changed_chapters_are_all_that_changed(data: st.DataObject) -> None:
    log = Log(hashes(3000), [700, 2048])
    stored: dict[int, bytes | None] = {}
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, 2999))
        stop = data.draw(st.integers(start, min(3000, start + 1500)))
        changed = log.lose([at for at in range(start, stop) if at in log.kept])
        stored.update({chapter: log.lost.chapter(chapter) for chapter in changed})
    for size in (700, 2048):
        stored.update({c: log.lost.chapter(c) for c in log.lost.forget_boundary(size)})
    rows = {chapter: row for chapter, row in stored.items() if row is not None}
    assert sorted(rows) == log.lost.chapters()
    assert list(LostLeaves.load(rows.values()).subtrees()) == list(log.lost.subtrees())
    assert log.tree.root() == mth(log.hashes)


def test_a_long_run_is_one_hash_and_one_leaf_touches_few_chapters() -> None:
    log = Log(hashes(4096))
    changed = log.lose(range(4096))
    assert [(level, index) for level, index, _ in log.lost.subtrees()] == [(12, 0)]
    assert log.lost.chapters() == [chapter_id(12, 0)]
    assert changed == {chapter_id(0, at) for at in range(0, 4096, 256)} | {chapter_id(12, 0)}


def test_restore_undoes_a_change() -> None:
    log = Log(hashes(64))
    log.lose(range(7, 21))
    before = {chapter: log.lost.chapter(chapter) for chapter in log.lost.chapters()}
    was = list(log.lost.subtrees())
    changed = log.lose([*range(21, 64), *range(7)])
    for chapter in changed:
        log.lost.restore(chapter, before.get(chapter))
    assert list(log.lost.subtrees()) == was
    with pytest.raises(AuditError, match="the row holds"):
        log.lost.restore(chapter_id(0, 5000), before[0])


def test_leaves_are_lost_once_or_nothing_changes() -> None:
    log = Log(hashes(16))
    log.lose(range(8))
    was = list(log.lost.subtrees())
    for pairs in (
        [(9, log.hashes[9]), (3, log.hashes[3])],
        [(9, log.hashes[9]), (9, log.hashes[9])],
        [(9, log.hashes[9]), (10, b"short")],
        [(9, log.hashes[9]), (-1, log.hashes[0])],
        [(9, log.hashes[9]), (MAX_LEAVES, log.hashes[0])],
    ):
        with pytest.raises(AuditError):
            log.lost.lose(pairs)
        assert list(log.lost.subtrees()) == was


def test_what_is_above_one_chapter_counts_as_lost() -> None:
    log = Log(hashes(4096))
    log.lose(range(4096))
    assert log.lost.covers(4095)
    assert not log.lost.covers(4096)
    with pytest.raises(AuditError, match="lost before"):
        log.lost.lose([(5, log.hashes[5])])
    with pytest.raises(AuditError, match="cannot be kept"):
        log.lost.keep_boundary(3000)


def test_boundaries_hold_until_forgotten() -> None:
    log = Log(hashes(32), [5])
    log.lose(range(32))
    assert log.tree.root(5) == mth(log.hashes[:5])
    with pytest.raises(AuditError, match="collapsed into one hash"):
        log.tree.root(11)
    with pytest.raises(AuditError, match="collapsed into one hash"):
        log.tree.consistency(11)
    with pytest.raises(AuditError, match="size 11 cannot be kept provable"):
        log.lost.keep_boundary(11)
    log.lost.keep_boundary(8)
    log.lost.keep_boundary(32)
    log.lost.forget_boundary(5)
    assert log.lost.forget_boundary(5) == set()
    assert [(level, index) for level, index, _ in log.lost.subtrees()] == [
        (3, 0),
        (3, 1),
        (4, 1),
    ]
    log.lost.forget_boundary(8)
    assert len(log.lost) == 1
    assert log.tree.root() == mth(log.hashes)


# One pass


@given(histories(), st.data())
def test_each_proof_reads_the_leaves_at_most_once(log: Log, data: st.DataObject) -> None:
    tree, size = log.tree, len(log.hashes)
    if log.kept:
        tree.inclusion(data.draw(st.sampled_from(sorted(log.kept))))
        assert disjoint(log.asked)
        log.asked.clear()
    tree.consistency(data.draw(st.sampled_from([*log.lost.boundaries, size])))
    assert disjoint(log.asked)
    log.asked.clear()
    tree.root()
    assert log.asked == [(0, size)]


def disjoint(ranges: list[tuple[int, int]]) -> bool:
    ranges = sorted(ranges)
    return all(one[1] <= two[0] for one, two in pairwise(ranges))


# What is wrong is found


def test_a_gap_is_named() -> None:
    log = Log(hashes(20))
    log.lose([4, 5, 6])
    del log.kept[9], log.kept[10]
    assert list(log.tree.problems()) == ["leaves 9 to 10: neither retained nor lost"]
    with pytest.raises(AuditError, match="leaf 9: neither retained nor lost"):
        log.tree.root()
    with pytest.raises(AuditError, match="leaf 9: neither"):
        log.tree.inclusion(12)
    with pytest.raises(AuditError, match="leaf 9: neither"):
        log.tree.consistency(12)
    assert log.tree.root(9) == mth(log.hashes[:9])  # what does not need the missing is there
    assert log.tree.inclusion(3, 8) == path(3, log.hashes[:8])


@pytest.mark.parametrize("size", [0, 1, 5])
def test_missing_leaves_at_the_end_are_named(size: int) -> None:
    log = Log(hashes(size + 1))
    del log.kept[size]
    assert list(log.tree.problems()) == [f"leaf {size}: neither retained nor lost"]
    with pytest.raises(AuditError, match=f"leaf {size}: neither"):
        log.tree.root()


def test_leaves_held_twice_are_named() -> None:
    log = Log(hashes(20))
    log.lose(range(8))
    log.kept[3] = log.hashes[3]
    assert list(log.tree.problems()) == ["leaf 3: held twice or out of order"]
    with pytest.raises(AuditError):
        log.tree.root()
    del log.kept[3]
    log.kept[7] = log.hashes[7]  # after all of its tree of size 8 has been seen
    with pytest.raises(AuditError, match="leaves 0 to 7: held twice"):
        log.tree.root(8)
    again = Tree(20, LostLeaves(), lambda start, stop: [(at, log.hashes[at]) for at in (0, 0, 1)])
    assert next(again.problems()) == "leaf 0: held twice or out of order"
    with pytest.raises(AuditError, match="leaf 0: held twice"):
        again.root()


def test_leaves_beyond_the_end_are_named() -> None:
    log = Log(hashes(20))
    log.lose(range(16, 20))
    short = Tree(18, log.lost, log.leaves)
    assert list(short.problems()) == ["leaves 18 to 19: beyond the size 18"]
    with pytest.raises(AuditError, match="leaves 16 to 19: collapsed into one hash"):
        short.root()
    retained = Tree(10, LostLeaves(), log.leaves)
    assert len(list(retained.problems())) == 6
    with pytest.raises(AuditError):
        retained.root(11)


def test_lost_leaves_cannot_be_proved_one_by_one() -> None:
    log = Log(hashes(16))
    log.lose(range(8))
    with pytest.raises(AuditError, match="leaves 0 to 7: collapsed into one hash"):
        log.tree.inclusion(3)
    for index, level in ((16, 0), (-1, 0), (2, 3)):
        with pytest.raises(AuditError, match="not in a tree of size 16"):
            log.tree.inclusion(index, level=level)
    for old, new in ((17, 16), (9, 8), (-1, 5)):
        with pytest.raises(AuditError):
            log.tree.consistency(old, new)


@given(st.integers(1, 40), st.data())
def test_a_flipped_bit_in_an_inclusion_proof_is_found(size: int, data: st.DataObject) -> None:
    log = Log(hashes(size))
    index = data.draw(st.integers(0, size - 1))
    digest, proof, root = log.hashes[index], log.tree.inclusion(index), log.tree.root()
    bit = data.draw(st.integers(0, 255))
    for at in range(len(proof)):
        bad = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
        with pytest.raises(AuditError):
            verify_inclusion(index, size, digest, bad, root)
    for wrong in (
        (index, size, flipped(digest, bit), proof, root),
        (index, size, digest, proof, flipped(root, bit)),
        (index, size, digest, [*proof, digest], root),
        (index, size, digest, [*proof, b"short"], root),
        (size, size, digest, proof, root),
        (-1, size, digest, proof, root),
    ):
        with pytest.raises(AuditError):
            verify_inclusion(*wrong)
    for other in (at for at in range(size) if at != index):
        with pytest.raises(AuditError):
            verify_inclusion(other, size, digest, proof, root)
    for at in range(len(proof)):
        with pytest.raises(AuditError):
            verify_inclusion(index, size, digest, proof[:at] + proof[at + 1 :], root)


@given(st.integers(2, 40), st.data())
def test_a_flipped_bit_in_a_consistency_proof_is_found(size: int, data: st.DataObject) -> None:
    tree = Log(hashes(size)).tree
    old = data.draw(st.integers(1, size - 1))
    proof, old_root, root = tree.consistency(old), tree.root(old), tree.root()
    bit = data.draw(st.integers(0, 255))
    for at in range(len(proof)):
        bad = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
        with pytest.raises(AuditError):
            verify_consistency(old, size, bad, old_root, root)
        with pytest.raises(AuditError):
            verify_consistency(old, size, proof[:at] + proof[at + 1 :], old_root, root)
    for wrong in (
        (old, size, proof, flipped(old_root, bit), root),
        (old, size, proof, old_root, flipped(root, bit)),
        (old, size, [*proof, root], old_root, root),
        (old, size, [], old_root, root),
        (old, old, proof, old_root, old_root),
        (old, old, [], old_root, root),
        (0, size, [], old_root, root),
        (0, 0, [], root, root),
        (0, size, proof, EMPTY_ROOT, root),
        (size, old, proof, root, old_root),
    ):
        with pytest.raises(AuditError):
            verify_consistency(*wrong)


@given(histories(), st.integers(0, 255), st.data())
def test_a_flipped_bit_in_any_hash_changes_the_root(
    log: Log, bit: int, data: st.DataObject
) -> None:
    if not log.hashes:
        return
    root = log.tree.root()
    if log.kept:
        index = data.draw(st.sampled_from(sorted(log.kept)))
        good = log.kept[index]
        log.kept[index] = flipped(good, bit)
        assert log.tree.root() != root
        log.kept[index] = good
    if len(log.lost):
        chapter = data.draw(st.sampled_from(log.lost.chapters()))
        row = log.lost.chapter(chapter)
        assert row is not None
        with pytest.raises(AuditError):
            decode_chapter(flipped(row, data.draw(st.integers(0, 8 * len(row) - 1))))
        _, nodes = decode_chapter(row)
        number = data.draw(st.sampled_from(sorted(nodes)))
        log.lost.restore(chapter, encode_chapter({**nodes, number: flipped(nodes[number], bit)}))
        assert log.tree.root() != root


def test_hashes_of_other_lengths_cannot_shift_a_boundary() -> None:
    one, two = hashes(2)
    root = node_hash(one, two)
    verify_inclusion(1, 2, two, [one], root)
    with pytest.raises(AuditError, match="32 bytes"):
        verify_inclusion(1, 2, two[1:], [one + two[:1]], root)
    with pytest.raises(AuditError, match="32 bytes"):
        verify_consistency(1, 2, [two + b"x"], one, root)


def test_a_size_too_large_for_its_proof_is_found() -> None:
    one, two = hashes(2)
    root = node_hash(one, two)
    verify_consistency(1, 2, [two], one, root)
    with pytest.raises(AuditError, match="too short"):
        verify_consistency(1, 3, [two], one, root)
    with pytest.raises(AuditError, match="too short"):
        verify_inclusion(0, 3, one, [two], root)


# Rows


@given(st.integers(0, 50), st.integers(0, MAX_LEAVES - 1))
def test_chapters_are_eight_levels_of_one_subtree(level: int, index: int) -> None:
    index >>= level
    chapter = chapter_id(level, index)
    assert 0 <= chapter < 2**62
    number = (2 * index + 1) << level
    row = encode_chapter({number: bytes(32)})
    assert len(row) == 14 + 34
    assert decode_chapter(row) == (chapter, {number: bytes(32)})
    if level % 8:
        assert chapter_id(level - 1, 2 * index) == chapter_id(level - 1, 2 * index + 1) == chapter


def test_damaged_rows_are_refused() -> None:
    log = Log(hashes(10))
    log.lose(range(1, 10))
    (chapter,) = log.lost.chapters()
    row = log.lost.chapter(chapter)
    assert row is not None
    for bit in range(8 * len(row)):
        with pytest.raises(AuditError):
            decode_chapter(flipped(row, bit))
    for length in range(len(row)):
        with pytest.raises(AuditError):
            decode_chapter(row[:length])
    for bad in (row[:8] + b"\x63\x00" + row[10:-4], row[:8] + b"\x00" * (len(row) - 12)):
        with pytest.raises(AuditError, match="chapter 0"):  # the checksum alone is no defence
            decode_chapter(bad + crc32(bad).to_bytes(4, "little"))
    other = row[:10] + bytes(len(row) - 14)  # the count is right, but nodes have no number
    with pytest.raises(AuditError, match="not its own"):
        decode_chapter(other + crc32(other).to_bytes(4, "little"))
    with pytest.raises(AuditError, match="stored twice"):
        LostLeaves.load([row, row])
    assert log.lost.chapter(chapter_id(0, 10**6)) is None


def test_node_and_leaf_hashes_differ_in_their_prefix() -> None:
    assert leaf_hash(b"x") == sha256(b"\x00x").digest()
    assert node_hash(b"a" * 32, b"b" * 32) == sha256(b"\x01" + b"a" * 32 + b"b" * 32).digest()

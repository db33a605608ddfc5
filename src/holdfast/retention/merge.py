"""Merge what is evicted into what is like it, where something is."""

from __future__ import annotations

from dataclasses import dataclass, field

from holdfast.retention.arrays import Array, namespace
from holdfast.retention.base import Need, SteppedPolicy, Steps
from holdfast.retention.entropy import Entropy
from holdfast.retention.view import View


@dataclass(frozen=True)
class EvictThenMerge(SteppedPolicy):
    """Let another policy choose what goes, then merge each of it into its nearest kept entry.

    Parameters
    ----------
    policy
        What decides who goes; any policy of steps.
    threshold
        The least cosine at which an entry is merged; below it, it is evicted and that is all.
    block
        Entries, in stream order, among which the nearest is looked for.

    Raises
    ------
    ValueError
        If `block` is below 1; and, planning, if there are no vectors.

    Notes
    -----
    What is merged is evicted, and its mass goes to the entry it was merged into, so that many
    copies of a thing leave one that counts for many. It is looked for in the same scope and the
    same block of the stream, which bounds the time by n · block · d; up to `block` entries the
    nearest is exactly that. Differs from the papers: who goes is any policy's choice and not
    attention's; losers go to the most similar entry, as in EMS and MemoryVLA, where Elastic Cache
    takes the nearest place; vectors are not averaged, since what is kept is kept byte for byte.
    The default threshold is not tuned.

    References
    ----------
    Li et al., EMS: Adaptive Evict-then-Merge Strategy for Head-wise KV Cache Compression Based on
    Global-Local Importance, arXiv:2412.08521
    Liu et al., Efficient Inference of Vision Instruction-Following Models with Elastic Cache,
    arXiv:2407.18121
    Shi et al., MemoryVLA: Perceptual-Cognitive Memory in Vision-Language-Action Models for Robotic
    Manipulation, arXiv:2508.19236
    """

    policy: SteppedPolicy = field(default_factory=Entropy)
    threshold: float = 0.8
    block: int = 512

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"block is {self.block}; it must be at least 1")

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]  # what it wraps needs, too
        return self.policy.needs | {"vector"}

    def steps(self, view: View) -> Steps:
        return self.policy.steps(view)

    def settle(self, view: View, limit: Array, tier: Array, entry: Array) -> Array:
        return self.policy.settle(view, limit, tier, entry)

    def merge(self, view: View, tier: Array, steps: Steps) -> Array | None:
        at = view.directions()
        xp = namespace(at)
        goes = (tier == view.evicted) & view.present
        stays = tier < view.evicted
        found = []
        for start in range(0, len(view), self.block):
            part = slice(start, start + self.block)
            into = nearest_kept(
                at[..., part, :], goes[..., part], stays[..., part], view.scope[..., part],
                self.threshold,
            )  # fmt: skip
            found.append(xp.where(into >= 0, into + start, into))
        return xp.concat(found, axis=-1)


def nearest_kept(at: Array, goes: Array, stays: Array, scope: Array, threshold: float) -> Array:
    """(…, n) the entry that stays whose vector is most like that of each that goes; -1 for none.

    Parameters
    ----------
    at
        (…, n, d) unit vectors. They are compared in single precision, the first of equals wins.
    threshold
        The least cosine that counts as being like it.
    """
    xp = namespace(at)
    # Those that go, first: in a batch, as many of each row as the row with most of them has.
    order = xp.argsort(xp.astype(~goes, xp.uint8), axis=-1, stable=True)
    count = int(xp.max(xp.sum(xp.astype(goes, xp.int64), axis=-1)))
    some = order[..., :count]
    like = xp.take_along_axis(at, some[..., None], axis=-2) @ xp.matrix_transpose(at)
    like = xp.astype(like, xp.float32)
    own = xp.take_along_axis(scope, some, axis=-1)[..., None] == scope[..., None, :]
    like = xp.where(own & stays[..., None, :], like, xp.full_like(like, -2.0))
    best = xp.argmax(like, axis=-1)
    most = xp.take_along_axis(like, best[..., None], axis=-1)[..., 0]
    best = xp.where(most >= threshold, best, 0 * best - 1)
    all_ = xp.concat([best, 0 * order[..., count:] - 1], axis=-1)
    into = xp.take_along_axis(all_, xp.argsort(order, axis=-1, stable=True), axis=-1)
    return xp.where(goes, into, 0 * into - 1)

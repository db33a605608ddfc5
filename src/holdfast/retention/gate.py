"""A small gate that learns from use which entries will last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Self

from holdfast.retention.arrays import Array, namespace
from holdfast.retention.base import ScoredPolicy
from holdfast.retention.view import View

FEATURES = ("one", "surprise", "salience", "size", "trust", "cited", "mass", "uses")
"""What the gate sees of an entry, scaled so that a weight means about the same for each."""


@dataclass(frozen=True)
class LearnedGate(ScoredPolicy):
    """Keep what a logistic gate says lasts: each entry fades at a rate β of its own.

    The worth of an entry is ``β^age`` with ``β = sigmoid(weights · features)``; the score is its
    logarithm, which does not underflow.

    Parameters
    ----------
    weights
        One for each of `FEATURES`. All 0, the default, is neutral: every entry fades alike and the
        policy is `Oldest`, until `learn` is told what was of use.
    rate
        How far one step of `learn` goes.

    Raises
    ------
    ValueError
        If there is not one weight for each feature.

    Notes
    -----
    Two entries change places at most once as they age. Differs from the papers: TRIM-KV trains its
    gates off line, by the outputs of the full cache and a penalty on what they keep; here one step
    of logistic regression is taken for each batch of feedback, with used and unused entries
    counting half each however few were used. Credit for later use is that of LTS, and learning
    from what was served that of OSD; neither's model is in it.

    References
    ----------
    Bui et al., Cache What Lasts: Token Retention for Memory-Bounded KV Cache in LLMs,
    arXiv:2512.03324
    Fioresi et al., Learning to Share: Selective Memory for Efficient Parallel Agentic Systems,
    arXiv:2602.05965
    Liu et al., Online Speculative Decoding, arXiv:2310.07177
    """

    weights: tuple[float, ...] = (0.0,) * len(FEATURES)
    rate: float = 1.0

    def __post_init__(self) -> None:
        if len(self.weights) != len(FEATURES):
            raise ValueError(f"{len(self.weights)} weights; one each is needed for {FEATURES}")

    def score(self, view: View) -> Array:
        return view.age * self.log_beta(view)

    def log_beta(self, view: View) -> Array:
        """(…, n) the logarithm of the rate at which each entry fades; at most 0."""
        xp = namespace(view.cost)
        logit = sum(w * x for w, x in zip(self.weights, features(view), strict=True))
        below = xp.where(logit < 0, logit, 0.0 * logit)
        return below - xp.log1p(xp.exp(-xp.abs(logit)))

    def learn(self, view: View, used: Array) -> Self:
        """A gate one step wiser: it has seen which entries of a view were of use.

        Parameters
        ----------
        used
            (…, n) whether each entry was.
        """
        xp = namespace(view.cost)
        beta = xp.exp(self.log_beta(view))
        n_used = max(1, int(xp.sum(xp.astype(used, xp.int64))))
        n_other = max(1, int(xp.sum(xp.astype(~used, xp.int64))))
        step = xp.where(used, (1.0 - beta) / n_used, -beta / n_other) * (self.rate / 2)
        moves = [float(xp.sum(step * x)) for x in features(view)]
        return replace(self, weights=tuple(map(sum, zip(self.weights, moves, strict=True))))


def features(view: View) -> list[Array]:
    """`FEATURES` of each entry, (…, n) every one."""
    xp = namespace(view.cost)
    one = 0.0 * view.age + 1.0
    return [
        one,
        view.surprise / 8.0,
        xp.log2(view.salience),
        xp.log2(1.0 + view.cost[..., 0]) / 8.0,
        view.trust / 3.0,
        xp.where(view.cited, one, 0.0 * one),
        xp.log2(view.mass),
        xp.log2(1.0 + view.uses),
    ]

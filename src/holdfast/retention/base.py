"""The algebra of retention: a score, a way to take steps, and what becomes of the losers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

from holdfast.retention.arrays import Array, namespace
from holdfast.retention.select import cheapest
from holdfast.retention.view import Plan, View, must_free

Need = Literal["vector"]
Share = Literal["size", "equal"]


class Policy(ABC):
    """Decides what each entry keeps.

    `plan(view, limit)` returns where each entry goes, such that ``view.spent(plan.tier) <= limit``
    (to the rounding of a float sum), no entry rises and no pinned entry moves; within the limit
    nothing moves at all. It raises `BudgetError` if the pinned entries alone are over the limit.
    It is pure and deterministic. `holdfast.checks.check_policy` tests all of this.
    """

    needs: ClassVar[frozenset[Need]] = frozenset()
    """Columns that cost a substrate something to provide and that this policy cannot do without."""

    batched: ClassVar[bool] = True
    """Whether views may have leading batch axes."""

    @abstractmethod
    def plan(self, view: View, limit: Array) -> Plan:
        """Where each entry should go so that all of them cost at most `limit` bytes.

        Parameters
        ----------
        limit
            Bytes: a number, or (…,) one for each row of a batch.
        """

    def learn(self, view: View, used: Array) -> Policy:
        """The policy once it has seen which entries were of use, (…, n); most learn nothing."""
        del view, used
        return self

    def per(self, column: str = "scope", share: Share = "size") -> Policy:
        """This policy within each group of entries, by an integer column such as "scope"."""
        from holdfast.retention.per import PerGroup

        return PerGroup(self, column, share)


class Steps(NamedTuple):
    """Moves a policy is willing to make, each at a price; arrays of shape (…, n, k).

    An entry has up to k steps, each starting where the one before it ends, with prices that do not
    fall; one that it does not have is priced infinity.

    Attributes
    ----------
    price
        What the step costs; the cheapest are taken first, equal ones in order of n, then k.
    to
        The tier it moves the entry to, uint8.
    freed
        Bytes that frees.
    into
        (…, n) the entry of the same scope that this one is merged into if it is evicted and that
        one is kept, by its index along n; -1 for none. None: nothing is merged.
    """

    price: Array
    to: Array
    freed: Array
    into: Array | None = None


class SteppedPolicy(Policy):
    """A policy that lists steps with prices; this base takes the cheapest until the limit holds.

    Notes
    -----
    A lower limit takes a longer run of the same steps, so it never keeps an entry at a higher
    tier. Prices are compared in single precision, so that kinds of arrays whose last digits differ
    agree. O(n log n).
    """

    @abstractmethod
    def steps(self, view: View) -> Steps:
        """Every step that may be taken; together they evict all entries that are not pinned."""

    def plan(self, view: View, limit: Array) -> Plan:
        xp = namespace(view.cost)
        need = must_free(view, limit)
        tier = xp.astype(view.tier, xp.uint8, copy=True)
        if not len(view) or not bool(xp.any(need > 0)):
            return Plan(tier)
        steps = self.steps(view)
        shape, flat = steps.price.shape, (*steps.price.shape[:-2], -1)
        price = xp.astype(steps.price, xp.float32)
        taken, last = cheapest(xp.reshape(price, flat), xp.reshape(steps.freed, flat), need)
        taken = xp.reshape(taken, shape)
        for k in range(shape[-1]):
            tier = xp.where(taken[..., k], steps.to[..., k], tier)
        tier = self.settle(view, limit, tier, last // shape[-1])
        return Plan(tier, self.merge(view, tier, steps), steps.price[..., 0])

    def settle(self, view: View, limit: Array, tier: Array, entry: Array) -> Array:
        """The plan improved at the entry whose step was the last one taken, (…,) or -1."""
        return tier

    def merge(self, view: View, tier: Array, steps: Steps) -> Array | None:
        """(…, n) which kept entry each evicted one is merged into, or None if none ever is."""
        return None if steps.into is None else allowed(view, tier, steps.into)


class ScoredPolicy(SteppedPolicy):
    """A policy that is one number per entry: the lowest is evicted first, the oldest of equals.

    Scores compose, and what comes out is a policy again: ``+``, ``*``, `max`, `decay`, `ranked`,
    `per`. It evicts outright; a score under a ladder of tiers is `DemotionLadder`.

    Examples
    --------
    >>> import numpy as np
    >>> from holdfast.retention.oldest import Oldest
    >>> from holdfast.retention.entropy import Entropy
    >>> policy = Oldest().ranked() + 3 * Entropy(n_sink=0).ranked()
    >>> view = View.of(size=np.ones(3), surprise=np.array([9.0, 1.0, 2.0]))
    >>> policy.plan(view, 1).tier.tolist()
    [0, 1, 1]
    """

    @abstractmethod
    def score(self, view: View) -> Array:
        """(…, n) how much each entry is worth keeping."""

    def steps(self, view: View) -> Steps:
        return evictions(view, self.score(view))

    def __add__(self, other: ScoredPolicy | float) -> ScoredPolicy:
        return Combined("+", self, as_score(other))

    def __mul__(self, other: ScoredPolicy | float) -> ScoredPolicy:
        return Combined("*", self, as_score(other))

    __radd__, __rmul__ = __add__, __mul__

    def max(self, other: ScoredPolicy | float) -> ScoredPolicy:
        """The larger of two scores."""
        return Combined("max", self, as_score(other))

    def decay(self, half_life: float) -> ScoredPolicy:
        """The score halved for every so many positions of age; it must not be negative."""
        return Decayed(self, half_life)

    def ranked(self) -> ScoredPolicy:
        """The rank of the score among all entries, in (0, 1]: so that scores of any scale add."""
        return Ranked(self)


@dataclass(frozen=True)
class Constant(ScoredPolicy):
    """The same for every entry."""

    value: float

    def score(self, view: View) -> Array:
        return 0.0 * view.age + self.value


@dataclass(frozen=True)
class Combined(ScoredPolicy):
    """Two scores as one."""

    how: Literal["+", "*", "max"]
    left: ScoredPolicy
    right: ScoredPolicy

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]  # of the parts
        return self.left.needs | self.right.needs

    def score(self, view: View) -> Array:
        left, right = self.left.score(view), self.right.score(view)
        if self.how == "max":
            return namespace(view.cost).maximum(left, right)
        return left + right if self.how == "+" else left * right


@dataclass(frozen=True)
class Decayed(ScoredPolicy):
    """A score that halves with age."""

    policy: ScoredPolicy
    half_life: float

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return self.policy.needs

    def score(self, view: View) -> Array:
        return self.policy.score(view) * 2.0 ** (-view.age / self.half_life)


@dataclass(frozen=True)
class Ranked(ScoredPolicy):
    """The rank of a score; equal scores have ranks in order of n."""

    policy: ScoredPolicy

    @property
    def needs(self) -> frozenset[Need]:  # type: ignore[override]
        return self.policy.needs

    def score(self, view: View) -> Array:
        xp = namespace(view.cost)
        score = xp.astype(self.policy.score(view), xp.float32)
        order = xp.argsort(score, axis=-1, stable=True)
        place = xp.argsort(order, axis=-1, stable=True)
        return (place + 1.0) / max(1, len(view))


def evictions(view: View, score: Array) -> Steps:
    """One step for each entry that may go, out, at the price of its score."""
    xp = namespace(view.cost)
    freed = view.costs()
    score = xp.astype(score, freed.dtype)
    price = xp.where(view.pinned | (freed <= 0), xp.full_like(freed, xp.inf), score)
    to = xp.full_like(view.tier, view.evicted, dtype=xp.uint8)
    return Steps(price[..., None], to[..., None], freed[..., None])


def check_half_life(half_life: float) -> None:
    """Raise `ValueError` if something cannot fade by this."""
    if not half_life > 0:
        raise ValueError(f"half_life is {half_life:g}; it must be above 0")


def lift(score: Array, level: Array) -> Array:
    """The score where `level` is 0; elsewhere one above every score of the row, by level.

    Examples
    --------
    >>> import numpy as np
    >>> lift(np.array([5.0, 7.0, 1.0]), np.array([0.0, 0.0, 2.0])).tolist()
    [5.0, 7.0, 9.0]
    """
    xp = namespace(score)
    if not score.shape[-1]:
        return score
    return xp.where(level > 0, xp.max(score, axis=-1, keepdims=True) + level, score)


def allowed(view: View, tier: Array, into: Array) -> Array:
    """(…, n) the merges of a plan that may be: of what it evicts into what it keeps, in one scope.

    Across scopes nothing is merged: what one user did must not change what is kept of another.
    """
    xp = namespace(view.cost)
    target = xp.where(into >= 0, into, 0 * into)
    leaves = (tier == view.evicted) & view.present
    stays = xp.take_along_axis(tier, target, axis=-1) < view.evicted
    same = xp.take_along_axis(view.scope, target, axis=-1) == view.scope
    return xp.where((into >= 0) & leaves & stays & same, into, 0 * into - 1)


def as_score(value: ScoredPolicy | float) -> ScoredPolicy:
    """A number as a score."""
    return value if isinstance(value, ScoredPolicy) else Constant(float(value))

"""What a retention policy sees, and what it answers: arrays in, arrays out, no storage."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import NamedTuple

from holdfast.errors import BudgetError
from holdfast.retention.arrays import Array, arange_like, namespace, to_float


@dataclass(frozen=True)
class View:
    """Read-only columns over the entries of a bounded memory, oldest first.

    The substrate may be a chat log, a KV cache or a stream of frames: a policy cannot tell. The
    arrays are all NumPy's or all torch's, and may have leading batch axes (heads, layers, users):
    then every row of the batch is planned for itself. `View.of` fills in what a substrate does not
    know.

    Attributes
    ----------
    position
        (…, n) place in the stream, ascending.
    now
        The position the next entry will get.
    cost
        (…, n, tiers) bytes the entry takes at each tier, not increasing along a row; the last
        column (evicted) is 0. Above the present tier it is what the entry took there, or the best
        guess of it: that is how a policy knows how large it was.
    tier
        (…, n) present tier, uint8. A plan may move an entry down (to a larger number), never up.
    surprise
        (…, n) bits per term against the stream so far; 0 where unknown.
    salience
        (…, n) how often the substrate expects an entry like it to be asked for, beside the others;
        above 0, and 1 where it expects nothing in particular.
    uses
        (…, n) how often the entry was of use, as far as feedback says.
    used_at
        (…, n) position of the stream at its last use; its own position if there was none.
    gap
        (…, n) the longest stretch between two uses (the first counts from its arrival); 0 if none.
    pinned
        (…, n) must keep its tier.
    cited
        (…, n) a belief that is held now, or another living thing, rests on it.
    trust
        (…, n) how far its source is believed, 0 (not at all) to 3.
    mass
        (…, n) how many entries it stands for, itself included.
    scope
        (…, n) scope, head or track the entry belongs to, as an integer.
    vector
        (…, n, d) what the entry is about, or None if the substrate has none: see `Policy.needs`.
    """

    position: Array
    now: float
    cost: Array
    tier: Array
    surprise: Array
    salience: Array
    uses: Array
    used_at: Array
    gap: Array
    pinned: Array
    cited: Array
    trust: Array
    mass: Array
    scope: Array
    vector: Array | None = None

    @classmethod
    def of(
        cls,
        cost: Array | None = None,
        *,
        size: Array | None = None,
        now: float | None = None,
        **columns: Array,
    ) -> View:
        """A view of entries with these costs; columns that are not given are neutral.

        Parameters
        ----------
        cost
            (…, n, tiers) as above; or instead
        size
            (…, n) bytes of entries that are kept or evicted and nothing else.
        now
            By default one after the last position.
        columns
            Any other attribute.

        Examples
        --------
        >>> import numpy as np
        >>> view = View.of(size=np.array([3.0, 2.0]), surprise=np.array([1.0, 5.0]))
        >>> view.cost.tolist(), view.position.tolist(), view.now
        ([[3.0, 0.0], [2.0, 0.0]], [0, 1], 2)
        """
        xp = namespace(cost if cost is not None else size)
        if cost is None:
            cost = xp.stack([size, xp.zeros_like(size)], axis=-1)
        zeros = xp.zeros_like(to_float(cost[..., 0]))
        false = zeros != zeros
        position = columns.pop("position", None)
        if position is None:
            position = xp.broadcast_to(arange_like(zeros, zeros.shape[-1]), zeros.shape)
        if now is None:
            now = int(xp.max(position)) + 1 if zeros.shape[-1] else 0
        neutral = {
            "tier": xp.astype(zeros, xp.uint8), "surprise": zeros,
            "salience": zeros + 1.0, "uses": zeros,
            "used_at": to_float(position), "gap": zeros, "pinned": false, "cited": false,
            "trust": zeros + 2.0, "mass": zeros + 1.0, "scope": xp.astype(zeros, xp.int64),
        }  # fmt: skip
        return cls(position=position, now=now, cost=cost, **(neutral | columns))

    def __len__(self) -> int:
        """Entries in each row of the batch."""
        return int(self.position.shape[-1])

    @property
    def evicted(self) -> int:
        """The last tier, at which nothing is kept."""
        return int(self.cost.shape[-1]) - 1

    @property
    def age(self) -> Array:
        """(…, n) positions since the entry was new; 1 for the newest there can be."""
        xp = namespace(self.position)
        age = self.now - to_float(self.position)
        return xp.where(age > 1.0, age, 1.0 + 0.0 * age)

    @property
    def idle(self) -> Array:
        """(…, n) positions since the entry was last of use, or new; at least 1."""
        xp = namespace(self.position)
        idle = self.now - to_float(self.used_at)
        return xp.where(idle > 1.0, idle, 1.0 + 0.0 * idle)

    @property
    def present(self) -> Array:
        """(…, n) whether anything of the entry is kept."""
        return self.tier < self.evicted

    def directions(self) -> Array:
        """(…, n, d) `vector` at length 1, in double precision; one of length 0 stays so.

        Raises
        ------
        ValueError
            If the substrate gave no vectors.
        """
        if self.vector is None:
            raise ValueError(
                "this policy compares vectors and the view has none; give it `vector`, "
                "or choose a policy whose `needs` is empty"
            )
        xp = namespace(self.vector)
        vector = to_float(self.vector)
        length = xp.sqrt(xp.sum(vector * vector, axis=-1, keepdims=True))
        return vector / xp.where(length > 0.0, length, 1.0 + 0.0 * length)

    def costs(self, tier: Array | None = None) -> Array:
        """(…, n) bytes of each entry at the given tiers, by default at the present ones."""
        xp = namespace(self.cost)
        chosen = xp.astype(self.tier if tier is None else tier, xp.int64)
        return xp.take_along_axis(self.cost, chosen[..., None], axis=-1)[..., 0]

    def spent(self, tier: Array | None = None) -> Array:
        """(…,) total bytes at the given tiers, by default at the present ones."""
        return namespace(self.cost).sum(self.costs(tier), axis=-1)

    def held(self) -> Array:
        """(…,) bytes of the pinned entries."""
        xp = namespace(self.cost)
        costs = self.costs()
        return xp.sum(xp.where(self.pinned, costs, 0.0 * costs), axis=-1)

    def at(self, rows: Array) -> View:
        """The same columns over some of the entries, in ascending order; not for batches."""
        taken = {
            field.name: column[rows]
            for field in fields(self)
            if field.name != "now" and (column := getattr(self, field.name)) is not None
        }
        return replace(self, **taken)


class Plan(NamedTuple):
    """What a policy answers: where every entry goes.

    Attributes
    ----------
    tier
        (…, n) the tier each entry should have, uint8.
    into
        (…, n) the entry that an evicted one is merged into, by its index along n; -1 where it is
        not. None: nothing is merged. The target is kept, and takes over the mass.
    score
        (…, n) what each entry that moves was judged worth, for the ledger; None if not told.
    """

    tier: Array
    into: Array | None = None
    score: Array | None = None


def must_free(view: View, limit: Array) -> Array:
    """(…,) bytes over the limit; zero or less where nothing needs to move.

    Raises
    ------
    BudgetError
        If the pinned entries of a row alone are over its limit.
    """
    xp = namespace(view.cost)
    over = view.spent() - limit
    held = view.held()
    if bool(xp.any((over > 0) & (held > limit))):
        most = float(xp.max(xp.where(over > 0, held, 0.0 * held)))
        raise BudgetError(
            f"{int(xp.sum(xp.astype(view.pinned, xp.int64)))} pinned items need {most:g} bytes but "
            f"the budget is {_show(limit)}; raise the budget or unpin one"
        )
    return over


def _show(limit: Array) -> str:
    return f"{float(limit):g}" if getattr(limit, "ndim", 0) == 0 else f"{limit}"

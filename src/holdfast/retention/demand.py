"""The default: keep what is likeliest to be asked for, per byte, at the tier that pays."""

from __future__ import annotations

from dataclasses import dataclass

from holdfast.retention.arrays import Array, namespace
from holdfast.retention.ladder import LadderPolicy, check_falling
from holdfast.retention.view import View


@dataclass(frozen=True)
class Demand(LadderPolicy):
    """Lower entries tier by tier, always by the step that loses least expected demand per byte.

    The demand for an entry is ``salience · (1 + uses) · mass · age^-decay``, in full at the first
    tier and a share of that at each lower one. A step's price is the demand it loses over the bytes
    it frees; steps run along the lower hull of each entry, so a tier that is a bad bargain for an
    entry is skipped, and eviction comes where nothing else pays.

    Parameters
    ----------
    values
        Share of the demand that an entry can still meet at each tier, falling; evicted is 0 and
        not listed. With more tiers each further one halves the last.
    decay
        The exponent of the power law by which demand falls with age, counted in entries. A power
        law looks the same at every scale, so a stream has no length to be tuned to.

    Raises
    ------
    ValueError
        If `values` is empty, does not fall or does not stay above 0.

    Notes
    -----
    Ours. What sets it apart from `DemotionLadder`, whose steps it takes, is where worth comes from:
    not from how surprising an entry is, but from how often entries like it were asked for on public
    questions (`holdfast.salience` for text). A person's own statements are asked for many times as
    often, byte for byte, as an assistant's long answers; a score of the words alone cannot see
    that. A plan is off the best possible one by less than the one step that crosses the limit.
    Deterministic; O(n log n).

    Examples
    --------
    >>> import numpy as np
    >>> view = View.of(size=np.array([900.0, 90.0]), salience=np.array([1.0, 3.0]))
    >>> Demand().plan(view, 500).tier.tolist()
    [1, 0]

    References
    ----------
    The steps: Yang et al., No Token Left Behind, arXiv:2402.18096, and SPHERICAL KV,
    arXiv:2605.18856. The decay: Anderson and Schooler, Reflections of the Environment in Memory,
    doi:10.1111/j.1467-9280.1991.tb00174.x; there the power law is that of how often words recur in
    talk and headlines, here of questions about events.
    """

    values: tuple[float, ...] = (1.0, 0.5, 0.1)
    decay: float = 0.25

    def __post_init__(self) -> None:
        check_falling(self.values)

    def utility(self, view: View) -> Array:
        """(…, n) how often each entry may be expected to be asked for, beside the others."""
        xp = namespace(view.cost)
        wanted = xp.log2(view.salience) + xp.log2(1.0 + view.uses) + xp.log2(view.mass)
        return xp.exp2(wanted - self.decay * xp.log2(view.age))

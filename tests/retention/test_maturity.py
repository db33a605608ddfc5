from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from holdfast.retention.maturity import Maturity
from holdfast.retention.view import View

from policy_views import outcome, shares, views


@given(views(), shares(), st.sampled_from([1.0, 1024.0]))
def test_what_is_not_believed_goes_before_anything_that_is(
    view: View, share: float, half_life: float
) -> None:
    invalid = view.trust == 0
    popular = replace(
        view,
        now=view.now + 5000,  # so late that with a short half life all else has faded to nothing
        uses=np.where(invalid, 99.0, view.uses),
        used_at=np.where(invalid, view.now + 5000.0, view.used_at),
        cited=invalid,
        mass=np.where(invalid, 50.0, 1.0),
    )
    kept, gone = outcome(Maturity(half_life=half_life), popular, share)
    assert not (kept & invalid).any() or not (gone & ~invalid).any()


@given(views(), st.integers(0, 39))
def test_use_citation_and_trust_mature_and_silence_undoes_it(view: View, entry: int) -> None:
    entry %= len(view)
    policy, bump = Maturity(), np.eye(1, len(view), entry)[0]
    view = replace(view, trust=np.maximum(view.trust, 1.0), cited=np.zeros(len(view), np.bool_))
    before = policy.score(view)
    for riper in (
        replace(view, uses=view.uses + bump),
        replace(view, trust=view.trust + bump),
        replace(view, cited=bump > 0),
    ):
        gain = policy.score(riper) - before
        assert gain[entry] > 0
        assert np.count_nonzero(gain) == 1
    assert (policy.score(replace(view, now=view.now + 64)) < before).all()

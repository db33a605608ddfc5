"""What the words that were lost are told from: those that something kept still holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from holdfast.recall.columns import Columns
from holdfast.recall.postings import Postings

Keys = npt.NDArray[np.uint32]


@dataclass(frozen=True)
class KeptWords:
    """The words of everything that is kept, by the index over it."""

    columns: Columns
    postings: Postings

    def counts(self, words: Keys, without: Sequence[int] = ()) -> npt.NDArray[np.int64]:
        """In how many kept events other than some each word is, at least."""
        rows = self.columns.find_all(np.array(without, np.int64))
        return self.postings.counts(words, rows)

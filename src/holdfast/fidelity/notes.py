"""What the meter has found so far, as it is kept in a store for it to go on from."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from holdfast.errors import CorruptStoreError
from holdfast.fidelity.probe import sealed, unsealed
from holdfast.fidelity.probes import NOTES_ID
from holdfast.fidelity.replay import Outcome

_HEAD = struct.Struct("<IIB")  # tokens, passes, whether the alarm has been given
_FOUND, _ANSWERED, _DONE = 1, 2, 4
_NO_CONFIDENCE = 255


@dataclass
class Notes:
    """The outcomes of questions, and which of them are of the pass under way."""

    tokens: int
    passes: int = 0
    alarmed: bool = False
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    done: set[int] = field(default_factory=set)

    def to_bytes(self) -> bytes:
        seqs = sorted(self.outcomes)
        steps = np.diff(np.array(seqs, "<i8"), prepend=0)
        bits = bytes(self._bits(seq, self.outcomes[seq]) for seq in seqs)
        sure = bytes(_level(self.outcomes[seq].confidence) for seq in seqs)
        planes = steps.reshape(-1, 1).view(np.uint8).T.tobytes()
        head = _HEAD.pack(self.tokens, self.passes, self.alarmed)
        return sealed(head + zlib.compress(planes + bits + sure))

    def _bits(self, seq: int, outcome: Outcome) -> int:
        return (
            _FOUND * outcome.found + _ANSWERED * outcome.answered + _DONE * (seq in self.done)
        )  # fmt: skip

    @classmethod
    def from_bytes(cls, data: bytes, tokens: int) -> Notes:
        """The inverse of `to_bytes`; none if they are damaged or about another number of tokens."""
        fresh = cls(tokens)
        try:
            body = unsealed(data, NOTES_ID)
        except CorruptStoreError:
            return fresh
        stored, fresh.passes, alarmed = _HEAD.unpack_from(body)
        if stored != tokens:
            return cls(tokens)
        fresh.alarmed = bool(alarmed)
        rest = np.frombuffer(zlib.decompress(body[_HEAD.size :]), np.uint8).reshape(10, -1)
        seqs = np.cumsum(rest[:8].T.copy().view("<i8")[:, 0]).tolist() if rest.size else []
        for seq, bits, level in zip(seqs, rest[8].tolist(), rest[9].tolist(), strict=True):
            confidence = None if level == _NO_CONFIDENCE else level / (_NO_CONFIDENCE - 1)
            fresh.outcomes[seq] = Outcome(bool(bits & _FOUND), bool(bits & _ANSWERED), confidence)
            if bits & _DONE:
                fresh.done.add(seq)
        return fresh

    def keep(self, known: Mapping[int, object]) -> None:
        """Forget what was found of probes that are not in the sample any more."""
        self.outcomes = {seq: one for seq, one in self.outcomes.items() if seq in known}
        self.done &= self.outcomes.keys()


def _level(confidence: float | None) -> int:
    return _NO_CONFIDENCE if confidence is None else round(confidence * (_NO_CONFIDENCE - 1))

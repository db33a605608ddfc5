"""Probes asked again through the normal read path, and what came back."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, NamedTuple

from holdfast import read
from holdfast.codec import content_bytes, digest
from holdfast.fidelity.probe import Probe
from holdfast.records import Context, Item, Tier

Run = Callable[[Generator[read.Embed, read.Embedding, Any]], Any]
"""Drives a read path to its end, answering what it asks of a model."""
_LIMIT, _BELIEFS = 50, 8  # matches and beliefs, as `Memory.recall` has them


class Outcome(NamedTuple):
    """What became of one question: whether its event came back, its answer with it."""

    found: bool
    answered: bool
    confidence: float | None


@dataclass(frozen=True, slots=True)
class Asker:
    """Asks as a reader would, in the scope that the probe's event came from, within `tokens`."""

    run: Run
    reader: read.Reader
    tokens: int

    def ask(self, probe: Probe, *, before: bool = False) -> Outcome:
        """Replay a probe; if `before`, as if its event and all that came later were not there."""
        context = self._recall(probe.query, probe.scope, probe.seq if before else None, 0)
        item = next((one for one in context.items if one.seq == probe.seq), None)
        return Outcome(
            item is not None, item is not None and _answers(item, probe), context.confidence
        )

    def recall(self, query: str, scope: str) -> Context:
        """What some words bring back in a scope, beliefs included."""
        return self._recall(query, scope, None, _BELIEFS)

    def _recall(self, query: str, scope: str, before: int | None, beliefs: int) -> Context:
        filters = read.Filters((scope,), before=before)
        context: Context = self.run(
            read.recall(
                self.reader, query, filters, self.tokens, _LIMIT, explain=False, believed=beliefs
            )
        )
        return context


def _answers(item: Item, probe: Probe) -> bool:
    """Whether the bytes that answer a probe are in what is shown of its event."""
    if item.tier == Tier.TRACE:
        return False
    quotes = [(quote.start, quote.text) for quote in item.quotes] or [(item.span[0], item.text)]
    for start, text in quotes:
        said = content_bytes(text)
        if start <= probe.start and probe.end <= start + len(said):
            return digest(said[probe.start - start : probe.end - start]) == probe.answer
    return False

"""Vectors, made off the write path: a worker embeds what has none; recall asks with a deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from itertools import accumulate, chain, pairwise

import numpy as np

from holdfast.codec import BYTES
from holdfast.commit import Committer
from holdfast.derive.passages import embeddable
from holdfast.errors import BudgetError, ClosedError, ModelError, StoreError
from holdfast.lower import text_of
from holdfast.mirror import Mirror
from holdfast.models.base import Embedder
from holdfast.models.deadline import Deadline
from holdfast.models.units import embed_checked
from holdfast.read import Embedding
from holdfast.recall.codes import encode, to_bytes
from holdfast.records import KINDS, Tier
from holdfast.written import Embedded

_BATCH = 16  # events asked for at once, of up to `passages.MOST` texts each
_WRITTEN_AT_ONCE = 8  # they may lie on as many pages
_QUERY_DEADLINE_S = 0.045  # recall answers without a vector rather than wait longer
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.5, 60.0


class Backlog:
    """Keeps the vectors of every readable event made, and never holds up a write or a recall.

    Each passage of an event has a vector of its own, made of its speaker's name and its text.
    A failing embedder is tried again with growing pauses; events wait, none is lost. When the
    memory was last used with another embedder, or cut events otherwise, its vectors are dropped
    and made anew, and recall says it is partial meanwhile.
    """

    def __init__(
        self,
        embedder: Embedder,
        mirror: Mirror,
        committer: Committer,
        query_deadline_s: float = _QUERY_DEADLINE_S,
    ) -> None:
        committer.drop_vectors(embedder.name)
        self._embedder = embedder
        self._mirror = mirror
        self._committer = committer
        self._query_deadline_s = query_deadline_s
        self._deadline = Deadline(embedder)
        self._wake = threading.Event()
        self._settled = threading.Condition()
        self._behind = True
        self._closing = False
        self.failure: ModelError | None = None
        self._worker = threading.Thread(target=self._work, name="holdfast-embed", daemon=True)
        self._worker.start()

    def wake(self) -> None:
        """There may be new events to embed."""
        with self._settled:  # else the worker could rest between the two
            self._behind = True
            self._wake.set()

    def ask(self, text: str) -> Embedding:
        """The vector of a query, or word that none came in time."""
        try:
            vectors = self._deadline.ask([text], self._query_deadline_s)
        except ModelError as error:
            self.failure = error
            vectors = None
        if vectors is None:
            return Embedding(None, degraded=True, partial=self._behind)
        return Embedding(np.asarray(vectors[0], np.float32), partial=self._behind)

    def settle(self, timeout_s: float) -> bool:
        """Wait until nothing lacks a vector; whether that came in time."""
        with self._settled:
            return self._settled.wait_for(lambda: not self._behind, timeout_s)

    def close(self) -> None:
        """Stop the worker after the batch it is at; a hung embedder is left behind."""
        self._closing = True
        self._wake.set()
        self._worker.join(timeout=1.0)
        self._deadline.close()

    # ---- the worker ------------------------------------------------------------------------

    def _work(self) -> None:
        pause_s = _FIRST_PAUSE_S
        while not self._closing:
            self._wake.clear()
            lacking = self._lacking()
            if not lacking:
                self._rest()
                continue
            try:
                self._embed(lacking)
                self.failure, pause_s = None, _FIRST_PAUSE_S
            except ClosedError:
                return
            except (ModelError, StoreError, BudgetError) as error:
                self.failure = error if isinstance(error, ModelError) else self.failure
                self._sleep(pause_s)
                pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _sleep(self, pause_s: float) -> None:
        """A pause that closing ends at once."""
        deadline = time.monotonic() + pause_s
        while not self._closing and (left := deadline - time.monotonic()) > 0:
            time.sleep(min(left, 0.05))

    def _rest(self) -> None:
        with self._settled:
            if not self._wake.is_set():
                self._behind = False
                self._settled.notify_all()
        self._wake.wait()

    def _lacking(self) -> list[int]:
        """The newest events that have text but no vectors."""
        mirror = self._mirror
        with mirror.lock:
            if mirror.vectors is None:
                return []
            columns = mirror.columns
            wanted = columns.alive & (columns.tier < Tier.TRACE) & ((columns.flags & BYTES) == 0)
            wanted &= columns.kind != KINDS.index("state")
            rows = np.flatnonzero(wanted)
            rows = rows[~mirror.vectors.holds(rows)][-_BATCH:]
            return [int(seq) for seq in columns.seq[rows]]

    def _embed(self, seqs: Sequence[int]) -> None:
        rows = [row for row in map(self._mirror.row, seqs) if row is not None]
        texts = [embeddable(row.who.speaker, text_of(row)) for row in rows]
        codes, scales = encode(embed_checked(self._embedder, list(chain.from_iterable(texts))))
        ends = list(accumulate(map(len, texts), initial=0))
        stored = [
            (row.seq, to_bytes(codes[start:end], scales[start:end]))
            for row, (start, end) in zip(rows, pairwise(ends), strict=True)
        ]
        for i in range(0, len(stored), _WRITTEN_AT_ONCE):
            page = stored[i : i + _WRITTEN_AT_ONCE]
            self._committer.submit([Embedded(page, self._embedder.name)])

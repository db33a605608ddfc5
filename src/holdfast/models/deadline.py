"""Ask an embedder without ever waiting past a deadline: recall must not hang when a model does."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from holdfast.errors import ModelError
from holdfast.models.base import Embedder, Vectors
from holdfast.models.units import embed_checked


@dataclass(eq=False)
class _Job:
    texts: list[str]
    done: threading.Event = field(default_factory=threading.Event)
    vectors: Vectors | None = None
    error: ModelError | None = None


class Deadline:
    """One embedder behind one daemon thread, answering in time or not at all.

    Parameters
    ----------
    embedder
        What is asked. Its answers are checked: shape, finite numbers, length one.

    Notes
    -----
    A call that is late cannot be stopped, only left alone. Until it comes back the embedder is
    `stuck`, and every further ask answers None at once instead of queueing behind it or starting
    a second thread; the late answer is dropped. The thread starts with the first ask and, being a
    daemon, keeps no process alive. Asks from several threads take turns.

    Examples
    --------
    >>> from holdfast.models.scripted import ScriptedEmbedder
    >>> with Deadline(ScriptedEmbedder(dimensions=8)) as deadline:
    ...     deadline.ask(["where is the spare key?"], timeout_s=1.0).shape
    (1, 8)
    """

    def __init__(self, embedder: Embedder) -> None:
        self.embedder = embedder
        self._change = threading.Condition()
        self._waiting: deque[_Job] = deque()
        self._running: _Job | None = None
        self._abandoned = False  # nobody waits for the running job any more
        self._closed = False
        self._thread: threading.Thread | None = None

    @property
    def stuck(self) -> bool:
        """Whether a late call still occupies the embedder."""
        return self._abandoned

    def ask(self, texts: Sequence[str], timeout_s: float) -> Vectors | None:
        """Unit vectors, (len(texts), dimensions), or None if they are not there in time.

        Raises
        ------
        ModelError
            If the embedder raised, or answered something that is no set of unit vectors.
        """
        job = _Job(list(texts))
        with self._change:
            if self._closed:
                raise ModelError(f"{self.embedder.name} was asked after its deadline was closed")
            if self._abandoned:
                return None
            if self._thread is None:
                self._thread = threading.Thread(
                    target=self._work, name="holdfast-embedder", daemon=True
                )
                self._thread.start()
            self._waiting.append(job)
            self._change.notify()
        if not job.done.wait(timeout_s):
            self._give_up(job)
        if job.error is not None:
            raise job.error
        return job.vectors

    def close(self) -> None:
        """Let the thread end when it is free; a stuck one ends when its call comes back."""
        with self._change:
            self._closed = True
            self._change.notify()

    def __enter__(self) -> Deadline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _give_up(self, job: _Job) -> None:
        with self._change:
            if job is self._running:
                self._abandoned = True
            elif job in self._waiting:
                self._waiting.remove(job)

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._waiting or self._closed)
                if not self._waiting:
                    return
                job = self._running = self._waiting.popleft()
            vectors: Vectors | None = None
            failure: ModelError | None = None
            try:
                vectors = embed_checked(self.embedder, job.texts)
            except ModelError as error:
                failure = error
            with self._change:
                self._running = None
                if not self._abandoned:
                    job.vectors, job.error = vectors, failure
                self._abandoned = False
                job.done.set()

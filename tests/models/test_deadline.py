"""A slow, hung or broken embedder never holds its asker past the deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence

import numpy as np
import pytest

from holdfast.errors import ModelError
from holdfast.models.base import Vectors
from holdfast.models.deadline import Deadline
from holdfast.models.scripted import ScriptedEmbedder


class Gate(ScriptedEmbedder):
    """An embedder that hangs until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.open = threading.Event()
        self.entered = threading.Event()

    def embed(self, texts: Sequence[str]) -> Vectors:
        self.entered.set()
        assert self.open.wait(10)
        return super().embed(texts)


def workers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "holdfast-embedder"]


def until_free(deadline: Deadline) -> None:
    for _ in range(500):
        if not deadline.stuck:
            return
        time.sleep(0.01)
    pytest.fail("the embedder came back but is still called stuck")


def test_answers_in_time_are_the_embedders_own() -> None:
    embedder = ScriptedEmbedder()
    with Deadline(embedder) as deadline:
        answer = deadline.ask(["a", "b c"], timeout_s=10)
        assert answer is not None
        assert np.abs(answer - embedder.embed(["a", "b c"])).max() < 1e-6
        empty = deadline.ask([], timeout_s=10)
        assert empty is not None
        assert empty.shape == (0, 64)


def test_a_late_answer_is_none_then_none_at_once_then_it_recovers() -> None:
    gate = Gate()
    before = set(workers())  # of earlier tests, on their way out
    with Deadline(gate) as deadline:
        assert deadline.ask(["slow"], timeout_s=0.02) is None
        assert deadline.stuck
        for _ in range(20):  # each would wait a minute if it queued behind the hung call
            assert deadline.ask(["next"], timeout_s=60) is None
        assert len(set(workers()) - before) == 1
        gate.open.set()
        until_free(deadline)
        answer = deadline.ask(["again"], timeout_s=10)
        assert answer is not None
        assert np.abs(answer - gate.embed(["again"])).max() < 1e-6
        assert gate.calls == 3  # slow, again, and the line above: none of the twenty reached it


def test_a_delay_past_the_deadline_is_a_miss_and_its_answer_is_dropped() -> None:
    embedder = ScriptedEmbedder(delay_s=0.2)
    with Deadline(embedder) as deadline:
        assert deadline.ask(["late"], timeout_s=0.01) is None
        until_free(deadline)
        embedder.delay_s = 0.0
        answer = deadline.ask(["other words"], timeout_s=10)
        assert answer is not None
        assert np.abs(answer - embedder.embed(["other words"])).max() < 1e-6


def test_askers_behind_a_slow_call_give_up_without_calling_it_stuck() -> None:
    gate = Gate()
    answers: list[Vectors | None] = []
    with Deadline(gate) as deadline:
        patient = threading.Thread(target=lambda: answers.append(deadline.ask(["a"], 10)))
        patient.start()
        assert gate.entered.wait(10)
        assert deadline.ask(["b"], timeout_s=0.02) is None
        assert not deadline.stuck  # the first asker still has time
        gate.open.set()
        patient.join(10)
        assert answers[0] is not None
        assert gate.calls == 1  # the second question was withdrawn


def test_many_threads_get_their_own_answers() -> None:
    embedder = ScriptedEmbedder()
    texts = [f"word{number}" for number in range(24)]
    answers: dict[str, Vectors | None] = {}
    with Deadline(embedder) as deadline:

        def ask(text: str) -> None:
            answers[text] = deadline.ask([text], timeout_s=10)

        threads = [threading.Thread(target=ask, args=(text,)) for text in texts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(10)
    for text in texts:
        answer = answers[text]
        assert answer is not None
        assert np.abs(answer - embedder.embed([text])).max() < 1e-6


class Foreign(ScriptedEmbedder):
    """Raises what an outside library might, or answers nonsense."""

    def __init__(self, answer: object) -> None:
        super().__init__(dimensions=2)
        self.answer = answer

    def embed(self, texts: Sequence[str]) -> Vectors:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (ModelError("as it was"), "^as it was$"),
        (ZeroDivisionError("a private text"), "failed on 1 texts: ZeroDivisionError; run"),
        (None, "ragged or non-numeric|shape"),
        (np.zeros((1, 2)), "zero or not finite"),
        (np.array([[np.nan, 1.0]]), "zero or not finite"),
        (np.ones((1, 3)), r"found \(1, 3\)"),
        (np.ones((2, 2)), r"found \(2, 2\)"),
        ([[1.0], [1.0, 2.0]], "ragged"),
    ],
)
def test_failure_and_nonsense_become_model_errors(answer: object, message: str) -> None:
    embedder = Foreign(answer)
    with Deadline(embedder) as deadline:
        for _ in range(2):  # the thread survives a failure
            with pytest.raises(ModelError, match=message):
                deadline.ask(["text"], timeout_s=10)
        embedder.answer = [[3.0, 4.0]]
        vectors = deadline.ask(["text"], timeout_s=10)
        assert vectors is not None
        assert vectors.tolist() == [pytest.approx([0.6, 0.8])]  # brought to length one


def test_closing_ends_the_thread_and_refuses_more() -> None:
    before = set(workers())
    deadline = Deadline(ScriptedEmbedder())
    assert set(workers()) == before  # nothing starts before the first ask
    deadline.ask(["a"], timeout_s=10)
    (worker,) = set(workers()) - before
    deadline.close()
    worker.join(10)
    assert not worker.is_alive()
    with pytest.raises(ModelError, match="closed"):
        deadline.ask(["b"], timeout_s=10)

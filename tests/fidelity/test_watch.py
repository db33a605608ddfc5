"""The meter in the background: bounded, resumable after a kill, and heard once when it matters."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).parents[1]))

from holdfast import Event, Memory
from holdfast.fidelity.notes import Notes
from holdfast.fidelity.replay import Outcome

from worlds import opened, prose, ticking

CHILD = Path(__file__).with_name("child_meter.py")


def chat(n: int, seed: int = 1, n_words: int = 24) -> list[Event]:
    rng = random.Random(seed)
    return [Event(prose(rng, n_words), speaker="Ana", scope="user/ana") for _ in range(n)]


def alarms(memory: Memory) -> list[str]:
    return [record.text for record in memory.log() if record.event.channel == "holdfast"]


def test_it_tells_what_asking_at_once_tells() -> None:
    with opened("2 MiB", extractor=None) as memory:
        memory.observe_many(chat(800))
        watch = memory.meter(1.0)
        assert watch.settle(60)
        assert watch.passes == 1
        assert watch.report() == memory.fidelity()
        memory.observe_many(chat(400, seed=2))
        assert watch.settle(60)
        assert watch.report().observed == 1200
        assert watch.failure is None


def test_it_takes_no_more_than_its_share() -> None:
    with opened("4 MiB", extractor=None) as memory:
        memory.observe_many(chat(3000))
        begun, cpu = time.perf_counter(), time.process_time()
        watch = memory.meter(0.2)
        assert watch.settle(120)
        spent, taken = time.process_time() - cpu, time.perf_counter() - begun
        assert spent < 0.35 * taken + 0.1
        watch.stop()
        cpu = time.process_time()
        time.sleep(0.5)
        assert time.process_time() - cpu < 0.2


def test_it_rests_when_nothing_is_new_and_ends_with_the_memory() -> None:
    with opened("2 MiB", extractor=None) as memory:
        memory.observe_many(chat(300))
        watch = memory.meter(1.0)
        assert watch.settle(60)
        time.sleep(0.7)
        assert watch.passes == 1
        again = memory.meter(1.0)
        assert again is not watch
    assert not [t for t in threading.enumerate() if t.name == "holdfast-meter"]


def test_an_alarm_is_given_once_each_time_it_falls_below() -> None:
    with opened("640 KiB", extractor=None, retention="oldest") as memory:
        memory.observe_many(chat(500))
        watch = memory.meter(1.0, alarm=0.5)
        assert watch.settle(60)
        assert alarms(memory) == []
        memory.observe_many(chat(6000, seed=2))
        assert watch.settle(60)
        (said,) = alarms(memory)
        assert "below the level of 50%" in said
        memory.observe_many(chat(600, seed=3))
        assert watch.settle(60)
        assert len(alarms(memory)) == 1, "it is below it still"
        assert memory.fidelity().found.value < 0.5
        assert memory.beliefs() == []


@pytest.mark.parametrize("share", [0.0, -1.0, 1.5])
def test_a_share_that_is_none_is_refused(share: float) -> None:
    with opened() as memory, pytest.raises(ValueError, match="share"):
        memory.meter(share)


def test_a_killed_meter_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with Memory.open(path, "4 MiB", extractor=None, clock=ticking()) as memory:
        memory.observe_many(chat(4000))
        total = len(memory._mirror.probes)
    child = subprocess.Popen([sys.executable, str(CHILD), str(path)], stdout=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"saved\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    child.stdout.close()
    with Memory.open(path, extractor=None, clock=ticking()) as memory:
        notes = Notes.from_bytes(memory._mirror.probes.notes, 1000)
        assert 0 < len(notes.done) < total
        assert memory.verify().problems == ()
        watch = memory.meter(1.0)
        asked: list[int] = []
        step = watch._meter.step
        watch._meter.step = lambda probes: (asked.extend(p.seq for p in probes), step(probes))[1]  # type: ignore[assignment, method-assign]
        assert watch.settle(120)
        assert watch.report().found == memory.fidelity().found
        assert not notes.done & set(asked)


outcomes = st.builds(Outcome, st.booleans(), st.booleans(), st.none() | st.floats(0, 1))


@given(
    st.dictionaries(st.integers(1, 1 << 48), outcomes, max_size=60),
    st.integers(1, 9999), st.integers(0, 99), st.booleans(),
)  # fmt: skip
def test_notes_are_the_same_after_a_trip_through_bytes(
    found: dict[int, Outcome], tokens: int, passes: int, alarmed: bool
) -> None:
    done = {seq for seq in found if seq % 2}
    notes = Notes(tokens, passes, alarmed, found, done)
    again = Notes.from_bytes(notes.to_bytes(), tokens)
    assert (again.passes, again.alarmed, again.done) == (passes, alarmed, done)
    assert again.outcomes.keys() == found.keys()
    for seq, outcome in found.items():
        assert again.outcomes[seq][:2] == outcome[:2]
        if outcome.confidence is None:
            assert again.outcomes[seq].confidence is None
        else:
            assert abs((again.outcomes[seq].confidence or 0.0) - outcome.confidence) < 0.003
    assert Notes.from_bytes(notes.to_bytes(), tokens + 1).outcomes == {}
    data = notes.to_bytes()
    assert Notes.from_bytes(data[:-1] + bytes([data[-1] ^ 1]), tokens).outcomes == {}
    assert Notes.from_bytes(b"", tokens).passes == 0

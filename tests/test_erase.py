"""Erasing: an examiner of the disk finds nothing, and everything else is as it was."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
from forensics import leftovers, traces
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from holdfast import Event, Memory
from holdfast.api.audit import check_proof
from holdfast.errors import InvalidEventError, NotFoundError
from holdfast.models.scripted import ScriptedEmbedder
from holdfast.selector import mentions
from holdfast.state.automaton import Automaton

from worlds import WORDS, prose, ticking

CANARY = "Qyxwerfadol"
OTHER = "Zwiblorpax"


def opened(path: Path, budget: str | None = "2 MiB", **options: Any) -> Memory:
    return Memory.open(path, budget, **{"durability": "off", "clock": ticking(), **options})


def fill(memory: Memory, n: int, seed: int = 1, n_words: int = 60) -> None:
    rng = random.Random(seed)
    memory.observe_many(
        Event(
            prose(rng, n_words) if i % 8 == 0 else rng.randbytes(6 * n_words),  # bytes are quick
            speaker="Ana", scope="user/ana", key=f"k{seed}.{i}" if i % 3 else None,
        )
        for i in range(n)
    )  # fmt: skip


def plant(memory: Memory, word: str = CANARY) -> list[int]:
    """A word in every place that an event or a claim has for one; the events' numbers."""
    said = [
        memory.observe(f"{word} lives by the sea. {word}'s flat is blue.", speaker=word),
        memory.observe(
            Event(
                f"nothing to see {word}", speaker="Ana", role="user", channel=f"chan-{word}",
                scope=f"user/{word}/s1", metadata={"who": {word: [word]}}, key=f"{word}-1",
            )
        ),
        memory.believe(word, "lives_in", f"{word} Town", by=word, key=f"{word}-2",
                       why_it_matters=f"{word} said so", aliases=[f"the {word}"]),
        memory.believe("Ana", "knows", word, by="Ana", scope=f"user/{word}"),
        memory.put_document("profile", {"name": word, word: 1}, scope=f"user/{word}", by=word),
        memory.patch_document(
            "profile", [{"op": "add", "path": "/x", "value": word}],
            scope=f"user/{word}", by=word,
        ),
        memory.put_document(f"about-{word}", {"a": 1}, by=word),
        memory.declare(
            Automaton(f"door-{word}", (word, "shut"), word, ((word, "close", "shut"),)), by=word
        ),
        memory.step(f"door-{word}", "close", by=word),
    ]  # fmt: skip
    (held, *_) = memory.beliefs(subject=word)
    said.append(memory.used(held.id, f"where does {word} live?", by="Bo"))
    return [receipt.seq for receipt in said]


def assert_gone(memory: Memory, path: Path, word: str = CANARY) -> None:
    assert traces(path, [word]) == []
    assert memory.verify().problems == ()
    assert all(word not in record.text for record in memory.log())
    assert word not in memory.recall(f"where does {word} live?", tokens=4000).text
    assert memory.beliefs(subject=word, status="all") == memory.history(word) == []
    assert word not in repr(memory.changes())
    memory.close()
    assert traces(path, [word]) == []


HOW: dict[str, dict[str, Any]] = {
    "subject": {"subject": CANARY},
    "source and scope": {"source": CANARY, "scope": f"user/{CANARY}"},
}


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("age", ["tail", "sealed", "lowered", "evicted"])
def test_no_byte_is_left_of_what_was_planted_everywhere(tmp_path: Path, age: str, how: str) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, "640 KiB")
    fill(memory, 50)
    plant(memory)
    if age != "tail":
        fill(memory, {"sealed": 300, "lowered": 900, "evicted": 3000}[age], seed=2)
    assert traces(path, [CANARY])
    receipt = memory.erase(**HOW[how])
    assert receipt.entries >= 8
    assert len(receipt.leaves) <= receipt.events
    assert_gone(memory, path)


def test_what_was_evicted_before_leaves_nothing_in_freed_pages(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, "640 KiB", retention="oldest", extractor=None)
    rng = random.Random(3)
    memory.observe_many(f"{CANARY} {prose(rng, 400)}" for _ in range(60))
    memory.observe_many(rng.randbytes(7000) for _ in range(120))
    assert all(CANARY not in record.text for record in memory.log())
    last = max(record.seq for record in memory.log())
    memory.erase(event=last)
    assert_gone(memory, path)


def test_large_events_leave_nothing_in_overflow_pages(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, "4 MiB")
    rng = random.Random(4)
    fill(memory, 20)
    large = memory.observe(f"{CANARY} ".join(prose(rng, 8000) for _ in range(5)))
    raw = memory.observe(rng.randbytes(300_000) + CANARY.encode() + rng.randbytes(90_001))
    fill(memory, 20, seed=5)
    receipt = memory.erase(event=[large.seq, raw.seq])
    assert receipt.events == 2
    assert_gone(memory, path)


def test_snapshots_and_drafts_are_cleaned_too_and_rollback_brings_nothing_back(
    tmp_path: Path,
) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path)
    fill(memory, 100)
    planted = plant(memory)
    memory.snapshot("one")
    fill(memory, 100, seed=2)
    plant(memory, OTHER)
    memory.snapshot("two")
    (tmp_path / "m.holdfast-snapshots" / "three.holdfast.tmp").write_text(CANARY)
    memory.rollback("one")
    receipt = memory.erase(subject=CANARY)
    assert dict(receipt.snapshots).keys() == {"one", "two"}
    assert all(1 <= n <= len(planted) + 2 for _, n in receipt.snapshots)
    assert traces(path, [CANARY]) == []
    memory.rollback("two")
    assert memory.beliefs(subject=OTHER)
    assert_gone(memory, path)


def test_vectors_and_a_trained_dictionary_keep_nothing(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, "8 MiB", embedder=ScriptedEmbedder(16), extractor=None)
    words = [*WORDS[:12], "the", "is", "under", "door"]
    rng = random.Random(5)
    for _ in range(40):
        memory.observe_many(
            f"{CANARY if i % 5 == 0 else 'Bo'} said {i}: " + " ".join(rng.choices(words, k=60))
            for i in range(200)
        )
    assert memory._store.dictionaries(), "enough was written to learn from"
    assert memory.settle(60)
    before = dict(memory._store.vectors())
    gone = {record.seq for record in memory.log() if CANARY in record.text}
    memory.erase(subject=CANARY)
    after = dict(memory._store.vectors())
    assert after.keys() == before.keys() - gone
    assert all(after[seq] == before[seq] for seq in after)
    assert_gone(memory, path)


def test_what_the_erased_source_had_retired_is_held_again(tmp_path: Path) -> None:
    memory = opened(tmp_path / "m.holdfast")
    memory.believe("Ana", "lives_in", "Lisbon", by="Ana", key="a", valid_from="2020-01-01")
    whole = memory.state_hash()
    memory.believe("Ana", "lives_in", CANARY, by="Mallory", key="m", valid_from="2021-01-01")
    assert [one.value for one in memory.beliefs(subject="Ana")] == [CANARY]
    checkpoint = memory.checkpoint()
    receipt = memory.erase(source="Mallory", by="Ana")
    assert (receipt.events, receipt.entries, len(receipt.leaves)) == (1, 1, 1)
    assert memory.state_hash() == whole
    assert [one.value for one in memory.beliefs(subject="Ana")] == ["Lisbon"]
    with pytest.raises(NotFoundError):
        memory.get(2)
    assert "2" in memory.why_not(2, "where does Ana live?")
    check_proof(memory.prove(1))
    check_proof(memory.prove(1, size=2))
    assert memory.prove_extends(checkpoint)
    assert receipt.root == memory._mirror.audit.tree(
        memory._mirror.rows(), memory._mirror.next_seq).root(receipt.size)  # fmt: skip
    again = memory.believe("Ana", "lives_in", "Faro", by="Ana", key="m", valid_from="2022-01-01")
    assert again.seq > receipt.seq, "the key of an erased event is free"
    memory.close()


def test_evidence_is_taken_from_what_rests_on_more(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, extractor=None)
    one = memory.observe(f"{CANARY}: Ana moved to Porto.").seq
    two = memory.observe("Ana lives in Porto now.").seq
    memory.believe("Ana", "lives_in", "Porto", evidence=[one, two], by="Bo")
    memory.believe("Ana", "works_in", "Faro", evidence=[one], by="Bo")
    memory.erase(event=one)
    (left,) = memory.beliefs(subject="Ana")
    assert [piece.seq for piece in left.evidence] == [two]
    assert_gone(memory, path)


def test_an_event_that_is_evicted_by_now_takes_its_claims_and_its_key(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, "640 KiB", retention="oldest")
    seq = memory.observe(f"My name is {CANARY}. I live in Porto.", speaker="Ana", key="x").seq
    rng = random.Random(3)
    memory.observe_many(rng.randbytes(7000) for _ in range(120))
    with pytest.raises(NotFoundError):
        memory.get(seq)
    receipt = memory.erase(event=seq)
    assert receipt.events == 0
    assert memory.observe("New.", key="x").seq > receipt.seq
    assert_gone(memory, path)


def test_scattered_events_of_a_full_memory(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, "640 KiB", extractor=None)
    rng = random.Random(9)
    for i in range(4000):
        word = CANARY if i % 11 == 3 else "nobody"
        memory.observe(Event(f"{word} {prose(rng, 20)}", speaker=word, scope=f"s/{word}"))
    receipt = memory.erase(source=CANARY)
    assert receipt.events > 100
    assert memory._store.usage().disk <= 640 * 1024
    assert_gone(memory, path)


def test_writing_on_brings_no_stale_byte_back(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, "1 MiB")
    rng = random.Random(2)
    for i in range(400):
        word = CANARY if 100 < i < 160 else "Bo"
        memory.believe(f"{word}{i}", "lives_in", word + prose(rng, 8), key=f"{word}-{i}")
    second = opened(path, None)
    assert len(second) == len(memory)
    memory.erase(event=range(102, 161))
    for i in range(60):
        (memory, second)[i % 2].believe(f"Cy{i}", "lives_in", prose(rng, 8), key=f"c{i}")
    second.close()
    assert traces(path, [CANARY]) == []
    memory.close()


def test_nothing_but_rows_is_left_in_a_scrubbed_file(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    memory = opened(path, "1 MiB")
    fill(memory, 900)
    plant(memory)
    memory.erase(subject=CANARY)
    memory._store.scrub()
    memory.close()
    assert leftovers(path) == {}


def test_a_name_is_found_in_any_dress() -> None:
    for text in ("ANA!", "ana's", "{ana}", "x\nAna\ty", "Ana\x1flikes"):
        assert mentions("Ana", text), text
    for name, text in (("Zoë", "zoe\u0308"), ("Straße", "STRASSE 5"), ("田中", "田中さんは"),
                       ("the  Big\nOne", "big  one"), ("지민", "지민이가")):  # fmt: skip
        assert mentions(name, text), name
    assert not mentions("Ana", "Banana and Anatol")


def test_an_empty_name_is_refused(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast") as memory:
        for wanted in ({}, {"subject": ""}, {"subject": " "}):
            with pytest.raises(InvalidEventError):
                memory.erase(**wanted)  # type: ignore[arg-type]


def test_a_revocation_stays_when_its_event_goes(tmp_path: Path) -> None:
    path = tmp_path / "m.holdfast"
    with opened(path) as memory:
        memory.observe("I live in Rome.", speaker=OTHER)
        memory.revoke(OTHER, by=CANARY)
        memory.erase(subject=OTHER, source=CANARY)
        memory.observe("I live in Oslo.", speaker=OTHER)
        assert memory.beliefs() == []
    assert traces(path, [CANARY]) == []


def test_what_a_compacted_document_got_from_an_event_goes_with_it(tmp_path: Path) -> None:
    path, rng = tmp_path / "m.holdfast", random.Random(1)
    with opened(path, "640 KiB") as memory:
        seq = memory.put_document("about", {CANARY: 1}).seq
        memory.put_document("other", {"a": 1})
        for _ in range(240):
            memory.patch_document("about", {"pad": prose(rng, 80)})
            memory.patch_document("other", {"pad": prose(rng, 80)})
        assert memory.document_history("about")[0].version > 1
        memory.erase(event=seq)
        assert CANARY not in memory.document("about").value
        assert memory.document("other").value["a"] == 1
        assert memory.verify().ok
    assert traces(path, [CANARY]) == []


def test_an_erasure_that_failed_is_finished_and_recorded(tmp_path: Path) -> None:
    with opened(tmp_path / "m.holdfast") as memory:
        seq = memory.observe(f"{CANARY} was here.").seq
        scrub = memory._store.scrub

        def fail() -> None:
            memory._store.scrub = scrub  # type: ignore[method-assign]
            raise OSError("the disk is gone for a moment")

        memory._store.scrub = fail  # type: ignore[method-assign]
        with pytest.raises(OSError, match="for a moment"):
            memory.erase(event=seq)
        memory.observe("go on")
        assert [change.action for change in memory.changes()] == ["erase"]


OVEN = Automaton("oven", ("on", "off"), "off", (("on", "flip", "off"), ("off", "flip", "on")))
ACTS = st.lists(
    st.tuples(
        st.sampled_from(["say", "claim", "edit", "step", "use", "fill", "snapshot", "rollback",
                         "reopen", "bytes"]),
        st.booleans(),
        st.integers(0, 3),
    ),
    min_size=3,
    max_size=14,
)  # fmt: skip


def history(path: Path, acts: list[tuple[str, bool, int]], seed: int) -> None:
    """Live through some acts, half of them a canary's; erase it; look for it."""
    rng = random.Random(seed)
    canary = "Qy" + "".join(rng.choices("abdefgklmnoprtvwxz", k=9))
    memory = opened(path, "640 KiB")
    memory.observe("The beginning.")
    for n, (act, bad, k) in enumerate(acts):
        word = canary if bad else f"Bo{k}"
        scope = f"user/{word}"
        if act == "say":
            memory.observe(
                Event(f"I am {word}. I live in {word} {k}. {prose(rng, 30)}", speaker=word,
                      scope=scope, metadata={"m": [word]}, key=f"{word}{n}")
            )  # fmt: skip
        elif act == "bytes":
            memory.observe(Event(rng.randbytes(9000) + word.encode(), speaker=word, scope=scope))
        elif act == "claim":
            memory.believe(word, ("lives_in", "likes")[k % 2], f"{word} {k}", scope=scope, by=word)
        elif act == "edit":
            memory.put_document(f"d{k}", {"k": word * k}, scope=scope, by=word)
        elif act == "step":
            if "oven" not in memory.automata(scope=scope):
                memory.declare(OVEN, scope=scope, by=word)
            memory.step("oven", "flip", scope=scope, by=word)
        elif act == "use":
            for one in memory.beliefs(subject=word)[:1]:
                memory.used(one.id, f"what of {word}?", by=f"Asker{k}")
        elif act == "fill":
            fill(memory, (40, 200, 500, 1500)[k], seed=n + 10)
        elif act == "snapshot":
            memory.snapshot(f"s{n}")
        elif act == "rollback" and memory.snapshots():
            memory.rollback(rng.choice(memory.snapshots()).name)
        elif act == "reopen":
            memory.close()
            memory = opened(path, None)
    checkpoint = memory.checkpoint()
    memory.erase(subject=canary, source=canary, scope=f"user/{canary}")
    assert traces(path, [canary]) == []
    assert memory.verify().problems == ()
    memory.prove_extends(checkpoint)
    for record in list(memory.log())[-1:]:
        check_proof(memory.prove(record.seq))
    for one in memory.snapshots():
        memory.rollback(one.name)
        assert memory.verify().problems == ()
    memory.close()
    assert traces(path, [canary]) == []


@settings(max_examples=8, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=ACTS, seed=st.integers(0, 10**6))
def test_no_history_hides_a_canary(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, bool, int]], seed: int
) -> None:
    history(tmp_path_factory.mktemp("h") / "m.holdfast", acts, seed)


@pytest.mark.slow
@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(acts=ACTS, seed=st.integers(0, 10**6))
def test_no_history_of_many_hides_a_canary(
    tmp_path_factory: pytest.TempPathFactory, acts: list[tuple[str, bool, int]], seed: int
) -> None:
    history(tmp_path_factory.mktemp("h") / "m.holdfast", acts, seed)

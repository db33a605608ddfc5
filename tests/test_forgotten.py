"""What was lost: the filter's laws, the words it is told of, and the verdicts drawn from it."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from holdfast import Event, Memory, Tier
from holdfast.codec import Row, to_row
from holdfast.errors import StorageFullError
from holdfast.forgotten import SURE, VERDICTS, Signs, chances
from holdfast.ledger.cuckoo import PRINTS, SLOTS, TAGS, CuckooFilter
from holdfast.ledger.lost import LostWords
from holdfast.ledger.words import by_word, words_of
from holdfast.stores.ram import RamStore

from worlds import T0, TINY, opened, ticking

keys = st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=300)


def found(filter: CuckooFilter, wanted: list[int]) -> list[int]:
    return filter.find(np.array(wanted, np.uint32)).tolist()


# ---- the filter --------------------------------------------------------------------------------


@given(keys, st.sampled_from([(1, 128), (3, 100), (7, 64)]), st.data())
def test_what_was_inserted_is_found_and_deleting_takes_nothing_else(
    inserted: list[int], shape: tuple[int, int], data: st.DataObject
) -> None:
    filter = CuckooFilter(*shape)
    held = [key for key in inserted if filter.insert(key, key % TAGS)]
    gone = data.draw(st.lists(st.sampled_from(held), unique=True) if held else st.just([]))
    assert all(tag >= 0 for tag in found(filter, held))
    for key in gone:
        assert filter.delete(key)
    left = [key for key in held if key not in set(gone)]
    assert all(tag >= 0 for tag in found(filter, left))
    assert int(filter.held.sum()) == len(left)
    for key in left:
        filter.delete(key)
    assert not filter.held.any()
    assert set(found(filter, held)) <= {-1}


@pytest.mark.parametrize(("shards", "buckets"), [(1, 328), (5, 328), (16, 64)])
def test_at_95_percent_it_is_wrong_no_more_often_than_its_fingerprints_allow(
    shards: int, buckets: int
) -> None:
    rng = np.random.default_rng(1)
    filter = CuckooFilter(shards, buckets)
    drawn = rng.permutation(1 << 20)[: shards * buckets * SLOTS].astype(np.uint32) * np.uint32(4093)
    held = []
    for key in drawn.tolist():
        if filter.load_of(key * shards >> 32) < 0.95:
            assert filter.insert(key), "it is full before 95 % of its slots are taken"
            held.append(key)
    assert len(held) / (shards * buckets * SLOTS) > 0.9
    assert all(tag >= 0 for tag in found(filter, held))
    others = rng.integers(0, 2**32, 300_000, dtype=np.uint32)
    others = others[~np.isin(others, np.array(held, np.uint32))]
    wrong = float((filter.find(others) >= 0).mean())
    bound = 2 * SLOTS / (PRINTS - 1)
    assert wrong <= bound + 3 * (bound / len(others)) ** 0.5


@given(keys, st.integers(1, 12), st.integers(0, 4))
def test_a_thinned_shard_knows_what_it_answers_for(
    inserted: list[int], times: int, halved: int
) -> None:
    filter = CuckooFilter(1, 128)
    held = [key for key in inserted if filter.insert(key, key % TAGS)]
    for _ in range(times):
        filter.thin(0)
    filter.halve_tags(halved)
    answered = filter.answers(np.array(held, np.uint32)).tolist()
    assert [tag >= 0 for tag in found(filter, held)] == answered
    assert not any(filter.insert(k) for k, ok in zip(held, answered, strict=True) if not ok)
    copy = CuckooFilter(1, 128)
    copy.restore(0, filter.page(0))
    assert found(copy, held) == found(filter, held)
    again = CuckooFilter(1, 128)
    again.restore(0, filter.page(0), halved=1)
    assert found(again, held) == [tag >> 1 if tag >= 0 else -1 for tag in found(filter, held)]


@given(keys)
def test_tags_come_back_and_go_together(inserted: list[int]) -> None:
    filter = CuckooFilter(2, 256)
    held = [key for key in inserted if filter.insert(key, key % TAGS)]
    twins = Counter(tuple(part[0] for part in filter._places(np.array([k], np.uint32)))[:2]
                    for k in held)  # fmt: skip
    alone = [
        k
        for k in held
        if twins[tuple(p[0] for p in filter._places(np.array([k], np.uint32)))[:2]] == 1
    ]
    assert found(filter, alone) == [key % TAGS for key in alone]
    filter.drop({1, 5})
    assert [tag >= 0 for tag in found(filter, alone)] == [k % TAGS not in (1, 5) for k in alone]


# ---- lost words --------------------------------------------------------------------------------


def kept_words(memory: Memory) -> set[int]:
    return {w for r in memory.log() for w in words_of([r.text, r.event.speaker or ""])}


def said(rng: random.Random, i: int, n: int = 60) -> Event:
    """An event of words that few others have."""
    words = [f"w{'abcdefghij'[rng.randrange(10)]}{rng.choice('klmnop')}{rng.randrange(900):x}z"
             for _ in range(n)]  # fmt: skip
    return Event(" ".join([f"event{i}x", *words]), speaker=f"Sp{i % 7}eaker", at=T0 + 3600.0 * i)


def look(memory: Memory, words: list[int]) -> list[int | None]:
    return memory._mirror.ledger.words.look(words)


class Kept:
    """The words of what a test says is kept: by event."""

    def __init__(self) -> None:
        self.words: dict[int, set[int]] = {}

    def counts(self, words: np.ndarray, without: list[int] = []) -> np.ndarray:  # noqa: B006
        held = [found for seq, found in self.words.items() if seq not in set(without)]
        return np.array([sum(w in found for found in held) for w in words.tolist()], np.int64)


def row_of(seq: int, text: str) -> Row:
    event = Event(text, speaker=f"Sp{seq % 3}eaker", at=T0 + 60.0 * seq)
    return to_row(
        event, text.encode(), seq=seq, at=event.at or 0.0, recorded_at=T0, episode=0, tokens=0,
        length=0, surprise=0.0, cues=0,
    )  # fmt: skip


class LosingMachine(RuleBasedStateMachine):
    """Events come and go in any order; a set of words is the reference."""

    def __init__(self) -> None:
        super().__init__()
        self.store, self.kept = RamStore(1 << 20), Kept()
        self.rows: dict[int, Row] = {}
        self.lost: set[int] = set()
        self.seq = 0
        self.lowered = 0
        self.words = LostWords.load(self.store, self.kept)  # type: ignore[arg-type]

    @rule(sizes=st.lists(st.integers(1, 120), min_size=1, max_size=30), seed=st.integers(0, 9999))
    def observe(self, sizes: list[int], seed: int) -> None:
        rng = random.Random(seed)
        for size in sizes:
            self.seq += rng.choice((1, 1, 1, 40))
            text = " ".join(f"word{rng.randrange(40_000):x}y" for _ in range(size))
            self.rows[self.seq] = row_of(self.seq, text)
            self.kept.words[self.seq] = words_of([text])

    @rule(data=st.data(), fails=st.booleans(), many=st.booleans())
    def lower(self, data: st.DataObject, fails: bool, many: bool) -> None:
        if not self.rows:
            return
        all_ = sorted(self.rows)
        gone = all_ if many else data.draw(st.lists(st.sampled_from(all_), unique=True, min_size=1))
        try:
            with self.store.transaction() as tx:
                for start in range(0, len(gone), 7):
                    self.words.note([self.rows[seq] for seq in sorted(gone[start : start + 7])])
                self.words.write(tx)
                if fails:
                    raise StorageFullError("as when a disk is full")
        except StorageFullError:
            self.reopen()
            return
        self.lowered += len(gone)
        for seq in gone:
            self.lost |= self.kept.words.pop(seq)
            del self.rows[seq]

    @rule()
    def reopen(self) -> None:
        self.words = LostWords.load(self.store, self.kept)  # type: ignore[arg-type]

    @rule()
    def shrink(self) -> None:
        self.store.budget = max(512 * 1024, self.store.budget * 3 // 4)

    @invariant()
    def no_lost_word_is_taken_for_one_that_never_came_up(self) -> None:
        held = set().union(*self.kept.words.values())
        words = sorted(self.lost - held)
        told = self.words.look(words)
        assert all(era is None or era >= 0 for era in told)
        assert all(np.isfinite(self.words.span(era)).all() for era in told if era is not None)
        assert self.words.events == self.lowered
        size = sum(len(data) for _, data in self.store.cells("filter"))
        assert size <= max(4096, (1 << 20) // 256)

    @invariant()
    def few_words_that_never_came_up_are_taken_for_lost(self) -> None:
        never = sorted({w for i in range(400) for w in words_of([f"unheard{i}of"])})
        told = [era for era in self.words.look(never) if era is not None]
        limit = int(self.words._filter.limits.min())
        assert sum(era >= 0 for era in told) <= 4 + 2 * len(told) * 2 * SLOTS / limit


TestLosing = LosingMachine.TestCase
TestLosing.settings = settings(max_examples=25, stateful_step_count=20)


@pytest.mark.parametrize("budget", [1 << 20, 16 << 20])
def test_an_era_spans_the_times_of_what_it_lost(budget: int) -> None:
    store, kept = RamStore(budget), Kept()
    words = LostWords.load(store, kept)  # type: ignore[arg-type]
    rng = random.Random(1)
    order = rng.sample(range(1, 900), 899)
    for start in range(0, 899, 31):
        with store.transaction() as tx:
            words.note([row_of(seq, f"event{seq}x") for seq in sorted(order[start : start + 31])])
            words.write(tx)
    for found in (words, LostWords.load(store, kept)):  # type: ignore[arg-type]
        inside = 0
        for seq in range(1, 900):
            (era,) = found.look(sorted(words_of([f"event{seq}x"])))
            assert era is not None
            start_at, end = found.span(era)
            inside += start_at <= T0 + 60.0 * seq <= end
            assert end - start_at <= 60.0 * 64
        assert inside >= 890  # two words of one fingerprint may have their eras taken for another's


@pytest.mark.parametrize("policy", ["oldest", "ladder", "random"])
def test_what_a_memory_lost_it_does_not_take_for_new(tmp_path: Path, policy: str) -> None:
    rng, path = random.Random(4), tmp_path / "m.holdfast"
    options = {"durability": "off", "clock": ticking(), "extractor": None}
    past = [said(rng, i, 80) for i in range(1200)]
    with Memory.open(path, TINY, retention=policy, **options) as memory:
        memory.observe_many(past)
    with Memory.open(path, retention=policy, **options) as memory:
        lost = sorted({w for e in past for w in words_of([e.text])} - kept_words(memory))
        told = look(memory, lost)
        assert all(era is None or era >= 0 for era in told)
        assert any(era is not None for era in told)
        assert memory._mirror.ledger.words.events == memory._mirror.ledger.totals.lowered


def test_a_smaller_budget_takes_shards_and_no_truth() -> None:
    store, kept = RamStore(16 << 20), Kept()
    words = LostWords.load(store, kept)  # type: ignore[arg-type]
    before = words._filter.shards
    lost = [f"word{i}y" for i in range(9000)]
    for n, start in enumerate(range(0, 9000, 300), 1):
        if n == 15:
            store.budget = 4 << 20
        with store.transaction() as tx:
            words.note([row_of(n, " ".join(lost[start : start + 300]))])
            words.write(tx)
    again = LostWords.load(store, kept)  # type: ignore[arg-type]
    terms = sorted(words_of(lost))
    told = again.look(terms)
    assert told == words.look(terms)
    assert all(era is None or era >= 0 for era in told)
    share = sum(era is not None for era in told) / len(told)
    assert share == pytest.approx(again._kept / before, abs=0.05)
    assert again._kept < before


# ---- erasing -----------------------------------------------------------------------------------


CANARY = "Qyxwerfadol"


def betrayed(path: Path, word: str) -> bool:
    """Whether the filter in a file tells that a word came up."""
    with Memory.open(path, durability="off") as memory:
        return any(era is not None and era >= 0 for era in look(memory, sorted(words_of([word]))))


@pytest.mark.parametrize("how", ["event", "scope", "source", "subject"])
def test_what_was_lost_before_it_is_erased_is_not_told_of(tmp_path: Path, how: str) -> None:
    rng, path = random.Random(3), tmp_path / "m.holdfast"
    options = {"durability": "off", "clock": ticking(), "retention": "oldest", "extractor": None}
    with Memory.open(path, TINY, **options) as memory:
        memory.observe_many([said(rng, i, 9) for i in range(40)])
        seq = memory.observe(f"The diagnosis: {CANARY}.", speaker="Ana", scope="user/ana").seq
        memory.observe_many(rng.randbytes(7000) for _ in range(140))
        assert all(record.seq != seq for record in memory.log())
    assert betrayed(path, CANARY)
    other = "event2x"
    assert betrayed(path, other)
    with Memory.open(path, **options) as memory:
        names = {"event": seq, "scope": "user/ana", "source": "Ana", "subject": "Ana"}
        before = memory.loss_totals()
        memory.erase(**{how: names[how]})
        after = memory.loss_totals()
        assert after.evicted >= before.evicted
        assert after.erased == 0, "it had been evicted before"
        assert memory.forgotten(f"what is {CANARY}?").terms == ()
        assert memory.forgotten(f"what is {CANARY}?").verdict != "knew once"
    assert not betrayed(path, CANARY)


def test_an_event_that_is_whole_takes_nothing_of_others_along(tmp_path: Path) -> None:
    rng, path = random.Random(3), tmp_path / "m.holdfast"
    options = {"durability": "off", "clock": ticking(), "retention": "oldest", "extractor": None}
    with Memory.open(path, TINY, **options) as memory:
        memory.observe_many([said(rng, i, 9) for i in range(40)])
        memory.observe_many(rng.randbytes(7000) for _ in range(140))
        seq = memory.observe(f"The diagnosis: {CANARY}.").seq
        memory.erase(event=seq)
        assert memory.loss_totals().erased == 1
    assert betrayed(path, "event2x")
    assert not betrayed(path, CANARY)


# ---- verdicts ----------------------------------------------------------------------------------

signs = st.builds(
    Signs,
    confidence=st.floats(0, 1), traces=st.floats(0, 1), lost=st.integers(0, 9),
    unheard=st.integers(0, 9), known=st.floats(0, 1), anything=st.booleans(),
)  # fmt: skip


@given(signs)
def test_chances_are_chances(given: Signs) -> None:
    told = chances(given)
    assert tuple(told) == VERDICTS
    assert sum(told.values()) == pytest.approx(1.0)
    assert all(0 <= chance <= 1 for chance in told.values())
    if not given.anything and not given.traces:
        assert told["knew once"] == 0


@given(signs)
def test_a_word_that_never_came_up_speaks_against_having_known(given: Signs) -> None:
    from dataclasses import replace

    more = chances(replace(given, unheard=given.unheard + 1))
    assert more["never knew"] >= chances(given)["never knew"] - 1e-9
    lost = chances(replace(given, lost=given.lost + 1))
    assert lost["knew once"] >= chances(given)["knew once"] - 1e-9


def test_a_memory_that_lost_nothing_never_knew_once() -> None:
    with opened() as memory:
        memory.observe("The spare key is under the blue pot.", speaker="Ana")
        known, unknown = memory.forgotten("where is the spare key?"), memory.forgotten("zebra fish")
        assert known.chances["knew once"] == unknown.chances["knew once"] == 0
        assert (unknown.verdict, unknown.unheard) == ("never knew", ("zebra", "fish"))
        assert unknown.between is None
        assert known.unheard == ()


def test_words_that_were_lost_are_named_with_their_time(tmp_path: Path) -> None:
    rng = random.Random(5)
    with opened(TINY, retention="oldest", extractor=None) as memory:
        memory.observe(Event("Our iguana Zorbatax moved to Lisbon.", speaker="Ana", at=T0))
        memory.observe_many([said(rng, i, 9) for i in range(1, 40)])
        memory.observe_many(rng.randbytes(7000) for _ in range(140))
        found = memory.forgotten("where did Zorbatax the iguana go, to Wexforia?")
        assert set(found.terms) == {"Zorbatax", "iguana"}
        assert found.unheard == ("Wexforia",)
        assert found.verdict == "never knew"
        once = memory.forgotten("where did the iguana Zorbatax go?")
        assert once.between is not None
        assert once.between[0] <= T0 <= once.between[1]
        assert once.chances["knew once"] > once.chances["never knew"]
        assert once.traces == ()


def test_traces_say_that_it_was_known_and_make_nothing_up() -> None:
    rng = random.Random(6)

    def filling(n: int) -> str:
        return " ".join("".join(rng.choices("abcdefghklmnoprst", k=7)) for _ in range(n))

    with opened(TINY, retention="ladder", extractor=None) as memory:
        memory.observe_many(
            Event(
                f"We fed our iguana Zorbatax{'abcdefghij'[i % 10]}{'klmnopqrst'[i // 10 % 10]} "
                f"today. {filling(500)}.", speaker="Ana", at=T0 + i,
            )
            for i in range(300)
        )  # fmt: skip
        traces = [r for r in memory.log() if r.tier == Tier.TRACE and "Zorbatax" in r.text]
        assert traces
        word = next(term for term in traces[0].terms if "Zorbatax" in term)
        found = memory.forgotten(f"when was {word} fed?")
        assert found.traces
        assert word in found.traces[0].terms
        assert all(record.tier == Tier.TRACE for record in found.traces)
        times = [record.event.at or 0.0 for record in found.traces]
        assert found.between == (min(times), max(times))
        assert found.chances["knew once"] > found.chances["still known"]
        assert (found.verdict == "knew once") == (found.chances["knew once"] >= SURE)


def test_a_scope_bounds_what_is_kept_not_what_was_lost() -> None:
    with opened() as memory:
        memory.observe("The spare key is under the pot.", scope="user/ana")
        inside = memory.forgotten("where is the spare key?", scope="user/ana")
        outside = memory.forgotten("where is the spare key?", scope="user/bo")
        assert inside.chances["still known"] > outside.chances["still known"]


@settings(max_examples=50)
@given(st.text(max_size=60))
def test_words_of_a_question_are_those_of_what_it_asks_about(text: str) -> None:
    assert {term for terms in by_word(text).values() for term in terms} == words_of([text])
    assert words_of([text.upper()]) >= words_of([text.upper().lower()]) - words_of([text])

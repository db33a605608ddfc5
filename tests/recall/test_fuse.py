"""The fused score: each part says what it means, and the sum is the order."""

from __future__ import annotations

import pytest

from holdfast import Memory
from holdfast.recall.fuse import Weights

from worlds import T0, opened

DAY = 86_400.0


def _noise(memory: Memory, n: int = 40) -> None:
    for i in range(n):
        memory.observe(f"noise{i} padding{i} filler{i}", scope=f"n/{i}", at=T0 - 400 * DAY + i)


def test_more_of_the_query_is_better() -> None:
    with opened() as memory:
        _noise(memory)
        one = memory.observe("We planted kelp.", scope="a").seq
        both = memory.observe("We planted kelp by the lighthouse.", scope="b").seq
        none = memory.observe("We went home.", scope="c").seq
        hits = {hit.seq: hit for hit in memory.rank("kelp lighthouse")}
    assert list(hits) == [both, one]
    assert none not in hits
    assert hits[both].parts["coverage"] > hits[one].parts["coverage"] > 0


def test_a_rare_word_counts_more_than_a_common_one() -> None:
    with opened() as memory:
        for i in range(30):
            memory.observe(f"the kelp number {i}", scope=f"s/{i}")
        rare = memory.observe("the lighthouse number 99", scope="x").seq
        hits = memory.rank("kelp lighthouse")
    assert hits[0].seq == rare


def test_a_short_answer_is_found_by_the_question_before_it() -> None:
    with opened() as memory:
        _noise(memory)
        question = memory.observe("What colour was the umbrella?", scope="chat").seq
        answer = memory.observe("Green.", scope="chat").seq
        elsewhere = memory.observe("Green.", scope="other").seq
        hits = {hit.seq: hit.parts for hit in memory.rank("colour of the umbrella")}
    assert question in hits
    assert hits[answer]["neighbourhood"] > 0
    assert hits[answer]["coverage"] == 0
    assert elsewhere not in hits


def test_a_named_speaker_comes_first() -> None:
    with opened() as memory:
        _noise(memory)
        ana = memory.observe("I like kelp.", speaker="Ana Müller", scope="a").seq
        bo = memory.observe("I like kelp.", speaker="Bo", scope="b").seq
        for query, first in (("What does Ana like? kelp", ana), ("Does Bo like kelp?", bo)):
            hits = memory.rank(query)
            assert hits[0].seq == first
            assert hits[0].parts["speaker"] == pytest.approx(Weights().speaker)
        assert all("speaker" not in hit.parts for hit in memory.rank("who likes kelp"))


def test_a_question_for_a_time_prefers_events_that_mention_one() -> None:
    with opened() as memory:
        _noise(memory)
        plain = memory.observe("The kelp fair takes place again.", scope="a").seq
        dated = memory.observe("The kelp fair takes place on 3 May 2024.", scope="b").seq
        hits = {hit.seq: hit.parts for hit in memory.rank("When is the kelp fair?")}
        unasked = memory.rank("kelp fair")
    assert hits[dated]["when"] == pytest.approx(Weights().when)
    assert hits[plain]["when"] == 0
    assert all("when" not in hit.parts for hit in unasked)


def test_a_time_in_the_query_prefers_what_happened_then() -> None:
    with opened(clock=lambda: T0) as memory:
        _noise(memory)
        old = memory.observe("We ate kelp.", scope="a", at=T0 - 300 * DAY).seq
        then = memory.observe("We ate kelp!", scope="b", at=T0 - 1 * DAY).seq
        hits = memory.rank("What did we eat yesterday? kelp")
    assert hits[0].seq == then
    parts = {hit.seq: hit.parts for hit in hits}
    assert parts[then]["moment"] == pytest.approx(Weights().moment)
    assert parts[old]["moment"] == 0


def test_an_episode_about_it_lifts_its_events() -> None:
    with opened() as memory:
        for i in range(6):
            memory.observe(f"matter {i} of the lighthouse keeper", scope="about", at=T0 + i)
        lifted = memory.observe("The kelp is in the shed.", scope="about", at=T0 + 6).seq
        for i in range(7):
            memory.observe(f"other matter {i}", scope="else", at=T0 + i)
        alone = memory.observe("The kelp is in the barn.", scope="else", at=T0 + 7).seq
        hits = {hit.seq: hit for hit in memory.rank("lighthouse keeper kelp", limit=99)}
    assert hits[lifted].parts["episode"] > hits[alone].parts["episode"]
    assert hits[lifted].score > hits[alone].score


def test_weights_are_what_they_say() -> None:
    none = Weights(0, 0, 0, 0, 25.0, 0, 0, 0, 0)
    only = Weights(bm25=0, episode=0, coverage=2.0, neighbourhood=0, speaker=0, when=0, moment=0)
    with opened(weights=none) as memory:
        seqs = [memory.observe(f"kelp {i}").seq for i in range(5)]
        hits = memory.rank("kelp")
        assert [hit.score for hit in hits] == [0.0] * 5
        assert [hit.seq for hit in hits] == seqs[::-1], "ties go to the newer one"
    with opened(weights=only) as memory:
        memory.observe("kelp")
        assert memory.rank("kelp")[0].score == pytest.approx(2.0)


def test_a_query_of_a_hundred_words_still_ranks() -> None:
    words = [f"word{i}" for i in range(100)]
    with opened() as memory:
        _noise(memory)
        early = memory.observe(" ".join(words[:50]), scope="a").seq
        late = memory.observe(" ".join(words[80:]), scope="b").seq
        hits = memory.rank(" ".join(words))
    assert [hit.seq for hit in hits[:2]] == [early, late]
    assert all(sum(hit.parts.values()) == pytest.approx(hit.score) for hit in hits)

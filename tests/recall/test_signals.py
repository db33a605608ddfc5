"""Each signal alone: what it is for. Then all of them: the score is their sum."""

from __future__ import annotations

import json
from importlib.resources import files

import pytest

from holdfast import Event, Hit, Memory
from holdfast.errors import UnknownNameError
from holdfast.models.scripted import ScriptedEmbedder
from holdfast.recall.signals import SIGNALS
from holdfast.recall.weights import KINDS, Weights

from worlds import T0, opened

DAY = 86_400.0


def only(name: str, weight: float = 1.0) -> Weights:
    return Weights({kind: {name: weight} for kind in KINDS})


def noise(memory: Memory, n: int = 40) -> None:
    for i in range(n):
        memory.observe(f"noise{i} padding{i} filler{i}", scope=f"n/{i}", at=T0 - 400 * DAY + i)


def ranked(name: str, query: str, *events: Event, padded: bool = True) -> list[Hit]:
    """The hits for a query where one signal alone decides; sequence numbers from 1."""
    with opened(weights=only(name), clock=lambda: T0) as memory:
        for event in events:
            memory.observe(event)
        if padded:
            noise(memory)
        return memory.rank(query)


def order(name: str, query: str, *events: Event) -> list[int]:
    hits = ranked(name, query, *events)
    assert all(hit.parts == {name: hit.score} for hit in hits if hit.parts)
    return [hit.seq for hit in hits if hit.seq <= len(events)]


def said(text: str, n: int = 0, **fields: object) -> Event:
    return Event(text, **{"scope": f"s/{n}", "at": T0 - DAY, **fields})  # type: ignore[arg-type]


def test_bm25_prefers_the_rarer_word_and_the_shorter_event() -> None:
    events = [said(f"the kelp number {i}", i) for i in range(9)]
    rare = said("the lighthouse number 99", 10)
    long = said("the lighthouse number 98 " + " ".join(f"thing{i}" for i in range(40)), 11)
    found = order("bm25", "kelp lighthouse", *events, rare, long)
    assert found[0] == 10
    assert 11 in found


def test_coverage_counts_what_is_held_of_the_query_however_long_the_event() -> None:
    one, both = said("We planted kelp.", 1), said("kelp by the lighthouse " + "hum " * 60, 2)
    assert order("coverage", "kelp lighthouse", one, both) == [2, 1]


def test_breadth_counts_terms_whatever_their_rarity() -> None:
    events = [said("apples and pears", i) for i in range(8)]
    assert order("breadth", "apples pears zebra", said("a zebra", 9), *events)[-1] == 1


def test_rarest_wants_the_one_telling_word() -> None:
    events = [said("apples and pears", i) for i in range(8)]
    assert order("rarest", "apples pears zebra", *events, said("a zebra", 9))[0] == 9


def test_neighbours_find_a_short_answer_by_the_question_before_it() -> None:
    question = said("What colour was the umbrella?", 1)
    hits = ranked("neighbours", "colour of the umbrella", question, said("Green.", 1))
    found = {hit.seq: hit.score for hit in hits}
    assert found[2] > 0
    assert order("neighbours", "colour of the umbrella", question, said("Green.", 2)) == [1]


def test_neighbours_count_less_for_a_long_event() -> None:
    events = [said("What colour was the umbrella?", 1), said("Green.", 1)]
    long = [said("What colour was the umbrella?", 2), said("Green, " + "leafy things " * 20, 2)]
    found = order("neighbours", "colour of the umbrella", *events, *long)
    assert found.index(2) < found.index(4)


def test_an_episode_about_it_lifts_its_events() -> None:
    about = [said(f"matter {i} of the lighthouse keeper", 1, at=T0 + i) for i in range(6)]
    other = [said(f"other matter {i}", 2, at=T0 + i) for i in range(6)]
    here, there = said("The kelp is in the shed.", 1), said("The kelp is in the barn.", 2)
    found = order("episode", "lighthouse keeper kelp", *about, *other, there, here)
    assert found.index(14) < found.index(13)


def test_a_named_speaker_comes_first() -> None:
    ana, bo = said("I like kelp.", 1, speaker="Ana Müller"), said("I like kelp.", 2, speaker="Bo")
    assert order("speaker", "What does Ana like? kelp", ana, bo)[0] == 1
    assert order("speaker", "Does Bo like kelp?", ana, bo)[0] == 2
    assert all(not hit.parts for hit in ranked("speaker", "who likes kelp", ana, bo))


def test_a_message_to_somebody_goes_on_from_what_they_said_last() -> None:
    lines = [said(f"line {i}", 1, speaker="Ana" if i % 3 else "Bo", at=T0 + i) for i in range(9)]
    assert order("latest", "Bo: I see, thanks. That was the cable.", *lines)[:3] == [7, 4, 1]


def test_a_message_goes_on_from_what_its_own_speaker_said() -> None:
    with opened(weights=only("latest")) as memory:
        for n, speaker in enumerate(["Ana", "Bo", "Cy", "Bo", "Ana"]):
            memory.observe(f"line {n}", speaker=speaker)
        text = "I see, thanks. That was the cable."
        assert memory.rank(text, speaker="Cy")[0].seq == 3
        assert not memory.rank(text)[0].parts
        assert not memory.rank("Which line was it?", speaker="Cy")[0].parts


def test_an_assistant_counts_less_unless_it_was_its_advice() -> None:
    user, bot = (
        said("the kelp recipe", 1, role="user"),
        said("the kelp recipe", 2, role="assistant"),
    )
    with opened(weights=only("assistant", -1.0)) as memory:
        memory.observe_many([user, bot])
        assert [hit.seq for hit in memory.rank("What was the kelp recipe?")] == [1, 2]
        assert not memory.rank("Which kelp recipe did you suggest?")[0].parts


def test_a_question_about_the_asker_is_answered_by_the_user() -> None:
    bot, user = said("kelp soup", 2, role="assistant"), said("kelp soup", 1, role="user")
    assert order("own", "What is my kelp soup like?", user, bot)[0] == 1


def test_a_question_for_a_time_prefers_events_that_mention_one() -> None:
    plain = said("The kelp fair takes place again.", 1)
    dated = said("The kelp fair takes place on 3 May 2024.", 2)
    assert order("when", "When is the kelp fair?", dated, plain)[0] == 1
    assert all(not hit.parts for hit in ranked("when", "kelp fair", dated, plain))


def test_a_time_in_the_query_prefers_what_happened_then() -> None:
    then, old = said("We ate kelp!", 1, at=T0 - DAY), said("We ate kelp.", 2, at=T0 - 300 * DAY)
    assert order("moment", "What did we eat yesterday? kelp", then, old) == [1, 2]


def test_what_happened_in_a_month_needs_no_word_in_common() -> None:
    with opened() as memory:
        noise(memory)
        memory.observe("We moved house.", scope="a", at="2023-05-09T10:00:00Z")
        memory.observe("We sold the boat.", scope="a", at="2023-08-09T10:00:00Z")
        assert memory.rank("What went on in May 2023?")[0].seq == 41


def test_a_time_no_event_lies_in_is_read_from_where_the_memory_ends() -> None:
    with opened(clock=lambda: T0) as memory:  # asked years after the last event
        noise(memory, 5)
        memory.observe("We moved house.", at=T0 - 900 * DAY)
        best = memory.rank("What happened this week?")[0]
        assert best.seq == 6
        assert best.parts["moment"] > 0


def test_recency_prefers_the_newer() -> None:
    assert order("recency", "kelp", said("kelp one", 1), said("kelp two", 2)) == [2, 1]


def test_surprise_prefers_what_was_new_when_it_came() -> None:
    usual = [said("the kelp is green today", i) for i in range(30)]
    told = said("the kelp dazzled zebra quartz", 31)
    found = order("surprise", "kelp", *usual, told)
    assert found.index(31) < found.index(30)


def test_length_takes_from_a_long_event() -> None:
    with opened(weights=only("length", -1.0)) as memory:
        memory.observe("kelp " + " ".join(f"word{i}" for i in range(30)), scope="a")
        memory.observe("kelp soup", scope="b")
        assert [hit.seq for hit in memory.rank("kelp")] == [2, 1]


def test_a_question_is_no_answer() -> None:
    with opened(weights=only("question", -1.0)) as memory:
        memory.observe("Is there kelp in the soup?", scope="b")
        memory.observe("There is kelp in the soup.", scope="a")
        assert [hit.seq for hit in memory.rank("kelp soup")] == [2, 1]
        assert memory.rank("kelp soup")[1].score == -1.0


@pytest.mark.parametrize(
    ("name", "query", "yes", "no"),
    [
        ("first_person", "kelp soup", "I made the kelp soup", "there was a kelp soup"),
        ("figure", "How much kelp was there?", "there was kelp, 12 kg", "there was much kelp"),
        ("figure", "How many kelp boats?", "there were two kelp boats", "there were kelp boats"),
        ("name", "Who has the kelp?", "the kelp is with Ana", "the kelp is with him"),
        ("preference", "Can you recommend a dish?", "I never eat any dish with fish", "a dish"),
    ],
)
def test_a_kind_of_statement_is_told_from_its_words(
    name: str, query: str, yes: str, no: str
) -> None:
    assert order(name, query, said(yes, 1), said(no, 2))[0] == 1


def test_a_preference_is_found_without_a_word_in_common() -> None:
    events = [said("I would rather avoid casinos.", 1), said("The weather is fine.", 2)]
    assert order("preference", "Can you recommend hotels for my stay?", *events) == [1]


def test_meaning_is_the_cosine_to_the_query() -> None:
    with opened(weights=only("meaning"), embedder=ScriptedEmbedder()) as memory:
        memory.observe("kelp forest", scope="a")
        memory.observe("ledger balance", scope="b")
        memory.settle()
        hits = memory.rank("kelp forest")
    assert hits[0].seq == 1
    assert hits[0].score > 0.9 > hits[1].score


# ---- all of them ------------------------------------------------------------------------------


def test_the_parts_add_up_to_the_score_and_the_score_is_the_order() -> None:
    words = [f"word{i}" for i in range(100)]
    with opened() as memory:
        noise(memory)
        early = memory.observe(" ".join(words[:50]), scope="a").seq
        late = memory.observe(" ".join(words[80:]), scope="b").seq
        hits = memory.rank(" ".join(words))
    assert {hit.seq for hit in hits[:2]} == {early, late}, "of a hundred words, all are looked up"
    assert all(sum(hit.parts.values()) == pytest.approx(hit.score) for hit in hits)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)


def test_nothing_in_common_is_no_candidate() -> None:
    with opened() as memory:
        noise(memory)
        kelp = memory.observe("We planted kelp.", scope="a").seq
        assert [hit.seq for hit in memory.rank("kelp lighthouse")] == [kelp]
        assert memory.rank("What about zebras?") == []


def test_ties_go_to_the_newer() -> None:
    with opened(weights=only("bm25", 0.0)) as memory:
        seqs = [memory.observe(f"kelp {i}").seq for i in range(5)]
        assert [hit.seq for hit in memory.rank("kelp")] == seqs[::-1]


def test_every_weight_names_a_signal_and_every_signal_is_tried() -> None:
    fitted = json.loads(files("holdfast.recall").joinpath("weights.json").read_text())
    assert set(fitted["weights"]) == set(KINDS)
    assert set(Weights.default().names) <= set(SIGNALS)


def test_a_signal_can_be_left_out() -> None:
    weights = Weights.default()
    assert set(weights.without("bm25").names) == set(weights.names) - {"bm25"}
    with pytest.raises(UnknownNameError, match="no signal 'moon'"):
        weights.without("moon")

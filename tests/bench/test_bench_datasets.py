"""Loading: what is read, what each set's labels mean, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from holdfast.bench.datasets import Targets, load, to_event
from holdfast.bench.prefeval import load_pairs
from holdfast.errors import NotFoundError

MakeSet = Callable[..., Path]

TURNS = [
    {"id": "a", "text": "The key is under the pot.", "ts": "2023-05-08T13:56:00"},
    {"id": "b", "text": "Look!", "caption": "a red bicycle", "session": "2", "who": "User"},
    {"id": "c", "text": "", "session": "2"},
]


def test_turns_become_events(make_set: MakeSet) -> None:
    turns = load(make_set("mine", TURNS)).streams["s"]
    events = [to_event(turn) for turn in turns]
    assert [event.text for event in events] == [
        "The key is under the pot.",
        "Look! [picture: a red bicycle]",
        " ",
    ]
    assert [event.scope for event in events] == ["session/1", "session/2", "session/2"]
    assert [event.speaker for event in events] == ["Ana", "User", "Ana"]
    assert [event.role for event in events] == [None, "user", None]
    assert [event.at for event in events] == [1683554160.0, None, None]


def test_labels_of_both_granularities(make_set: MakeSet) -> None:
    query = {
        "qid": "q",
        "q": "where?",
        "gold": ["a", "b"],
        "stale": ["a"],
        "extra": {"fresh": ["b"], "equiv": {"a": ["c"]}},
    }
    (found,) = load(make_set("mine", TURNS, [query])).queries["s"]
    gold = frozenset("ab")
    assert found.turns == Targets(gold, frozenset("b"), frozenset("a"), {"c": "a"})
    assert found.sessions == Targets(frozenset("12"), frozenset("2"), frozenset("1"))
    assert found.targets("session") is found.sessions


def test_a_session_with_both_values_is_neither_fresh_nor_stale(make_set: MakeSet) -> None:
    query = {"qid": "q", "q": "?", "gold": ["b", "c"], "stale": ["b"], "extra": {"fresh": ["c"]}}
    (found,) = load(make_set("mine", TURNS, [query])).queries["s"]
    assert found.turns.stale == {"b"}
    assert found.sessions == Targets(frozenset("2"))


def test_session_labels_without_turns(make_set: MakeSet) -> None:
    query = {"qid": "q", "q": "?", "gold_sessions": ["2"], "extra": {"stale_sessions": ["1"]}}
    data = load(make_set("memorycode", TURNS, [query]))
    (found,) = data.queries["s"]
    assert found.sessions == Targets(frozenset("2"), frozenset("2"), frozenset("1"))
    assert data.default_unit == "session"


def test_questions_come_in_the_order_they_are_asked(make_set: MakeSet) -> None:
    asked = [{"qid": str(at), "q": "?", "at": at} for at in (None, 2, 0)]
    found = load(make_set("mine", TURNS, asked)).queries["s"]
    assert [query.at for query in found] == [0, 2, None]


def test_slices_and_headlines(make_set: MakeSet) -> None:
    beam = load(make_set("beam_x", TURNS, [{"qid": "q", "q": "?", "type": "summarization"}]))
    assert not beam.headline(beam.queries["s"][0])
    lines = [{"id": f"l{n}", "text": "hi"} for n in range(60)]
    asked = [
        {"qid": "near", "q": "?", "type": "dev", "at": 60, "gold": ["l10"]},
        {"qid": "far", "q": "?", "type": "train", "at": 60, "gold": ["l9"]},
    ]
    irc = load(make_set("irc_x", lines, asked))
    near, far = irc.queries["s"]
    assert (list(irc.slices(near)), irc.headline(near)) == (["dev"], True)
    assert (list(irc.slices(far)), irc.headline(far)) == (["train", "gold > 50 lines back"], False)


def test_what_is_not_there_or_not_in_order_is_refused(tmp_path: Path, make_set: MakeSet) -> None:
    with pytest.raises(NotFoundError, match="no data set at"):
        load(tmp_path)
    with pytest.raises(ValueError, match="positions are not 0 to 1"):
        load(make_set("gap", [{"id": "a", "text": "x"}, {"id": "b", "text": "y", "i": 2}]))


@pytest.mark.parametrize(
    ("name", "streams", "turns", "queries"),
    [
        ("locomo", 5, 2_960, 1_020),
        ("longmemeval_oracle_user", 1, 2_537, 217),
        ("longmemeval_s_mini", 2, 946, 10),
        ("beam_100k", 10, 2_998, 200),
        ("realmem", 5, 7_496, 682),
        ("gitlog", 7, 32_994, 0),
    ],
)
def test_real_sets_load_whole(
    real_set: Callable[[str], Path], name: str, streams: int, turns: int, queries: int
) -> None:
    data = load(real_set(name))
    assert len(data.streams) == streams
    assert sum(map(len, data.streams.values())) == turns
    assert sum(map(len, data.queries.values())) == queries
    ids = {stream: {turn.id for turn in found} for stream, found in data.streams.items()}
    for stream, asked in data.queries.items():
        assert all(query.turns.gold <= ids[stream] for query in asked)


def test_preferences_are_buried_one_per_topic(real_set: Callable[[str], Path]) -> None:
    filler = load(real_set("longmemeval_s_mini"))
    data = load_pairs(real_set("prefeval"), filler, turns=60, rounds=3)
    assert len(data.streams) == 3
    for stream, asked in data.queries.items():
        assert len({query.type for query in asked}) == len(asked) == 20
        texts = {turn.id: turn.text for turn in data.streams[stream]}
        assert all(query.turns.gold <= texts.keys() for query in asked)
        assert len(texts) == 60 + 20
    again = load_pairs(real_set("prefeval"), filler, turns=60, rounds=3)
    assert again.streams == data.streams

"""The read path: filters never leak, the past stays as it was, why_not tells the truth."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast import Context, Event, Memory, Tier
from holdfast.derive.tokens import count_tokens
from holdfast.errors import ArgumentsError

from worlds import T0, WORDS, large_events, opened

SCOPES = ["", "user/ana", "user/ana/1", "user/anabel", "user/bo"]
words = st.sampled_from(
    ["key", "pot", "Lisbon", "Tuesday", "42", "東京", "ключ", "über", "🐙", "the"]
)
texts = st.lists(words, min_size=1, max_size=10).map(" ".join)
events = st.builds(
    Event,
    texts,
    speaker=st.sampled_from([None, "Ana", "Bo"]),
    at=st.integers(0, 40).map(lambda minutes: T0 + 60.0 * minutes),
    scope=st.sampled_from(SCOPES),
)
bounds = st.none() | st.integers(-1, 42).map(lambda minutes: T0 + 60.0 * minutes)


def _inside(event: Event, scope: str) -> bool:
    return not scope or event.scope == scope or event.scope.startswith(scope + "/")


@settings(max_examples=60)
@given(
    st.lists(events, min_size=1, max_size=25), texts, st.sampled_from(SCOPES), bounds, bounds,
    st.none() | st.integers(0, 27), st.sampled_from([60, 150, 2000]),
)  # fmt: skip
def test_filters_never_leak(
    past: list[Event], query: str, scope: str, since: float | None, until: float | None,
    before: int | None, tokens: int,
) -> None:  # fmt: skip
    filters = {"scope": scope, "since": since, "until": until, "before": before}
    visible = {
        seq
        for seq, event in enumerate(past, 1)
        if _inside(event, scope)
        and (since is None or event.at >= since)
        and (until is None or event.at < until)
        and (before is None or seq < before)
    }
    with opened() as memory:
        memory.observe_many(past)
        hits = memory.rank(query, **filters)
        context = memory.recall(query, tokens=tokens, **filters)
        wide = memory.recall(query, tokens=tokens)
        again = memory.recall(query, tokens=tokens, previous=wide, **filters)
        reasons = {seq: memory.why_not(seq, query, tokens=tokens, **filters) for seq in (1, 2)}
    assert {hit.seq for hit in hits} <= visible
    assert {item.seq for item in context.items + again.items} <= visible
    assert {omission.seq for omission in context.omissions} <= visible
    for seq, reason in reasons.items():
        if seq <= len(past):
            assert ("outside the scope or the time" in reason) == (seq not in visible)
            assert ("is in the context" in reason.split(",")[0]) == (
                seq in {item.seq for item in context.items}
            )


def _chat(n: int, scope: str, seed: int) -> list[Event]:
    """Turns in several episodes, so that the episode part has something to tell apart."""
    rng = random.Random(seed)
    pool = WORDS[:10]
    return [
        Event(
            " ".join(rng.choices(pool, k=rng.randint(2, 9))),
            speaker=rng.choice(["Ana", "Bo"]),
            scope=scope,
            at=T0 + 20_000.0 * (i // 6) + 10.0 * i,
        )
        for i in range(n)
    ]


def _ranking(memory: Memory, **filters: object) -> list[tuple[float, dict[str, float]]]:
    hits = memory.rank("kelp at the harbour, said Ana", **filters)  # type: ignore[arg-type]
    return [
        (round(hit.score, 6), {name: round(part, 6) for name, part in hit.parts.items()})
        for hit in hits
    ]


def _texts(memory: Memory, context: Context) -> list[tuple[str, str]]:
    return [(item.text, item.why) for item in context.items]


@pytest.mark.parametrize("seed", range(3))
def test_what_lies_outside_a_scope_changes_nothing_inside(seed: int) -> None:
    mine, theirs = _chat(40, "user/ana", seed), _chat(40, "user/bo", seed + 100)
    with opened() as alone, opened() as shared:
        alone.observe_many(mine)
        mixed = [event for pair in zip(mine, theirs, strict=True) for event in pair]
        shared.observe_many(mixed)
        assert _ranking(shared, scope="user/ana") == _ranking(alone, scope="user/ana")


@pytest.mark.parametrize("cut", [9, 20, 33])
def test_as_of_a_moment_recall_is_what_it_was_then(cut: int) -> None:
    past = _chat(40, "user/ana", 5)
    with opened() as then, opened() as now:
        then.observe_many(past[: cut - 1])
        now.observe_many(past)
        assert _ranking(now, before=cut) == _ranking(then)


def test_other_scopes_change_no_match_and_no_coverage() -> None:
    """What holds of isolation today: every part but the episode's is the same."""
    mine, theirs = _chat(40, "user/ana", 1), _chat(40, "user/bo", 101)
    with opened() as alone, opened() as shared:
        alone.observe_many(mine)
        shared.observe_many([e for pair in zip(mine, theirs, strict=True) for e in pair])
        found = []
        for memory in (alone, shared):
            hits = memory.rank("kelp at the harbour, said Ana", scope="user/ana", limit=100)
            parts = [{k: round(v, 9) for k, v in h.parts.items() if k != "episode"} for h in hits]
            found.append(
                sorted(
                    (memory.get(h.seq).event.at, sorted(p.items()))
                    for h, p in zip(hits, parts, strict=True)
                )
            )
    assert found[0] == found[1]


def test_recall_before_an_event_equals_recall_then_where_all_fits() -> None:
    past = _chat(12, "user/ana", 3)
    with opened() as now:
        for cut, event in enumerate(past, 1):
            then = now.recall("kelp", tokens=5000)
            assert then.whole
            now.observe(event)
            assert now.recall("kelp", tokens=5000, before=cut).text == then.text


def test_small_histories_come_whole_repeats_and_all() -> None:
    with opened() as memory:
        for text in ("yes", "Shall we meet?", "yes", "The orchard at noon."):
            memory.observe(text)
        context = memory.recall("zebra")
        assert context.whole
        shown = [item.text for item in context.items]
        assert shown == ["yes", "Shall we meet?", "The orchard at noon."]
        assert [(o.seq, o.reason) for o in context.omissions] == [(3, "duplicate")]
        assert "repeats the words" in memory.why_not(3, "zebra")
        assert "holds everything" in memory.why_not(4, "zebra")
        assert not memory.recall("zebra", tokens=60).whole


def test_neighbours_respect_the_filters() -> None:
    with opened() as memory:
        for i in range(60):
            memory.observe(f"noise{i} " * 30, at=T0 - 1e6 + i)
        memory.observe("Where is it?", scope="a", at=T0)
        hit = memory.observe("The umbrella stands behind the door.", scope="a", at=T0 + 10).seq
        memory.observe("Thanks!", scope="a", at=T0 + 20)
        around = {hit - 1, hit, hit + 1}

        def seen(**filters: object) -> set[int]:
            context = memory.recall("umbrella", tokens=200, limit=1, **filters)  # type: ignore[arg-type]
            assert not context.whole
            return {item.seq for item in context.items}

        assert seen() == around
        assert seen(before=hit + 1) == {hit - 1, hit}
        assert seen(until=T0 + 15, since=T0 - 5e6) == {hit - 1, hit}


def test_queries_in_any_script_find_their_events() -> None:
    said = {
        "東京駅で会いましょう": "東京駅",
        "我们明天在图书馆见面": "图书馆",
        "พรุ่งนี้เราจะพบกันที่สถานีรถไฟ": "สถานีรถไฟ",
        "내일 도서관에서 만나자": "도서관",
        "Ключ лежит под горшком": "ключ под горшком",
        "Die Brücke ist gesperrt": "BRÜCKE",
        "المفتاح تحت الوعاء": "المفتاح",
    }
    with opened() as memory:
        for i in range(80):
            memory.observe(f"noise{i} padding{i} " * 20)
        for i, text in enumerate(said):
            memory.observe(text, scope=f"speaker/{i}")
        for text, query in said.items():
            assert memory.recall(query, tokens=300).ranked[0].text == text, query


def test_an_emoji_finds_its_event() -> None:
    with opened() as memory:
        seq = memory.observe("the octopus 🐙 escaped").seq
        assert [hit.seq for hit in memory.rank("🐙")] == [seq]


@pytest.mark.parametrize("query", ["", " ", "the of and", "?!", "\0", "\ud800", "zebra"])
def test_a_query_that_asks_nothing_gets_an_empty_answer_or_everything(query: str) -> None:
    with opened() as memory:
        assert memory.recall(query).items == ()
        memory.observe("The key is under the pot.")
        assert memory.recall(query).whole
        for i in range(60):
            memory.observe(f"noise{i} " * 30)
        assert memory.rank(query) == []
        context = memory.recall(query, tokens=100)
        assert (context.text, context.tokens, context.items, context.omissions) == ("", 0, (), ())


def test_parts_add_up_and_ranking_is_stable() -> None:
    with opened() as memory:
        memory.observe_many(_chat(60, "a", 2) + _chat(60, "b", 3))
        for query in ("kelp harbour", "When did Ana see kelp?", "Bo on 15 November 2023", "violin"):
            hits = memory.rank(query, limit=500)
            assert hits == sorted(hits, key=lambda hit: (-hit.score, -hit.seq))
            assert len({hit.seq for hit in hits}) == len(hits)
            assert all(sum(hit.parts.values()) == pytest.approx(hit.score) for hit in hits)
            assert memory.rank(query, limit=7) == hits[:7]
            assert memory.rank(query, limit=0) == []


def test_why_not_has_a_sentence_for_every_reason() -> None:
    with opened("640 KiB") as memory:
        for i in range(70):
            memory.observe(f"key number {i} " + f"pad{i} " * 12)
        lone = memory.observe("zebra", scope="zoo").seq
        twice = [memory.observe("The umbrella stands behind the door.").seq for _ in range(2)]
        reasons = {
            "never": memory.why_not(10_000, "key"),
            "zero": memory.why_not(0, "key"),
            "outside": memory.why_not(lone, "zebra", scope="else"),
            "too late": memory.why_not(lone, "zebra", before=lone),
            "no term": memory.why_not(lone, "umbrella", tokens=200),
            "best": memory.why_not(lone, "zebra", tokens=200),
            "repeat": memory.why_not(twice[1], "umbrella door", tokens=300),
            "full": memory.why_not(_last(memory, "key", 40), "key", tokens=200),
            "too far": memory.why_not(_last(memory, "key", 60), "key", tokens=900),
        }
    assert "never observed" in reasons["never"]
    assert "never observed" in reasons["zero"]
    assert "outside the scope or the time" in reasons["outside"]
    assert "outside the scope or the time" in reasons["too late"]
    assert "shares no term" in reasons["no term"]
    assert "is in the context, as match 1 of" in reasons["best"]
    assert "repeats the words of a better match" in reasons["repeat"]
    assert "the 200 tokens were full before it" in reasons["full"]
    assert "only the best 50 are considered" in reasons["too far"]


def _last(memory: Memory, query: str, place: int) -> int:
    return memory.rank(query, limit=place)[-1].seq


def test_why_not_tells_evicted_events_from_unknown_ones() -> None:
    with opened("640 KiB", retention="oldest") as memory:
        rng = random.Random(3)
        memory.observe_many([Event(rng.randbytes(9000)) for _ in range(120)])
        assert memory.usage().events["evicted"] > 0
        assert "was evicted" in memory.why_not(1, "anything")
        assert "never observed" in memory.why_not(121, "anything")


def test_why_not_knows_neighbours() -> None:
    with opened() as memory:
        for i in range(300):
            memory.observe(f"umbrella {i} " * 3, scope=f"s/{i}")
            memory.observe(f"lantern {i}", scope=f"s/{i}")
        context = memory.recall("umbrella", tokens=600)
        near = [item.seq for item in context.items if item.why == "neighbour"]
        for seq in near:
            assert "is in the context" in memory.why_not(seq, "umbrella", tokens=600)


def test_reading_never_writes() -> None:
    with opened() as memory:
        memory.observe_many(_chat(60, "a", 2))
        usage, log = memory.usage(), list(memory.log())
        for query in ("kelp", "", "harbour Ana"):
            memory.recall(query, tokens=100)
            memory.rank(query)
            memory.why_not(3, query)
        list(memory.episodes())
        assert memory.usage() == usage
        assert list(memory.log()) == log


def test_gists_and_traces_are_found_by_what_is_left_of_them() -> None:
    with opened("640 KiB") as memory:
        memory.observe_many(large_events(110))
        lowered = [r for r in memory.log() if r.tier in (Tier.GIST, Tier.TRACE) and r.text]
        assert lowered
        for record in lowered[:: max(1, len(lowered) // 10)]:
            query = " ".join(record.text.split()[:6])
            assert record.seq in {hit.seq for hit in memory.rank(query, limit=20)}
            reason = memory.why_not(record.seq, query, tokens=4000)
            assert "shares no term" not in reason
        context = memory.recall("kelp harbour", tokens=3000)
        assert context.tokens == count_tokens(context.text) <= 3000


def test_less_than_no_tokens_is_a_mistake() -> None:
    with opened() as memory:
        memory.observe("A kelp.")
        assert memory.recall("kelp", tokens=0).items == ()
        with pytest.raises(ArgumentsError, match="cannot have -5 tokens"):
            memory.recall("kelp", tokens=-5)

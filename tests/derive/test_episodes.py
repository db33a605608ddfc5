"""Episodes: what ends one, what does not, and what survives a restart."""

import json
import random

from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.episodes import Episodes

steps = st.lists(
    st.tuples(
        st.sampled_from(["", "a", "a/b"]),
        st.none() | st.integers(0, 10_000).map(float),
        st.lists(st.integers(0, 30), max_size=5),
    ),
    max_size=80,
)


@given(steps)
def test_ids_are_dense_and_belong_to_one_scope(stream: list[tuple[str, float, list[int]]]) -> None:
    episodes, owner = Episodes(gap_s=600, longest=7), {}
    for scope, at, terms in stream:
        episode, is_new = episodes.place(scope, at, terms)
        assert is_new == (episode not in owner)
        if is_new:
            assert episode == len(owner) + 1
        assert owner.setdefault(episode, scope) == scope


@given(steps)
def test_without_topics_only_gap_and_length_cut(
    stream: list[tuple[str, float, list[int]]],
) -> None:
    """Against a plain reference, one scope at a time."""
    episodes, last, size = Episodes(gap_s=600, longest=7), {}, {}
    for scope, at, _ in stream:
        before = last.get(scope)
        gap = at is not None and before is not None and abs(at - before) > 600
        new = scope not in size or gap or size[scope] == 7
        assert episodes.place(scope, at, [])[1] == new
        size[scope] = 1 if new else size[scope] + 1
        last[scope] = at if at is not None or new else before


@given(steps, st.integers(0, 80))
def test_survives_a_restart(stream: list[tuple[str, float, list[int]]], cut: int) -> None:
    through, first, second = (Episodes(gap_s=600, longest=7) for _ in range(3))
    expected = [through.place(scope, at, []) for scope, at, _ in stream]
    found = [first.place(scope, at, []) for scope, at, _ in stream[:cut]]
    second.restore(json.loads(json.dumps(first.state())))
    found += [second.place(scope, at, []) for scope, at, _ in stream[cut:]]
    assert found == expected


def test_interleaved_scopes_stay_open() -> None:
    episodes = Episodes()
    placed = [episodes.place(scope, 0.0, [1]) for scope in "ababab"]
    assert placed == [(1, True), (2, True), (1, False), (2, False), (1, False), (2, False)]


def test_equal_and_unknown_times_do_not_cut() -> None:
    episodes = Episodes(gap_s=1)
    times = [5.0, 5.0, None, None, 6.0]
    assert [episodes.place("", at, [])[0] for at in times] == [1] * 5
    assert episodes.place("", 8.0, []) == (2, True)
    assert episodes.place("", 0.0, []) == (3, True)  # an older stretch of time is another run


def _talk(rng: random.Random, topic: int, events: int) -> list[list[int]]:
    """Events of 10 terms, 4 of them small talk, the others drawn from a topic's 60 words."""
    words = range(1000 * topic, 1000 * topic + 60)
    return [rng.choices(range(100), k=4) + rng.choices(words, k=6) for _ in range(events)]


def test_planted_shifts_are_found_and_nothing_else() -> None:
    rng = random.Random(4)
    episodes, cuts, shifts = Episodes(), [], []
    stream: list[list[int]] = []
    for topic in range(1, 31):
        shifts.append(len(stream))
        stream += _talk(rng, topic, 60)
    for i, terms in enumerate(stream):
        if episodes.place("chat", None, terms)[1]:
            cuts.append(i)
    found = [any(shift <= cut <= shift + 24 for cut in cuts) for shift in shifts]
    assert sum(found) >= 28
    assert len(cuts) <= 31


def test_one_topic_is_one_episode() -> None:
    rng = random.Random(5)
    episodes = Episodes()
    assert {episodes.place("chat", None, terms)[0] for terms in _talk(rng, 1, 500)} == {1}


def test_bounded() -> None:
    episodes = Episodes()
    for i in range(10_000):
        episodes.place(f"session/{i}", float(i), [i])
    assert len(episodes.state()["open"]) == 4096
    assert episodes.place("session/0", 1.0, []) == (10_001, True)
    assert episodes.place("session/9999", 9_999.0, []) == (10_000, False)

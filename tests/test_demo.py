"""The demo's data is what it says, its numbers add up, and its report stands alone."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from holdfast.cli import demo as command
from holdfast.cli import main
from holdfast.demo import data, plots, svg
from holdfast.demo.report import render
from holdfast.demo.run import FATES, Answer, Run, run
from holdfast.demo.words import excerpt, verdict
from holdfast.records import Tier

BUDGET = "704 KiB"


@pytest.fixture(scope="module")
def tight(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("tight") / "story.holdfast", data.sessions(), BUDGET)


@pytest.fixture(scope="module")
def roomy(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(tmp_path_factory.mktemp("roomy") / "story.holdfast", data.sessions(), "64 MiB")


def test_stream_is_in_order_and_cut_into_conversations() -> None:
    events = data.stream()
    assert len(events) == 2537
    assert [e for conversation in data.sessions() for e in conversation] == events
    times = [event.at or 0.0 for event in events]
    assert times == sorted(times)
    assert all(event.text.strip() and event.scope.startswith("session/") for event in events)


def test_questions_point_into_the_stream() -> None:
    questions, events = data.questions(), data.stream()
    assert len(questions) == 190
    for question in questions:
        assert question.gold
        assert set(question.gold).isdisjoint(question.stale)
        assert all(1 <= seq <= len(events) for seq in (*question.gold, *question.stale))
    assert set(data.SHOWN) <= {question.id for question in questions}


def test_shown_questions_go_from_old_to_new() -> None:
    by_id = {question.id: question for question in data.questions()}
    ages = [min(by_id[id_].gold) for id_ in data.SHOWN]
    assert ages == sorted(ages)


def test_package_data_is_small() -> None:
    folder = Path(data.__file__).parent
    assert sum(path.stat().st_size for path in folder.glob("*.zst")) < 400_000


def test_the_budget_is_too_small_and_holds(tight: Run) -> None:
    assert tight.budget == 704 * 1024
    assert tight.peak <= tight.budget
    kept = tight.usage.events
    assert sum(kept.values()) == tight.seen == 2537
    assert kept["verbatim"] < tight.seen
    assert kept["gist"] + kept["trace"] > 0


def test_without_the_squeeze_everything_stays(roomy: Run) -> None:
    assert roomy.usage.events["verbatim"] == roomy.seen
    assert not any(fate == "evicted" for _, fate in roomy.fates())


def test_samples_and_commits_cover_the_stream(tight: Run) -> None:
    seen = [sample.seen for sample in tight.samples]
    assert seen == sorted(set(seen))
    assert seen[-1] == 2537
    assert sum(commit.events for commit in tight.commits) == 2537
    assert sum(event.text.encode().__len__() for event in data.stream()) == (
        tight.samples[-1].seen_bytes
    )


def test_fates_say_what_is_in_the_context(tight: Run) -> None:
    contents = [event.content for event in data.stream()]
    for answer in tight.answers:
        items = {item.seq: item for item in answer.context.items}
        assert answer.context.tokens <= tight.tokens
        for seq, fate in zip(answer.question.gold, answer.fates, strict=True):
            if fate == "verbatim":
                assert items[seq].text == contents[seq - 1]
            elif fate in ("gist", "trace"):
                assert items[seq].tier == Tier[fate.upper()]
            else:
                assert seq not in items


def test_every_quote_is_a_quote(tight: Run) -> None:
    contents = [event.text for event in data.stream()]
    for answer in tight.answers:
        for item in answer.context.items:
            if item.tier == Tier.GIST:
                assert all(part in contents[item.seq - 1] for part in item.text.split(" … "))


def test_most_questions_find_some_evidence(tight: Run, roomy: Run) -> None:
    assert roomy.share("some") >= 0.7
    assert tight.share("some") >= 0.4
    assert all(run.share("some") >= run.share("whole") for run in (tight, roomy))
    assert [answer.question.id for answer in tight.shown] == list(data.SHOWN)


def test_ages_count_every_piece_once(tight: Run) -> None:
    rows = plots.by_age(tight)
    total = Counter[str]()
    for row in rows:
        total.update(row)
    assert +total == Counter(fate for _, fate in tight.fates())
    assert sum(total.values()) == sum(len(a.question.gold) for a in tight.answers)


class Page(HTMLParser):
    """Collects what a page would load, and checks that its tags are in order."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ("meta", "link", "img", "br", "input"):
            self.open.append(tag)
        self.loads += [value or "" for key, value in attrs if key in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_report_is_one_file_that_loads_nothing(tight: Run, roomy: Run) -> None:
    html = render(tight, roomy, "a machine")
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    assert page.loads == []
    assert "url(" not in html
    assert "@import" not in html
    assert "<script" not in html
    assert html.count("<svg") == 5
    assert "prefers-color-scheme: dark" in html
    assert len(re.findall(r'<section class="question">', html)) == len(data.SHOWN)


def test_charts_are_well_formed_and_speak(tight: Run) -> None:
    html = render(tight, tight, "a machine")
    for drawing in re.findall(r"<svg.*?</svg>", html, re.DOTALL):
        root = ET.fromstring(drawing)
        assert root.get("aria-label")
        assert "nan" not in drawing


def test_content_cannot_break_out_of_the_report(tight: Run) -> None:
    first = tight.shown[0]
    script = "<script>alert(1)</script>"
    items = tuple(replace(item, text=script, speaker="<b>") for item in first.context.items)
    changed = replace(first, context=replace(first.context, items=items))
    answers = tuple(changed if a is first else a for a in tight.answers)
    forged = replace(tight, answers=answers)
    html = render(forged, tight, "<i>")
    assert "<script>" not in html
    assert "<b>," not in html
    assert "<i>" not in html


@pytest.mark.parametrize(
    ("fates", "kind"),
    [
        (("verbatim", "verbatim"), "good"),
        (("verbatim", "evicted"), "part"),
        (("gist", "missed"), "part"),
        (("trace",), "part"),
        (("evicted", "evicted"), "lost"),
        (("missed", "evicted"), "lost"),
    ],
)
def test_verdict(tight: Run, fates: tuple[str, ...], kind: str) -> None:
    some = tight.answers[0]
    assert set(fates) <= set(FATES)
    answer = Answer(some.question, some.context, fates, 0.0)  # type: ignore[arg-type]
    assert verdict(answer)[1] == kind


SAID = "I like tea. By the way, my cat is called Luna. The weather is fine! Is it not?"


@pytest.mark.parametrize(
    ("about", "limit", "expected"),
    [
        ("cat", 200, SAID),
        ("what is my cat called", 45, "… By the way, my cat is called Luna. …"),
        ("tea", 30, "I like tea. …"),
        ("is it not fine weather", 40, "… The weather is fine! Is it not?"),
        ("way", 14, "… By the way, …"),
    ],
)
def test_excerpt_keeps_the_sentence_that_matters(about: str, limit: int, expected: str) -> None:
    assert excerpt(SAID, about, limit) == expected


@given(st.text(), st.text(), st.integers(1, 50))
def test_excerpt_is_never_too_long(text: str, about: str, limit: int) -> None:
    assert len(excerpt(text, about, limit)) <= limit + len("…  …")


@pytest.mark.parametrize(
    ("top", "expected"),
    [
        (0.0, [0.0]),
        (10.0, [0.0, 2.5, 5.0, 7.5, 10.0]),
        (2537.0, [0.0, 1000.0, 2000.0]),
        (0.004, [0.0, 0.001, 0.002, 0.003, 0.004]),
    ],
)
def test_ticks_are_round(top: float, expected: list[float]) -> None:
    assert svg.ticks(top) == pytest.approx(expected)


def test_frame_keeps_values_inside() -> None:
    frame = svg.Frame(100, 10)
    assert frame.x(0) == frame.left
    assert frame.x(100) == frame.width - frame.right
    assert frame.y(0) == frame.height - frame.bottom
    assert frame.y(10) == frame.top
    assert frame.y(1000) == frame.top, "what is over the top is drawn at the top"


def test_gauge_moves_where_somebody_looks(tight: Run) -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100, highlight=False)
    with command._gauge(console, tight.seen) as watch:
        for sample in tight.samples:
            watch(sample)
    assert "2,537 messages" in screen.getvalue()


def test_command_writes_the_report(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo", "--out", str(tmp_path / "out"), "--budget", BUDGET]) == 0
    printed = capsys.readouterr().out
    assert "What degree did I graduate with?" in printed
    assert "All 190 questions" in printed
    assert sorted(p.name for p in (tmp_path / "out").glob("*.h*") if "lock" not in p.name) == [
        "report.html",
        "story.holdfast",
    ]
    # A second run starts afresh, and the memory that it leaves answers.
    assert main(["demo", "--out", str(tmp_path / "out"), "--json"]) == 0
    assert '"squeezed"' in capsys.readouterr().out
    story = str(tmp_path / "out" / "story.holdfast")
    assert main(["recall", story, "what degree did I graduate with?", "--tokens", "300"]) == 0
    assert "[e" in capsys.readouterr().out

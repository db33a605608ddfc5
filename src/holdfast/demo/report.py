"""The demo's report: one HTML file that needs nothing else, for light and dark screens."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from importlib import resources
from statistics import median

from holdfast.demo.plots import AGES, bytes_chart, cost_chart, fate_chart, fate_table, tier_chart
from holdfast.demo.run import Answer, Run
from holdfast.demo.words import percent, size, verdict, when
from holdfast.records import Item, Tier

FATE_WORDS = {
    "verbatim": "came back word for word",
    "gist": "came back as a gist",
    "trace": "came back as a trace",
    "missed": "is kept, but was not recalled",
    "evicted": "was let go",
}


def render(tight: Run, roomy: Run, machine: str) -> str:
    """Return the page. `tight` ran under the budget, `roomy` saw the same without the squeeze."""
    css = resources.files("holdfast.demo").joinpath("report.css").read_text("utf-8")
    body = "".join(_sections(tight, roomy, machine))
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Holdfast demo</title><style>\n{css}</style></head><body><main>{body}</main>"
        "</body></html>\n"
    )


def _sections(tight: Run, roomy: Run, machine: str) -> Iterable[str]:
    last = tight.samples[-1]
    budget = size(tight.budget)
    yield (
        f"<h1>{tight.seen:,} events in {budget}</h1>"
        f'<p class="soft">{last.seen_bytes:,} bytes of text went through a memory that may not '
        f"take more than {tight.budget:,} bytes of disk, indexes and logs included. Then "
        f"{len(tight.answers)} questions were asked whose evidence is known.</p>"
    )
    yield _tiles(tight, roomy)
    yield (
        "<h2>The budget held</h2><p>Everything on disk is counted: the log, its indexes, the "
        "write-ahead log and the shared memory file.</p>"
    )
    yield bytes_chart(tight)
    yield (
        "<h2>What is kept</h2><p>Room is made down a ladder: the full text, its most informative "
        "quotes, a trace of a few terms, gone. A step that is a bad bargain is skipped.</p>"
    )
    yield tier_chart(tight)
    yield (
        "<h2>What an event costs</h2><p>Each conversation is one durable commit. The cost should "
        "not grow with what the memory has seen.</p>"
    )
    yield cost_chart(tight)
    yield (
        "<h2>Where the answers came from</h2><p>Every question names the events that hold its "
        f"answer. This is what became of them, by how many events ago they were observed, with "
        f"{tight.tokens} tokens for each context.</p>"
    )
    yield fate_chart(tight, f"Within {budget}")
    yield fate_chart(roomy, f"Without the squeeze, within {size(roomy.budget)}")
    yield f"<details><summary>As a table</summary>{fate_table(tight, roomy)}</details>"
    yield (
        "<h2>Eight of the questions</h2><p>They were chosen before any run, for the age of their "
        "evidence. A green edge marks the evidence. The context is what a model would be given; "
        "no model is involved here.</p>"
    )
    yield "".join(_question(answer) for answer in tight.shown)
    yield _footer(tight, machine)


def _tiles(tight: Run, roomy: Run) -> str:
    kept, usage = tight.usage.events, tight.usage
    whole, some = tight.share("whole"), tight.share("some")
    whole_roomy, some_roomy = percent(roomy.share("whole")), percent(roomy.share("some"))
    latency = median(answer.seconds for answer in tight.answers)
    tiles = (
        (f"{tight.peak / tight.budget:.0%}", f"of the budget at the fullest, {tight.peak:,} bytes"),
        (f"{kept.get('verbatim', 0):,}", "events kept word for word"),
        (f"{kept.get('gist', 0) + kept.get('trace', 0):,}", "kept as a gist or a trace"),
        (f"{kept.get('evicted', 0):,}", "let go, and counted"),
        (percent(whole), f"of questions: all evidence word for word (unsqueezed {whole_roomy})"),
        (percent(some), f"of questions: some evidence back (unsqueezed {some_roomy})"),
        (f"{latency * 1e3:.2f} ms", "a recall takes, median"),
        (f"{tight.seen / tight.seconds:,.0f}/s", "events made durable, a commit per conversation"),
    )
    assert usage.disk <= usage.budget, "the demo's memory outgrew its budget"
    cells = (f'<div class="tile"><b>{b}</b><span>{escape(text)}</span></div>' for b, text in tiles)
    return f'<div class="tiles">{"".join(cells)}</div>'


def _question(answer: Answer) -> str:
    question, context = answer.question, answer.context
    word, kind = verdict(answer)
    fates = "; ".join(
        f"e{seq} {FATE_WORDS[fate]}" for seq, fate in zip(question.gold, answer.fates, strict=True)
    )
    gold = set(question.gold)
    best = [item for item in context.ranked if item.seq in gold or item.why == "match"]
    first, rest = _split(best, gold)
    more = "".join(_quote(item, gold) for item in rest)
    folded = f"<details><summary>{len(rest)} more</summary>{more}</details>" if rest else ""
    return (
        f'<section class="question"><h3>{escape(question.question)}</h3>'
        f'<span class="chip {kind}">{word}</span>'
        f'<p class="meta">The data set’s answer: {escape(question.answer)}. Evidence: {fates}. '
        f"Context: {len(context.items)} entries, {context.tokens} of "
        f"{context.token_budget} tokens.</p>"
        f"{''.join(_quote(item, gold) for item in first)}{folded}</section>"
    )


def _split(items: Sequence[Item], gold: set[int], show: int = 3) -> tuple[list[Item], list[Item]]:
    """Return what is shown at once (evidence, then the best) and what is folded away."""
    ordered = [i for i in items if i.seq in gold] + [i for i in items if i.seq not in gold]
    show = max(show, sum(item.seq in gold for item in items))
    return ordered[:show], ordered[show:]


def _quote(item: Item, gold: set[int]) -> str:
    name = Tier(item.tier).name.lower()
    tier = "" if name == "verbatim" else f"<span>{name} only</span>"
    here = item.seq in gold
    mark = '<span class="mark">evidence</span>' if here else ""
    return (
        f"<blockquote{' class=gold' if here else ''}><header><code>{item.citation}</code>"
        f"<span>{escape(item.speaker or '?')}, {when(item.at)}</span>{tier}{mark}</header>"
        f"<p>{escape(item.text)}</p></blockquote>"
    )


def _footer(tight: Run, machine: str) -> str:
    usage = tight.usage
    parts = ", ".join(
        f"{name} {size(getattr(usage, name))}" for name in ("log", "index", "ledger", "free")
    )
    return (
        f"<footer><p>Conditions: {escape(machine)}. No embedder, no language model, default "
        f"retention, full durability. At the end the file holds {parts}. Ages: {len(AGES)} equal "
        "parts of the stream. One run; times vary with the machine and the disk.</p>"
        "<p>The stream is the user’s side of evidence sessions of LongMemEval (Di Wu and others, "
        "arXiv:2410.10813, MIT licence), pooled from many imagined users into one story, so it "
        "contradicts itself more than one person would. Dates are reconstructed to within about "
        "five days. Questions, answers and evidence are the data set’s own.</p></footer>"
    )

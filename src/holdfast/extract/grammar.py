"""The grammar of `holdfast.extract.rules`: its patterns read from data, and how they are applied.

``grammar.toml`` holds the patterns and says how one is added; ``words.toml`` what they are made of
and the words around them that decide whether a match is meant.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from holdfast.derive.memo import Memo
from holdfast.derive.times import resolve
from holdfast.state.records import BeliefKind, Claim, Stance

_PLAIN = str.maketrans(dict.fromkeys("’‘´ʼ", "'") | dict.fromkeys("\xa0\u202f", " "))
_EDGES = "\"'“”‘’(),.:;!?*-_[]<>{}#~"
_WORDS, _CHARACTERS = 12, 100  # of the longest value
_POINTS = " ,;:-–—.!…/|"
_TIMED = frozenset(["plan", "rule", "habit", "taste", "exact"])  # shapes that a time is part of
_FIRST = ["i", "i'm", "i've", "im", "ive", "my", "me", "our", "we", "we're", "we've"]
_REACH = 6  # words after an "I" among which a pattern's word is looked for
_SHORT = 4_000  # characters of a text that is searched as a whole first
_LEAD, _TAIL = 48, 24  # characters of the end of a lead, of a value
_LETTERS = re.compile(r"[a-z0-9.']+")
_NEAR = 12  # characters between "since" and its time: "the end of "
_MACRO = re.compile(r"<([A-Z][A-Z_0-9]*)>")
_GROUP = re.compile(r"\{(\w+)\}")
_QUOTE_OPENS, _QUOTE_CLOSES = re.compile(r"(?:^|\s)'\w"), re.compile(r"\w'(?:\s|$)")
_PARTS = re.compile(r"[-/']")
_BREAK = re.compile(r"\n\s*")
_NOT_A_WORD = re.compile(r"[^\w]+")


def plain(text: str) -> str:
    """The text with one kind of apostrophe and of space; every character keeps its place."""
    return text if text.isascii() else text.translate(_PLAIN)


@dataclass(frozen=True)
class Pattern:
    """One ``[[family.pattern]]`` of the grammar."""

    bit: int  # its own in a mask
    local: bool  # whether it looks at the bounds of its sentence
    family: str
    words: tuple[str, ...]
    also: tuple[str, ...]
    wide: bool
    far: bool
    source: str  # its macros written out
    subject: str
    predicate: str
    value: str
    shape: str
    kind: BeliefKind
    stance: Stance
    began: str
    anywhere: bool
    fallback: bool

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """Compiled when a text first asks for it: all of them at once take a tenth of a second."""
        return re.compile(self.source, re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Found:
    """A pattern that matched and passed: what it says."""

    pattern: Pattern
    groups: Mapping[str, str]
    start: int  # of the match in the sentence
    stance: Stance
    dated: str  # the words that say when it began, if any do

    def claim(self, me: str, at: float) -> Claim:
        """The claim, without its evidence."""
        groups = {**self.groups, "speaker": me}
        pattern = self.pattern
        return Claim(
            _filled(pattern.subject, groups),
            _snake(_filled(pattern.predicate, groups)),
            _filled(pattern.value, groups),
            pattern.kind,
            stance=self.stance,
            valid_from=self._began(at) if self.dated else None,
        )

    def _began(self, at: float) -> float | None:
        """The one time that is spoken of, if it is not still to come."""
        times = resolve(self.dated, at)
        if len(times) != 1 or times[0].start > at:
            return None
        if self.pattern.began == "since" and times[0].span[0] > _NEAR:
            return None
        return times[0].start


def _filled(template: str, groups: Mapping[str, str]) -> str:
    return _GROUP.sub(lambda m: groups.get(m[1], ""), template).strip()


def _snake(name: str) -> str:
    """Words as one lower-case name: "body weight" is body_weight."""
    return _NOT_A_WORD.sub("_", name.casefold()).strip("_")


@cache
def grammar() -> Grammar:
    """The grammar, read and compiled on first use."""
    data: dict[str, Any] = {}
    for name in ("words.toml", "grammar.toml"):
        data |= tomllib.loads((files("holdfast.extract") / name).read_text(encoding="utf-8"))
    return Grammar(data)


class Grammar:
    """The patterns, and the words around them that decide whether a match is meant."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._macros: Mapping[str, str] = data["macro"]
        self._canon: Mapping[str, str] = data["canon"]
        self._spelling: Mapping[str, str] = data["spelling"]
        entries = [(f["name"], entry) for f in data["family"] for entry in f["pattern"]]
        self.patterns = [
            self._pattern(1 << i, family, entry) for i, (family, entry) in enumerate(entries)
        ]
        self._index()
        self._fallbacks = sum(1 << i for i, p in enumerate(self.patterns) if p.fallback)
        self._gate = {name: self._compile(p) for name, p in data["gate"].items()}
        self._trim = {name: self._compile(p) for name, p in data["trim"].items()}
        self._trim["ending"] = self._compile(data["trim"]["ending"], fold=False)  # "Home Alone"
        self._shapes = {name: self._compile(p, fold=False) for name, p in data["shape"].items()}
        self._bridge = frozenset(data["lead"]["bridge"])
        self._undone = frozenset(data["lead"]["undone"])
        self._elsewhere = frozenset(data["elsewhere"]["words"])
        self._hints: list[str] = data["fiction"]["hints"]
        self._fiction = self._compile(data["fiction"]["pattern"])
        self.quoted = re.compile(data["fiction"]["quoted"], re.MULTILINE | re.DOTALL)

    # -- reading the data

    def _compile(self, pattern: str, fold: bool = True) -> re.Pattern[str]:
        flags = re.MULTILINE | (re.IGNORECASE if fold else 0)
        return re.compile(self._expanded(pattern), flags)

    def _expanded(self, pattern: str) -> str:
        """The pattern on one line, with its macros written out."""
        pattern = _BREAK.sub("", pattern)
        while _MACRO.search(pattern):
            pattern = _MACRO.sub(lambda m: f"(?:{_BREAK.sub('', self._macros[m[1]])})", pattern)
        return pattern

    def _pattern(self, bit: int, family: str, entry: Mapping[str, Any]) -> Pattern:
        return Pattern(
            bit=bit,
            local="^" in re.sub(r"\[\^", "", entry["pattern"]) or "(?![^" in entry["pattern"],
            family=family,
            words=self._words(entry["words"]),
            also=self._words(entry.get("also", ())),
            wide=entry.get("wide", False),
            far=entry.get("far", not entry.get("subject", "{speaker").startswith("{speaker")),
            source=self._expanded(entry["pattern"]),
            subject=entry.get("subject", "{speaker}"),
            predicate=entry["predicate"],
            value=entry.get("value", "{value}"),
            shape=entry.get("shape", "thing"),
            kind=entry.get("kind", "fact"),
            stance=entry.get("stance", "assert"),
            began=entry.get("began", ""),
            anywhere=entry.get("anywhere", False),
            fallback=entry.get("fallback", False),
        )

    def _words(self, words: Iterable[str]) -> tuple[str, ...]:
        """The words, those of a macro included: "<PETS>" are the last words of its alternatives."""
        found: list[str] = []
        for word in words:
            if not _MACRO.fullmatch(word):
                found.append(word)
                continue
            for choice in self._expanded(word)[3:-1].split("|"):
                end = choice.split()[-1].removesuffix("s?")
                found += [end, end + "s"]
        return tuple(dict.fromkeys(found))

    def _index(self) -> None:
        """Which patterns a word calls for: near an I, my or we, or wherever it stands."""
        near: dict[str, int] = {}
        wide: dict[str, int] = {}
        self._far: dict[str, int] = {}
        also: dict[tuple[str, ...], int] = {}
        for i, pattern in enumerate(self.patterns):
            bits = self._far if pattern.far else wide if pattern.wide else near
            for word in pattern.words:
                for form in _forms(word) if pattern.far else (word,):
                    bits[form] = bits.get(form, 0) | 1 << i
            if pattern.also:
                also[pattern.also] = also.get(pattern.also, 0) | 1 << i
        self._near: Memo[int] = Memo(lambda chunk: _bits_of(chunk, near))
        self._wide: Memo[int] = Memo(lambda chunk: _bits_of(chunk, wide))
        self._far_words = frozenset(self._far)
        self._also = [(bits, words) for words, bits in also.items()]
        self._choosy = sum(also.values())

    # -- gate 1

    def mask(self, text: str) -> int:
        """The patterns of which some word stands in the text, as bits; 0 for most texts.

        The hot path of every write: a set operation in C, and a look at the words after an "I".
        """
        chunks = text.split()
        found = 0
        if not _ANCHORS.isdisjoint(chunks):
            near, wide, bridge = self._near, self._wide, self._bridge
            for i, chunk in enumerate(chunks, 1):
                if chunk in _ANCHORS:
                    for follower in chunks[i : i + _REACH]:
                        found |= wide[follower]
                    for follower in chunks[i : i + _REACH]:
                        found |= near[follower]
                        if follower not in bridge:
                            break
        if not self._far_words.isdisjoint(chunks):
            for word in self._far_words.intersection(chunks):
                found |= self._far[word]
        if found & self._choosy:
            lower = plain(text).lower()
            for bits, words in self._also:
                if found & bits and not any(word in lower for word in words):
                    found &= ~bits
        return found

    def narrowed(self, text: str, mask: int) -> int:
        """Those patterns of a mask that match somewhere: then the text is worth taking apart."""
        if len(text) > _SHORT:
            return mask
        kept = 0
        for pattern in self._chosen(mask):
            if pattern.local or pattern.regex.search(text):
                kept |= pattern.bit
        return kept

    # -- gates 2 and 3

    def invents(self, text: str) -> bool:
        """Whether a text is, or asks for, words that its speaker does not mean."""
        lower = plain(text).lower()
        if lower.rstrip().endswith(" /s"):
            return True
        return any(hint in lower for hint in self._hints) and bool(self._fiction.search(lower))

    def opens(self, lead: str, anywhere: bool) -> bool:
        """Whether a statement may begin after `lead`."""
        if not lead or self._gate["opening"].fullmatch(lead):
            return True
        end = lead[-_LEAD:]
        if not anywhere and not self._gate["joint"].search(end):
            return False
        if self._gate["negated"].search(end):
            return False
        return self._undone.isdisjoint(_LETTERS.findall(lead.lower()))

    def matches(self, sentence: str, mask: int) -> Iterator[Found]:
        """What the patterns of a mask find in a sentence, in the order of the grammar."""
        said = False
        for pattern in self._chosen(mask):
            if pattern.fallback and said:
                break
            for match in pattern.regex.finditer(sentence):
                if not self.opens(sentence[: match.start()], pattern.anywhere):
                    continue
                found = self._found(pattern, match, sentence)
                if found is not None:
                    if self._gate["unmeant"].search(sentence):
                        return
                    said = True
                    yield found

    def _chosen(self, mask: int) -> Iterator[Pattern]:
        """The patterns of a mask, in order, and last those that speak only where no other does."""
        for bits in (mask & ~self._fallbacks, mask & self._fallbacks):
            while bits:
                low = bits & -bits
                bits ^= low
                yield self.patterns[low.bit_length() - 1]

    def _found(self, pattern: Pattern, match: re.Match[str], sentence: str) -> Found | None:
        groups: dict[str, str] = {}
        for name, raw in match.groupdict(default="").items():
            if name == "value":
                part = self.tidy(raw, pattern.shape, sentence[match.end("value") :])
            elif name == "topic":
                part = self.tidy(raw, "topic", sentence[match.end("topic") :])
                part = part and self._spelt(part)
            elif name.startswith("name"):
                part = raw if self._shapes["name"].fullmatch(raw) else None
            else:
                part = self._canonical(raw)
            if part is None:
                return None
            groups[name] = part
        if "object" in groups:
            groups["objects"] = _plural(groups["object"])
        stance = pattern.stance
        if stance == "assert" and self._corrects(sentence, match):
            stance = "correct"
        dated = ""
        if pattern.began:  # a year that is part of the value is no date: "installed Office 2007"
            clause = sentence[match.start() :].replace(groups["value"], "", 1)
            dated = self._dated(pattern.began, clause)
        return Found(pattern, groups, match.start(), stance, dated)

    def _dated(self, began: str, clause: str) -> str:
        """The words in which a clause may say when it began: "since 2019", or a past event's."""
        if began == "since":
            since = self._gate["since"].search(clause)
            clause = clause[since.end() :] if since else ""
        clause = _until(self._gate["clause_end"], clause)
        return "" if self._gate["no_moment"].search(clause) else clause

    def _corrects(self, sentence: str, match: re.Match[str]) -> bool:
        """Whether it says what is so in place of what was said before: "Porto, not Lisbon"."""
        if self._gate["correction"].search(sentence, 0, match.start()):
            return True
        return self._gate["instead"].match(sentence, match.end()) is not None

    def _spelt(self, topic: str) -> str:
        return " ".join(self._spelling.get(word, word) for word in topic.casefold().split())

    def _canonical(self, raw: str) -> str:
        """What a word or each of a few words stands for."""
        words = _squeezed(raw).casefold()
        return self._canon.get(words) or " ".join(self._canon.get(w, w) for w in words.split())

    # -- gate 4

    def tidy(self, raw: str, shape: str, after: str) -> str | None:
        """The value without what is not part of it, or None if that is no short noun phrase."""
        whole = _squeezed(raw.replace("*", "").replace('"', ""))
        value = self._trimmed(whole, shape)
        if _QUOTE_OPENS.search(value) and (value[-1:] == "'" or not _QUOTE_CLOSES.search(value)):
            value = value.replace("'", "", 1).removesuffix("'") if shape != "exact" else value
        if not value or len(value.split()) > _WORDS or len(value) > _CHARACTERS:
            return None
        rest = whole[whole.find(value) + len(value) :] + after
        if self._gate["tail"].match(rest):
            return None
        if self._dangles(value, shape):
            return None
        return value if self._shapes[shape].fullmatch(value) else None

    def _too_general(self, value: str, cut: str, shape: str) -> bool:
        """Whether what was cut off said which ones: "films that ...", "to install and use ..."."""
        words = len(value.split())
        if shape == "taste" and words == 1 and self._trim["joins"].match(cut):
            return True
        which = self._trim["restricts"].match(cut) is not None
        return which and (shape == "taste" or (shape in _TIMED and words < 3))

    def _dangles(self, value: str, shape: str) -> bool:
        """Whether the value breaks off, or points at something said elsewhere."""
        if shape == "exact":
            return False
        if self._trim["dangling"].search(value[-_TAIL:]):
            return True
        return shape != "rule" and not self._elsewhere.isdisjoint(_LETTERS.findall(value.lower()))

    def _trimmed(self, value: str, shape: str) -> str:
        cut = self._trim["cut_rule" if shape == "rule" else "cut"].search(value)
        if cut and self._too_general(value[: cut.start()], cut[0], shape):
            return ""
        value = value[: cut.start()] if cut else value
        if shape == "product":
            value = _until(self._trim["what_for"], value)
        if shape not in _TIMED:
            value = _until(self._trim["time"], value)
        if shape != "exact" and (shape != "taste" or value[:3].lower() != "my "):
            value = self._trim["start"].sub("", value, count=1)
        for _ in range(4):
            end = self._trim["ending"].search(value, max(0, len(value) - _TAIL))
            shorter = (value[: end.start()] if end else value).rstrip(_POINTS)
            if shorter == value:
                break
            value = shorter
        return value


def _until(mark: re.Pattern[str], value: str) -> str:
    found = mark.search(value)
    return value[: found.start()] if found else value


def _forms(word: str) -> list[str]:
    """A word as it may stand between two spaces: tests on whole sets of chunks are the fastest."""
    cases = {word, word.capitalize()}
    cases |= {case.replace("'", "’") for case in cases}
    marks = ("", ",", ".", "!", ";", ":", ")", '"', "*")
    return [lead + case + mark for case in cases for mark in marks for lead in ("", '"', "(", "*")]


_ANCHORS = frozenset(form for word in _FIRST for form in _forms(word))


def _parts_of(chunk: str) -> tuple[str, ...]:
    """The word of a chunk between two spaces, and its parts: "32-year-old", "sister's"."""
    word = chunk.translate(_PLAIN).strip(_EDGES).lower()
    return (word, *_PARTS.split(word))


def _bits_of(chunk: str, bits: Mapping[str, int]) -> int:
    found = 0
    for word in _parts_of(chunk):
        found |= bits.get(word, 0)
    return found


def _squeezed(text: str) -> str:
    return " ".join(text.split())


def _plural(noun: str) -> str:
    return noun + ("es" if noun.endswith(("s", "x", "ch", "sh")) else "s")

"""Claims from English text without a model: patterns kept as data, applied with restraint.

The patterns are in ``grammar.toml``, one family a section, each with its examples; this module is
what all patterns have in common. A text passes these gates, the cheapest first:

1. `_Grammar.mask`: a word that some pattern needs. Most texts end here.
2. the sentence asks nothing, and `_Grammar.matches`: a pattern of that word matches it.
3. `_Grammar.opens`: nothing before the match takes it back, and it is no joke.
4. `_Grammar.tidy`: the value, without adverbials and further clauses, is a short noun phrase.
5. `_Source`: it is the speaker's own, and no quotation, code or fiction.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

from holdfast.derive.memo import Memo
from holdfast.derive.sentences import sentences
from holdfast.derive.times import resolve
from holdfast.state.records import BeliefKind, Claim, Evidence, Stance

_PLAIN = str.maketrans(
    dict.fromkeys("’‘´ʼ", "'") | dict.fromkeys("\xa0\u202f", " ")
)  # keeps places
_EDGES = "\"'“”‘’(),.:;!?*-_[]<>{}#~"
_LONGEST = 400  # characters of a sentence; what is longer is cut at its clauses
_WORDS, _CHARACTERS = 12, 100  # of the longest value
_POINTS = " ,;:-–—.!…"
_WITH_TIMES = frozenset(["plan", "rule", "habit", "exact"])  # shapes of which a time may be part
_NOBODY = frozenset(["user", "human", "you", "me", ""])
_MACHINES = frozenset(["assistant", "tool", "function", "model", "bot", "ai"])
_FIRST = "i i'm i've i'd i'll im ive my we we're we've we'll our me".split()
_REACH = 7  # an "I" and the six words after it
_QUOTING = frozenset('"“«`>\n')  # without any of these nothing is quoted
_ASKING = ("?", "？", "؟")
_MACRO = re.compile(r"<([A-Z][A-Z_0-9]*)>")
_GROUP = re.compile(r"\{(\w+)\}")
_QUOTE_OPENS, _QUOTE_CLOSES = re.compile(r"(?:^|\s)'\w"), re.compile(r"\w'(?:\s|$)")
_SINCE = re.compile(r"\bsince ", re.IGNORECASE)
_NEAR = 12  # characters between "since" and its time: "the end of "
_RANGE = re.compile(r"\b(?:in|over|for|within|during) (?:the )?(?:last|past)\b|\b(?:years?|decades?) ago", re.IGNORECASE)
_CLAUSE_END = re.compile(
    r"[;:()–—]| - |,(?! \d{4})|\b(?:and|but|which|who|because|so|when|after|before|where)\b",
    re.IGNORECASE,
)
_PARTS = re.compile(r"[-/']")
_BREAK = re.compile(r"\n\s*")
_NOT_A_WORD = re.compile(r"[^\w]+")


@dataclass(frozen=True)
class Rules:
    """Claims that English sentences make in so many words; nothing is inferred.

    First-person statements (names, places, work, people, pets, belongings, tastes, plans,
    decisions, counts and amounts), a few statements about named others, standing instructions,
    and what takes earlier statements back.

    Notes
    -----
    Precision before recall: a sentence that no pattern knows makes no claim. Linear in the text.
    The grammar is read from ``grammar.toml`` on first use and compiled once a process.

    Examples
    --------
    >>> text = "By the way, I moved to Porto in March 2024. Is it nice?"
    >>> [claim] = Rules().claims(text, speaker="Ana", role=None, at=1.72e9)
    >>> claim.subject, claim.predicate, claim.value, claim.evidence[0].quote
    ('Ana', 'lives_in', 'Porto', 'By the way, I moved to Porto in March 2024.')
    """

    name: str = "rules"

    def claims(self, text: str, *, speaker: str | None, role: str | None, at: float) -> list[Claim]:
        """The claims of a text, in order of appearance, each once. See `base.Extractor`."""
        grammar = _grammar()
        mask = grammar.mask(text)
        if not mask:
            return []
        if (role or "").lower() in _MACHINES or (speaker or "").lower() in _MACHINES:
            return []
        me = speaker if speaker and speaker.lower() not in _NOBODY else "user"
        return list(_read(grammar, text, mask, me, at))


# ---- one text --------------------------------------------------------------------------------


def _read(grammar: _Grammar, text: str, mask: int, me: str, at: float) -> Iterator[Claim]:
    source = _Source(text, grammar)
    seen: set[tuple[str, str, str, str]] = set()
    spans = sentences(text, _LONGEST)
    for start, end in spans:
        sentence = text[start:end]
        if len(spans) > 1:
            mask = grammar.mask(sentence)
        if not mask or any(mark in sentence for mark in _ASKING):
            continue
        sentence = sentence if sentence.isascii() else sentence.translate(_PLAIN)
        for found in grammar.matches(sentence, mask):
            if source.foreign(start + found.start):
                continue
            claim = found.claim(sentence, me, at)
            key = (claim.subject, claim.predicate, claim.value.casefold(), claim.stance)
            if key not in seen:
                seen.add(key)
                yield _cited(claim, source.evidence(start, end))


def _cited(claim: Claim, evidence: Evidence) -> Claim:
    return Claim(
        claim.subject, claim.predicate, claim.value, claim.kind, None, claim.stance,
        many=claim.many, evidence=(evidence,), valid_from=claim.valid_from,
    )  # fmt: skip


class _Source:
    """One text: which of it is not its speaker's own, and where its bytes are."""

    def __init__(self, text: str, grammar: _Grammar) -> None:
        self._text = text
        self._grammar = grammar
        self._chars = self._bytes = 0  # how far the bytes are counted; sentences come in order

    @cached_property
    def _quoted(self) -> list[tuple[int, int]]:
        if _QUOTING.isdisjoint(self._text):
            return []
        return [match.span() for match in self._grammar.quoted.finditer(self._text)]

    @cached_property
    def _fiction(self) -> bool:
        return self._grammar.invents(self._text)

    def foreign(self, position: int) -> bool:
        """Whether what stands there is a quotation or code, or the whole is fiction."""
        i = bisect_right(self._quoted, (position, len(self._text))) - 1
        return (i >= 0 and position < self._quoted[i][1]) or self._fiction

    def evidence(self, start: int, end: int) -> Evidence:
        """The bytes between two characters; to be asked in the order of `start`."""
        quote = self._text[start:end]
        self._bytes += len(self._text[self._chars : start].encode("utf-8", "surrogatepass"))
        self._chars = start
        length = len(quote.encode("utf-8", "surrogatepass"))
        return Evidence(0, self._bytes, self._bytes + length, quote)


# ---- one pattern -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Pattern:
    """One ``[[family.pattern]]`` of the grammar, compiled."""

    family: str
    words: tuple[str, ...]
    also: tuple[str, ...]
    far: bool
    regex: re.Pattern[str]
    subject: str
    predicate: str
    value: str
    shape: str
    kind: BeliefKind
    stance: Stance
    many: bool | None
    began: str
    anywhere: bool
    fallback: bool


@dataclass(frozen=True, slots=True)
class _Found:
    """A pattern that matched and passed: what it says."""

    pattern: _Pattern
    groups: Mapping[str, str]
    start: int  # of the match in the sentence
    stance: Stance

    def claim(self, sentence: str, me: str, at: float) -> Claim:
        """The claim, without its evidence."""
        groups = {**self.groups, "speaker": me}
        rule = self.pattern
        return Claim(
            _filled(rule.subject, groups),
            _snake(_filled(rule.predicate, groups)),
            _filled(rule.value, groups),
            rule.kind,
            stance=self.stance,
            many=rule.many,
            valid_from=self._began(sentence, at) if rule.began else None,
        )

    def _began(self, sentence: str, at: float) -> float | None:
        """When it began, if its clause says so: "since 2019", or the date of a past event."""
        clause = sentence[self.start :]
        if self.pattern.began == "since":
            since = _SINCE.search(clause)
            clause = clause[since.end() :] if since else ""
        clause = _until(_CLAUSE_END, clause)
        if _RANGE.search(clause):
            return None
        times = resolve(clause, at)
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


# ---- the grammar -----------------------------------------------------------------------------


@cache
def _grammar() -> _Grammar:
    data: dict[str, Any] = {}
    for name in ("words.toml", "grammar.toml"):
        data |= tomllib.loads((files("holdfast.extract") / name).read_text(encoding="utf-8"))
    return _Grammar(data)


class _Grammar:
    """The patterns, and the words around them that decide whether a match is meant."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self._macros: Mapping[str, str] = data["macro"]
        self._canon: Mapping[str, str] = data["canon"]
        self._spelling: Mapping[str, str] = data["spelling"]
        self.patterns = [
            self._pattern(family["name"], entry)
            for family in data["family"]
            for entry in family["pattern"]
        ]
        self._index()
        self._fallbacks = sum(1 << i for i, p in enumerate(self.patterns) if p.fallback)
        gates: Mapping[str, str] = data["gate"]
        self._unmeant = self._compile(gates["unmeant"])
        self._opening = self._compile(gates["opening"])
        self._joint = self._compile(gates["joint"])
        self._undone = self._compile(gates["undone"])
        self._negated = self._compile(gates["negated"])
        self._correction = self._compile(gates["correction"])
        self._instead = self._compile(gates["instead"])
        self._tail = self._compile(gates["tail"])
        self._fiction = self._compile(gates["fiction"])
        self._fiction_words = frozenset(
            f for w in gates["fiction_words"].split() for f in _forms(w)
        )
        self.quoted = re.compile(gates["quoted"], re.MULTILINE | re.DOTALL)
        trim: Mapping[str, str] = data["trim"]
        self._cut = self._compile(trim["cut"])
        self._time = self._compile(trim["time"])
        self._what_for = self._compile(trim["what_for"])
        self._restricts = self._compile(trim["restricts"])
        self._ending = self._compile(trim["ending"], fold=False)  # not the end of a name
        self._start = self._compile(trim["start"])
        self._dangling = self._compile(trim["dangling"])
        self._refers = self._compile(trim["refers"])
        self._shapes = {n: self._compile(p, fold=False) for n, p in data["shape"].items()}

    # -- reading the data

    def _compile(self, pattern: str, fold: bool = True) -> re.Pattern[str]:
        return re.compile(self._expanded(pattern), re.IGNORECASE if fold else 0)

    def _expanded(self, pattern: str) -> str:
        """The pattern on one line, with its macros written out."""
        pattern = _BREAK.sub("", pattern)
        while _MACRO.search(pattern):
            pattern = _MACRO.sub(lambda m: f"(?:{_BREAK.sub('', self._macros[m[1]])})", pattern)
        return pattern

    def _pattern(self, family: str, entry: Mapping[str, Any]) -> _Pattern:
        return _Pattern(
            family=family,
            words=self._words(entry["words"]),
            also=self._words(entry.get("also", ())),
            far=entry.get("far", not entry.get("subject", "{speaker").startswith("{speaker")),
            regex=self._compile(entry["pattern"]),
            subject=entry.get("subject", "{speaker}"),
            predicate=entry["predicate"],
            value=entry.get("value", "{value}"),
            shape=entry.get("shape", "thing"),
            kind=entry.get("kind", "fact"),
            stance=entry.get("stance", "assert"),
            many=entry.get("many"),
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
        self._far: dict[str, int] = {}
        self._also: list[tuple[int, frozenset[str]]] = []
        for i, pattern in enumerate(self.patterns):
            for word in pattern.words:
                for form in _forms(word) if pattern.far else (word,):
                    bits = self._far if pattern.far else near
                    bits[form] = bits.get(form, 0) | 1 << i
            if pattern.also:
                self._also.append((1 << i, frozenset(pattern.also)))
        self._near: Memo[int] = Memo(lambda chunk: _bits_of(chunk, near))
        self._parts: Memo[tuple[str, ...]] = Memo(_parts_of)
        self._far_words = frozenset(self._far)
        self._choosy = sum(bit for bit, _ in self._also)

    # -- gate 1

    def mask(self, text: str) -> int:
        """The patterns of which some word stands in the text, as bits; 0 for most texts.

        The hot path of every write: a set operation in C, and a look at the words after an "I".
        """
        chunks = text.split()
        found = 0
        if not _ANCHORS.isdisjoint(chunks):
            near = self._near
            for i, chunk in enumerate(chunks):
                if chunk in _ANCHORS:
                    for follower in chunks[i : i + _REACH]:
                        found |= near[follower]
        if not self._far_words.isdisjoint(chunks):
            for word in self._far_words.intersection(chunks):
                found |= self._far[word]
        if found & self._choosy:
            present = {word for chunk in chunks for word in self._parts[chunk]}
            for bit, words in self._also:
                if found & bit and words.isdisjoint(present):
                    found ^= bit
        return found

    # -- gates 2 and 3

    def invents(self, text: str) -> bool:
        """Whether a text is, or asks for, words that are not its speaker's own."""
        if self._fiction_words.isdisjoint(text.split()):
            return False
        return self._fiction.search(text.translate(_PLAIN)) is not None

    def opens(self, lead: str, anywhere: bool) -> bool:
        """Whether a statement may begin after `lead`."""
        if not lead or self._opening.fullmatch(lead):
            return True
        if self._undone.search(lead) or self._negated.search(lead):
            return False
        return anywhere or self._joint.search(lead) is not None

    def matches(self, sentence: str, mask: int) -> Iterator[_Found]:
        """What the patterns of a mask find in a sentence, in the order of the grammar."""
        said = False
        for pattern in self._chosen(mask):
            if pattern.fallback and said:
                break
            for match in pattern.regex.finditer(sentence):
                if not self.opens(sentence[: match.start()], pattern.anywhere):
                    continue
                if self._unmeant.search(sentence):
                    return
                found = self._found(pattern, match, sentence)
                if found is not None:
                    said = True
                    yield found

    def _chosen(self, mask: int) -> Iterator[_Pattern]:
        """The patterns of a mask, in order, and last those that speak only where no other does."""
        for bits in (mask & ~self._fallbacks, mask & self._fallbacks):
            while bits:
                low = bits & -bits
                bits ^= low
                yield self.patterns[low.bit_length() - 1]

    def _found(self, pattern: _Pattern, match: re.Match[str], sentence: str) -> _Found | None:
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
        return _Found(pattern, groups, match.start(), stance)

    def _corrects(self, sentence: str, match: re.Match[str]) -> bool:
        """Whether it says what is so in place of what was said before: "Porto, not Lisbon"."""
        if self._correction.search(sentence, 0, match.start()):
            return True
        return self._instead.match(sentence, match.end()) is not None

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
        if self._tail.match(rest):
            return None
        if self._dangles(value, shape):
            return None
        return value if self._shapes[shape].fullmatch(value) else None

    def _dangles(self, value: str, shape: str) -> bool:
        """Whether the value breaks off, or points at something said elsewhere."""
        if shape == "exact":
            return False
        return bool(
            self._dangling.search(value) or (shape != "rule" and self._refers.search(value))
        )

    def _trimmed(self, value: str, shape: str) -> str:
        cut = self._cut.search(value)
        if cut and shape == "taste" and self._restricts.match(cut[0]):
            return ""
        value = _until(self._cut, value)
        if shape == "product":
            value = _until(self._what_for, value)
        if shape not in _WITH_TIMES:
            value = _until(self._time, value)
        if shape != "taste" or value[:3].lower() != "my ":
            value = self._start.sub("", value, count=1)
        for _ in range(4):
            shorter = self._ending.sub("", value).rstrip(_POINTS)
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

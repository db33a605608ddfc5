"""One member of a JSON file put in, replaced or taken out as text: all else stays byte for byte.

Comments, and commas after a last member, are allowed as editors allow them in their files.
"""

from __future__ import annotations

import json
import re
from json.decoder import JSONDecoder
from typing import Any

from holdfast.errors import ArgumentsError

Path = tuple[str, str]
"""The name of an object in the file, and of the member in it."""

_COMMENT = re.compile(r'"(?:[^"\\]|\\.)*"|//[^\n\r]*|/\*.*?\*/', re.DOTALL)
_LAST_COMMA = re.compile(r'"(?:[^"\\]|\\.)*"|,(?=\s*[}\]])', re.DOTALL)
_REMARK = re.compile(r"[ \t]*(?://[^\n\r]*|/\*[^\n\r]*?\*/)")
_BOM, _SPACE = "\ufeff", " \t\r\n"


def get(text: str, path: Path) -> Any:
    """The member's value; None if there is none. Raises `ArgumentsError` as `put` does."""
    found = load(text).get(path[0])
    if found is not None and not isinstance(found, dict):
        raise ArgumentsError(f"its {path[0]!r} is not an object; mend it by hand, then try again")
    return (found or {}).get(path[1])


def put(text: str, path: Path, value: Any) -> str:
    """Return the text with this value for the member; objects are made as needed.

    Raises
    ------
    ArgumentsError
        If the text is no JSON object, or what should hold the member is none.

    Examples
    --------
    >>> print(put('{"a": 1} // mine', ("servers", "new"), {"x": 2}))
    {"a": 1, "servers": {"new": {"x": 2}}} // mine
    """
    get(text, path)
    if _empty(text):
        return f"{text}{json.dumps({path[0]: {path[1]: value}}, indent=2, ensure_ascii=False)}\n"
    root = _Object(text, _start(text))
    if path[0] not in root.members:
        return root.with_one_more(path[0], {path[1]: value})
    inner = _Object(text, root.members[path[0]][1], root.step)
    if path[1] not in inner.members:
        return inner.with_one_more(path[1], value)
    key, start, end = inner.members[path[1]]
    return text[:start] + inner.written(value, _space_before(text, key)) + text[end:]


def drop(text: str, path: Path) -> str:
    """Return the text without the member; as it is, if there is none. Raises as `put` does."""
    if get(text, path) is None:
        return text
    root = _Object(text, _start(text))
    return _Object(text, root.members[path[0]][1], root.step).without(path[1])


def load(text: str) -> dict[str, Any]:
    """The object that a text is, comments aside. Raises `ArgumentsError` if it is none."""
    if _empty(text):
        return {}
    try:
        found = json.loads(_plain(text))
    except json.JSONDecodeError as wrong:
        raise ArgumentsError(
            f"it is not JSON (line {wrong.lineno}: {wrong.msg.lower()}); mend it, then try again"
        ) from None
    except (ValueError, RecursionError):
        raise ArgumentsError("it cannot be read as JSON; mend it by hand, then try again") from None
    if not isinstance(found, dict):
        raise ArgumentsError("it is JSON but not an object; mend it by hand, then try again")
    return found


class _Object:
    """An object in a text that `load` has read: where its members are, and how it is laid out."""

    def __init__(self, text: str, start: int, step: str | None = None) -> None:
        self.text, self.start = text, start
        # name -> where the name starts, where its value starts, where that ends
        self.members: dict[str, tuple[int, int, int]] = {}
        plain, decoder = _plain(text), JSONDecoder()
        at = _after_space(plain, start + 1)
        while plain[at] != "}":
            name, end = decoder.raw_decode(plain, at)
            value = _after_space(plain, _after_space(plain, end) + 1)
            _, ends = decoder.raw_decode(plain, value)
            self.members[name] = (at, value, ends)
            at = _after_space(plain, ends)
            at = _after_space(plain, at + 1) if plain[at] == "," else at
        self.end = at
        self.line = "\r\n" if "\r\n" in text else "\n"
        self.step = step or self._step()

    def _step(self) -> str:
        """What one level is indented by, as the first member shows."""
        first = min(self.members.values(), default=None)
        before = _space_before(self.text, first[0]) if first else ""
        return (before.rpartition("\n")[2] if "\n" in before else "") or "  "

    def with_one_more(self, name: str, value: Any) -> str:
        """The text with one more member, after the last."""
        text = self.text
        if not self.members:
            line = text[text.rfind("\n", 0, self.start) + 1 :]
            outer = line[: len(line) - len(line.lstrip(" \t"))]
            gap = self.line + outer + self.step
            inside = text[self.start + 1 : self.end].rstrip(_SPACE)
            member = f"{json.dumps(name)}: {self.written(value, gap)}"
            head = text[: self.start + 1] + inside
            return head + gap + member + self.line + outer + text[self.end :]
        key, _, end = max(self.members.values())
        gap = _space_before(text, key)
        bare = _uncommented(text)
        comma = _after_space(bare, end)
        # A comma after the last member is this file's custom, so the new one gets one too.
        lacking, place, tail = (",", end, "") if bare[comma] != "," else ("", comma + 1, ",")
        remark = _REMARK.match(text, place)
        if remark and "\n" in gap:  # it is about the member that it stands beside
            place = remark.end()
        member = f"{json.dumps(name)}: {self.written(value, gap)}"
        return text[:end] + lacking + text[end:place] + (gap or " ") + member + tail + text[place:]

    def without(self, name: str) -> str:
        """The text without a member, its comma and the space before it."""
        text, bare = self.text, _uncommented(self.text)
        key, _, end = self.members[name]
        gap = key - len(_space_before(text, key))
        after = _after_space(bare, end)
        if bare[after] == ",":
            return text[:gap] + text[end:after] + text[after + 1 :]
        before = [ends for _, _, ends in self.members.values() if ends < key]
        if not before:
            return text[:gap] + text[end:]
        comma = bare.index(",", max(before))
        return text[:comma] + text[comma + 1 : gap] + text[end:]

    def written(self, value: Any, gap: str) -> str:
        """A value, on lines of its own if its member has one."""
        if "\n" not in gap:
            return json.dumps(value, ensure_ascii=False)
        lines = json.dumps(value, indent=self.step, ensure_ascii=False).split("\n")
        return (self.line + gap.rpartition("\n")[2]).join(lines)


def _empty(text: str) -> bool:
    return not _uncommented(text).strip(_BOM + _SPACE)


def _start(text: str) -> int:
    """Where the outermost object starts."""
    return _after_space(_plain(text), 0)


def _uncommented(text: str) -> str:
    """The text with spaces in the place of comments, so that all else stays where it is."""
    return _COMMENT.sub(lambda one: one[0] if one[0][0] == '"' else " " * len(one[0]), text)


def _plain(text: str) -> str:
    """The text as JSON proper, with all that is in it at the same place."""
    bare = _LAST_COMMA.sub(lambda one: " " if one[0] == "," else one[0], _uncommented(text))
    return " " + bare[1:] if bare.startswith(_BOM) else bare


def _after_space(text: str, at: int) -> int:
    while at < len(text) and text[at] in _SPACE:
        at += 1
    return at


def _space_before(text: str, at: int) -> str:
    return text[len(text[:at].rstrip(_SPACE)) : at]

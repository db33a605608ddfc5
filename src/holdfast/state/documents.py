"""World states: named JSON documents, each the fold of the edits made to it.

No input or output and no clock: edits arrive in the order of their journal, with their times. The
same edits give the same documents, so a restart, a fork or the removal of one source is a replay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from holdfast.errors import ConflictError, NotFoundError, PatchError
from holdfast.records import Scope
from holdfast.state.patch import MAX_BYTES, Json, apply_merge, apply_patch, check_json, clone, diff

Form = Literal["put", "patch", "merge", "delete"]
FORMS: tuple[Form, ...] = ("put", "patch", "merge", "delete")

_STRIDE = 16  # versions from one kept value to the next
_ABSENT: Any = object()  # the value of a document that is not there


@dataclass(frozen=True, slots=True, kw_only=True)
class Journaled:
    """What a journal knows of an operation it holds; no part of `to_json`."""

    seq: int = 0  # the event that brought it
    n: int = 0  # its place there
    recorded_at: float = 0.0  # POSIX seconds
    source: str = ""  # who said so
    void: bool = False  # known not to count


@dataclass(frozen=True, slots=True)
class Edit(Journaled):
    """One change of one document, as journaled.

    Parameters
    ----------
    name, scope
        Which document.
    form
        "put" `body` in its place, "patch" (RFC 6902) or "merge" (RFC 7396) it with `body`, or
        "delete" it.
    body
        The value or the patch; None for "delete".
    expect
        The version it was made for, 0 for a document that never was; None: whichever.
    stands_for, others
        How many versions it stands for, and sources of these besides `source`: only where
        `Documents.compact` made it.
    """

    name: str
    scope: str
    form: Form
    body: Json = None
    expect: int | None = None
    stands_for: int = 1
    others: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Return it for the journal: keys sorted, what is usual left out.

        >>> Edit("desk", "lab", "merge", {"lamp": None}, expect=3).to_json()
        {'b': {'lamp': None}, 'f': 'merge', 'n': 'desk', 's': 'lab', 'x': 3}
        """
        data = {"b": clone(self.body), "f": self.form, "n": self.name, "s": self.scope}
        data |= {"c": self.stands_for} if self.stands_for != 1 else {}
        data |= {"o": list(self.others)} if self.others else {}
        data |= {"x": self.expect} if self.expect is not None else {}
        return dict(sorted(data.items()))

    @classmethod
    def from_json(cls, data: Mapping[str, Json], **journal: Any) -> Edit:
        """Return what `to_json` wrote; `journal` is what `Journaled` has."""
        name, scope, form, body = (data[key] for key in "nsfb")
        count, others = data.get("c", 1), tuple(data.get("o", ()))
        return cls(name, scope, form, clone(body), data.get("x"), count, others, **journal)


@dataclass(frozen=True, slots=True)
class Document:
    """A document as one edit left it. `value` is a copy; None where `deleted`."""

    name: str
    scope: str
    version: int  # 1, 2, 3, …: the edits so far
    value: Json
    recorded_at: float
    seq: int
    deleted: bool = False


class Documents:
    """The documents that a journal of edits makes.

    Parameters
    ----------
    max_bytes
        The largest document. Part of the fold: under another limit, an old journal may give
        another state.

    Notes
    -----
    Keeps every edit, the newest value of each document, and one value in 16 on the way: a read of
    an older version replays at most 15 edits. An edit costs O(size of document and body).

    Differs from Statler: the state is JSON and its changes are checked patches, where the paper
    has a model write the whole state anew as text; and no older state is lost.

    Examples
    --------
    >>> desk = Documents()
    >>> _ = desk.apply(Edit("desk", "lab", "put", {"lamp": "off"}, recorded_at=10.0))
    >>> edit = Edit("desk", "lab", "merge", {"lamp": "on"}, expect=1, recorded_at=20.0)
    >>> desk.check(edit)
    >>> desk.apply(edit).version
    2
    >>> desk.at("desk", "lab", 15.0).value
    {'lamp': 'off'}
    >>> desk.check(edit)
    Traceback (most recent call last):
    holdfast.errors.ConflictError: document 'desk' in scope 'lab' was expected at version 1 but is \
at 2; read it, redo the change and send it with expect=2

    References
    ----------
    Yoneda et al., Statler: State-Maintaining Language Models for Embodied Reasoning,
    arXiv:2306.17840; RFC 6902, JSON Patch; RFC 7396, JSON Merge Patch
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self.max_bytes = max_bytes
        self.voided = 0  # edits that did not apply
        self._lines: dict[tuple[str, str], _Line] = {}
        self._names: dict[str, list[str]] = {}  # of every line, by scope

    def check(self, edit: Edit) -> None:
        """Refuse an edit that would not apply to the document as it is now.

        Raises
        ------
        ConflictError
            If the document is at another version than `edit.expect`.
        PatchError
            If the edit is malformed, or its body does not apply.
        """
        label = _label(edit.name, edit.scope)
        line = self._lines.get((edit.scope, edit.name))
        version = line.version if line else 0
        if edit.expect is not None and edit.expect != version:
            raise ConflictError(
                f"{label} was expected at version {edit.expect} but is at {version}; "
                f"read it, redo the change and send it with expect={version}"
            )
        try:
            _change(line.value if line else _ABSENT, edit, self.max_bytes)
        except PatchError as error:
            raise PatchError(f"{label} at version {version}: {error}") from None

    def apply(self, edit: Edit) -> Document | None:
        """Add the journal's next edit; return the document, or None where it does not apply.

        Such an edit, say a patch of what only a removed source had put there, is skipped, counted
        in `voided` and takes no version. `expect` is for `check` and plays no part here. A
        recorded time before that of the edit it follows counts as that one.
        """
        key = (edit.scope, edit.name)
        line = self._lines.get(key) if edit.stands_for == 1 else None  # it stands for all before
        try:
            if edit.void:
                raise PatchError("it is void")
            value = _change(line.value if line else _ABSENT, edit, self.max_bytes)
        except PatchError:
            self.voided += 1
            return None
        if key not in self._lines:
            self._names.setdefault(edit.scope, []).append(edit.name)
        line = self._lines[key] = line or _Line(self.max_bytes)
        line.push(edit, value)
        return line.document(line.version)

    def get(self, name: str, scope: str, version: int | None = None) -> Document:
        """Return a document as it is, or as it was at `version`.

        Raises
        ------
        NotFoundError
            If there is none, it is deleted, or that version is dropped or not yet made.
        """
        label, line = _label(name, scope), self._lines.get((scope, name))
        if line is None:
            raise NotFoundError(f"{label} does not exist; put it first")
        version = line.version if version is None else version
        if not line.first <= version <= line.version:
            raise NotFoundError(
                f"{label} has no version {version}; it has {line.first} to {line.version}"
            )
        found = line.document(version)
        if found.deleted:
            raise NotFoundError(f"{label} is deleted at version {version}; read an earlier one")
        return found

    def version(self, name: str, scope: str) -> int:
        """Return the version of a document, deleted or not; 0 if it never was."""
        line = self._lines.get((scope, name))
        return line.version if line else 0

    def at(self, name: str, scope: str, time: float) -> Document | None:
        """Return a document as recorded by `time`; None: not there, or `time` is before `horizon`.

        O(log edits), and the replay of at most 15.
        """
        line = self._lines.get((scope, name))
        kept = bisect_right(line.edits, time, key=lambda e: e.recorded_at) if line else 0
        if line is None or not kept:
            return None
        found = line.document(line.first + kept - 1)
        return None if found.deleted else found

    def horizon(self, name: str, scope: str) -> float | None:
        """Return the record time before which history is dropped; None if all of it is kept."""
        line = self._lines.get((scope, name))
        return line.edits[0].recorded_at if line and line.first > 1 else None

    def history(self, name: str, scope: str) -> list[Document]:
        """Return every kept version, oldest first; those that deleted it too."""
        line = self._lines.get((scope, name))
        return [line.document(v) for v in range(line.first, line.version + 1)] if line else []

    def made_by(self, name: str, scope: str, seq: int) -> Document | None:
        """Return a document as the event `seq` left it; None if that is not kept. O(log edits)."""
        line = self._lines.get((scope, name))
        kept = bisect_right(line.edits, seq, key=lambda e: e.seq) if line else 0
        if line is None or not kept or line.edits[kept - 1].seq != seq:
            return None
        return line.document(line.first + kept - 1)

    def names(self, scope: str) -> list[str]:
        """Return the documents that exist in a scope, sorted."""
        names = self._names.get(scope, ())
        return sorted(n for n in names if self._lines[scope, n].value is not _ABSENT)

    def within(self, scope: str, deleted: bool = False) -> list[Document]:
        """Return the documents of a scope and of those inside it, by scope and name.

        `deleted` ones as well, if they are asked for: their versions still count. O(scopes) and
        what is found.
        """
        where = Scope(scope)
        return [
            line.document(line.version)
            for at in sorted(filter(where.covers, self._names))
            for line in (self._lines[at, name] for name in sorted(self._names[at]))
            if deleted or line.value is not _ABSENT
        ]

    def diff(self, name: str, scope: str, a: int, b: int) -> list[dict[str, Json]]:
        """Return the RFC 6902 patch from version `a` to `b`; either may be the older.

        Raises
        ------
        NotFoundError
            If `get` has no such version.
        """
        before, after = self.get(name, scope, a).value, self.get(name, scope, b).value
        return diff(before, after, max_bytes=self.max_bytes)

    def compact(self, name: str, scope: str, keep_after_version: int) -> Edit | None:
        """Drop the versions before one; return the edit that stands for them and it.

        The journal keeps that edit in place of those it has up to its seq and n: a replay then
        gives the same versions. None: nothing was older. Its sources are `source` and `others`:
        to remove one of them later, the edit must go, and with it what all of them put there.

        Raises
        ------
        NotFoundError
            If the document has no such version.
        """
        line = self._lines.get((scope, name))
        if line is None or not 1 <= keep_after_version <= line.version:
            have = f"it has {line.first} to {line.version}" if line else "it does not exist"
            raise NotFoundError(
                f"{_label(name, scope)} has no version {keep_after_version}; {have}"
            )
        return line.compact(keep_after_version) if keep_after_version > line.first else None

    def canonical(self) -> Json:
        """Return ``[scope, name, version, value]`` of each document, sorted, for a digest of state.

        A deleted one has no value there. Neither seq numbers nor times take part.
        """
        return [
            [scope, name, line.version, *([] if line.value is _ABSENT else [clone(line.value)])]
            for (scope, name), line in sorted(self._lines.items())
        ]


class _Line:
    """The kept versions of one document: ``edits[i]`` made version ``first + i``."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.edits: list[Edit] = []
        self.first = 0
        self.version = 0
        self.value = _ABSENT
        self.marks: dict[int, Json] = {}  # values of `first` and of multiples of the stride

    def push(self, edit: Edit, value: Json) -> None:
        floor = self.edits[-1].recorded_at if self.edits else edit.recorded_at
        recorded_at = max(edit.recorded_at, floor)
        self.edits.append(replace(edit, body=clone(edit.body), recorded_at=recorded_at))
        self.version, self.value = self.version + edit.stands_for, value
        self.first = self.first or self.version
        if self.version == self.first or self.version % _STRIDE == 0:
            self.marks[self.version] = value

    def at(self, version: int) -> Json:
        if version == self.version:
            return self.value
        mark = max(self.first, version // _STRIDE * _STRIDE)
        value = self.marks[mark]
        for edit in self.edits[mark - self.first + 1 : version - self.first + 1]:
            value = _change(value, edit, self.max_bytes)
        return value

    def document(self, version: int) -> Document:
        edit, value = self.edits[version - self.first], self.at(version)
        gone = value is _ABSENT
        value = None if gone else clone(value)
        return Document(edit.name, edit.scope, version, value, edit.recorded_at, edit.seq, gone)

    def compact(self, version: int) -> Edit:
        value, dropped = self.at(version), version - self.first
        last, older = self.edits[dropped], self.edits[:dropped]
        sources = {s for e in (*older, last) for s in (e.source, *e.others)} - {last.source}
        form: Form = "delete" if value is _ABSENT else "put"
        body = None if value is _ABSENT else clone(value)
        base = replace(
            last,
            form=form,
            body=body,
            expect=None,
            stands_for=version,
            others=tuple(sorted(sources)),
        )
        self.edits[: dropped + 1] = [base]
        self.first = version
        self.marks = {version: value} | {v: kept for v, kept in self.marks.items() if v > version}
        return replace(base, body=clone(body))


def _change(value: Json, edit: Edit, max_bytes: int) -> Json:
    """Return what `edit` makes of `value`, sharing nothing with either."""
    match edit.form:
        case _ if not edit.name:
            raise PatchError("a document needs a name; give one")
        case "put":
            check_json(edit.body, "the value", max_bytes)
            return clone(edit.body)
        case "merge":
            return apply_merge({} if value is _ABSENT else value, edit.body, max_bytes=max_bytes)
        case "patch" if value is not _ABSENT:
            return apply_patch(value, edit.body, max_bytes=max_bytes)
        case "delete" if value is not _ABSENT or edit.stands_for > 1:
            return _ABSENT
        case "patch" | "delete":
            raise PatchError(f"there is no document to {edit.form}; put it first")
    raise PatchError(f"an edit has one of the forms {', '.join(FORMS)}; name one")


def _label(name: str, scope: str) -> str:
    return f"document {name!r} in scope {scope!r}"

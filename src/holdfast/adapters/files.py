"""A tree of text files in a memory's documents, with the commands of a model's memory tool.

The document ``/memories`` holds the folders, and ``/memories/notes/a.md`` the lines of that file.
Whatever makes, moves or removes a path also edits ``/memories`` at the version it was planned for;
whatever edits a text, its own document. Of two writers that plan for one version the second plans
anew, so no edit that was acknowledged is lost.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeAlias

from holdfast.adapters.scopes import home
from holdfast.errors import ConflictError, NotFoundError
from holdfast.memory import Memory
from holdfast.mirror import Mirror
from holdfast.seat import Seat
from holdfast.state.documents import Edit
from holdfast.state.patch import Json, diff, encode

ROOT = "/memories"

_LEVELS = 2  # of a folder that a view shows
_AROUND = 2  # lines that an edit shows before and after the line it begins in
_WIDTH = 6  # of a line number
_MOST_FILES = 1000  # that one command may move or delete
_CLEARED_AT_ONCE = 100  # files
_UNITS = "BKMG"


class RefusedError(Exception):
    """A command that cannot be carried out, in the words that its model is told."""


Plan: TypeAlias = tuple[
    str | RefusedError, list[Edit]
]  # the answer, and what must be written for it


class Files:
    """The files below ``/memories`` in one scope of a memory.

    Commands answer in text, or raise `RefusedError`. Each is one write, all of it or nothing.
    """

    def __init__(self, memory: Memory | Seat, scope: str | None = None) -> None:
        self._memory, self._scope = memory, home(memory, scope)

    def view(self, path: str, span: Sequence[int] | None = None) -> str:
        """A folder's content two levels deep, or a file's lines, numbered."""

        def plan(tree: _Tree) -> Plan:
            place = _place(path)
            match tree.kind(place):
                case "file":
                    return _numbered(path, tree.text(place), span), []
                case "folder":
                    return tree.listing(place, path), []
            raise RefusedError(f"The path {path} does not exist. Please provide a valid path.")

        return self._run(plan)

    def create(self, path: str, text: str) -> str:
        """Make a file, and the folders above it."""

        def plan(tree: _Tree) -> Plan:
            place = _place(path)
            if tree.kind(place):
                raise RefusedError(f"File {path} already exists")
            made = tree.missing(place, path)
            edits = [tree.restructure(made), tree.put(place, text.split("\n"))]
            return f"File created successfully at: {path}", edits

        return self._run(plan)

    def replace(self, path: str, old: str, new: str) -> str:
        """Put a text in the place of one that a file has exactly once."""

        def plan(tree: _Tree) -> Plan:
            place = tree.file(path)
            text = tree.text(place)
            found = text.count(old)
            if not found:
                raise RefusedError(
                    f"No replacement was performed, old_str `{old}` did not appear verbatim "
                    f"in {path}."
                )
            if found > 1:
                lines = ", ".join(map(str, _lines_of(text, old)))
                raise RefusedError(
                    f"No replacement was performed. Multiple occurrences of old_str `{old}` "
                    f"in lines: {lines}. Please ensure it is unique"
                )
            after = text.replace(old, new)
            return _edited(after, text[: text.find(old)].count("\n")), tree.edit(place, after)

        return self._run(plan)

    def insert(self, path: str, line: int, text: str) -> str:
        """Put a text after a line of a file, 0 for its beginning."""

        def plan(tree: _Tree) -> Plan:
            place = tree.file(path)
            lines = tree.text(place).split("\n")
            if not lines[-1]:  # what follows a final newline is no line
                lines.pop()
            if not 0 <= line <= len(lines):
                raise RefusedError(
                    f"Invalid `insert_line` parameter: {line}. "
                    f"It should be within the range [0, {len(lines)}]."
                )
            lines.insert(line, text.rstrip("\n"))
            after = "\n".join(lines)
            after += "" if after.endswith("\n") else "\n"
            return f"The file {path} has been edited.", tree.edit(place, after)

        return self._run(plan)

    def delete(self, path: str) -> str:
        """Delete a file, or a folder with all that is in it."""

        def plan(tree: _Tree) -> Plan:
            place = _place(path)
            if not place:
                raise RefusedError(f"Cannot delete the {ROOT} directory itself")
            if not tree.kind(place):
                raise RefusedError(f"The path {path} does not exist")
            files = tree.files_at(place, path)
            gone = [tree.restructure((), tree.folders_at(place)), *map(tree.drop, files)]
            return f"Successfully deleted {path}", gone

        return self._run(plan)

    def rename(self, old: str, new: str) -> str:
        """Move a file, or a folder with all that is in it.

        As in a file system, folders on the way to `new` are made even if there is nothing to move.
        """

        def plan(tree: _Tree) -> Plan:
            start, end = _place(old), _place(new)
            if not start:
                raise RefusedError(f"Cannot rename the {ROOT} directory itself")
            if tree.kind(end):
                raise RefusedError(f"The destination {new} already exists")
            made = tree.missing(end, new)
            kept = [tree.restructure(made)] if made else []
            if end.startswith(f"{start}/"):
                return RefusedError(f"The path {old} cannot be moved into itself"), kept
            if not tree.kind(start):
                return RefusedError(f"The path {old} does not exist"), kept
            files, folders = tree.files_at(start, old), tree.folders_at(start)
            made += [end + folder[len(start) :] for folder in folders]
            edits = [tree.restructure(made, folders), *map(tree.drop, files)]
            edits += [tree.put(end + one[len(start) :], tree.value(one)) for one in files]
            return f"Successfully renamed {old} to {new}", edits

        return self._run(plan)

    def clear(self) -> str:
        """Delete everything, so many files to a write."""

        def plan(tree: _Tree) -> Plan:
            files = tree.files[:_CLEARED_AT_ONCE]
            if not files and not tree.folders:
                return "All memory cleared", []
            folders = tree.folders_at("") if len(files) == len(tree.files) else []
            return "", [tree.restructure((), folders), *map(tree.drop, files)]

        while not (answer := self._run(plan)):
            pass
        return answer

    def _run(self, plan: Callable[[_Tree], Plan]) -> str:
        """Answer a plan once what it asks for is written; planned anew until nobody was faster."""
        while True:
            mirror = self._readable()._mirror
            try:
                answer, edits = plan(_Tree(mirror, self._scope))
                if edits:
                    self._memory.edit_documents(edits)
            except ConflictError:  # somebody else's edit was written: there is progress
                continue
            if isinstance(answer, RefusedError):
                raise answer
            return answer

    def _readable(self) -> Memory:
        """The memory, up to date, once it is known that the scope may be read."""
        if isinstance(self._memory, Seat):
            self._memory._at(self._scope)
            return self._memory._memory
        self._memory._refresh()
        return self._memory


class _Tree:
    """What there is. A place is a path below the root, "" for the root itself.

    Each document is read when it is asked for and not again, with the memory's lock held for no
    longer; whatever is planned with it expects the version that was read.

    Raises
    ------
    ConflictError
        If a document is gone, or made, since the tree was looked at.
    """

    def __init__(self, mirror: Mirror, scope: str) -> None:
        self._mirror, self._scope = mirror, scope
        with mirror.lock:
            documents = mirror.state.documents
            names = documents.names(scope)
            self._versions = {one: documents.version(one, scope) for one in (*names, ROOT)}
            told = documents.get(ROOT, scope).value if ROOT in names else {}
        self._read: dict[str, Json] = {}
        self.files = [name[len(ROOT) + 1 :] for name in names if name.startswith(f"{ROOT}/")]
        self.folders = {*told, *(above for one in (*self.files, *told) for above in _above(one))}
        self._known = set(self.files)

    # ---- reading ---------------------------------------------------------------------------

    def kind(self, place: str) -> str:
        """Either "file" or "folder", or nothing if there is none."""
        if place in self._known:
            return "file"
        return "folder" if not place or place in self.folders else ""

    def file(self, path: str) -> str:
        """The place of a file."""
        place = _place(path)
        match self.kind(place):
            case "file":
                return place
            case "folder":
                raise RefusedError(f"The path {path} is not a file.")
        raise RefusedError(f"The path {path} does not exist. Please provide a valid path.")

    def value(self, place: str) -> Json:
        name = _name(place)
        if name not in self._read:
            try:
                with self._mirror.lock:
                    found = self._mirror.state.documents.get(name, self._scope)
            except NotFoundError as gone:
                raise ConflictError(f"{gone}: it was there a moment ago") from None
            self._read[name], self._versions[name] = found.value, found.version
        return self._read[name]

    def text(self, place: str) -> str:
        """A file's text; of a document that somebody else put there, its text or else its JSON."""
        value = self.value(place)
        if isinstance(value, list) and all(isinstance(line, str) for line in value):
            return "\n".join(value)
        return value if isinstance(value, str) else encode(value)

    def missing(self, place: str, path: str) -> list[str]:
        """The folders that would have to be made above a place."""
        if any(self.kind(above) == "file" for above in _above(place)):
            raise RefusedError(f"The path {path} leads through a file; name a directory there")
        return [above for above in _above(place) if not self.kind(above)]

    def files_at(self, place: str, path: str) -> list[str]:
        """The file of a place, or those below it; not too many for one command."""
        found = [one for one in self.files if one == place or one.startswith(f"{place}/")]
        if len(found) > _MOST_FILES:
            raise RefusedError(
                f"The path {path} holds {len(found)} files, over the {_MOST_FILES} that one "
                "command may change; do it in parts"
            )
        return found

    def folders_at(self, place: str) -> list[str]:
        """The folder of a place and those below it."""
        inside = f"{place}/" if place else ""
        return sorted(one for one in self.folders if one == place or one.startswith(inside))

    def listing(self, place: str, path: str) -> str:
        """What a view of a folder says; a folder's size is that of all files in it."""
        sizes: Counter[str] = Counter()
        for one in self.files:
            if place and not one.startswith(f"{place}/"):
                continue
            nbytes = len(self.text(one).encode())
            for above in (one, *_above(one), ""):
                sizes[above] += nbytes
        inside = defaultdict(list)
        for one in {*self.files, *self.folders}:
            above, _, name = one.rpartition("/")
            inside[above].append(name)

        def lines(at: str, shown: str, level: int) -> Iterator[str]:
            for name in sorted(inside[at]):
                if name.startswith("."):
                    continue
                inner, label = f"{at}/{name}".lstrip("/"), f"{shown}/{name}"
                is_folder = self.kind(inner) == "folder"
                yield f"{_size(sizes[inner])}\t{label}{'/' if is_folder else ''}"
                if is_folder and level < _LEVELS:
                    yield from lines(inner, label, level + 1)

        head = (
            f"Here're the files and directories up to {_LEVELS} levels deep in {path}, "
            "excluding hidden items:"
        )
        return "\n".join([head, f"{_size(sizes[place])}\t{path}", *lines(place, path, 1)])

    # ---- edits -----------------------------------------------------------------------------

    def restructure(self, made: Iterable[str], gone: Iterable[str] = ()) -> Edit:
        """Tell which folders are made and gone. Without any, it still is a version of the tree."""
        folders = dict.fromkeys(gone) | dict.fromkeys(made, True)
        return self._edit(ROOT, "merge", folders)

    def put(self, place: str, value: Json) -> Edit:
        return self._edit(_name(place), "put", value)

    def drop(self, place: str) -> Edit:
        return self._edit(_name(place), "delete", None)

    def edit(self, place: str, text: str) -> list[Edit]:
        """The lines that change, so that a long file's history stays short; [] if none does."""
        before, after = self.value(place), text.split("\n")
        if not isinstance(before, list):
            return [self.put(place, after)]
        changes = diff(before, after)
        return [self._edit(_name(place), "patch", changes)] if changes else []

    def _edit(self, name: str, form: Any, body: Json) -> Edit:
        if name not in self._versions:  # it was no file when the tree was looked at
            with self._mirror.lock:
                documents = self._mirror.state.documents
                if name in documents.names(self._scope):
                    raise ConflictError(f"document {name!r} was made a moment ago")
                self._versions[name] = documents.version(name, self._scope)
        return Edit(name, self._scope, form, body, self._versions[name])


def _name(place: str) -> str:
    return f"{ROOT}/{place}"


def _place(path: str) -> str:
    """Where a path leads, as a file system would find it."""
    if not path.startswith(ROOT):
        raise RefusedError(f"Path must start with {ROOT}, got: {path}")
    if "\0" in path or not _is_utf8(path):
        raise RefusedError(f"Path {path!r} holds what no file's name can; leave it out")
    root = ROOT.strip("/")
    steps: list[str] = [root]
    for step in path[len(ROOT) :].split("/"):
        if step == ".." and not steps:
            break  # above what the root is in: whatever follows stays outside
        if step == "..":
            steps.pop()
        elif step not in ("", "."):
            steps.append(step)
    if steps[:1] != [root]:
        raise RefusedError(f"Path {path} would escape {ROOT} directory")
    return "/".join(steps[1:])


def _is_utf8(text: str) -> bool:
    return not any("\ud800" <= mark <= "\udfff" for mark in text)


def _above(place: str) -> list[str]:
    """The folders above a place, without the root."""
    steps = place.split("/")
    return ["/".join(steps[:n]) for n in range(1, len(steps))]


def _numbered(path: str, text: str, span: Sequence[int] | None) -> str:
    lines, first = text.split("\n"), 0
    if span and len(span) == 2:
        first, end = max(1, span[0]) - 1, span[1]
        lines = lines[first : len(lines) if end == -1 else end]
    return f"Here's the content of {path} with line numbers:\n" + _with_numbers(lines, first)


def _edited(text: str, line: int) -> str:
    lines, first = text.split("\n"), max(0, line - _AROUND)
    return (
        "The memory file has been edited. Here is the snippet showing the change "
        "(with line numbers):\n" + _with_numbers(lines[first : line + _AROUND + 1], first)
    )


def _with_numbers(lines: Iterable[str], first: int) -> str:
    return "\n".join(f"{n:{_WIDTH}}\t{line}" for n, line in enumerate(lines, first + 1))


def _lines_of(text: str, part: str) -> Iterator[int]:
    """The numbers of the lines that each occurrence begins in, overlapping ones too."""
    line, seen, at = 1, 0, text.find(part)
    while at >= 0:
        line, seen = line + text.count("\n", seen, at), at
        yield line
        at = text.find(part, at + 1)


def _size(nbytes: int) -> str:
    """A size as people read it: 12B, 1.5K, 3M."""
    power = min(max(0, nbytes.bit_length() - 1) // 10, len(_UNITS) - 1)
    value = nbytes / 1024**power
    return f"{value:.0f}{_UNITS[power]}" if value.is_integer() else f"{value:.1f}{_UNITS[power]}"

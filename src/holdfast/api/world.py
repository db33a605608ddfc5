"""World states: named JSON documents, and automata that know which step comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from holdfast import write
from holdfast.api.base import Parts, Time, moment_of
from holdfast.errors import EventTooLargeError, NotFoundError
from holdfast.records import Event
from holdfast.state.asked import Asked
from holdfast.state.automaton import Automaton, Declare, Step
from holdfast.state.automaton import State as AutomatonState
from holdfast.state.documents import Document, Edit, Form
from holdfast.state.journal import MOST_PER_EVENT
from holdfast.state.patch import MAX_BYTES, check_json
from holdfast.state.records import Trust


class WorldApi(Parts):
    """The methods of a memory that are about documents and automata."""

    def document(
        self, name: str, *, scope: str = "", version: int | None = None, as_of: Time = None
    ) -> Document:
        """A document as it is, as it was at a version, or as the record stood at a moment.

        Raises
        ------
        NotFoundError
            If there is none, or that version was never made or is dropped.
        """
        self._refresh()
        moment, where = moment_of(as_of), scope.strip("/")
        with self._mirror.lock:
            documents = self._mirror.state.documents
            if moment is None:
                return documents.get(name, where, version)
            found = documents.at(name, where, moment)
            horizon = documents.horizon(name, where)
        if found is None:
            gone = horizon is not None and moment < horizon
            why = "its history of then is dropped" if gone else "there was none"
            raise NotFoundError(f"document {name!r} in scope {where!r} at that time: {why}")
        return found

    def put_document(
        self, name: str, value: Any, *, scope: str = "", expect: int | None = None,
        by: str = "", key: str | None = None, text: str | None = None,
    ) -> Document:  # fmt: skip
        """Put a JSON value in the place of a document, or make it.

        Parameters
        ----------
        expect
            The version it must be at (0: it must be new); None: whichever.
        text
            Words under which it is recalled: the event `Document.seq` that brings it is then a
            note of this text, found and evicted like any other. None: no recall finds it.

        Raises
        ------
        ConflictError
            If the document is at another version; nothing is written.
        PatchError
            If the value is not JSON, or too large.

        Examples
        --------
        >>> import tempfile, os
        >>> from holdfast import Memory
        >>> path = os.path.join(tempfile.mkdtemp(), "a.holdfast")
        >>> with Memory.open(path, budget="1 MiB") as memory:
        ...     _ = memory.put_document("desk", {"lamp": "off"}, expect=0)
        ...     on = memory.patch_document("desk", {"lamp": "on"}, expect=1)
        >>> on.version, on.value
        (2, {'lamp': 'on'})
        """
        return self._edit(name, scope, "put", value, expect, by, key, text)

    def patch_document(
        self, name: str, patch: Mapping[str, Any] | Sequence[Mapping[str, Any]], *,
        scope: str = "", expect: int | None = None, by: str = "", key: str | None = None,
    ) -> Document:  # fmt: skip
        """Change a document by a JSON Patch (a list, RFC 6902) or a merge patch (an object).

        Raises as `put_document` does; a patch that does not apply changes nothing.
        """
        if isinstance(patch, Mapping):
            return self._edit(name, scope, "merge", dict(patch), expect, by, key)
        listed = patch if isinstance(patch, Sequence) and not isinstance(patch, str) else (patch,)
        operations = [dict(one) if isinstance(one, Mapping) else one for one in listed]
        return self._edit(name, scope, "patch", operations, expect, by, key)

    def delete_document(
        self, name: str, *, scope: str = "", expect: int | None = None, by: str = "",
        key: str | None = None,
    ) -> None:  # fmt: skip
        """Delete a document; its versions stay readable. Raises as `put_document` does."""
        self._edit(name, scope, "delete", None, expect, by, key)

    def edit_documents(
        self, edits: Sequence[Edit], *, by: str = "", key: str | None = None
    ) -> None:
        """Make several edits of documents in one change: all of them, or none.

        Parameters
        ----------
        edits
            What to do, in this order, each with its own scope; each is checked against what is
            there before all of them. The event that brings them lies in the scope of the last.

        Raises
        ------
        ConflictError, PatchError
            If one of them cannot be made; nothing is written.
        EventTooLargeError
            If they are too much for one write, or over 4,096.

        Examples
        --------
        >>> import tempfile, os
        >>> from holdfast import Memory
        >>> from holdfast.state.documents import Edit
        >>> path = os.path.join(tempfile.mkdtemp(), "a.holdfast")
        >>> with Memory.open(path, budget="1 MiB") as memory:
        ...     memory.edit_documents([Edit("a", "lab", "put", 1), Edit("b", "lab", "put", 2)])
        ...     memory.documents(scope="lab")
        ['a', 'b']
        """
        # What a journal knows of an edit is not for the caller to say.
        asked = [Edit(e.name, e.scope.strip("/"), e.form, e.body, e.expect) for e in edits]
        if not asked:
            return
        if len(asked) > MOST_PER_EVENT:
            raise EventTooLargeError(
                f"{len(asked)} edits are asked for at once; ask for {MOST_PER_EVENT} at the most"
            )
        for one in asked:
            check_json(one.body, f"what document {one.name!r} is given", MAX_BYTES)
        said = f"edit {len(asked)} documents, {asked[-1].name} the last"
        self._change_state(said, asked[-1].scope, Asked(tuple(asked), by, Trust.USER), key)

    def documents(self, *, scope: str = "") -> list[str]:
        """The names of the documents of a scope, not of those inside it."""
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.documents.names(scope.strip("/"))

    def all_documents(self, *, scope: str = "", deleted: bool = False) -> list[Document]:
        """Every document of a scope and of those inside it, at one moment, by scope and name.

        Parameters
        ----------
        deleted
            Also those that are deleted, at the version that deleted them.
        """
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.documents.within(scope, deleted)

    def document_history(self, name: str, *, scope: str = "") -> list[Document]:
        """Every version of a document that is kept, oldest first."""
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.documents.history(name, scope.strip("/"))

    def document_diff(self, name: str, a: int, b: int, *, scope: str = "") -> list[dict[str, Any]]:
        """The JSON Patch (RFC 6902) that leads from one version of a document to another."""
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.documents.diff(name, scope.strip("/"), a, b)

    def _edit(
        self, name: str, scope: str, form: Form, body: Any, expect: int | None, by: str,
        key: str | None, text: str | None = None,
    ) -> Document:  # fmt: skip
        check_json(body, "what is put there", MAX_BYTES)
        where = scope.strip("/")
        asked = Asked((Edit(name, where, form, body, expect),), by, Trust.USER)
        if text is None:
            receipt = self._change_state(f"{form} document {name}", where, asked, key)
        else:
            note = Event(text, speaker=by or None, kind="note", scope=where, key=key)
            receipt = write.observe(self._writer, note, asked)
            self._changed()
        with self._mirror.lock:
            documents = self._mirror.state.documents
            made = documents.made_by(name, where, receipt.seq)
            return documents.get(name, where) if made is None else made

    # ---- automata --------------------------------------------------------------------------

    def declare(
        self, automaton: Automaton, *, scope: str = "", by: str = "", key: str | None = None
    ) -> AutomatonState:
        """Declare an automaton, or declare it anew; the state it is in.

        Raises
        ------
        InvalidClaimError
            If the new declaration does not have the states that it has been in.
        """
        where = scope.strip("/")
        asked = Asked((Declare(automaton, where),), by, Trust.USER)
        self._change_state(f"declare automaton {automaton.name}", where, asked, key)
        return self.automaton(automaton.name, scope=scope)

    def step(
        self, name: str, event: str, *, scope: str = "", expect: str | None = None,
        by: str = "", key: str | None = None,
    ) -> AutomatonState:  # fmt: skip
        """Take a step; the state it leads to.

        Parameters
        ----------
        event
            What happens.
        expect
            The state that it is believed to be in; None: whichever.

        Raises
        ------
        TransitionError
            If the automaton has no such step from the state it is in; it stays there.
        NotFoundError
            If there is no such automaton.

        Examples
        --------
        >>> import tempfile, os
        >>> from holdfast import Memory
        >>> path = os.path.join(tempfile.mkdtemp(), "a.holdfast")
        >>> oven = Automaton("oven", ("idle", "hot"), "idle", (("idle", "heat", "hot"),))
        >>> with Memory.open(path, budget="1 MiB") as memory:
        ...     _ = memory.declare(oven)
        ...     hot = memory.step("oven", "heat")
        >>> hot.state, hot.events
        ('hot', ())
        """
        where = scope.strip("/")
        asked = Asked((Step(name, where, event, expect),), by, Trust.USER)
        self._change_state(f"automaton {name}: {event}", where, asked, key)
        return self.automaton(name, scope=scope)

    def automaton(self, name: str, *, scope: str = "", as_of: Time = None) -> AutomatonState:
        """The state that an automaton is in, or was in. Raises `NotFoundError` if there is none."""
        self._refresh()
        moment, where = moment_of(as_of), scope.strip("/")
        with self._mirror.lock:
            automata = self._mirror.state.automata
            if moment is None:
                return automata.state(name, where)
            found = automata.at(name, where, moment)
        if found is None:
            raise NotFoundError(f"there was no automaton {name!r} in scope {where!r} at that time")
        return found

    def automata(self, *, scope: str = "") -> list[str]:
        """The names of the automata of a scope."""
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.automata.names(scope.strip("/"))

    def automaton_history(self, name: str, *, scope: str = "") -> list[AutomatonState]:
        """Every state that an automaton was in, oldest first."""
        self._refresh()
        with self._mirror.lock:
            return self._mirror.state.automata.history(name, scope.strip("/"))

"""The schema of a store file, as an append-only list of named steps.

A step that has shipped never changes. `PRAGMA user_version` counts the steps a file has had, and
`PRAGMA application_id` says that the file is ours.
"""

from __future__ import annotations

from collections.abc import Callable

import apsw

from holdfast.stores.base import Shelf
from holdfast.stores.seals import seal_meta

APPLICATION_ID = 0x484F4C44  # "HOLD"

PUT_CELL = (
    "INSERT INTO cell VALUES (?, ?, ?) ON CONFLICT (shelf, id) DO UPDATE SET data = excluded.data"
)
"""Keeps a small row, in its place if it is there already."""

Migration = Callable[[apsw.Connection], None]
MIGRATIONS: list[Migration] = []


def migration(step: Migration) -> Migration:
    """Append a step to the list."""
    MIGRATIONS.append(step)
    return step


@migration
def m001_log(db: apsw.Connection) -> None:
    db.execute(
        """
        CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
        CREATE TABLE tail (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
        CREATE TABLE block (
            first INTEGER PRIMARY KEY, last INTEGER NOT NULL, data BLOB NOT NULL
        );
        CREATE TABLE idempotency (
            key BLOB PRIMARY KEY, seq INTEGER NOT NULL, body BLOB NOT NULL, receipt BLOB NOT NULL
        ) WITHOUT ROWID;
        CREATE TABLE dictionary (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
        CREATE TABLE segment (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
        CREATE TABLE vector (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
        """
    )


@migration
def m002_idempotency_by_seq(db: apsw.Connection) -> None:
    db.execute("CREATE INDEX idempotency_seq ON idempotency (seq)")


@migration
def m003_cells(db: apsw.Connection) -> None:
    db.execute(
        """
        CREATE TABLE cell (
            shelf TEXT NOT NULL, id INTEGER NOT NULL, data BLOB NOT NULL, PRIMARY KEY (shelf, id)
        ) WITHOUT ROWID;
        CREATE TABLE journal (id INTEGER PRIMARY KEY, data BLOB NOT NULL);
        """
    )


@migration
def m004_checksums(db: apsw.Connection) -> None:
    """Vectors and settings have checksums from here; vectors are made again from their events."""
    db.execute(
        """
        DROP TABLE vector;
        CREATE TABLE vector (seq INTEGER PRIMARY KEY, data BLOB NOT NULL);
        DELETE FROM meta WHERE key = 'embedder';
        """
    )
    seal_meta(db)


@migration
def m005_cells_by_rowid(db: apsw.Connection) -> None:
    """Rows of one to four kilobytes lie whole in the pages of such a table, without overflow."""
    cells = db.execute("SELECT shelf, id, data FROM cell ORDER BY shelf, id").fetchall()
    db.execute(
        """
        DROP TABLE cell;
        CREATE TABLE cell (shelf TEXT NOT NULL, id INTEGER NOT NULL, data BLOB NOT NULL);
        CREATE UNIQUE INDEX cell_place ON cell (shelf, id);
        """
    )
    db.executemany("INSERT INTO cell VALUES (?, ?, ?)", cells)
    seal_meta(db)


def shelved(shelf: Shelf) -> tuple[str, ...]:
    """Where the rows of a shelf are, and the values that this needs."""
    return ("journal WHERE",) if shelf == "state" else ("cell WHERE shelf = ? AND", shelf)

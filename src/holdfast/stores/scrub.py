"""Getting rid of the bytes that SQLite leaves behind when it deletes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import apsw

from holdfast.errors import CorruptStoreError
from holdfast.stores.base import Store
from holdfast.stores.pages import PagesError, slack
from holdfast.stores.space import PAGE, Space, pages_for, pragma

_TABLES = {  # and what identifies a row of each
    "meta": "key", "tail": "seq", "block": "first", "idempotency": "key", "dictionary": "id",
    "segment": "id", "vector": "seq", "cell": "shelf, id", "journal": "id",
}  # fmt: skip


def rewrite(store: Store, db: apsw.Connection, space: Space) -> None:
    """Delete every row and put it back, a bounded number at a time."""
    for table, key in _TABLES.items():
        _rewrite(store, db, space, table, key)


def _rewrite(store: Store, db: apsw.Connection, space: Space, table: str, key: str) -> None:
    """Delete every row of a table and put it back, a bounded number at a time."""
    fields = [row[1] for row in db.execute(f"PRAGMA table_info({table})").fetchall()]
    total = " + ".join(f"length({name})" for name in fields)
    sizes: list[Any] = db.execute(f"SELECT {key}, {total} FROM {table} ORDER BY {key}").fetchall()
    wanted = " AND ".join(f"{name.strip()} = ?" for name in key.split(","))
    marks = ", ".join("?" * len(fields))
    at = 0
    while at < len(sizes):
        end, need = at, 0
        while end < len(sizes) and (end == at or need < store.batch_bytes()):
            need += 2 * sizes[end][-1] + PAGE
            end += 1
        with store.transaction(need):
            for *values, size in sizes[at:end]:
                space.touch(pages_for(2 * size) / 2)
                rows = db.execute(f"SELECT * FROM {table} WHERE {wanted}", values).fetchall()
                db.execute(f"DELETE FROM {table} WHERE {wanted}", values)
                db.execute(f"INSERT INTO {table} VALUES ({marks})", rows[0])
        at = end


def blank(db: apsw.Connection, path: Path, vfs: str | None) -> None:
    """Overwrite every byte that holds nothing; call it with writers kept out and an empty log.

    SQLite neither reads nor clears what is left of rows that moved between pages, so it is written
    past it, by its own VFS: any other way to open and close the file would drop its locks.
    """
    n_pages = int(pragma(db, "page_count"))
    found = db.execute("SELECT rootpage FROM sqlite_schema WHERE rootpage > 0").fetchall()
    roots = [1, *(int(str(root)) for (root,) in found)]
    flags = [apsw.SQLITE_OPEN_MAIN_DB | apsw.SQLITE_OPEN_READWRITE, 0]
    file = apsw.VFSFile(vfs or "", str(path), flags)

    def read(number: int) -> bytes:
        return file.xRead(PAGE, (number - 1) * PAGE)

    try:
        for number, free in slack(read, roots, n_pages, PAGE):
            page = read(number) if free else b""
            for start, end in free:
                if page[start:end].strip(b"\0"):
                    file.xWrite(bytes(end - start), (number - 1) * PAGE + start)
        file.xSync(apsw.SQLITE_SYNC_FULL)
    except PagesError as error:
        raise CorruptStoreError(f"{path.name}: {error}; run verify") from None
    finally:
        file.xClose()
        db.release_memory()  # pages in its cache still have those bytes

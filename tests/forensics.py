"""What an examiner of the disk would find: every file of a memory, every byte, every encoding."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

import apsw
import zstandard

from holdfast.codec import pack_block, unpack_block
from holdfast.derive import terms
from holdfast.recall.segment_codec import decode_segment
from holdfast.state.journal import _DICT
from holdfast.stores.pages import slack

PAGE = 4096
_FOUND = b"holds "
_FRAME = b"\x28\xb5\x2f\xfd"  # that a zstd frame begins with


def files(path: Path) -> list[Path]:
    """Every file that belongs to a memory, its snapshots and left-over drafts included."""
    beside = [one for one in path.parent.glob(f"{path.name}*") if one.is_file()]
    folder = path.with_name(f"{path.name}-snapshots")
    return sorted([*beside, *(one for one in folder.rglob("*") if one.is_file())])


def needles(word: str) -> dict[bytes, str]:
    """A word in every form it might be found in."""
    found: dict[bytes, str] = {}
    for form in {word, word.lower(), word.upper(), word.casefold(), *terms.words(word)}:
        raw = form.encode("utf-8", "surrogatepass")
        found[raw] = "raw"
        found[raw.hex().encode()] = "hexadecimal"
        found[json.dumps(form)[1:-1].encode()] = "JSON"
        for order in ("le", "be"):
            found[form.encode(f"utf-16-{order}", "surrogatepass")] = f"UTF-16 {order}"
        for shift in range(3):
            coded = base64.b64encode(b"\0" * shift + raw)
            found[coded[(0, 2, 3)[shift] : len(coded) - 4]] = "base64"
    return {needle: form for needle, form in found.items() if len(needle) >= 5}


def traces(path: Path, canaries: Collection[str]) -> list[str]:
    """Where anything of some words is left; empty if nothing is."""
    wanted = {needle: (word, form) for word in canaries for needle, form in needles(word).items()}
    found: list[str] = []

    def look(data: bytes, where: str) -> None:
        for needle, (word, form) in wanted.items():
            at = data.find(needle)
            if at >= 0:
                found.append(
                    f"{word} ({form}) in {where} at {at}: {data[max(0, at - 30) : at + 40]!r}"
                )

    codes = {code for word in canaries for code in terms.terms(word)}
    for file in files(path):
        data = file.read_bytes()
        look(data, file.name)
        look(file.name.encode(), "a file's name")
        if data.startswith(b"SQLite format 3"):
            for where, row in rows(file, codes):
                look(row, f"{file.name}: {where}")
                if row.startswith(_FOUND):
                    found.append(f"{file.name}: {where}: {row.decode()}")
        for where, piece in frames(data):
            look(piece, f"{file.name}: a frame at {where}")
    return found


def frames(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Whatever can be unpacked from any place that looks like the beginning of a zstd frame."""
    at = data.find(_FRAME)
    while at >= 0:
        for dictionary in (None, _DICT):
            made = (
                zstandard.ZstdDecompressor(dict_data=dictionary)
                if dictionary
                else (zstandard.ZstdDecompressor())
            )
            out = b""
            reader = made.decompressobj()
            try:
                for i in range(at, min(len(data), at + 65_536), 64):
                    out += reader.decompress(data[i : i + 64])
            except (zstandard.ZstdError, EOFError):
                pass
            if out:
                yield at, out
        at = data.find(_FRAME, at + 1)


def rows(file: Path, codes: set[int]) -> Iterator[tuple[str, bytes]]:
    """Every row of every table, decoded."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for suffix in ("", "-wal"):
            if Path(f"{file}{suffix}").exists():
                shutil.copy(f"{file}{suffix}", f"{copy}{suffix}")
        db = apsw.Connection(str(copy))
        try:
            yield from _rows(db, codes)
        finally:
            db.close()


def _rows(db: apsw.Connection, codes: set[int]) -> Iterator[tuple[str, bytes]]:
    made = [zstandard.ZstdCompressionDict(d) for (d,) in db.execute("SELECT data FROM dictionary")]
    unpack = {d.dict_id(): zstandard.ZstdDecompressor(dict_data=d) for d in made}
    unpack[0] = zstandard.ZstdDecompressor()
    for (sql,) in db.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL"):
        yield "schema", str(sql).encode()
    for key, value in db.execute("SELECT key, value FROM meta"):
        yield f"meta {key}", f"{key}={value}".encode()
    for seq, data in db.execute("SELECT seq, data FROM tail"):
        yield f"tail {seq}", data
    for first, data in db.execute("SELECT first, data FROM block"):
        raw = unpack[zstandard.get_frame_parameters(data).dict_id].decompress(data)
        yield f"block {first}", raw
        block = unpack_block(raw)
        yield f"table of block {first}", block.table
        used = {block.row(i).who for i in range(len(block))}
        if pack_block(block) != raw or len(block.who) != len(used):
            yield f"block {first}", _FOUND + b"what none of its events has"
    for seq, body, receipt in db.execute("SELECT seq, body, receipt FROM idempotency"):
        yield f"receipt {seq}", body + receipt
    for id, data in db.execute("SELECT id, data FROM segment"):
        if set(decode_segment(data)[0].terms.tolist()) & codes:
            yield f"segment {id}", _FOUND + b"terms of what was erased"
    for shelf, id, data in db.execute("SELECT shelf, id, data FROM cell"):
        yield f"cell {shelf} {id}", data
        if shelf == "state":
            yield f"entry {id}", zstandard.ZstdDecompressor(dict_data=_DICT).decompress(data[4:])


def leftovers(path: Path) -> dict[int, list[tuple[int, int]]]:
    """Bytes of a closed database file that hold nothing and are not zero, by page."""
    data = path.read_bytes()
    db = apsw.Connection(
        f"file:{path}?mode=ro&immutable=1", flags=apsw.SQLITE_OPEN_URI | apsw.SQLITE_OPEN_READONLY
    )
    roots = [1, *(r for (r,) in db.execute("SELECT rootpage FROM sqlite_schema WHERE rootpage>0"))]
    db.close()

    def read(number: int) -> bytes:
        return data[(number - 1) * PAGE : number * PAGE]

    dirty = {}
    for number, free in slack(read, roots, len(data) // PAGE, PAGE):
        page = read(number)
        left = [(a, b) for a, b in free if page[a:b].strip(b"\0")]
        if left:
            dirty[number] = left
    return dirty

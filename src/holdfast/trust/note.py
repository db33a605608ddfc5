"""Signed notes and checkpoints: text that others can verify without this library.

A note is text, a blank line and signature lines. A checkpoint is a note whose text is the head of
a log: its origin, its size, its root hash. Both are the formats of the Go checksum database and
of public witnesses, so that the `sumdb/note` package, or any witness, can read and cosign them.

References
----------
C2SP signed-note, https://c2sp.org/signed-note; C2SP tlog-checkpoint,
https://c2sp.org/tlog-checkpoint. Of the signature types only Ed25519 (0x01) is signed and
verified; lines of others are kept and ignored, as the specification wants. Two things are
stricter: base64 must be canonical, and a note is limited to 1 MB and 100 signatures. Keys are
written as Go's golang.org/x/mod/sumdb/note writes them.
"""

from __future__ import annotations

import base64
import binascii
import re
import secrets
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from holdfast.errors import AuditError
from holdfast.models.extras import need

_ED25519 = b"\x01"
_PRIVATE = "PRIVATE+KEY+"
_DASH = "— "
_MOST_BYTES, _MOST_SIGNATURES = 1_000_000, 100
_MOST_LEAVES = 1 << 63


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log: what is signed, and all that a proof is checked against.

    Parameters
    ----------
    origin
        The unique name of the log; by custom a URL without its scheme, and the key's name.
    size
        Leaves in the tree.
    root
        Its root hash, 32 bytes.
    extensions
        Further lines, such as a time or the hash of a state. They are signed, but no witness
        vouches for them: the specification advises against relying on them.

    Raises
    ------
    AuditError
        If a field cannot be written as the lines of a checkpoint.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for line in (self.origin, *self.extensions):
            if not line or _has_control(line):
                raise AuditError(
                    "a line of a checkpoint is empty or has a control character; "
                    "its origin and its extensions are one line each"
                )
        if not 0 <= self.size < _MOST_LEAVES or len(self.root) != 32:
            raise AuditError(
                f"a checkpoint of {self.size} leaves with a root of {len(self.root)} bytes; "
                "it needs 0 or more, and 32 bytes"
            )

    def text(self) -> str:
        """The text that is signed: each field on its line, the root in base64."""
        lines = (self.origin, str(self.size), _base64(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """The checkpoint that a text is: verify the note first, by `open_note`.

        Raises
        ------
        AuditError
            If it is not one, written in the only way there is.
        """
        lines = text.split("\n")
        if len(lines) < 4 or lines[-1]:
            raise AuditError(
                "a checkpoint is an origin, a size and a root, each on its line; "
                f"found {len(lines) - 1} whole lines"
            )
        origin, size, root = lines[:3]
        if not re.fullmatch("0|[1-9][0-9]{0,18}", size):
            raise AuditError("the size in a checkpoint is not a plain decimal number")
        return cls(origin, int(size), _unbase64(root, "root of a checkpoint"), tuple(lines[3:-1]))


def new_key(name: str, seed: bytes | None = None) -> tuple[str, str]:
    """A new Ed25519 key: its private text, to be kept secret, and its public text (a vkey).

    Parameters
    ----------
    name
        What its signatures name; by custom the origin of the log. No spaces, no plus signs.
    seed
        32 random bytes, by default from the system.

    Raises
    ------
    MissingExtraError
        If the `cryptography` package is absent.
    """
    _check_name(name)
    seed = secrets.token_bytes(32) if seed is None else seed
    public = _signer(seed).public_key().public_bytes_raw()
    tail = f"{name}+{_key_id(name, public).hex()}+"
    return f"{_PRIVATE}{tail}{_base64(_ED25519 + seed)}", f"{tail}{_base64(_ED25519 + public)}"


def public_key(private: str) -> str:
    """The public text of a key, from its private text."""
    name, seed, _ = _read_private(private)
    return new_key(name, seed)[1]


def sign(text: str, *private: str) -> str:
    """The text as a note, signed by one or more private keys.

    Raises
    ------
    AuditError
        If the text cannot be a note, or a key is malformed.
    MissingExtraError
        If the `cryptography` package is absent.

    Notes
    -----
    About 0.1 ms a signature. Ed25519 is deterministic: the same text gives the same note.
    """
    if not text.endswith("\n") or _has_control(text.replace("\n", "")):
        raise AuditError("a note ends in a newline and has no other control character")
    if not private:
        raise AuditError("a note needs at least one key that signs it")
    lines = []
    for key in private:
        name, seed, key_id = _read_private(key)
        signature = _signer(seed).sign(text.encode())
        lines.append(f"{_DASH}{name} {_base64(key_id + signature)}\n")
    note = f"{text}\n{''.join(lines)}"
    if len(note.encode()) > _MOST_BYTES or len(lines) > _MOST_SIGNATURES:
        raise AuditError(f"the note is over {_MOST_BYTES} bytes or {_MOST_SIGNATURES} signatures")
    return note


def open_note(note: str, *public: str) -> str:
    """The text of a note, once a trusted key is found to have signed it.

    Parameters
    ----------
    note
        A signed note. Signatures of other keys, such as those of witnesses, are ignored.
    public
        The public texts (vkeys) of the keys that are trusted: one of them is enough.

    Raises
    ------
    AuditError
        If the note is malformed, if none of these keys signed it, or if any of them seems to
        have and its signature does not hold.
    MissingExtraError
        If the `cryptography` package is absent.
    """
    text, signatures = _split(note)
    known = {(name, key_id): key for name, key_id, key in map(_read_public, public)}
    verified = False
    for name, blob in signatures:
        key = known.get((name, blob[:4]))
        if key is not None:
            _verify(name, key, blob[4:], text.encode())
            verified = True
    if not verified:
        trusted = ", ".join(f"{name}+{key_id.hex()}" for name, key_id in known) or "none"
        found = ", ".join(f"{name}+{blob[:4].hex()}" for name, blob in signatures)
        raise AuditError(f"no trusted key signed the note; trusted: {trusted}; signed by: {found}")
    return text


def _split(note: str) -> tuple[str, list[tuple[str, bytes]]]:
    """The text and the signatures, as (name, key id and signature)."""
    if len(note) > _MOST_BYTES:
        raise AuditError(f"a note of {len(note)} characters is over the limit of {_MOST_BYTES}")
    if _has_control(note.replace("\n", "")):
        raise AuditError("a note has a control character other than a newline")
    head, blank, tail = note.rpartition("\n\n")
    lines = tail.split("\n")
    if not blank or not tail.endswith("\n") or len(lines) - 1 > _MOST_SIGNATURES:
        raise AuditError(
            "a note is text, a blank line and signature lines, each ended by a newline, "
            f"at most {_MOST_SIGNATURES} of them"
        )
    signatures = []
    for line in lines[:-1]:
        name, space, blob = line.removeprefix(_DASH).partition(" ")
        if not line.startswith(_DASH) or not space:
            raise AuditError("a signature line is not an em dash, a key name and a signature")
        _check_name(name)
        raw = _unbase64(blob, "signature")
        if len(raw) < 5:
            raise AuditError(f"the signature of {name} is only {len(raw)} bytes")
        signatures.append((name, raw))
    return f"{head}\n", signatures


def _verify(name: str, key: bytes, signature: bytes, message: bytes) -> None:
    ed25519 = need("cryptography.hazmat.primitives.asymmetric.ed25519", "audit")
    invalid = need("cryptography.exceptions", "audit").InvalidSignature
    try:
        ed25519.Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
    except invalid:
        raise AuditError(
            f"the signature of {name} does not hold: the note was changed or another key signed it"
        ) from None


def _signer(seed: bytes) -> Any:
    ed25519 = need("cryptography.hazmat.primitives.asymmetric.ed25519", "audit")
    if len(seed) != 32:
        raise AuditError(f"the seed of an Ed25519 key has 32 bytes, not {len(seed)}")
    return ed25519.Ed25519PrivateKey.from_private_bytes(seed)


def _read_private(text: str) -> tuple[str, bytes, bytes]:
    """The name, the seed and the key id of a private text."""
    if not text.startswith(_PRIVATE):
        raise AuditError(f"a private key begins with {_PRIVATE}; make one with new-key")
    name, key_id, seed = _read(text.removeprefix(_PRIVATE), "private key")
    if _key_id(name, _signer(seed).public_key().public_bytes_raw()) != key_id:
        raise AuditError(f"the private key of {name} does not fit its key id; it was changed")
    return name, seed, key_id


def _read_public(text: str) -> tuple[str, bytes, bytes]:
    """The name, the key id and the key of a public text."""
    name, key_id, key = _read(text, "public key")
    if _key_id(name, key) != key_id:
        raise AuditError(f"the public key of {name} does not fit its key id; it was changed")
    return name, key_id, key


def _read(text: str, what: str) -> tuple[str, bytes, bytes]:
    """The name, the key id and the 32 bytes of a key, whose base64 may hold plus signs."""
    parts = text.split("+", 2)
    if len(parts) != 3 or not re.fullmatch("[0-9a-f]{8}", parts[1]):
        raise AuditError(f"a {what} is a name, 8 hexadecimal digits and base64, joined by plus")
    name, key_id, key = parts[0], bytes.fromhex(parts[1]), _unbase64(parts[2], what)
    _check_name(name)
    if key[:1] != _ED25519 or len(key) != 33:
        raise AuditError(f"the {what} of {name} is not an Ed25519 key (type 1, 32 bytes)")
    return name, key_id, key[1:]


def _key_id(name: str, public: bytes) -> bytes:
    return sha256(name.encode() + b"\n" + _ED25519 + public).digest()[:4]


def _check_name(name: str) -> None:
    if not name or "+" in name or any(char.isspace() for char in name) or _has_control(name):
        raise AuditError("a key name is empty or has a space, a plus or a control character")


def _has_control(text: str) -> bool:
    """Whether the text has a character below U+0020, or one that UTF-8 cannot write."""
    return any(char < " " or "\ud800" <= char <= "\udfff" for char in text)


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def _unbase64(text: str, what: str) -> bytes:
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        data = b""
    if not data or _base64(data) != text:
        raise AuditError(f"the {what} is not base64 in its standard form")
    return data

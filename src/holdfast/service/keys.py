"""API keys: made once, shown once, kept only as hashes."""

from __future__ import annotations

import fcntl
import hashlib
import hmac
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from holdfast.errors import ArgumentsError, CredentialError, NotFoundError, StoreError
from holdfast.service.callers import LEVELS, Caller, May

FILE = "keys.json"
PREFIX = "hf"
_SECRET_BYTES = 32  # 256 bits
_MOST_SALT = 64  # bytes that BLAKE2b takes
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Key:
    """What is kept of a key: all but the key.

    `id` is the part of the key that may be shown. `salt` and `hash` are hexadecimal; times are
    POSIX seconds. `principal`, `may` and `memories` are those of the `Caller` it stands for.
    """

    id: str
    label: str
    may: May
    memories: tuple[str, ...]
    principal: str | None
    created_at: float
    expires_at: float | None
    salt: str
    hash: str

    @property
    def caller(self) -> Caller:
        """Whom it stands for."""
        return Caller(f"key {self.id}", self.may, self.memories, self.principal)

    def expired(self, now: float) -> bool:
        """Whether it is good no more."""
        return self.expires_at is not None and self.expires_at <= now

    def matches(self, secret: str) -> bool:
        """Whether this is its secret; the time it takes says nothing."""
        return hmac.compare_digest(_hash(secret, self.salt), self.hash)


class Keys:
    """The keys of a folder of memories, in one file beside them.

    Parameters
    ----------
    folder
        Where ``keys.json`` is, or will be; nobody else may read it.
    clock
        POSIX seconds.

    Notes
    -----
    A key is ``hf_ID_SECRET``: the id says which one it is, the secret has 256 random bits. Only a
    salted BLAKE2b hash of the secret is kept. Changes are atomic, one process at a time; all
    processes see them with their next look, which costs one `stat`.

    Examples
    --------
    >>> import tempfile
    >>> keys = Keys(tempfile.mkdtemp())
    >>> key, secret = keys.create("Bo's laptop", may="write", memories=["team"], principal="bo")
    >>> keys.caller(secret).principal
    'bo'
    >>> keys.revoke(key.id)
    >>> keys.caller(secret)
    Traceback (most recent call last):
    holdfast.errors.CredentialError: this key is unknown, expired or revoked; ask for another
    """

    def __init__(self, folder: str | Path, clock: Callable[[], float] = time.time) -> None:
        self._path = Path(folder) / FILE
        self._clock = clock
        self._stamp: tuple[int, int, int] | None = None
        self._known: dict[str, Key] = {}

    def create(
        self,
        label: str = "",
        *,
        may: May = "read",
        memories: Sequence[str] = ("*",),
        principal: str | None = None,
        ttl_s: float | None = None,
    ) -> tuple[Key, str]:
        """Make a key; what is kept of it, and the key itself, which is shown here only.

        Raises
        ------
        ArgumentsError
            If `may` is no level, no memory is named, or `ttl_s` is not over 0.
        """
        if may not in LEVELS:
            raise ArgumentsError(f"a key may {', '.join(LEVELS)}, not {may!r}")
        if not memories or not all(memories):
            raise ArgumentsError("a key needs the name of at least one memory, or '*'")
        if ttl_s is not None and not ttl_s > 0:
            raise ArgumentsError("a key must be good for some time; give more than 0 seconds")
        now = self._clock()
        expires = None if ttl_s is None else now + ttl_s
        key, token = _made(
            Key("", label, may, tuple(memories), principal or None, now, expires, "", "")
        )
        with self._changing() as known:
            known[key.id] = key
        return key, token

    def rotate(self, id: str, *, grace_s: float = 0.0) -> tuple[Key, str]:
        """Make a key with the rights of another, which is good for `grace_s` seconds more.

        Raises `NotFoundError` if there is no such key.
        """
        now = self._clock()
        with self._changing() as known:
            old = _of(known, id)
            ttl = None if old.expires_at is None else old.expires_at - old.created_at
            key, token = _made(
                replace(old, created_at=now, expires_at=None if ttl is None else now + ttl)
            )
            known[key.id] = key
            if grace_s > 0:
                ends = now + grace_s
                known[id] = replace(old, expires_at=min(ends, old.expires_at or ends))
            else:
                del known[id]
        return key, token

    def revoke(self, id: str) -> None:
        """Forget a key; from now on it is worth nothing. Raises `NotFoundError`."""
        with self._changing() as known:
            _of(known, id)
            del known[id]

    @property
    def begun(self) -> bool:
        """Whether there ever was a key: its file is there, be it empty by now."""
        return os.path.lexists(self._path)

    def all(self) -> list[Key]:
        """What is kept of every key, oldest first."""
        return sorted(self._load().values(), key=lambda key: key.created_at)

    def caller(self, token: str) -> Caller:
        """Whom a key stands for. Raises `CredentialError` if it holds for nobody."""
        prefix, _, rest = token.partition("_")
        id, _, secret = rest.partition("_")
        key = self._load().get(id) if prefix == PREFIX else None
        if key is None or not key.matches(secret) or key.expired(self._clock()):
            raise CredentialError("this key is unknown, expired or revoked; ask for another")
        return key.caller

    # ---- the file ----------------------------------------------------------------------------

    def _load(self) -> dict[str, Key]:
        try:
            found = os.stat(self._path)
        except FileNotFoundError:
            return {}
        stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
        if stamp != self._stamp:
            self._known, self._stamp = self._read(), stamp
        return self._known

    def _read(self) -> dict[str, Key]:
        try:
            data = json.loads(self._path.read_text("utf-8"))
            if data["format"] != _FORMAT:
                raise ValueError(f"format {data['format']}")
            keys = [_from_json(one) for one in data["keys"]]
        except (ValueError, KeyError, TypeError) as wrong:
            raise StoreError(
                f"{self._path} is not a list of keys that this version can read ({wrong}); "
                "put back a good copy, or move it away and make new keys"
            ) from None
        return {key.id: key for key in keys}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Key]]:
        """Give the keys to change; they are written when the block ends well."""
        lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = dict(self._read() if self._path.exists() else {})
            yield known
            data = {"format": _FORMAT, "keys": [asdict(key) for key in known.values()]}
            draft = self._path.with_suffix(".json.new")
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as out:
                json.dump(data, out, indent=1)
                out.flush()
                os.fsync(out.fileno())
            os.replace(draft, self._path)
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)  # what was revoked stays so, even if the power fails now
            finally:
                os.close(folder)
        finally:
            os.close(lock)


def _made(like: Key) -> tuple[Key, str]:
    """A new key with the rights and times of `like`."""
    id, salt = secrets.token_hex(5), secrets.token_hex(16)
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    return replace(like, id=id, salt=salt, hash=_hash(secret, salt)), f"{PREFIX}_{id}_{secret}"


def _hash(secret: str, salt: str) -> str:
    return hashlib.blake2b(
        secret.encode("utf-8", "surrogatepass"), key=bytes.fromhex(salt), digest_size=32
    ).hexdigest()


def _of(known: dict[str, Key], id: str) -> Key:
    if id not in known:
        raise NotFoundError(f"there is no key {id[:20]!r}; see them with: holdfast key list FOLDER")
    return known[id]


def _from_json(data: dict[str, Any]) -> Key:
    key = Key(**{**data, "memories": tuple(data["memories"])})
    texts = (key.id, key.label, key.hash, *key.memories)
    times = (key.created_at, 0 if key.expires_at is None else key.expires_at)
    if (
        not all(isinstance(one, str) for one in texts)
        or isinstance(data["memories"], str)
        or not all(isinstance(one, int | float) for one in times)
        or not isinstance(key.principal, str | None)
        or key.may not in LEVELS
        or len(bytes.fromhex(key.salt)) > _MOST_SALT
    ):
        raise ValueError("a key that is none")
    return key

"""JSON Web Tokens of an OpenID Connect issuer, as credentials."""

from __future__ import annotations

import json
import logging
import math
import threading
import time
import urllib.request
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jwt

from holdfast.errors import ArgumentsError, CredentialError
from holdfast.service.callers import LEVELS, Caller

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""All with a public key: none that a public key could be mistaken for a shared secret of."""
MEMORIES = "holdfast_memories"
"""The claim that names memories: a list, or a text with spaces between them."""
OWNER_SCOPE = "holdfast:owner"
_ISSUED = "oidc"  # where the principals of tokens are, apart from those that keys name
_LEEWAY_S = 30.0
_FRESH_S = 300.0  # between two looks at the issuer's keys
_PATIENCE_S = 30.0  # between two looks because of a key nobody knows
_STALE_S = 3600.0  # that keys are good for while the issuer cannot be asked
_TIMEOUT_S = 5.0
_LARGEST = 1 << 20  # bytes of a set of keys
_MOST_KEYS = 64
_log = logging.getLogger("holdfast.server")


class Tokens:
    """Accepts the tokens of one issuer for one audience.

    Parameters
    ----------
    issuer, audience
        What ``iss`` and ``aud`` must be.
    jwks
        Where the issuer's public keys are: an ``https:`` address (plain ``http:`` only on this
        machine), or a file.
    clock
        Seconds, for how long keys are kept; it need not be the time of day.

    Notes
    -----
    A token must be signed by a key of the set, by an algorithm of `ALGORITHMS` that is that key's
    own, and have ``iss``, ``aud``, ``sub`` and ``exp``; ``nbf`` counts if it is there. The
    principal is ``oidc/`` and its ``sub`` as one name, with "%25" for "%" and "%2F" for "/", so
    that each subject has a seat of its own, beside those of keys; grant rights to that name, and
    give no key a principal that begins so. ``scope`` has ``holdfast:read``,
    ``holdfast:write`` or ``holdfast:govern``; with ``holdfast:owner`` there is no seat, and the
    whole of each memory is seen. `MEMORIES` names the memories; without it there are none.

    Keys are looked up anew every 5 minutes, and for a key id nobody knows twice a minute at most,
    so that made-up ids are no way to make this server call another. While the issuer cannot be
    asked, the keys it had hold for an hour.
    """

    def __init__(
        self, issuer: str, audience: str, jwks: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        place = urlsplit(jwks)
        here = place.hostname in ("localhost", "127.0.0.1", "::1")
        if place.scheme not in ("", "https") and not (place.scheme == "http" and here):
            raise ArgumentsError("keys of an issuer come from https, or from a file; give either")
        self._issuer, self._audience, self._jwks, self._clock = issuer, audience, jwks, clock
        self._keys: dict[str | None, jwt.PyJWK] = {}
        self._looked_at = self._found_at = -math.inf
        self._lock = threading.Lock()

    def caller(self, token: str) -> Caller:
        """Whom a token stands for. Raises `CredentialError` if it holds for nobody."""
        try:
            head = jwt.get_unverified_header(token)
            key = self._key(head.get("kid"))
            if head.get("alg") not in ALGORITHMS or head["alg"] != key.algorithm_name:
                raise CredentialError("this token is signed in a way that is not accepted here")
            claims = jwt.decode(
                token,
                key,
                algorithms=[key.algorithm_name],
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_S,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError:
            raise CredentialError("this token has expired; get another") from None
        except (jwt.PyJWTError, ValueError, TypeError) as wrong:
            raise CredentialError(f"this token does not hold: {type(wrong).__name__}") from None
        return _caller(claims)

    def _key(self, kid: Any) -> jwt.PyJWK:
        now = self._clock()
        with self._lock:
            age = now - self._looked_at
            look = age > _FRESH_S or (age > _PATIENCE_S and kid not in self._keys)
            if look:
                self._looked_at = now  # a look that fails is not tried again at once, either
            if look and not self._keys:
                self._look(now)  # all wait for the first one
                look = False
        if look:
            self._look(now)
        keys = self._keys if now - self._found_at <= _STALE_S else {}
        if not (kid is None or isinstance(kid, str)) or kid not in keys:
            raise CredentialError("this token is signed by a key that its issuer does not have")
        return keys[kid]

    def _look(self, now: float) -> None:
        """Take over the keys of the issuer; if it cannot be asked, those of before stay."""
        try:
            if urlsplit(self._jwks).scheme:
                with _opener().open(self._jwks, timeout=_TIMEOUT_S) as answer:
                    text = answer.read(_LARGEST)
            else:
                text = Path(self._jwks).read_bytes()
            found = jwt.PyJWKSet.from_dict(json.loads(text)).keys[:_MOST_KEYS]
        except (OSError, ValueError, TypeError, AttributeError, jwt.PyJWTError) as wrong:
            _log.warning("the keys of the issuer cannot be read: %s", type(wrong).__name__)
            return
        keys: dict[str | None, jwt.PyJWK] = {key.key_id: key for key in found}
        if len(found) == 1:
            keys.setdefault(None, found[0])  # a token need not say which of one it is
        self._keys, self._found_at = keys, now


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: one could lead away from https, or into the network of the server."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


@cache
def _opener() -> urllib.request.OpenerDirector:
    return urllib.request.build_opener(_Stay)


def _caller(claims: dict[str, Any]) -> Caller:
    """The caller that the claims of a token describe."""
    subject = claims["sub"]
    if not isinstance(subject, str) or not subject or not subject.isprintable():
        raise CredentialError("the subject of this token is empty or no plain text")
    granted = str(claims.get("scope", "")).split()
    levels = [level for level in LEVELS if f"holdfast:{level}" in granted]
    if not levels:
        raise CredentialError("this token has no scope holdfast:read, holdfast:write or beyond")
    named = claims.get(MEMORIES, [])
    memories = named.split() if isinstance(named, str) else named
    if not isinstance(memories, list) or not all(isinstance(one, str) for one in memories):
        raise CredentialError(f"the claim {MEMORIES} of this token is no list of names")
    name = subject.replace("%", "%25").replace("/", "%2F")
    principal = None if OWNER_SCOPE in granted else f"{_ISSUED}/{name}"
    return Caller(f"token of {subject}", levels[-1], tuple(memories), principal)

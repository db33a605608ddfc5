"""Tokens of an issuer: every known way to forge one is refused, and no flood reaches the issuer."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

jwt = pytest.importorskip("jwt", reason="tokens need PyJWT")
pytest.importorskip("cryptography", reason="tokens need cryptography")

from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa  # noqa: E402
from hypothesis import given  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

from holdfast import Memory  # noqa: E402
from holdfast.errors import ArgumentsError, CredentialError  # noqa: E402
from holdfast.service.callers import Caller  # noqa: E402
from holdfast.service.tokens import MEMORIES, Tokens, _caller  # noqa: E402

ISSUER, AUDIENCE = "https://issuer.test", "holdfast"
RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
PEM = RSA.public_key().public_bytes(
    serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
)


def public(key: Any, algorithm: str, kid: str) -> dict[str, Any]:
    """A public key as an issuer shows it."""
    maker = jwt.get_algorithm_by_name(algorithm)
    return {**json.loads(maker.to_jwk(key.public_key())), "kid": kid, "alg": algorithm}


SET = {"keys": [public(RSA, "RS256", "r"), public(EC, "ES256", "e"), public(ED, "EdDSA", "d")]}


def claims(**changes: Any) -> dict[str, Any]:
    """What a good token claims, with changes; None takes a claim out."""
    good = {
        "iss": ISSUER, "aud": AUDIENCE, "sub": "agent/bo", "exp": int(time.time()) + 600,
        "scope": "openid holdfast:write", MEMORIES: ["team-*"],
    }  # fmt: skip
    return {name: one for name, one in {**good, **changes}.items() if one is not None}


def signed(key: Any = RSA, algorithm: str = "RS256", kid: Any = "r", **changes: Any) -> str:
    headers = {} if kid is None else {"kid": kid}
    return str(jwt.encode(claims(**changes), key, algorithm, headers=headers))


def by_hand(head: dict[str, Any], body: Any, sign: Callable[[bytes], bytes]) -> str:
    """A token that no library would make."""

    def packed(data: bytes) -> bytes:
        return base64.urlsafe_b64encode(data).rstrip(b"=")

    parts = packed(json.dumps(head).encode()) + b"." + packed(json.dumps(body).encode())
    return (parts + b"." + packed(sign(parts))).decode()


def hs256(secret: bytes) -> Callable[[bytes], bytes]:
    return lambda parts: hmac.new(secret, parts, hashlib.sha256).digest()


@pytest.fixture
def tokens(tmp_path: Path) -> Tokens:
    (tmp_path / "jwks.json").write_text(json.dumps(SET))
    return Tokens(ISSUER, AUDIENCE, str(tmp_path / "jwks.json"))


@pytest.mark.parametrize(("key", "algorithm", "kid"), [(RSA, "RS256", "r"), (EC, "ES256", "e"),
                                                       (ED, "EdDSA", "d")])  # fmt: skip
def test_a_good_token_stands_for_its_subject(
    tokens: Tokens, key: Any, algorithm: str, kid: str
) -> None:
    caller = tokens.caller(signed(key, algorithm, kid))
    assert caller == Caller("token of agent/bo", "write", ("team-*",), "oidc/agent%2Fbo")


def test_scopes_and_memories_say_what_it_may(tokens: Tokens) -> None:
    caller = tokens.caller(signed(scope="holdfast:read holdfast:owner", **{MEMORIES: "a b"}))
    assert caller == Caller("token of agent/bo", "read", ("a", "b"), None)
    assert tokens.caller(signed(**{MEMORIES: None})).memories == ()
    assert tokens.caller(signed(scope="holdfast:govern holdfast:read")).may == "govern"
    assert tokens.caller(signed(aud=["x", AUDIENCE])).may == "write"


@pytest.mark.parametrize(
    ("subject", "principal"),
    [("bo", "oidc/bo"), ("/bo/", "oidc/%2Fbo%2F"), ("user", "oidc/user"), ("%2F", "oidc/%252F"),
     ("auth0|5f1", "oidc/auth0|5f1"), ("é b", "oidc/é b"), ("..", "oidc/..")],
)  # fmt: skip
def test_a_subject_is_one_name_below_those_of_the_issuer(
    tokens: Tokens, tmp_path: Path, subject: str, principal: str
) -> None:
    caller = tokens.caller(signed(sub=subject))
    assert caller.principal == principal
    with Memory.open(tmp_path / "a.holdfast", "1 MiB") as memory:
        seat = memory.seat(principal)
        seat.observe("mine")
        assert [one.event.scope for one in memory.log()] == [principal]
        for other in ("user", "bo", "oidc/other"):
            if other != principal:
                assert list(memory.seat(other).log()) == []


@pytest.mark.parametrize("subject", ["", "\n", "a\x00b", "\u2028", "\x1f", 5, None, ["bo"]])
def test_a_subject_that_is_no_name_holds_for_nobody(tokens: Tokens, subject: Any) -> None:
    for scope in ("holdfast:write", "holdfast:write holdfast:owner"):
        token = by_hand(
            {"alg": "RS256", "kid": "r"},
            {**claims(), "sub": subject, "scope": scope},
            lambda parts: RSA.sign(parts, padding.PKCS1v15(), hashes.SHA256()),
        )
        with pytest.raises(CredentialError):
            tokens.caller(token)


@given(st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=9),
       st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=9))  # fmt: skip
def test_no_two_subjects_share_a_seat(one: str, other: str) -> None:
    first, second = (
        _caller({"sub": sub, "scope": "holdfast:read"}).principal for sub in (one, other)
    )
    assert (first == second) == (one == other)
    for principal in (first, second):
        assert principal is not None
        assert principal.count("/") == 1


def now() -> int:
    """The time when a test runs, which may be long after it was collected."""
    return int(time.time())


FORGED: dict[str, Callable[[], str]] = {
    "no signature": lambda: by_hand({"alg": "none", "kid": "r"}, claims(), lambda _: b""),
    "none in capitals": lambda: by_hand({"alg": "NoNe", "kid": "r"}, claims(), lambda _: b""),
    "no algorithm": lambda: by_hand({"kid": "r"}, claims(), lambda _: b""),
    "public key as a secret": lambda: by_hand({"alg": "HS256", "kid": "r"}, claims(), hs256(PEM)),
    "modulus as a secret": lambda: by_hand(
        {"alg": "HS256", "kid": "r"}, claims(), hs256(json.dumps(SET["keys"][0]).encode())
    ),
    "another's signature": lambda: signed(OTHER),
    "the algorithm of another key": lambda: signed(EC, "ES256", "r"),
    "another padding than the key's": lambda: signed(RSA, "PS256"),
    "a longer hash": lambda: signed(RSA, "RS512"),
    "unknown key": lambda: signed(OTHER, kid="x"),
    "no key named of three": lambda: signed(kid=None),
    "a path as key": lambda: signed(OTHER, kid="../../../../dev/null"),
    "SQL as key": lambda: signed(OTHER, kid="r' OR '1'='1"),
    "list as key": lambda: by_hand({"alg": "RS256", "kid": ["r"]}, claims(), hs256(b"")),
    "its own key in the header": lambda: str(jwt.encode(
        claims(), OTHER, "RS256", headers={"kid": "r", "jwk": public(OTHER, "RS256", "r")})),
    "an address of keys in the header": lambda: str(jwt.encode(
        claims(), OTHER, "RS256", headers={"kid": "r", "jku": "http://127.0.0.1:1/jwks"})),
    "critical extension": lambda: str(jwt.encode(
        claims(), RSA, "RS256", headers={"kid": "r", "crit": ["x"], "x": 1})),
    "expired": lambda: signed(exp=now() - 31),
    "expired long ago": lambda: signed(exp=1),
    "not yet good": lambda: signed(nbf=now() + 300),
    "issued in the future": lambda: signed(iat=now() + 300),
    "other audience": lambda: signed(aud="elsewhere"),
    "audience that contains ours": lambda: signed(aud=AUDIENCE + "x"),
    "other issuer": lambda: signed(iss=ISSUER + "/"),
    **{f"without {name}": lambda name=name: signed(**{name: None})  # type: ignore[misc]
       for name in ("exp", "iss", "aud", "sub")},
    "no scope": lambda: signed(scope=None),
    "a scope like ours": lambda: signed(scope="holdfast:writes xholdfast:read HOLDFAST:READ"),
    "scopes as a list": lambda: signed(scope=["holdfast:govern"]),
    "memories as a number": lambda: signed(**{MEMORIES: 5}),
    "memories as an object": lambda: signed(**{MEMORIES: {"*": True}}),
    "memories of numbers": lambda: signed(**{MEMORIES: [1]}),
    "exp as text": lambda: by_hand({"alg": "RS256", "kid": "r"}, claims(exp="never"), hs256(b"")),
    "claims as a list": lambda: by_hand({"alg": "RS256", "kid": "r"}, ["x"], hs256(b"")),
    "subject as a number": lambda: by_hand({"alg": "RS256", "kid": "r"}, claims(sub=7), hs256(b"")),
    "claims changed": lambda: _spliced(signed(), signed(sub="owner")),
    "cut short": lambda: signed()[:-1],
    "longer": lambda: signed() + "AAAA",
    "a part too many": lambda: signed() + "." + "e30",
    "nothing": lambda: "",
    "dots": lambda: "..",
    "not base 64": lambda: "€.€.€",
    "a megabyte": lambda: "A" * (1 << 20) + "." + "B" * 100 + ".C",
    "a megabyte of header": lambda: by_hand(
        {"alg": "RS256", "kid": "r" * (1 << 20)}, claims(), hs256(b"")),
    "deep header": lambda: ".".join([
        base64.urlsafe_b64encode(b'{"a":' * 20000 + b"1" + b"}" * 20000).decode(), "e30", "AA"]),
}  # fmt: skip


def _spliced(good: str, wanted: str) -> str:
    """The header and signature of one token around the claims of another."""
    (head, _, signature), (_, body, _) = good.split("."), wanted.split(".")
    return f"{head}.{body}.{signature}"


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("how", FORGED)
def test_a_forged_token_holds_for_nobody(tokens: Tokens, how: str) -> None:
    token = FORGED[how]()
    with pytest.raises(CredentialError) as wrong:
        tokens.caller(token)
    assert len(str(wrong.value)) < 120
    assert "agent/bo" not in str(wrong.value)


def test_a_little_lateness_is_taken(tokens: Tokens) -> None:
    assert tokens.caller(signed(exp=int(time.time()) - 5, nbf=int(time.time()) + 5)).may == "write"


def test_a_shared_secret_among_the_issuers_keys_is_never_used(tmp_path: Path) -> None:
    secret = base64.urlsafe_b64encode(b"s" * 32).rstrip(b"=").decode()
    keys = [*SET["keys"], {"kty": "oct", "k": secret, "kid": "s", "alg": "HS256"}]
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": keys}))
    tokens = Tokens(ISSUER, AUDIENCE, str(tmp_path / "jwks.json"))
    with pytest.raises(CredentialError):
        tokens.caller(signed(b"s" * 32, "HS256", "s"))
    assert tokens.caller(signed()).may == "write"


# ---- the issuer --------------------------------------------------------------------------------


class Issuer:
    """An issuer on loopback that counts who asks."""

    def __init__(self) -> None:
        self.asked, self.status, self.location = 0, 200, ""
        self.body = json.dumps(SET).encode()
        issuer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:  # its base names it so
                issuer.asked += 1
                self.send_response(issuer.status)
                if issuer.location:
                    self.send_header("Location", issuer.location)
                self.send_header("Content-Length", str(len(issuer.body)))
                self.end_headers()
                self.wfile.write(issuer.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}/jwks"


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    made = Issuer()
    thread = threading.Thread(target=made.server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield made
    made.server.shutdown()
    thread.join()
    made.server.server_close()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def refused(tokens: Tokens, token: str) -> None:
    with pytest.raises(CredentialError):
        tokens.caller(token)


def test_a_flood_of_unknown_key_ids_asks_the_issuer_twice_a_minute_at_most(issuer: Issuer) -> None:
    clock = Clock()
    tokens = Tokens(ISSUER, AUDIENCE, issuer.address, clock)
    for second in range(600):
        clock.now = second / 10
        refused(tokens, signed(OTHER, kid=f"made-up-{second}"))
    assert issuer.asked <= 2
    tokens.caller(signed())
    assert issuer.asked <= 2


def test_an_issuer_that_fails_is_not_asked_by_every_request(issuer: Issuer) -> None:
    clock = Clock()
    issuer.status = 500
    tokens = Tokens(ISSUER, AUDIENCE, issuer.address, clock)
    for second in range(300):
        clock.now = second / 10
        refused(tokens, signed())
    assert issuer.asked == 1
    issuer.status, clock.now = 200, 31.0
    assert tokens.caller(signed()).may == "write"


def test_known_keys_hold_for_an_hour_while_the_issuer_is_away(issuer: Issuer) -> None:
    clock = Clock()
    tokens = Tokens(ISSUER, AUDIENCE, issuer.address, clock)
    tokens.caller(signed())
    issuer.status = 503
    for clock.now in (301.0, 2000.0, 3599.0):
        assert tokens.caller(signed()).may == "write"
    clock.now = 3602.0
    refused(tokens, signed())


def test_new_keys_are_found_and_old_ones_end(issuer: Issuer) -> None:
    clock = Clock()
    tokens = Tokens(ISSUER, AUDIENCE, issuer.address, clock)
    tokens.caller(signed())
    issuer.body = json.dumps({"keys": [public(OTHER, "RS256", "new")]}).encode()
    refused(tokens, signed(OTHER, kid="new"))  # it asked a moment ago
    clock.now = 31.0
    assert tokens.caller(signed(OTHER, kid="new")).may == "write"
    refused(tokens, signed())  # the old one is not the issuer's any more
    assert tokens.caller(signed(OTHER, kid=None)).may == "write"  # of one key it goes without


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"keys": 5}', b'{"keys": []}', b'{"keys": [{}]}',
             b'{"keys": [{"kty": "RSA"}]}', b'{"keys": ["x"]}', b"\xff", b"A" * (2 << 20)]
)  # fmt: skip
def test_nonsense_from_the_issuer_lets_nobody_in(issuer: Issuer, body: bytes) -> None:
    issuer.body = body
    refused(Tokens(ISSUER, AUDIENCE, issuer.address), signed())


def test_a_redirect_is_not_followed(issuer: Issuer) -> None:
    issuer.status, issuer.location = 302, issuer.address
    refused(Tokens(ISSUER, AUDIENCE, issuer.address), signed())
    assert issuer.asked == 1


@pytest.mark.parametrize("place", ["http://issuer.test/jwks", "ftp://issuer.test/x", "file:///x"])
def test_keys_come_over_a_safe_way_only(place: str) -> None:
    with pytest.raises(ArgumentsError, match="https"):
        Tokens(ISSUER, AUDIENCE, place)

"""Keys: shown once, kept as hashes, private, atomic between processes, gone when revoked."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import ArgumentsError, CredentialError, NotFoundError, StoreError
from holdfast.service.callers import OWNER, Caller
from holdfast.service.credentials import Credentials
from holdfast.service.keys import FILE, Key, Keys


class Clock:
    """A time that tests set."""

    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> Keys:
    return Keys(tmp_path, clock)


def test_a_key_stands_for_its_caller_in_every_process(keys: Keys, tmp_path: Path) -> None:
    key, token = keys.create("x", may="write", memories=["a", "team-*"], principal="agent/bo")
    expected = Caller(f"key {key.id}", "write", ("a", "team-*"), "agent/bo")
    assert keys.caller(token) == Keys(tmp_path).caller(token) == expected
    assert token.startswith(f"hf_{key.id}_")
    assert len(token.split("_", 2)[2]) >= 43  # 256 bits


def test_neither_the_key_nor_its_secret_is_anywhere_on_disk(keys: Keys, tmp_path: Path) -> None:
    tokens = [keys.create(f"k{n}")[1] for n in range(3)]
    tokens.append(keys.rotate(keys.all()[0].id)[1])
    disk = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    for token in tokens:
        assert token.split("_", 2)[2].encode() not in disk


def test_the_files_are_private_whatever_the_umask(keys: Keys, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys.create()
        keys.create()
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    assert {path.name for path in tmp_path.iterdir()} == {FILE, f"{FILE}.lock"}


def test_an_expired_key_is_worth_nothing(keys: Keys, clock: Clock) -> None:
    _, token = keys.create(ttl_s=10)
    clock.now += 9.9
    assert keys.caller(token).may == "read"
    clock.now += 0.1
    with pytest.raises(CredentialError):
        keys.caller(token)


def test_a_revoked_key_is_worth_nothing_to_who_had_it_in_ram(keys: Keys, tmp_path: Path) -> None:
    key, token = keys.create()
    _, other = keys.create()
    elsewhere = Keys(tmp_path)
    elsewhere.caller(token)
    keys.revoke(key.id)
    for one in (keys, elsewhere):
        with pytest.raises(CredentialError):
            one.caller(token)
        assert one.caller(other).may == "read"
    with pytest.raises(NotFoundError):
        keys.revoke(key.id)


def test_rotation_ends_the_old_key_at_once_or_after_its_grace(keys: Keys, clock: Clock) -> None:
    key, token = keys.create("label", may="govern", principal="bo", ttl_s=100)
    second, new = keys.rotate(key.id)
    with pytest.raises(CredentialError):
        keys.caller(token)
    assert keys.caller(new) == Caller(f"key {second.id}", "govern", ("*",), "bo")
    clock.now += 50
    third, newest = keys.rotate(second.id, grace_s=10)
    assert third.expires_at == 1150.0
    assert keys.caller(new).name != keys.caller(newest).name
    clock.now += 10
    with pytest.raises(CredentialError):
        keys.caller(new)
    assert keys.caller(newest).principal == "bo"


def test_grace_does_not_lengthen_the_life_of_a_key(keys: Keys, clock: Clock) -> None:
    key, token = keys.create(ttl_s=5)
    keys.rotate(key.id, grace_s=1000)
    clock.now += 5
    with pytest.raises(CredentialError):
        keys.caller(token)


@pytest.mark.parametrize(
    "change", [{"may": "all"}, {"memories": []}, {"memories": ["a", ""]}, {"ttl_s": 0.0},
               {"ttl_s": float("nan")}],
)  # fmt: skip
def test_a_key_for_nothing_is_not_made(keys: Keys, tmp_path: Path, change: dict) -> None:  # type: ignore[type-arg]
    with pytest.raises(ArgumentsError):
        keys.create(**change)
    assert not (tmp_path / FILE).exists()


@given(st.text() | st.from_regex(r"hf_[0-9a-f]{0,10}_?.*"))
def test_no_made_up_key_holds_or_breaks_anything(token: str) -> None:
    with pytest.raises(CredentialError):
        Keys("/nowhere").caller(token)


def test_every_change_of_a_character_makes_it_another_key(keys: Keys) -> None:
    _, token = keys.create()
    for place in range(len(token)):
        wrong = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(CredentialError):
            keys.caller(wrong)
    for wrong in (token[:-1], token + "A", token.upper(), f" {token}"):
        with pytest.raises(CredentialError):
            keys.caller(wrong)


def test_secrets_are_compared_in_constant_time() -> None:
    # By its name: what time it takes cannot be told on a machine that others use, too.
    assert "compare_digest" in Key.matches.__code__.co_names


GOOD = {
    "id": "0011223344", "label": "", "may": "read", "memories": ["*"], "principal": None,
    "created_at": 1.0, "expires_at": None, "salt": "00", "hash": "00",
}  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", '{"format": 2, "keys": []}', '{"format": 1}', "\x00" * 100,
     '{"format": 1, "keys": [{}]}', '{"format": 1, "keys": [1]}',
     *(json.dumps({"format": 1, "keys": [{**GOOD, **bad}]}) for bad in (
         {"may": "everything"}, {"salt": "zz"}, {"salt": "00" * 65}, {"memories": "abc"},
         {"memories": None}, {"principal": 5}, {"expires_at": "never"}, {"more": 1}, {"hash": 7},
     ))],
)  # fmt: skip
def test_a_damaged_file_lets_nobody_in_and_is_left_alone(
    keys: Keys, tmp_path: Path, text: str
) -> None:
    _, token = keys.create()
    (tmp_path / FILE).write_text(text)
    credentials = Credentials(Keys(tmp_path), open=True)
    for attempt in (
        lambda: credentials.caller(token),
        lambda: Keys(tmp_path).create(),
        lambda: Keys(tmp_path).all(),
    ):
        with pytest.raises(StoreError, match="put back a good copy"):
            attempt()
    with pytest.raises(CredentialError):  # not even where no key would be needed
        credentials.caller(None)
    assert (tmp_path / FILE).read_text() == text


def test_who_revokes_the_last_key_opens_nothing(keys: Keys, tmp_path: Path) -> None:
    credentials = Credentials(Keys(tmp_path), open=True)
    assert credentials.caller(None) == OWNER
    key, token = keys.create()
    keys.revoke(key.id)
    for attempt in (None, token):
        with pytest.raises(CredentialError):
            credentials.caller(attempt)
    assert credentials.strict


def test_two_processes_that_make_keys_at_once_lose_none(tmp_path: Path) -> None:
    code = (
        "import sys; from holdfast.service.keys import Keys\n"
        "for n in range(20): print(Keys(sys.argv[1]).create(str(n))[1])"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    tokens = [line for one in processes for line in one.communicate(timeout=60)[0].split()]
    keys = Keys(tmp_path)
    assert len({keys.caller(token).name for token in tokens}) == 40
    assert len(keys.all()) == 40


def test_without_keys_an_open_server_is_the_owners_and_from_the_first_on_it_is_not(
    keys: Keys,
) -> None:
    open_, shut = Credentials(keys, open=True), Credentials(keys)
    assert (open_.caller(None), open_.required, shut.required) == (OWNER, False, True)
    with pytest.raises(CredentialError):
        shut.caller(None)
    with pytest.raises(CredentialError):
        open_.caller("hf_0_0")  # a bad one is refused even where none is needed
    key, token = keys.create()
    assert open_.required
    with pytest.raises(CredentialError, match="Authorization: Bearer"):
        open_.caller(None)
    assert open_.caller(token).name == f"key {key.id}"

"""Notes and checkpoints are those of C2SP and Go, and nothing changed is accepted."""

from __future__ import annotations

import base64
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from holdfast.errors import AuditError, MissingExtraError
from holdfast.trust.note import Checkpoint, new_key, open_note, public_key, sign

pytest.importorskip("cryptography", reason="the extra `audit` is not installed")

# The example of golang.org/x/mod/sumdb/note, both keys and the note.
GO_PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
GO_NOTE = GO_TEXT + (
    "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngot"
    "pRZb6KE6RyyBwJnAM=\n"
)
# The vkey of the Go checksum database.
SUM_PUBLIC = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
# The examples of c2sp.org/tlog-checkpoint and c2sp.org/signed-note; the latter with its vkey.
C2SP_CHECKPOINT = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
)
C2SP_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2O"
    "NncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
)
C2SP_PUBLIC = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

PRIVATE, PUBLIC = new_key("example.com/log", bytes(range(32)))
OTHER_PRIVATE, OTHER_PUBLIC = new_key("example.com/log", bytes(32))

lines = st.text(
    st.characters(min_codepoint=0x20, exclude_categories=["Cs"]), min_size=1, max_size=20
)
checkpoints = st.builds(
    Checkpoint,
    lines,
    st.integers(0, 2**63 - 1),
    st.binary(min_size=32, max_size=32),
    st.lists(lines, max_size=3).map(tuple),
)


def test_gos_example_is_signed_byte_for_byte() -> None:
    assert sign(GO_TEXT, GO_PRIVATE) == GO_NOTE
    assert open_note(GO_NOTE, GO_PUBLIC) == GO_TEXT
    assert open_note(GO_NOTE, SUM_PUBLIC, GO_PUBLIC) == GO_TEXT
    assert public_key(GO_PRIVATE) == GO_PUBLIC


def test_c2sps_examples_are_read() -> None:
    assert open_note(C2SP_NOTE, C2SP_PUBLIC) == "This is an example message.\n"
    checkpoint = Checkpoint.parse(C2SP_CHECKPOINT)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20852163)
    assert checkpoint.text() == C2SP_CHECKPOINT


@given(checkpoints)
def test_checkpoints_come_back(checkpoint: Checkpoint) -> None:
    note = sign(checkpoint.text(), PRIVATE)
    assert Checkpoint.parse(open_note(note, PUBLIC)) == checkpoint
    assert note.startswith(checkpoint.text() + "\n— example.com/log ")


@given(st.lists(st.one_of(lines, st.just("")), min_size=1, max_size=6))
def test_any_text_comes_back_blank_lines_too(given: list[str]) -> None:
    text = "".join(f"{line}\n" for line in given)
    assert open_note(sign(text, PRIVATE), PUBLIC) == text


def test_every_flipped_bit_is_refused() -> None:
    note = sign(Checkpoint("example.com/log", 5, bytes(32), ("time 1",)).text(), PRIVATE)
    raw = note.encode()
    for at in range(8 * len(raw)):
        bad = bytearray(raw)
        bad[at // 8] ^= 1 << at % 8
        try:
            text = bad.decode()
        except UnicodeDecodeError:
            continue
        with pytest.raises(AuditError):
            open_note(text, PUBLIC)


def test_other_keys_are_refused_and_witnesses_ignored() -> None:
    text = Checkpoint("example.com/log", 5, bytes(32)).text()
    note = sign(text, PRIVATE)
    with pytest.raises(AuditError, match=r"no trusted key signed the note.*example.com/log"):
        open_note(note, OTHER_PUBLIC)
    with pytest.raises(AuditError, match="trusted: none"):
        open_note(note)
    both = sign(text, PRIVATE, OTHER_PRIVATE, GO_PRIVATE)
    for key in (PUBLIC, OTHER_PUBLIC, GO_PUBLIC):
        assert open_note(both, key) == text
    witness = "— witness.example/w1 " + base64.b64encode(b"abcd" + bytes(72)).decode() + "\n"
    assert open_note(note + witness, PUBLIC) == text
    assert open_note(note.replace("\n— ", f"\n{witness}— "), PUBLIC) == text


def test_a_bad_signature_of_a_trusted_key_spoils_the_note() -> None:
    text = "text\n"
    note = sign(text, PRIVATE, GO_PRIVATE)
    key_id = bytes.fromhex(PUBLIC.split("+")[1])
    forged = f"— example.com/log {base64.b64encode(key_id + bytes(64)).decode()}\n"
    with pytest.raises(AuditError, match=r"signature of example\.com/log does not hold"):
        open_note(sign(text, GO_PRIVATE) + forged, PUBLIC, GO_PUBLIC)
    with pytest.raises(AuditError, match="does not hold"):
        open_note(note + forged, PUBLIC)
    assert open_note(note + forged, GO_PUBLIC) == text
    short = f"— example.com/log {base64.b64encode(key_id + bytes(9)).decode()}\n"
    with pytest.raises(AuditError, match="does not hold"):
        open_note(f"{text}\n{short}", PUBLIC)


@pytest.mark.parametrize(
    "note",
    [
        "",
        "\n",
        "text\n",
        "text\n\n",
        GO_NOTE[:-1],
        GO_NOTE.replace("\n\n", "\n"),
        GO_NOTE.replace("—", "-"),
        GO_NOTE.replace("— ", "—"),
        GO_NOTE.replace("— ", "—  "),
        GO_NOTE.replace("x08", "x08 "),
        GO_NOTE.replace("AM=\n", "AM\n"),
        GO_NOTE.replace("AM=\n", "AN=\n"),  # bits that base64 does not use
        GO_NOTE.replace("x08go/", "x08go_"),
        GO_NOTE.replace("PeterNeumann", "Peter+Neumann"),
        GO_NOTE.replace("PeterNeumann", "Peter\u00a0Neumann"),
        GO_NOTE.replace("\n", "\r\n"),
        GO_NOTE.replace("If", "\x00If"),
        GO_NOTE.replace("If", "\ud800If"),
        GO_NOTE + "\n",
        GO_NOTE + "more\n",
        GO_NOTE + "— short eA==\n",
        GO_NOTE + 100 * "— a AAAAAAAAAAA=\n",
        "a" * 1_000_001 + GO_NOTE,
    ],
)
def test_malformed_notes_are_refused(note: str) -> None:
    with pytest.raises(AuditError):
        open_note(note, GO_PUBLIC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        C2SP_CHECKPOINT[:-1],
        C2SP_CHECKPOINT + "\n",
        C2SP_CHECKPOINT + "an extension without its newline",
        C2SP_CHECKPOINT.replace("2085", "02085"),
        C2SP_CHECKPOINT.replace("2085", "+2085"),
        C2SP_CHECKPOINT.replace("20852163", "٣"),
        C2SP_CHECKPOINT.replace("20852163", ""),
        C2SP_CHECKPOINT.replace("20852163", "9" * 19),
        C2SP_CHECKPOINT.replace("2I=", "2J="),
        C2SP_CHECKPOINT.replace("q2I=", "q2I"),
        C2SP_CHECKPOINT.replace("CsUY", ""),
        C2SP_CHECKPOINT.replace("example.com/behind-the-sofa", ""),
        C2SP_CHECKPOINT.replace("\n", "\r\n"),
    ],
)
def test_malformed_checkpoints_are_refused(text: str) -> None:
    with pytest.raises(AuditError):
        Checkpoint.parse(text)


def test_fields_cannot_smuggle_lines() -> None:
    for origin, extensions in (("a\n9", ()), ("", ()), ("a", ("",)), ("a", ("b\n",))):
        with pytest.raises(AuditError, match="line of a checkpoint"):
            Checkpoint(origin, 1, bytes(32), extensions)
    for size, root in ((-1, bytes(32)), (1, bytes(31)), (2**63, bytes(32))):
        with pytest.raises(AuditError, match="it needs 0 or more"):
            Checkpoint("a", size, root)


def test_keys_are_checked() -> None:
    assert new_key("a")[0] != new_key("a")[0]
    for at in range(len(GO_PUBLIC)):
        for bad in (GO_PUBLIC[:at], GO_PUBLIC[at + 1 :]):
            with pytest.raises(AuditError):
                open_note(GO_NOTE, bad)
    for public in (GO_PUBLIC.replace("c74f", "c84f"), GO_PUBLIC.replace("Peter", "Paul")):
        with pytest.raises(AuditError, match="does not fit its key id"):
            open_note(GO_NOTE, public)
    with pytest.raises(AuditError, match="not an Ed25519 key"):
        open_note(GO_NOTE, GO_PUBLIC.replace("+ARpc", "+BRpc"))
    with pytest.raises(AuditError, match="begins with"):
        sign("a\n", GO_PUBLIC)
    with pytest.raises(AuditError, match="does not fit its key id"):
        sign("a\n", GO_PRIVATE.replace("HKDFz", "HKDFy"))
    with pytest.raises(AuditError, match="32 bytes"):
        new_key("a", b"short")
    for name in ("", "a b", "a+b", "a\n", "a\u2003b", "a\x7f\x01"):
        with pytest.raises(AuditError, match="key name"):
            new_key(name)


def test_private_keys_are_not_in_messages() -> None:
    bad = GO_PRIVATE.replace("HKDFz", "HKDFy")
    with pytest.raises(AuditError) as caught:
        sign("a\n", bad)
    assert bad.split("+")[-1] not in str(caught.value)


def test_what_cannot_be_a_note_is_not_signed() -> None:
    for text in ("", "no newline", "a\tb\n", "a\r\n", "\ud800\n", "a" * 1_000_000 + "\n"):
        with pytest.raises(AuditError):
            sign(text, PRIVATE)
    with pytest.raises(AuditError, match="at least one key"):
        sign("a\n")


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.asymmetric.ed25519", None)
    for call in (lambda: new_key("a"), lambda: open_note(GO_NOTE, GO_PUBLIC)):
        with pytest.raises(MissingExtraError, match=r'pip install "holdfast\[audit\]"'):
            call()


def test_same_as_aics_tlog() -> None:
    theirs = pytest.importorskip("aics_tlog.note", reason="needs Python 3.12 or newer")
    note = sign(Checkpoint("example.com/log", 5, bytes(32)).text(), PRIVATE, GO_PRIVATE)
    parsed = theirs.parse_note(note)
    for key in (PUBLIC, GO_PUBLIC):
        assert theirs.verify_note(parsed, [theirs.parse_vkey(key)])
    assert not theirs.verify_note(parsed, [theirs.parse_vkey(SUM_PUBLIC)])

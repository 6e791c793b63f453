"""Passwords: what SASLprep makes of them, and what is kept."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from immpd.protocol.scram_keys import (
    ScramError,
    check_parameters,
    client_proof,
    proof_holds,
    salted_password,
    saslprep,
    unknown_verifier,
    verifier_from_h,
)

SALT = bytes(16)


@pytest.mark.parametrize(
    ("text", "prepared"),
    [
        ("I\u00adX", "IX"),  # these five: RFC 4013, section 3
        ("user", "user"),
        ("USER", "USER"),
        ("\u00aa", "a"),
        ("\u2168", "IX"),
        ("correct horse", "correct horse"),
        ("a\u00a0b\u3000c", "a b c"),
        ("e\u0301", "é"),
        ("שלום", "שלום"),
        ("\u0627\u0031\u0628", "\u0627\u0031\u0628"),
        ("\U0001f600", "\U0001f600"),  # not assigned in Unicode 3.2: allowed
    ],
)
def test_saslprep(text: str, prepared: str) -> None:
    assert saslprep(text) == prepared


@pytest.mark.parametrize(
    "text",
    [
        *("", "\u0007", "\u0627\u0031", "a\u0627", "\u0627a\u0627", "\u00ad", "a\nb", "\x7f"),
        *("\ud800", "\ufffd", "\u200e", "\ue000", "\ufdd0", "\U000e0001", "a" * 1025),
    ],
)
def test_saslprep_refuses(text: str) -> None:
    with pytest.raises(ScramError):
        saslprep(text)


@given(st.text(max_size=20))
def test_saslprep_is_stable(text: str) -> None:
    try:
        prepared = saslprep(text)
    except ScramError:
        return
    assert saslprep(prepared) == prepared


def test_h_of_the_example_in_rfc_7677() -> None:
    h = salted_password("pencil", base64.b64decode("W22ZaJ0SNY7soEsUEjb6gQ=="), 4096)
    assert h.hex() == "c4a49510323ab4f952cac1fa99441939e78ea74d6be81ddf7096e87513dc615d"


def test_h_is_of_the_prepared_password() -> None:
    assert salted_password("I\u00adX", SALT, 4096) == salted_password("\u2168", SALT, 4096)


@pytest.mark.parametrize(("octets", "rounds"), [(16, 600_000), (64, 10_000_000)])
def test_parameters_within_bounds(octets: int, rounds: int) -> None:
    check_parameters(bytes(octets), rounds)


@pytest.mark.parametrize(("octets", "rounds"), [(15, 600_000), (65, 600_000), (16, 599_999), (16, 10_000_001), (16, 0)])
def test_parameters_out_of_bounds(octets: int, rounds: int) -> None:
    with pytest.raises(ScramError):
        check_parameters(bytes(octets), rounds)


@given(h=st.binary(min_size=32, max_size=32), other=st.binary(min_size=32, max_size=32), message=st.binary(max_size=50))
def test_only_the_same_h_proves_itself(h: bytes, other: bytes, message: bytes) -> None:
    verifier = verifier_from_h(h, SALT, 600_000)
    assert proof_holds(verifier, message, client_proof(h, message))
    assert proof_holds(verifier, message, client_proof(other, message)) == (h == other)


def test_nothing_proves_itself_to_the_verifier_of_an_unknown_account() -> None:
    verifier = unknown_verifier(SALT, 600_000, lambda count: b"\x01" * count)
    assert (verifier.salt, verifier.iterations) == (SALT, 600_000)
    assert not proof_holds(verifier, b"message", client_proof(bytes(32), b"message"))

"""From a password to what a server keeps of it, and the arithmetic of SCRAM's proofs (RFC 5802, section 3).

Rules: a password becomes h (SCRAM's SaltedPassword) outside any exchange, so that its 600,000 rounds
run once, and never in the loop; secrets are compared in constant time; the only exception is
:class:`ScramError` (docs/protocol.md, "Authentication").
"""

import hashlib
import hmac
import stringprep
import unicodedata
from collections.abc import Callable
from enum import Enum

import msgspec

from immpd.model.errors import ImmpError

MIN_ITERATIONS = 600_000
MAX_ITERATIONS = 10_000_000
MIN_SALT = 16
MAX_SALT = 64
"""Octets."""
KEY_LENGTH = 32
"""Octets of h, of both keys and of a proof: SHA-256."""
MAX_PASSWORD = 1_024
"""Characters."""
STRONG_PASSWORD = 10
"""Characters that a new password has at least, unless its owner insists: a server sees none, so who derives asks."""


class Reason(Enum):
    """Why an exchange failed: the server-error-value of RFC 5802, section 7."""

    INVALID_ENCODING = "invalid-encoding"
    EXTENSIONS_NOT_SUPPORTED = "extensions-not-supported"
    INVALID_PROOF = "invalid-proof"
    CHANNEL_BINDINGS_DONT_MATCH = "channel-bindings-dont-match"
    SERVER_DOES_SUPPORT_CHANNEL_BINDING = "server-does-support-channel-binding"
    CHANNEL_BINDING_NOT_SUPPORTED = "channel-binding-not-supported"
    UNSUPPORTED_CHANNEL_BINDING_TYPE = "unsupported-channel-binding-type"
    INVALID_USERNAME_ENCODING = "invalid-username-encoding"
    OTHER_ERROR = "other-error"


class ScramError(ImmpError):
    """An exchange failed; ``reason`` is RFC 5802's word for it, the text is for people and holds no secret."""

    def __init__(self, reason: Reason, text: str) -> None:
        super().__init__(text)
        self.reason = reason


class Verifier(msgspec.Struct, frozen=True):
    """What a server keeps of a password: enough to check it, useless to log in with (RFC 5802, section 3)."""

    salt: bytes
    iterations: int
    stored_key: bytes
    server_key: bytes


def check_strength(password: str) -> None:
    """Raises ScramError where a new password has fewer characters than STRONG_PASSWORD."""
    if len(password) < STRONG_PASSWORD:
        raise ScramError(
            Reason.OTHER_ERROR, f"A password has at least {STRONG_PASSWORD} characters; --weak takes a shorter one"
        )


def saslprep(text: str) -> str:
    """Prepare a password by RFC 4013, unassigned code points allowed.

    Raises ScramError if it is empty, too long, or has a character that RFC 4013 prohibits.
    """
    if not text or len(text) > MAX_PASSWORD:
        raise ScramError(Reason.OTHER_ERROR, f"A password has 1 to {MAX_PASSWORD} characters")
    if text.isascii() and text.isprintable():
        return text
    mapped = "".join(
        " " if stringprep.in_table_c12(char) else char for char in text if not stringprep.in_table_b1(char)
    )
    # The tables are Unicode 3.2's by definition, so no update of Python can change what a password becomes.
    prepared = unicodedata.ucd_3_2_0.normalize("NFKC", mapped)
    if not prepared:
        raise ScramError(Reason.OTHER_ERROR, "The password is empty once invisible characters are removed")
    if any(prohibited(char) for char in prepared for prohibited in _PROHIBITED):
        raise ScramError(Reason.OTHER_ERROR, "The password has a character that passwords cannot have (RFC 4013)")
    if any(map(stringprep.in_table_d1, prepared)) and (
        any(map(stringprep.in_table_d2, prepared))
        or not (stringprep.in_table_d1(prepared[0]) and stringprep.in_table_d1(prepared[-1]))
    ):
        raise ScramError(Reason.OTHER_ERROR, "The password mixes writing directions (RFC 4013, section 2.4)")
    return prepared


_PROHIBITED = (
    stringprep.in_table_c12,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


def salted_password(password: str, salt: bytes, iterations: int) -> bytes:
    """h = PBKDF2-HMAC-SHA-256(SASLprep(password), salt, iterations), 32 octets (docs/protocol.md, "Authentication").

    Takes 135 ms at 600,000 rounds: call it in a thread. Raises ScramError where SASLprep refuses the password.
    """
    return hashlib.pbkdf2_hmac("sha256", saslprep(password).encode(), salt, iterations)


def check_parameters(salt: bytes, iterations: int) -> None:
    """Raise ScramError unless salt and rounds are what a client accepts and a new verifier may have."""
    if not MIN_ITERATIONS <= iterations <= MAX_ITERATIONS:
        raise ScramError(
            Reason.OTHER_ERROR, f"{iterations:,} rounds are not between {MIN_ITERATIONS:,} and {MAX_ITERATIONS:,}"
        )
    if not MIN_SALT <= len(salt) <= MAX_SALT:
        raise ScramError(Reason.OTHER_ERROR, f"A salt has {MIN_SALT} to {MAX_SALT} octets, not {len(salt)}")


def verifier_from_h(h: bytes, salt: bytes, iterations: int) -> Verifier:
    """What to store for h. It trusts salt and rounds; for those of a peer call check_parameters first."""
    client_key = hmac.digest(h, b"Client Key", "sha256")
    return Verifier(
        salt=salt,
        iterations=iterations,
        stored_key=hashlib.sha256(client_key).digest(),
        server_key=hmac.digest(h, b"Server Key", "sha256"),
    )


def unknown_verifier(salt: bytes, iterations: int, random: Callable[[int], bytes]) -> Verifier:
    """A verifier that no password meets: an unknown account takes the same road, and the same time, as a known one."""
    return Verifier(salt, iterations, random(KEY_LENGTH), random(KEY_LENGTH))


def client_proof(h: bytes, auth_message: bytes) -> bytes:
    """ClientProof of RFC 5802, section 3."""
    client_key = hmac.digest(h, b"Client Key", "sha256")
    signature = hmac.digest(hashlib.sha256(client_key).digest(), auth_message, "sha256")
    return _xor(client_key, signature)


def proof_holds(verifier: Verifier, auth_message: bytes, proof: bytes) -> bool:
    """Whether ``proof`` (32 octets) was made with the h behind ``verifier``; constant time."""
    client_key = _xor(hmac.digest(verifier.stored_key, auth_message, "sha256"), proof)
    return hmac.compare_digest(hashlib.sha256(client_key).digest(), verifier.stored_key)


def _xor(left: bytes, right: bytes) -> bytes:
    return (int.from_bytes(left) ^ int.from_bytes(right)).to_bytes(KEY_LENGTH)

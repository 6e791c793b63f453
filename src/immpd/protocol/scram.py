"""SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, both sides, as messages in and messages out (RFC 5802, RFC 7677).

Rules: no socket, no clock, no storage, and randomness only from the nonce source given; an exchange
moves in one order and is dead after its first error; whatever a peer sends, the only exception is
:class:`ScramError`; secrets are compared in constant time. Keys and passwords are scram_keys' matter
(docs/protocol.md, "Authentication").
"""

import base64
import hmac
import re
import secrets
import unicodedata
from collections.abc import Callable, Iterable
from enum import IntEnum, auto

import msgspec

from immpd.protocol.scram_keys import (
    KEY_LENGTH,
    MAX_ITERATIONS,
    MAX_SALT,
    MIN_ITERATIONS,
    MIN_SALT,
    Reason,
    ScramError,
    Verifier,
    check_parameters,
    check_strength,
    client_proof,
    proof_holds,
    salted_password,
    saslprep,
    unknown_verifier,
    verifier_from_h,
)

__all__ = [
    "BINDING_TYPE",
    "MAX_ITERATIONS",
    "MAX_SALT",
    "MIN_ITERATIONS",
    "MIN_SALT",
    "PLAIN",
    "PLUS",
    "Challenge",
    "ClientExchange",
    "Reason",
    "ScramError",
    "ServerExchange",
    "Verifier",
    "check_parameters",
    "check_strength",
    "choose_mechanism",
    "decode_message",
    "encode_message",
    "new_nonce",
    "salted_password",
    "saslprep",
    "unknown_verifier",
    "verifier_from_h",
]

PLAIN = "SCRAM-SHA-256"
PLUS = "SCRAM-SHA-256-PLUS"
BINDING_TYPE = "tls-server-end-point"
"""The one channel binding that both sides can compute on every supported Python (RFC 5929, section 4)."""

MAX_MESSAGE = 2_048
"""Octets of any one SCRAM message, before base64."""
MAX_USERNAME = 1_024

_NONCE = re.compile(r"[\x21-\x2b\x2d-\x7e]{1,256}")
_EXTENSION = re.compile(r"[A-Za-z]=[^\x00,]+")
_NUMBER = re.compile(r"[1-9][0-9]{0,8}")
_OWN_ATTRIBUTES = frozenset("anmrcsipve")


class Challenge(msgspec.Struct, frozen=True):
    """What the server's first message asks for: h, made with this salt and this number of rounds."""

    salt: bytes
    iterations: int


# --- Messages on the wire ---


def new_nonce() -> str:
    """A nonce source for production: 24 random octets as text."""
    return secrets.token_urlsafe(24)


def encode_message(message: bytes) -> str:
    """A SCRAM message as the word that AUTH, 304 and 210 carry."""
    return base64.b64encode(message).decode("ascii")


def decode_message(word: str) -> bytes:
    """The SCRAM message in a word of AUTH, 304 or 210; ScramError unless it is canonical base64 within bounds."""
    if len(word) > (MAX_MESSAGE + 2) // 3 * 4:
        raise ScramError(Reason.INVALID_ENCODING, f"A SCRAM message has at most {MAX_MESSAGE} octets")
    return _unbase64(word, "SCRAM message")


def choose_mechanism(advertised: Iterable[str], channel_binding: bytes | None) -> str:
    """The strongest SCRAM that the server advertises and this connection allows; ScramError if there is none."""
    names = set(advertised)
    if PLUS in names and channel_binding is not None:
        return PLUS
    if PLAIN in names:
        return PLAIN
    raise ScramError(Reason.OTHER_ERROR, "The server offers no SCRAM mechanism that this connection can use")


def _malformed(what: str) -> ScramError:
    return ScramError(Reason.OTHER_ERROR, f"Malformed {what} (RFC 5802, section 7)")


def _text(message: bytes) -> str:
    if len(message) > MAX_MESSAGE:
        raise ScramError(Reason.OTHER_ERROR, f"A SCRAM message has at most {MAX_MESSAGE} octets")
    try:
        return message.decode("utf-8")
    except UnicodeDecodeError:
        raise ScramError(Reason.INVALID_ENCODING, "A SCRAM message is UTF-8") from None


def _unbase64(text: str, what: str) -> bytes:
    try:
        octets = base64.b64decode(text, validate=True)
    except ValueError:
        octets = b""
    # One spelling for one value: what lies behind the padding, and spare bits, may not vary.
    if not octets or base64.b64encode(octets).decode("ascii") != text:
        raise ScramError(Reason.INVALID_ENCODING, f"The {what} is not base64 (RFC 4648, section 4)")
    return octets


def _value(attribute: str, name: str, what: str) -> str:
    if not attribute.startswith(name + "="):
        # RFC 5802, section 5.1: m= is reserved for extensions that must be understood.
        if attribute.startswith("m="):
            raise ScramError(Reason.EXTENSIONS_NOT_SUPPORTED, "Mandatory SCRAM extensions (m=) are not supported")
        raise _malformed(what)
    return attribute[2:]


def _check_extensions(attributes: list[str], what: str) -> None:
    """Optional extensions that we do not know are ignored, as RFC 5802, section 5.1 asks, if they look like ones."""
    for attribute in attributes:
        if attribute.startswith("m="):
            raise ScramError(Reason.EXTENSIONS_NOT_SUPPORTED, "Mandatory SCRAM extensions (m=) are not supported")
        if not _EXTENSION.fullmatch(attribute) or attribute[0] in _OWN_ATTRIBUTES:
            raise _malformed(what)


def _escape(name: str) -> str:
    return name.replace("=", "=3D").replace(",", "=2C")


def _unescape(saslname: str) -> str:
    for piece in saslname.split("=")[1:]:
        if not piece.startswith(("2C", "3D")):
            raise ScramError(Reason.INVALID_USERNAME_ENCODING, "In a SCRAM name, = is written =3D and a comma =2C")
    return _checked_name(saslname.replace("=2C", ",").replace("=3D", "="))


def _checked_name(name: str) -> str:
    # Account names are IMIDs, which RFC 8265 (PRECIS) prepares and compares when they are looked up. SASLprep is not
    # applied to them: its rule on writing directions would refuse every Hebrew or Arabic name before a Latin domain.
    if not name or len(name) > MAX_USERNAME or any(unicodedata.category(char) in ("Cc", "Cs") for char in name):
        raise ScramError(
            Reason.INVALID_USERNAME_ENCODING, f"A name has 1 to {MAX_USERNAME} characters, no control characters"
        )
    return name


def _nonce(text: str, what: str) -> str:
    if not _NONCE.fullmatch(text):
        raise _malformed(what)
    return text


class _Stage(IntEnum):
    START = auto()
    NAMED = auto()
    CHALLENGED = auto()
    PROVED = auto()
    OVER = auto()


class _Exchange:
    """The order of an exchange: a step that raises leaves it OVER, so nothing can be tried twice."""

    def __init__(self) -> None:
        self._stage = _Stage.START

    def _enter(self, stage: _Stage) -> None:
        here, self._stage = self._stage, _Stage.OVER
        if here is not stage:
            raise ScramError(Reason.OTHER_ERROR, "This SCRAM exchange is over or its messages came out of order")


class ClientExchange(_Exchange):
    """The client's side: first, challenge, final, verify, in this order.

    ``username`` is the account as docs/protocol.md, "Names" writes it. ``channel_binding`` is the server
    certificate's end-point hash, or None where none can be computed. With a hash but the mechanism without -PLUS
    the exchange says y: "I could, but did not see you offer it", and the server finds a stripped offer.
    """

    def __init__(self, username: str, mechanism: str, channel_binding: bytes | None, nonce: Callable[[], str]) -> None:
        super().__init__()
        if mechanism not in (PLAIN, PLUS) or (mechanism == PLUS and channel_binding is None):
            raise ScramError(Reason.CHANNEL_BINDING_NOT_SUPPORTED, f"{mechanism} is not possible on this connection")
        bound = mechanism == PLUS
        flag = f"p={BINDING_TYPE}" if bound else "n" if channel_binding is None else "y"
        self._header = f"{flag},,".encode()
        self._binding = self._header + (channel_binding or b"" if bound else b"")
        self._nonce = nonce()
        self._bare = f"n={_escape(_checked_name(username))},r={self._nonce}".encode()
        self._server_first = self._server_signature = b""

    def first(self) -> bytes:
        """The client-first-message."""
        self._enter(_Stage.START)
        self._stage = _Stage.NAMED
        return self._header + self._bare

    def challenge(self, server_first: bytes) -> Challenge:
        """Read the server-first-message; ScramError if it is malformed, not ours, or asks for a weak or absurd h."""
        self._enter(_Stage.NAMED)
        what = "server-first-message"
        attributes = _text(server_first).split(",")
        _raise_server_error(attributes[0])
        if len(attributes) < 3:
            _value(attributes[0], "r", what)
            raise _malformed(what)
        nonce = _nonce(_value(attributes[0], "r", what), what)
        salt = _unbase64(_value(attributes[1], "s", what), "salt")
        rounds = _value(attributes[2], "i", what)
        _check_extensions(attributes[3:], what)
        if not _NUMBER.fullmatch(rounds):
            raise _malformed(what)
        if not nonce.startswith(self._nonce) or nonce == self._nonce:
            raise ScramError(Reason.OTHER_ERROR, "The server's nonce does not continue ours")
        challenge = Challenge(salt, int(rounds))
        check_parameters(challenge.salt, challenge.iterations)
        self._nonce = nonce
        self._server_first = server_first
        self._stage = _Stage.CHALLENGED
        return challenge

    def final(self, h: bytes) -> bytes:
        """The client-final-message, proving h (32 octets, made as the challenge says)."""
        self._enter(_Stage.CHALLENGED)
        if len(h) != KEY_LENGTH:
            raise ScramError(Reason.OTHER_ERROR, f"h has {KEY_LENGTH} octets")
        without_proof = b"c=" + base64.b64encode(self._binding) + b",r=" + self._nonce.encode()
        auth_message = b",".join((self._bare, self._server_first, without_proof))
        server_key = hmac.digest(h, b"Server Key", "sha256")
        self._server_signature = hmac.digest(server_key, auth_message, "sha256")
        self._stage = _Stage.PROVED
        return without_proof + b",p=" + base64.b64encode(client_proof(h, auth_message))

    def verify(self, server_final: bytes) -> None:
        """Read the server-final-message; ScramError unless the server proves that it holds our verifier."""
        self._enter(_Stage.PROVED)
        what = "server-final-message"
        attributes = _text(server_final).split(",")
        _raise_server_error(attributes[0])
        signature = _unbase64(_value(attributes[0], "v", what), "server signature")
        _check_extensions(attributes[1:], what)
        if not hmac.compare_digest(signature, self._server_signature):
            raise ScramError(Reason.INVALID_PROOF, "The server could not prove that it knows this account's password")


def _raise_server_error(attribute: str) -> None:
    if not attribute.startswith("e="):
        return
    for reason in Reason:
        if reason.value == attribute[2:]:
            raise ScramError(reason, f"The server refused: {reason.value}")
    raise ScramError(Reason.OTHER_ERROR, "The server refused with a reason of its own")


class ServerExchange(_Exchange):
    """The server's side: accept, server_first, finish, in this order.

    ``channel_binding`` is given exactly when the server advertises -PLUS on this connection: then a client that
    says y was shown a shortened list by someone in the middle, and is refused (RFC 5802, section 6).
    """

    def __init__(self, mechanism: str, channel_binding: bytes | None, nonce: Callable[[], str]) -> None:
        super().__init__()
        if mechanism not in (PLAIN, PLUS):
            raise ScramError(Reason.OTHER_ERROR, f"The SCRAM mechanisms are {PLUS} and {PLAIN}")
        if mechanism == PLUS and channel_binding is None:
            raise ScramError(Reason.CHANNEL_BINDING_NOT_SUPPORTED, "This connection has no channel binding")
        self._bound = mechanism == PLUS
        self._channel_binding = channel_binding
        self._source = nonce
        self._expected_binding = self._bare = self._server_first = b""
        self._nonce = ""
        self._verifier = Verifier(b"", 0, b"", b"")

    def accept(self, client_first: bytes) -> str:
        """Read the client-first-message; returns the account that it names, as written there, not looked up."""
        self._enter(_Stage.START)
        what = "client-first-message"
        flag, _, rest = _text(client_first).partition(",")
        authzid, comma, bare = rest.partition(",")
        if not comma:
            raise _malformed(what)
        self._check_flag(flag)
        attributes = bare.split(",")
        username = _unescape(_value(attributes[0], "n", what))
        if len(attributes) < 2:
            raise _malformed(what)
        nonce = _nonce(_value(attributes[1], "r", what), what)
        _check_extensions(attributes[2:], what)
        if authzid and _unescape(_value(authzid, "a", what)) != username:
            raise ScramError(Reason.OTHER_ERROR, "Nobody can log in as somebody else; leave the authzid out")
        header = client_first[: len(client_first) - len(bare.encode())]
        self._expected_binding = header + (self._channel_binding or b"" if self._bound else b"")
        self._bare = bare.encode()
        self._nonce = nonce + self._source()
        self._stage = _Stage.NAMED
        return username

    def _check_flag(self, flag: str) -> None:
        """The gs2-cbind-flag against mechanism and offer (RFC 5802, section 6)."""
        if flag.startswith("p="):
            if not self._bound:
                raise ScramError(Reason.CHANNEL_BINDING_NOT_SUPPORTED, f"Channel binding needs the mechanism {PLUS}")
            if flag != f"p={BINDING_TYPE}":
                raise ScramError(Reason.UNSUPPORTED_CHANNEL_BINDING_TYPE, f"The channel binding here is {BINDING_TYPE}")
        elif flag == "y":
            if self._channel_binding is not None:
                raise ScramError(
                    Reason.SERVER_DOES_SUPPORT_CHANNEL_BINDING,
                    f"This server offers {PLUS}; somebody between us may have removed it from its list",
                )
        elif flag != "n":
            raise _malformed("client-first-message")
        elif self._bound:
            raise ScramError(Reason.CHANNEL_BINDINGS_DONT_MATCH, f"{PLUS} needs p={BINDING_TYPE}")

    def server_first(self, verifier: Verifier) -> bytes:
        """The server-first-message for the account's verifier, or for unknown_verifier where there is no account."""
        self._enter(_Stage.NAMED)
        self._verifier = verifier
        salt = encode_message(verifier.salt)
        self._server_first = f"r={self._nonce},s={salt},i={verifier.iterations}".encode()
        self._stage = _Stage.CHALLENGED
        return self._server_first

    def finish(self, client_final: bytes) -> bytes:
        """Read the client-final-message; returns the server-final-message if it proves the password.

        Raises ScramError otherwise: INVALID_PROOF for a wrong password, and all the same for an unknown account.
        """
        self._enter(_Stage.CHALLENGED)
        what = "client-final-message"
        attributes = _text(client_final).split(",")
        binding = _unbase64(_value(attributes[0], "c", what), "channel binding")
        if len(attributes) < 3:
            raise _malformed(what)
        nonce = _value(attributes[1], "r", what).encode()
        _check_extensions(attributes[2:-1], what)
        proof = _unbase64(_value(attributes[-1], "p", what), "proof")
        if len(proof) != KEY_LENGTH:
            raise _malformed(what)
        if not hmac.compare_digest(nonce, self._nonce.encode()):
            raise ScramError(Reason.OTHER_ERROR, "The nonce is not the one of this exchange")
        if not hmac.compare_digest(binding, self._expected_binding):
            raise ScramError(
                Reason.CHANNEL_BINDINGS_DONT_MATCH,
                "The client sees another certificate than ours: somebody may be between us",
            )
        without_proof = client_final[: client_final.rindex(b",p=")]
        auth_message = b",".join((self._bare, self._server_first, without_proof))
        if not proof_holds(self._verifier, auth_message, proof):
            raise ScramError(Reason.INVALID_PROOF, "Wrong account name or password")
        return b"v=" + base64.b64encode(hmac.digest(self._verifier.server_key, auth_message, "sha256"))

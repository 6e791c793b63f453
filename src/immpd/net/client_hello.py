"""What a client offers in the first message of TLS, which Python's ssl tells nobody before it answers (RFC 8446, 7301).

Rules: it is read only to refuse; what cannot be read is left to TLS, which refuses it in its own words.
"""

from typing import Final

NO_APPLICATION_PROTOCOL: Final = b"\x15\x03\x03\x00\x02\x02\x78"
"""The fatal alert of that name, as a record in clear (RFC 7301, section 3.2)."""
MAX_HELLO: Final = 32 * 1024
"""Octets that are looked at."""
_MAX_RECORDS: Final = 8
_MAX_RECORD: Final = 16_384
_HANDSHAKE, _CLIENT_HELLO, _ALPN = 22, 1, 16


def offered_protocols(octets: bytes) -> tuple[str, ...] | None:
    """The protocols that a ClientHello offers by ALPN, in its order; None while it is not complete.

    ``octets`` are all that the client sent since TLS began. Empty where it offers none, and for what is no ClientHello
    or comes in an odd number of pieces.
    """
    message = bytearray()
    at = 0
    for _ in range(_MAX_RECORDS):
        length = _number(octets, at + 3, 2)
        if octets[at : at + 1] not in (b"", bytes((_HANDSHAKE,))) or at > MAX_HELLO or length > _MAX_RECORD:
            return ()
        end = at + 5 + length
        if len(octets) < at + 5 or len(octets) < end:
            return None
        message += octets[at + 5 : end]
        at = end
        if len(message) >= 4 and len(message) >= 4 + _number(message, 1, 3):
            return _protocols(bytes(message)) if message[0] == _CLIENT_HELLO else ()
    return ()


def _protocols(message: bytes) -> tuple[str, ...]:
    at = 4 + 2 + 32  # version, random
    at += 1 + _number(message, at, 1)  # session
    at += 2 + _number(message, at, 2)  # suites
    at += 1 + _number(message, at, 1)  # compression
    at += 2
    while at + 4 <= len(message):
        kind, length = _number(message, at, 2), _number(message, at + 2, 2)
        at += 4
        if kind == _ALPN:
            return _names(message[at + 2 : at + length])
        at += length
    return ()


def _names(listed: bytes) -> tuple[str, ...]:
    found = []
    at = 0
    while at < len(listed):
        end = at + 1 + listed[at]
        found.append(listed[at + 1 : end].decode("latin-1"))
        at = end
    return tuple(found)


def _number(octets: bytes | bytearray, at: int, size: int) -> int:
    return int.from_bytes(octets[at : at + size])

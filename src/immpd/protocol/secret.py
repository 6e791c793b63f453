"""The key of AUTH SECRET, as IMMP 1.0 defines it (docs/protocol.md, "Authentication").

Rule: pure arithmetic. Nonces, their 60 seconds and the sealed h belong to the server; SHA-1 is the
protocol's choice and is only ever fed two nonces and a 256-bit h.
"""

import hashlib
import hmac
from uuid import UUID


def secret_key(h: bytes, n1: UUID, n2: int) -> str:
    """K(h, n1, n2) = SHA-1(hex(h) ‖ n1 ‖ n2), as 40 lower-case hexadecimal digits.

    ``n1`` is written as a lower-case UUID with hyphens, ``n2`` (Unix seconds) in decimal.
    """
    return hashlib.sha1(f"{h.hex()}{n1}{n2}".encode("ascii"), usedforsecurity=False).hexdigest()


def secret_matches(h: bytes, n1: UUID, n2: int, answer: str) -> bool:
    """Whether ``answer``, as it came in AUTH RESPONSE, is the key; constant time, never raises."""
    return hmac.compare_digest(secret_key(h, n1, n2).encode("ascii"), answer.encode("utf-8", "surrogatepass").lower())

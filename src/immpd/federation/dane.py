"""DANE: whether a certificate is the one that a domain's TLSA records name (RFC 6698, RFC 7671).

Rules: of the four usages two say something about a server's own certificate (3, DANE-EE) without an authority;
records of other usages, selectors or hashes are unusable, and a set of them alone is as good as none; a usable set
that the certificate does not match is a forgery, whatever else vouches for it.
"""

import hashlib
from collections.abc import Sequence
from enum import Enum

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from .resolving import Association

END_ENTITY = 3
_HASHES = {1: "sha256", 2: "sha512"}


class Match(Enum):
    """What TLSA records say of a certificate."""

    NOTHING = "no usable record"
    MATCHES = "named by the domain"
    CONTRADICTS = "another is named"


def compared(associations: Sequence[Association], certificate: bytes) -> Match:
    """Compare a server's certificate (DER) with records that DNSSEC proved."""
    usable = [one for one in associations if _is_usable(one)]
    if not usable:
        return Match.NOTHING
    parsed = x509.load_der_x509_certificate(certificate)
    spki = parsed.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for one in usable:
        selected = spki if one.selector else certificate
        name = _HASHES.get(one.matching)
        if (hashlib.new(name, selected).digest() if name else selected) == one.data:
            return Match.MATCHES
    return Match.CONTRADICTS


def _is_usable(one: Association) -> bool:
    return one.usage == END_ENTITY and one.selector in (0, 1) and one.matching in (0, 1, 2)

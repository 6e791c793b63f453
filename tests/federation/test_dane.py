import hashlib
import ssl

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from immpd.federation.dane import Match, compared
from immpd.federation.resolving import Association

ISSUED = trustme.CA().issue_cert("b.test")
PEM = ISSUED.cert_chain_pems[0].bytes().decode()
KEY = load_pem_private_key(ISSUED.private_key_pem.bytes(), None)
SPKI = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture(scope="module")
def certificate() -> bytes:
    return ssl.PEM_cert_to_DER_cert(PEM)


def sha256(octets: bytes) -> bytes:
    return hashlib.sha256(octets).digest()


def test_each_way_to_name_a_certificate(certificate: bytes) -> None:
    for association in (
        Association(3, 0, 0, certificate),
        Association(3, 0, 1, sha256(certificate)),
        Association(3, 0, 2, hashlib.sha512(certificate).digest()),
        Association(3, 1, 0, SPKI),
        Association(3, 1, 1, sha256(SPKI)),
        Association(3, 1, 2, hashlib.sha512(SPKI).digest()),
    ):
        assert compared([association], certificate) is Match.MATCHES, association


def test_another_certificate_than_the_one_that_is_named(certificate: bytes) -> None:
    assert compared([Association(3, 1, 1, sha256(b"other"))], certificate) is Match.CONTRADICTS
    assert compared([Association(3, 1, 1, b"")], certificate) is Match.CONTRADICTS


def test_one_of_several_is_enough(certificate: bytes) -> None:
    both = [Association(3, 1, 1, sha256(b"the next key")), Association(3, 1, 1, sha256(SPKI))]
    assert compared(both, certificate) is Match.MATCHES


@pytest.mark.parametrize(
    "unusable",
    [Association(0, 1, 1, b"x"), Association(2, 1, 1, b"x"), Association(3, 2, 1, b"x"), Association(3, 1, 9, b"x")],
)
def test_records_that_say_nothing_are_as_good_as_none(certificate: bytes, unusable: Association) -> None:
    assert compared([], certificate) is Match.NOTHING
    assert compared([unusable], certificate) is Match.NOTHING
    assert compared([unusable, Association(3, 1, 1, sha256(SPKI))], certificate) is Match.MATCHES

"""Certificates: made, read, chosen by name, changed while the server runs; and what TLS allows."""

import hashlib
import ssl
import stat
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from immpd.net.certificates import (
    ALPN,
    CertificateError,
    CertificateFiles,
    Certificates,
    NoEndPointHash,
    client_context,
    ensure_self_signed,
    server_end_point,
    spki_fingerprint,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
AUTHORITY = trustme.CA()


def files_in(folder: Path) -> CertificateFiles:
    return CertificateFiles(folder / "cert.pem", folder / "key.pem")


def made(folder: Path, *domains: str) -> CertificateFiles:
    files = files_in(folder)
    ensure_self_signed(files, domains, NOW)
    return files


def issued(folder: Path, *domains: str) -> CertificateFiles:
    """Files as an authority's customer has them: a chain, and a key."""
    folder.mkdir(exist_ok=True)
    certificate, files = AUTHORITY.issue_cert(*domains), files_in(folder)
    files.certificate.write_bytes(b"".join(blob.bytes() for blob in certificate.cert_chain_pems))
    files.key.write_bytes(certificate.private_key_pem.bytes())
    return files


def der_of(files: CertificateFiles) -> bytes:
    return x509.load_pem_x509_certificate(files.certificate.read_bytes()).public_bytes(Encoding.DER)


def signed(key: object, algorithm: object, rsa_padding: object = None) -> bytes:
    name = x509.Name([])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + timedelta(days=1))  # type: ignore[attr-defined]
    return builder.sign(key, algorithm, rsa_padding=rsa_padding).public_bytes(Encoding.DER)  # type: ignore[arg-type]


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str | None) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Shake hands in memory; returns both ends, server first."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server, server_hostname=name),
    )
    waiting = {ends[1], ends[0]}
    for _ in range(10):
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.discard(end)
        if not waiting:
            return ends
    raise AssertionError("the handshake does not end")


# --- Making one's own ---


def test_a_certificate_is_made_for_all_domains(tmp_path: Path) -> None:
    files = made(tmp_path / "tls", "a.com", "B.com", "xn--bcher-kva.example")
    certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["a.com", "b.com", "xn--bcher-kva.example"]
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)
    assert isinstance(key.curve, ec.SECP256R1)
    assert certificate.not_valid_before_utc == NOW - timedelta(days=1)
    assert certificate.not_valid_after_utc.year == 9999
    assert stat.S_IMODE(files.key.stat().st_mode) == 0o600


def test_it_is_made_once(tmp_path: Path) -> None:
    files = made(tmp_path, "a.com")
    before = files.certificate.read_bytes(), files.key.read_bytes()
    made(tmp_path, "A.com")
    assert (files.certificate.read_bytes(), files.key.read_bytes()) == before


def test_a_new_domain_changes_the_certificate_and_keeps_the_key(tmp_path: Path) -> None:
    first = Certificates([made(tmp_path, "a.com")]).leaf_for("a.com")
    second = Certificates([made(tmp_path, "a.com", "b.com")]).leaf_for("a.com")
    assert second.domains == ("a.com", "b.com")
    assert second.der != first.der
    assert second.fingerprint == first.fingerprint


def test_a_key_without_its_certificate_is_kept(tmp_path: Path) -> None:
    files = made(tmp_path, "a.com")
    before = spki_fingerprint(der_of(files))
    files.certificate.unlink()
    assert spki_fingerprint(der_of(made(tmp_path, "a.com"))) == before


def test_a_certificate_of_another_key_is_made_anew(tmp_path: Path) -> None:
    made(tmp_path, "a.com").key.unlink()
    Certificates([made(tmp_path, "a.com")])


def test_what_others_issued_is_never_overwritten(tmp_path: Path) -> None:
    files = issued(tmp_path, "a.com")
    before = files.certificate.read_bytes()
    with pytest.raises(CertificateError, match="not self-signed"):
        ensure_self_signed(files, ["b.com"], NOW)
    assert files.certificate.read_bytes() == before


def test_unusable_files_are_never_overwritten(tmp_path: Path) -> None:
    files = made(tmp_path, "a.com")
    files.certificate.write_text("nonsense")
    with pytest.raises(CertificateError, match="no PEM certificate"):
        made(tmp_path, "a.com")
    files.key.write_text("nonsense")
    with pytest.raises(CertificateError, match="no PEM private key"):
        made(tmp_path, "a.com")
    with pytest.raises(CertificateError, match="at least one"):
        ensure_self_signed(files, [], NOW)
    assert files.key.read_text() == "nonsense"


# --- Facts of one certificate ---


def test_the_fingerprint_is_the_hash_of_the_public_key(tmp_path: Path) -> None:
    files = made(tmp_path, "a.com")
    key = load_pem_private_key(files.key.read_bytes(), None).public_key()
    spki = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert spki_fingerprint(der_of(files)) == hashlib.sha256(spki).hexdigest()


EC_KEY = ec.generate_private_key(ec.SECP384R1())


@pytest.mark.parametrize(
    ("der", "algorithm"),
    [
        (signed(EC_KEY, hashes.SHA256()), "sha256"),
        (signed(EC_KEY, hashes.SHA384()), "sha384"),
        (signed(RSA_KEY, hashes.SHA512()), "sha512"),
        (signed(RSA_KEY, hashes.SHA384(), padding.PSS(padding.MGF1(hashes.SHA384()), 48)), "sha384"),
    ],
)
def test_the_end_point_is_hashed_as_the_certificate_was_signed(der: bytes, algorithm: str) -> None:
    assert server_end_point(der) == hashlib.new(algorithm, der).digest()


def test_sha1_and_md5_become_sha256() -> None:
    # No library signs with these any more, so the algorithm's identifier is changed in a certificate.
    sha256_with_rsa = bytes.fromhex("2a864886f70d01010b")
    der = signed(RSA_KEY, hashes.SHA256())
    for last in (b"\x05", b"\x04"):  # sha1WithRSAEncryption, md5WithRSAEncryption
        weak = der.replace(sha256_with_rsa, sha256_with_rsa[:-1] + last)
        assert weak != der
        assert server_end_point(weak) == hashlib.sha256(weak).digest()


def test_ed25519_has_no_end_point(tmp_path: Path) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    der = signed(key, None)
    with pytest.raises(NoEndPointHash, match="Ed25519"):
        server_end_point(der)
    assert len(spki_fingerprint(der)) == 64
    files = files_in(tmp_path)
    files.certificate.write_text(ssl.DER_cert_to_PEM_cert(der))
    files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"pass phrase")))
    with pytest.raises(CertificateError, match="pass phrase"):
        Certificates([files])


@pytest.mark.parametrize("octets", [b"", b"x", b"0\x03\x02\x01\x01", bytes(100)])
def test_other_octets_are_no_certificate(octets: bytes) -> None:
    for fact in (spki_fingerprint, server_end_point):
        with pytest.raises(CertificateError):
            fact(octets)


# --- Contexts ---


def test_a_handshake_shows_the_certificate_of_the_name_asked_for(tmp_path: Path) -> None:
    certificates = Certificates(
        [
            made(tmp_path / "own", "a.com"),
            issued(tmp_path / "b", "b.com", "www.b.com"),
            issued(tmp_path / "c", "*.c.com"),
        ]
    )
    for name, domains in (
        ("a.com", ("a.com",)),
        ("B.com", ("b.com", "www.b.com")),
        ("x.c.com", ("*.c.com",)),
        ("x.y.c.com", ("a.com",)),
        ("unknown.org", ("a.com",)),
        (None, ("a.com",)),
    ):
        server, client = handshake(certificates.context, client_context(), name)
        leaf = certificates.shown(server)
        assert leaf.domains == domains
        assert client.getpeercert(binary_form=True) == leaf.der
        assert leaf.end_point == server_end_point(leaf.der)
        assert client.version() == "TLSv1.3"
        assert server.selected_alpn_protocol() == client.selected_alpn_protocol() == ALPN
    assert len(certificates.leaves) == 3


def test_tls_1_2_only_with_forward_secrecy_and_aead(tmp_path: Path) -> None:
    certificates = Certificates([made(tmp_path, "a.com")])
    old = client_context()
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    server, _ = handshake(certificates.context, old, "a.com")
    cipher = server.cipher()
    assert cipher is not None
    assert cipher[0].startswith("ECDHE-")
    assert "GCM" in cipher[0] or "CHACHA20" in cipher[0]
    old.set_ciphers("ECDHE+AES+SHA256:ECDHE+AES+SHA1:AES128-GCM-SHA256:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError):
        handshake(certificates.context, old, "a.com")


def test_nothing_older_and_no_renegotiation(tmp_path: Path) -> None:
    for context in (Certificates([made(tmp_path, "a.com")]).context, client_context(), client_context(web_pki=True)):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_RENEGOTIATION
        assert context.options & ssl.OP_NO_COMPRESSION


def test_the_web_pki_decides_where_it_is_asked_for(tmp_path: Path) -> None:
    certificates = Certificates([issued(tmp_path, "a.com")])
    strict = client_context(web_pki=True)
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates.context, strict, "a.com")
    AUTHORITY.configure_trust(strict)
    handshake(certificates.context, strict, "a.com")
    with pytest.raises(ssl.SSLCertVerificationError):
        handshake(certificates.context, strict, "b.com")


def test_a_reload_is_for_new_connections(tmp_path: Path) -> None:
    certificates = Certificates([made(tmp_path, "a.com")])
    old, _ = handshake(certificates.context, client_context(), "a.com")
    before = certificates.shown(old)
    made(tmp_path, "a.com", "b.com")
    assert certificates.leaf_for("a.com") is before
    certificates.reload()
    new, client = handshake(certificates.context, client_context(), "a.com")
    assert certificates.shown(new).domains == ("a.com", "b.com")
    assert client.getpeercert(binary_form=True) == certificates.shown(new).der
    assert certificates.shown(old) is before


def test_a_failed_reload_changes_nothing(tmp_path: Path) -> None:
    good = made(tmp_path / "good", "a.com")
    certificates = Certificates([good])
    before = certificates.context
    bad = made(tmp_path / "bad", "b.com")
    bad.key.write_bytes(good.key.read_bytes())
    with pytest.raises(CertificateError, match="are not a PEM certificate and its key"):
        certificates.reload([good, bad])
    bad.key.unlink()
    with pytest.raises(CertificateError, match="Cannot read"):
        certificates.reload([good, bad])
    assert certificates.context is before
    certificates.reload()
    assert certificates.leaf_for("b.com").domains == ("a.com",)


def test_a_resumed_session_still_knows_its_certificate(tmp_path: Path) -> None:
    certificates = Certificates([made(tmp_path / "a", "a.com"), made(tmp_path / "b", "b.com")])
    context = client_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    _, client = handshake(certificates.context, context, "b.com")
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    again = context.wrap_bio(to_client, to_server, server_hostname="b.com", session=client.session)
    server = certificates.context.wrap_bio(to_server, to_client, server_side=True)
    for end in (again, server, again, server):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
    assert again.session_reused
    assert certificates.shown(server).domains == ("b.com",)


def test_foreign_connections_and_no_certificates_are_programming_errors(tmp_path: Path) -> None:
    certificates = Certificates([made(tmp_path, "a.com")])
    _, client = handshake(certificates.context, client_context(), "a.com")
    with pytest.raises(TypeError):
        certificates.shown(client)
    with pytest.raises(CertificateError):
        Certificates([])


def test_importing_it_does_not_import_cryptography() -> None:
    program = "import sys, immpd.net.certificates; sys.exit('cryptography' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0

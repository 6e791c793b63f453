"""Certificates and TLS contexts: what a server shows, and how both sides speak TLS.

Rules: TLS 1.3, or 1.2 with forward-secret AEAD suites, and nothing older; a reload takes effect
whole or not at all, and connections keep what they began with; a client's trust in a key is decided
above TLS, by its fingerprint, unless the web PKI is asked for (docs/protocol.md, "Transport"). ALPN
offers immp/1 but ssl cannot insist: where it is mandatory the caller compares
``selected_alpn_protocol()`` with ALPN.
"""

import hashlib
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Self
from weakref import WeakKeyDictionary

import msgspec

from immpd.model.errors import ImmpError
from immpd.net.private_file import write_private_file

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import ec

ALPN = "immp/1"
_SUITES_TLS12 = "ECDHE+AESGCM:ECDHE+CHACHA20"
# RFC 5280, section 4.1.2.5: "no well-defined expiration date". Peers keep the key, not a calendar.
_NEVER = datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)


class CertificateError(ImmpError):
    """A certificate or key is missing, unreadable or does not fit; the text names the file and what to do."""


class NoEndPointHash(CertificateError):
    """The certificate's signature has no single hash, so tls-server-end-point is not defined for it."""


class CertificateFiles(msgspec.Struct, frozen=True):
    """Where a certificate chain (leaf first) and its private key lie, both PEM."""

    certificate: Path
    key: Path


class Leaf(msgspec.Struct, frozen=True):
    """A server's own certificate, with what authentication and trust need of it."""

    der: bytes
    domains: tuple[str, ...]
    """Names of the certificate, lower case; may hold wildcards."""
    fingerprint: str
    end_point: bytes | None
    """Channel-binding data, or None where RFC 5929 defines none: then -PLUS is not offered."""


# --- Facts of one certificate ---


def spki_fingerprint(cert_der: bytes) -> str:
    """SHA-256 of the certificate's SubjectPublicKeyInfo: 64 lower-case hexadecimal digits.

    It survives a renewal with the same key. Raises CertificateError if ``cert_der`` is no certificate.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    certificate = _parse(cert_der)
    try:
        spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError("The certificate's public key is of an unknown kind") from error
    return hashlib.sha256(spki).hexdigest()


def server_end_point(cert_der: bytes) -> bytes:
    """Channel-binding data of type tls-server-end-point for a server's certificate (RFC 5929, section 4.1).

    The hash is that of the certificate's signature, SHA-256 in place of MD5 and SHA-1. Raises
    NoEndPointHash for Ed25519 and Ed448, CertificateError if ``cert_der`` is no certificate.
    """
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        algorithm = _parse(cert_der).signature_hash_algorithm
    except UnsupportedAlgorithm as error:
        raise NoEndPointHash("The certificate is signed by an unknown algorithm: no channel binding") from error
    if algorithm is None:
        raise NoEndPointHash(
            "Certificates signed with Ed25519 or Ed448 have no tls-server-end-point hash (RFC 5929); "
            "use an ECDSA or RSA certificate to offer SCRAM-SHA-256-PLUS"
        )
    name = "sha256" if algorithm.name in ("md5", "sha1") else algorithm.name
    return hashlib.new(name, cert_der).digest()


def _parse(cert_der: bytes) -> "x509.Certificate":
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(cert_der)
    except ValueError as error:
        raise CertificateError("These octets are no X.509 certificate") from error


def _leaf(cert_der: bytes) -> Leaf:
    from cryptography import x509

    try:
        extensions = _parse(cert_der).extensions
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value.get_values_for_type(x509.DNSName)
    except x509.ExtensionNotFound:
        names = []
    except ValueError as error:
        raise CertificateError("The certificate's extensions are unreadable") from error
    try:
        end_point = server_end_point(cert_der)
    except NoEndPointHash:
        end_point = None
    return Leaf(cert_der, tuple(name.lower() for name in names), spki_fingerprint(cert_der), end_point)


# --- Making one's own ---


def ensure_self_signed(files: CertificateFiles, domains: Sequence[str], now: datetime) -> None:
    """Make a P-256 key and a self-signed certificate for ``domains`` (A-labels) where they are missing.

    An existing key is kept for ever, and with it the fingerprint that peers know: the certificate
    alone is made anew when it is missing, lacks a domain or belongs to another key. ``now`` dates it.
    Raises CertificateError if a file is unreadable or an authority's certificate lies in its place,
    OSError if writing fails.
    """
    if not domains:
        raise CertificateError("A certificate needs at least one domain")
    names = list(dict.fromkeys(domain.lower() for domain in domains))
    key = _load_or_make_key(files.key)
    try:
        der = ssl.PEM_cert_to_DER_cert(_first_certificate(files.certificate))
    except FileNotFoundError:
        pass
    else:
        current = _parse(der)
        if current.issuer != current.subject:
            raise CertificateError(f"{files.certificate} is not self-signed: it will not be overwritten")
        if current.public_key() == key.public_key() and set(_leaf(der).domains) == set(names):
            return
    write_private_file(files.certificate, _self_signed(key, names, now), replace=True, mode=0o644)


def _load_or_make_key(path: Path) -> "ec.EllipticCurvePrivateKey":
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        load_pem_private_key,
    )

    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except FileNotFoundError:
        key = ec.generate_private_key(ec.SECP256R1())
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_private_file(path, pem, replace=False)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"{path} is no PEM private key without pass phrase") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateError(f"{path} is no elliptic-curve key; a self-signed certificate here has one of P-256")
    return key


def _self_signed(key: "ec.EllipticCurvePrivateKey", domains: Sequence[str], now: datetime) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    # A common name holds 64 characters at most (RFC 5280, appendix A); the alternative names are what counts.
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, domains[0][:64])])
    alternatives = x509.SubjectAlternativeName([x509.DNSName(domain) for domain in domains])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))  # for peers whose clocks are behind
        .not_valid_after(_NEVER)
        .add_extension(alternatives, critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, SHA256()).public_bytes(Encoding.PEM)


# --- Contexts ---


def _harden(context: ssl.SSLContext) -> None:
    """What both sides insist on: RFC 8446, or RFC 5246 with forward secrecy and AEAD, ALPN, no renegotiation."""
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(_SUITES_TLS12)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols([ALPN])


def client_context(*, web_pki: bool = False) -> ssl.SSLContext:
    """A client's context. Pass ``server_hostname`` when wrapping: it is the SNI.

    Without ``web_pki`` TLS accepts any certificate and the caller must decide by its fingerprint
    before it sends anything; with it the system's authorities and the host name decide.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if web_pki:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    else:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    _harden(context)
    return context


class _ServerContext(ssl.SSLContext):
    """A server's context that knows its certificate, so that a connection can be asked which one it showed."""

    leaf: Leaf

    @classmethod
    def load(cls, files: CertificateFiles) -> Self:
        context = cls(ssl.PROTOCOL_TLS_SERVER)
        _harden(context)
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
        context.verify_mode = ssl.CERT_NONE  # domains prove themselves above TLS: AUTH COOKIE
        try:
            pem = _first_certificate(files.certificate)
            context.load_cert_chain(files.certificate, files.key, password=_no_pass_phrase)
            if _first_certificate(files.certificate) != pem:
                raise CertificateError(f"{files.certificate} changed while it was read; reload again")
        except ssl.SSLError as error:
            raise CertificateError(
                f"{files.certificate} and {files.key} are not a PEM certificate and its key: {error.reason}"
            ) from error
        except OSError as error:
            raise CertificateError(f"Cannot read {error.filename or files.key}: {error.strerror}") from error
        context.leaf = _leaf(ssl.PEM_cert_to_DER_cert(pem))
        return context


def _no_pass_phrase() -> str:
    # Without this OpenSSL would ask on the terminal, and a service would hang at its start.
    raise CertificateError("The private key has a pass phrase; a server that starts by itself cannot type one")


def _first_certificate(path: Path) -> str:
    """The PEM block of the leaf: the first certificate of the file."""
    text = path.read_text("latin-1")  # around the block people write what they like
    try:
        start = text.index(ssl.PEM_HEADER)
        pem = text[start : text.index(ssl.PEM_FOOTER, start)] + ssl.PEM_FOOTER + "\n"
        ssl.PEM_cert_to_DER_cert(pem)
    except ValueError as error:
        raise CertificateError(f"{path} holds no PEM certificate") from error
    return pem


class Certificates:
    """All certificates of a server, chosen by SNI, and changeable while it runs.

    The first files given answer clients that send no SNI or an unknown name. Raises CertificateError.
    """

    def __init__(self, files: Sequence[CertificateFiles]) -> None:
        self._asked: WeakKeyDictionary[ssl.SSLObject | ssl.SSLSocket, str] = WeakKeyDictionary()
        if not files:
            raise CertificateError("A server needs a certificate")
        self._files = tuple(files)
        self._default, self._by_name = self._load()

    def _load(self) -> tuple[_ServerContext, dict[str, _ServerContext]]:
        contexts = [_ServerContext.load(files) for files in self._files]
        by_name: dict[str, _ServerContext] = {}
        for context in contexts:
            for name in context.leaf.domains:
                by_name.setdefault(name, context)
            context.sni_callback = self._choose
        return contexts[0], by_name

    def reload(self, files: Sequence[CertificateFiles] | None = None) -> None:
        """Read the files again (or other ``files``); new connections see the new certificates.

        Raises CertificateError if any of them fails, and then everything stays as it was.
        """
        before = self._files
        self._files = tuple(files) if files else before
        try:
            self._default, self._by_name = self._load()
        except CertificateError:
            self._files = before
            raise

    @property
    def context(self) -> ssl.SSLContext:
        """The context to wrap the next accepted connection with; ask for it each time, it changes at reload."""
        return self._default

    @property
    def leaves(self) -> tuple[Leaf, ...]:
        """The certificates now shown, each once, the default one first."""
        return tuple(dict.fromkeys([self._default.leaf, *(context.leaf for context in self._by_name.values())]))

    def leaf_for(self, domain: str) -> Leaf:
        """The certificate that a client gets which asks for ``domain``."""
        return self._context_for(domain).leaf

    def unnamed(self, domains: Sequence[str]) -> tuple[str, ...]:
        """Those of the domains that no certificate names: who asks for them is shown the first one."""
        return tuple(domain for domain in domains if self._named(domain) is None)

    def shown(self, connection: ssl.SSLObject | ssl.SSLSocket) -> Leaf:
        """The certificate that this connection's handshake showed, also after a reload."""
        context = connection.context
        if not isinstance(context, _ServerContext):
            raise TypeError("not a connection of these certificates")
        return context.leaf

    def asked(self, connection: ssl.SSLObject | ssl.SSLSocket) -> str:
        """The name that the client asked for by SNI, in lower case; empty where it asked for none."""
        return self._asked.get(connection, "")

    def _context_for(self, name: str) -> _ServerContext:
        return self._named(name) or self._default

    def _named(self, name: str) -> _ServerContext | None:
        name = name.lower().removesuffix(".")
        return self._by_name.get(name) or self._by_name.get("*." + name.partition(".")[2])

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        if name is not None:
            self._asked[connection] = name.lower().removesuffix(".")
            connection.context = self._context_for(name)

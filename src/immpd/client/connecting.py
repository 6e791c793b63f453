"""From an address to a logged-in client: find the server, encrypt, check its key, log in.

Rules: nothing is sent before the server's key was checked, except UPGRADE; a key that is seen for the
first time is kept only when the server has proven that it knows the account's password (or where
nobody logs in); SECRET is never used, whatever the server offers; PBKDF2 runs in a thread
(docs/protocol.md, "Transport" and "Authentication").
"""

import asyncio
import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import msgspec

from immpd.model.imid import Imid, ImidError, parse_imid
from immpd.net.certificates import (
    CertificateError,
    NoEndPointHash,
    client_context,
    server_end_point,
    spki_fingerprint,
)
from immpd.net.fingerprints import FingerprintMismatch, FirstSight, KnownPeers
from immpd.protocol import scram
from immpd.protocol.commands import AuthResponse, AuthScram, AuthScramPlus
from immpd.protocol.replies import Capabilities

from .caller import decode_reply
from .client import Client, Secret
from .errors import BadValue, CannotConnect, NotSecure, PasswordNeeded, ProtocolFault, ServerNotProven
from .home import default_home
from .link import Link

PORT = 1025
PORT_TLS = 1026
CONNECT_SECONDS = 15.0
"""For connection, handshake and greeting."""
LOGIN_SECONDS = 60.0
"""A server makes guessing slow: after failures its answer may take half a minute."""
KEEP_ALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 4, "TCP_USER_TIMEOUT": 120_000}
"""Seconds of silence before the system asks, between two questions, how many; ms that what was sent may lie."""


class Server(msgspec.Struct, frozen=True):
    """Where a server listens."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, port: int = PORT) -> "Server":
        """Read HOST, HOST:PORT or [IPv6]:PORT; raises BadValue."""
        host, rest = text, ""
        if text.startswith("["):
            host, bracket, rest = text[1:].partition("]")
            if not bracket or (rest and not rest.startswith(":")):
                raise BadValue(f"{text!r} is no HOST:PORT")
            rest = rest[1:]
        elif text.count(":") == 1:
            host, _, rest = text.partition(":")
        if not host or (rest and not (rest.isdecimal() and 0 < int(rest) < 65_536)):
            raise BadValue(f"{text!r} is no HOST:PORT")
        return cls(host, int(rest) if rest else port)

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def account_of(address: str) -> Imid:
    """The account that an address names; raises ImidError where it is more than name@domain."""
    imid = parse_imid(address)
    if not imid.is_bare or imid.is_own_box:
        raise ImidError("An account is written name@domain", address)
    return imid


async def open_client(
    address: str,
    *,
    server: str | None = None,
    password: str | None = None,
    h: "Secret | bytes | None" = None,
    device: str = "",
    fingerprint: str | None = None,
    known: KnownPeers | None = None,
    on_first_sight: Callable[[FirstSight], None] | None = None,
    direct: bool = False,
) -> Client:
    """Connect and log in; whoever calls this closes the client.

    ``address`` is name@domain. ``server`` is HOST:PORT (else the domain, port 1025, or 1026 with
    ``direct``, which speaks TLS from the first octet). Log in with ``password``, or with ``h``, which is
    what a password became; with neither the session stays unauthenticated. ``device`` is the label
    under which the server keeps a place in the timeline. ``fingerprint`` is the only key that is
    accepted (64 hexadecimal digits, compared by a person), and a log-in keeps it as the only known one; without it the
    key is compared with those ``known`` of the domain (by default in the person's own folder);
    ``on_first_sight`` is told of a new one, before anything is sent, and may raise to stop.

    Raises CannotConnect, NotSecure, FingerprintMismatch, Refused, ServerNotProven, PasswordNeeded,
    ConnectionLost, ImidError, and BadValue for a bad ``server``.
    """
    account = account_of(address)
    where = Server.parse(server or account.domain, PORT_TLS if direct else PORT)
    known = known if known is not None else KnownPeers(default_home())
    link = Link(context=client_context(), hostname=account.domain, direct=direct)
    try:
        certificate = await secure(link, where)
        seen = await _check_key(account.domain, certificate, fingerprint, known, on_first_sight)
        about = await greeting(link)
        client = Client(link, about)
        if password is not None or h is not None:
            async with asyncio.timeout(LOGIN_SECONDS):
                secret = await _log_in(link, about, account, certificate, password, h, device)
            client.logged_in(account, device, secret)
        if fingerprint is None:
            await asyncio.to_thread(_keep, known, account.domain, seen)
        elif password is not None or h is not None:
            await asyncio.to_thread(
                known.remember, account.domain, seen, "administrator", datetime.now(UTC), alone=True
            )
    except TimeoutError:
        late = CannotConnect(f"The server {where} did not answer in time")
        late.direct = True if link.silent else None
        hang_up(link)
        raise late from None
    except BaseException:
        hang_up(link)
        raise

    async def again() -> None:
        lost = client.link
        fresh = await open_client(
            address,
            server=server,
            h=client.secret,
            device=device,
            fingerprint=fingerprint,
            known=known,
            on_first_sight=on_first_sight,
            direct=direct,
        )
        client.link, client.about = fresh.link, fresh.about
        hang_up(lost)
        if client.left:
            await client.abort()

    client.again = again
    return client


@asynccontextmanager
async def connect(
    address: str,
    *,
    server: str | None = None,
    password: str | None = None,
    h: "Secret | bytes | None" = None,
    device: str = "",
    fingerprint: str | None = None,
    known: KnownPeers | None = None,
    on_first_sight: Callable[[FirstSight], None] | None = None,
    direct: bool = False,
) -> AsyncIterator[Client]:
    """``async with connect("alice@a.com", password=…) as me:``; everything else as ``open_client`` says."""
    client = await open_client(
        address,
        server=server,
        password=password,
        h=h,
        device=device,
        fingerprint=fingerprint,
        known=known,
        on_first_sight=on_first_sight,
        direct=direct,
    )
    try:
        yield client
    except BaseException:
        await client.abort()
        raise
    await client.close()


def _keep_alive(raw: socket.socket) -> None:
    """Let the system find out within two minutes that the other end is gone without a word."""
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEP_ALIVE.items():
        if hasattr(socket, name):
            raw.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def hang_up(link: Link) -> None:
    """End a connection at once, if there is one yet."""
    if hasattr(link.stream, "transport"):
        link.stream.abort()


async def secure(link: Link, where: Server) -> bytes:
    """Connect and encrypt; the certificate that the server shows, which nobody has judged yet.

    Raises CannotConnect, NotSecure, and TimeoutError after CONNECT_SECONDS.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            transport, _ = await loop.create_connection(lambda: link.stream, where.host, where.port)
            raw = transport.get_extra_info("socket")
            if raw is not None:
                _keep_alive(raw)
            await asyncio.shield(link.encrypted)
    except TimeoutError:
        raise
    except OSError as error:
        raise CannotConnect(f"Cannot reach the server {where}: {_reasons(error)}") from None
    tls = link.stream.tls
    assert tls is not None
    certificate = tls.getpeercert(binary_form=True)
    if not certificate:
        raise NotSecure("The server showed no certificate")
    return certificate


def _reasons(error: OSError) -> str:
    """Why no connection came about; asyncio puts its own words, and all addresses, around the system's."""
    numbers = dict.fromkeys(map(int, re.findall(r"\[Errno (\d+)\]", str(error))))
    return ", ".join(map(os.strerror, numbers)) or error.strerror or str(error)


async def _check_key(
    domain: str,
    certificate: bytes,
    fingerprint: str | None,
    known: KnownPeers,
    on_first_sight: Callable[[FirstSight], None] | None,
) -> str:
    """Compare the key that the server shows; returns its fingerprint."""
    try:
        shown = spki_fingerprint(certificate)
    except CertificateError as error:
        raise NotSecure(str(error)) from None
    if fingerprint is not None:
        if shown != fingerprint.lower():
            raise FingerprintMismatch(domain, (fingerprint.lower(),), shown, given=True)
        return shown
    trust = await asyncio.to_thread(known.check, domain, shown)
    if isinstance(trust, FirstSight) and on_first_sight is not None:
        on_first_sight(trust)
    return shown


def _keep(known: KnownPeers, domain: str, fingerprint: str) -> None:
    """Keep a key that was seen for the first time; another process may have done so meanwhile."""
    if isinstance(known.check(domain, fingerprint), FirstSight):
        known.remember(domain, fingerprint, "first-sight", datetime.now(UTC))


async def greeting(link: Link) -> Capabilities:
    """What the greeting inside TLS says; what was said in clear is forgotten."""
    async with asyncio.timeout(CONNECT_SECONDS):
        lines = await link.greeting.result()
    try:
        return Capabilities.decode(lines)
    except msgspec.ValidationError as error:
        raise ProtocolFault(f"The server's greeting cannot be understood: {error}") from error


async def _log_in(
    link: Link,
    about: Capabilities,
    account: Imid,
    certificate: bytes,
    password: str | None,
    h: "Secret | bytes | None",
    device: str,
) -> Secret:
    """SCRAM, bound to the certificate where that is possible; both sides prove themselves."""
    try:
        binding: bytes | None = server_end_point(certificate)
    except NoEndPointHash:
        binding = None
    call = link.default
    try:
        mechanism = scram.choose_mechanism(about.auth, binding)
        exchange = scram.ClientExchange(account.address, mechanism, binding, scram.new_nonce)
        kind = AuthScramPlus if mechanism == scram.PLUS else AuthScram
        async with link.alone:
            first = kind(data=exchange.first(), device=device)
            answer = decode_reply(first, await call.submit(first).result())
            challenge = exchange.challenge(scram.decode_message(answer.data))
            secret = await _secret_for(challenge, password, h)
            final = AuthResponse(answer=scram.encode_message(exchange.final(secret.h)))
            accepted = decode_reply(final, await call.submit(final).result())
            exchange.verify(scram.decode_message(accepted.v))
    except scram.ScramError as error:
        raise ServerNotProven(f"{error}; nothing more was sent") from None
    return secret


async def _secret_for(challenge: scram.Challenge, password: str | None, h: "Secret | bytes | None") -> Secret:
    if isinstance(h, bytes):
        return Secret(h, challenge.salt, challenge.iterations)
    if h is not None and (h.salt, h.iterations) == (challenge.salt, challenge.iterations):
        return h
    if password is None:
        raise PasswordNeeded("The password was changed in another way than it is kept here; log in again")
    made = await asyncio.to_thread(scram.salted_password, password, challenge.salt, challenge.iterations)
    return Secret(made, challenge.salt, challenge.iterations)

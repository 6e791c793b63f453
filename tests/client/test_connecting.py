"""Connecting: encryption, the server's key, log-in."""

import asyncio
import ssl
import subprocess
import sys
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.serving import ITERATIONS, H, Serving

from immpd.client import (
    CannotConnect,
    Client,
    ConnectionLost,
    FingerprintMismatch,
    NotSecure,
    PasswordNeeded,
    Refused,
    Secret,
    Server,
    ServerNotProven,
    connect,
    open_client,
)
from immpd.model.imid import ImidError
from immpd.net.certificates import CertificateFiles, Certificates, ensure_self_signed
from immpd.net.fingerprints import FirstSight, KnownPeers
from immpd.net.stream import Stream
from immpd.protocol import scram
from immpd.protocol.codes import Code

pytestmark = pytest.mark.asyncio(loop_scope="module")
Login = Callable[..., Awaitable[Client]]
GREETING = b"100- IMMP/1.0 server at a.test\n102 TLS\n101 p=IMMP v=1.0 d=a.test\n"
OTHER = "0" * 64


async def test_a_client_logs_in_bound_to_the_connection(server: Serving, account, login: Login) -> None:
    alice = await account()
    me = await login(alice, device="laptop")
    who = await me.who()
    assert (who.account, who.device) == (alice.address, "laptop")
    assert me.secret == Secret(alice.h, server.services.desk.salt(alice.address), ITERATIONS)
    assert "SCRAM-SHA-256-PLUS" in me.about.auth


async def test_tls_from_the_first_octet(server: Serving, account, login: Login) -> None:
    host, port = server.listen_tls
    me = await login(await account(), server=f"{host}:{port}", direct=True)
    assert (await me.noop()).text == "Done"


async def test_a_password_is_derived_once(server: Serving, login: Login) -> None:
    salt = server.services.desk.salt("password@a.test")
    h = scram.salted_password("correct horse", salt, ITERATIONS)
    me = await login(await server.add_account("password", h=h), password="correct horse", h=None)
    assert me.secret == Secret(h, salt, ITERATIONS)


async def test_without_password_nobody_is_logged_in(account, login: Login) -> None:
    me = await login(await account(), h=None)
    assert (await me.who()).account == ""
    with pytest.raises(Refused) as caught:
        await me.folders()
    assert caught.value.code is Code.STATE


async def test_a_wrong_secret_is_refused_and_the_key_is_not_kept(
    server: Serving, account, login: Login, known: KnownPeers
) -> None:
    with pytest.raises(Refused) as caught:
        await login(await account(), h=bytes(32))
    assert caught.value.code is Code.AUTH_FAILED
    assert known.keys(server.domain) == ()


async def test_a_secret_for_another_salt_asks_for_the_password(account, login: Login) -> None:
    with pytest.raises(PasswordNeeded):
        await login(await account(), h=Secret(H, b"another salt....", ITERATIONS))


# --- the server's key


async def test_the_first_sight_is_shown_and_kept(server: Serving, account, login: Login, known: KnownPeers) -> None:
    seen: list[FirstSight] = []
    alice = await account()
    await login(alice, on_first_sight=seen.append)
    await login(alice, on_first_sight=seen.append)
    assert seen == [FirstSight("a.test", server.fingerprint)]
    (key,) = known.keys("a.test")
    assert (key.fingerprint, key.verified) == (server.fingerprint, "first-sight")


async def test_another_key_than_the_known_one_is_refused_with_both(
    server: Serving, account, login: Login, known: KnownPeers
) -> None:
    known.remember("a.test", OTHER, "first-sight", datetime.now(UTC))
    with pytest.raises(FingerprintMismatch) as caught:
        await login(await account())
    assert (caught.value.known, caught.value.shown) == ((OTHER,), server.fingerprint)


async def test_a_fingerprint_that_a_person_gave_is_the_only_one(
    server: Serving, account, login: Login, known: KnownPeers
) -> None:
    known.remember("a.test", OTHER, "first-sight", datetime.now(UTC))
    alice = await account()
    with pytest.raises(FingerprintMismatch):
        await login(alice, fingerprint=OTHER)
    await login(alice, fingerprint=server.fingerprint.upper())
    assert known.keys("a.test")[-1].verified == "administrator"


async def test_whoever_is_told_of_a_new_key_may_stop(account, login: Login, known: KnownPeers) -> None:
    def stop(_: FirstSight) -> None:
        raise KeyError("not this one")

    with pytest.raises(KeyError):
        await login(await account(), on_first_sight=stop)
    assert known.domains() == ()


# --- servers that lie


async def _open(where: str, known: KnownPeers, h: bytes | None = H) -> Client:
    return await open_client("alice@a.test", server=where, h=h, known=known)


async def test_a_server_without_tls_gets_nothing(pretend, known: KnownPeers) -> None:
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING.replace(b"102 TLS\n", b""))
        got.append(await reader.read())

    with pytest.raises(NotSecure, match="does not offer TLS"):
        await _open(await pretend(script), known)
    assert got in ([], [b""])


async def test_octets_before_the_handshake_end_it(pretend, known: KnownPeers) -> None:
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        got.append(await reader.readline())
        writer.write(b"204 Upgrading to TLS\n101 p=IMMP v=1.0 d=a.test auth=SECRET\n")
        got.append(await reader.read())

    with pytest.raises(NotSecure, match="between 204"):
        await _open(await pretend(script), known)
    assert got in ([b"UPGRADE TLS\n"], [b"UPGRADE TLS\n", b""])


async def test_a_server_that_speaks_no_tls_after_all(pretend, known: KnownPeers) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)
        await reader.readline()
        writer.write(b"204 Upgrading to TLS\n")
        await reader.read(1)
        writer.write(b"100 Hello\n" * 10)
        await reader.read()

    with pytest.raises(NotSecure, match="handshake"):
        await _open(await pretend(script), known)


class Liar:
    """Speaks TLS, then says what it was told to."""

    def __init__(self, context: ssl.SSLContext, answers: list[bytes]) -> None:
        self.context = context
        self.answers = answers
        self.heard: list[bytes] = []
        self.stream = Stream()
        self.stream.receiver = self

    def connected(self) -> None:
        self.stream.start_tls(self.context, server=True)

    def secured(self) -> None:
        self.stream.write(self.answers.pop(0))

    def received(self, octets: bytes) -> None:
        self.heard.append(octets)
        if self.answers:
            self.stream.write(self.answers.pop(0))

    def lost(self, _: Exception | None) -> None:
        pass

    def writable(self) -> None:
        pass


async def _lie(tmp_path: Path, known: KnownPeers, *answers: bytes) -> tuple[Liar, Exception]:
    files = CertificateFiles(tmp_path / "liar.crt", tmp_path / "liar.key")
    ensure_self_signed(files, ["a.test"], datetime.now(UTC))
    liar = Liar(Certificates([files]).context, list(answers))
    listener = await asyncio.get_running_loop().create_server(lambda: liar.stream, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(Exception) as caught:  # noqa: PT011 - the tests look at it
            await open_client("alice@a.test", server=f"127.0.0.1:{port}", h=H, known=known, direct=True)
    return liar, caught.value


async def test_secret_is_never_used_even_if_nothing_else_is_offered(tmp_path: Path, known: KnownPeers) -> None:
    liar, error = await _lie(tmp_path, known, b"100 Hi\n101 p=IMMP v=1.0 d=a.test auth=SECRET\n")
    assert isinstance(error, ServerNotProven)
    assert liar.heard == []


async def test_a_server_that_cannot_prove_itself_is_left(tmp_path: Path, known: KnownPeers) -> None:
    greeting = b"100 Hi\n101 p=IMMP v=1.0 d=a.test auth=SCRAM-SHA-256\n"
    first = scram.encode_message(b"r=not-ours,s=c2FsdHNhbHRzYWx0c2FsdA==,i=600000")
    liar, error = await _lie(tmp_path, known, greeting, f"304 {first}\n".encode(), b"210 Welcome v=AAAA\n")
    assert isinstance(error, ServerNotProven)
    assert len(liar.heard) == 1
    assert known.domains() == ()


async def test_a_log_in_without_proof_is_none(tmp_path: Path, known: KnownPeers) -> None:
    class Echo(Liar):
        def received(self, octets: bytes) -> None:
            self.heard.append(octets)
            if len(self.heard) == 1:
                message = scram.decode_message(octets.decode().split()[2])
                nonce = message.decode().partition("r=")[2]
                first = scram.encode_message(f"r={nonce}more,s=c2FsdHNhbHRzYWx0c2FsdA==,i=600000".encode())
                self.stream.write(f"304 {first}\n".encode())
            else:
                wrong = scram.encode_message(b"v=" + b"A" * 43 + b"=")
                self.stream.write(f"210 Authentication accepted for alice@a.test v={wrong}\n".encode())

    files = CertificateFiles(tmp_path / "liar.crt", tmp_path / "liar.key")
    ensure_self_signed(files, ["a.test"], datetime.now(UTC))
    greeting = b"100 Hi\n101 p=IMMP v=1.0 d=a.test auth=SCRAM-SHA-256\n"
    liar = Echo(Certificates([files]).context, [greeting])
    listener = await asyncio.get_running_loop().create_server(lambda: liar.stream, "127.0.0.1", 0)
    async with listener:
        port = listener.sockets[0].getsockname()[1]
        with pytest.raises(ServerNotProven, match="could not prove"):
            await open_client("alice@a.test", server=f"127.0.0.1:{port}", h=H, known=known, direct=True)
    assert known.domains() == ()


async def test_what_is_no_reply_ends_the_connection(tmp_path: Path, known: KnownPeers) -> None:
    _, error = await _lie(tmp_path, known, b"Welcome to another protocol\n")
    assert "no reply line" in str(error)


# --- nobody there


async def test_nobody_at_the_address(pretend, known: KnownPeers) -> None:
    listener = await asyncio.start_server(lambda _r, _w: None, "127.0.0.1", 0)
    port = listener.sockets[0].getsockname()[1]
    listener.close()
    await listener.wait_closed()
    with pytest.raises(CannotConnect, match="Cannot reach"):
        await _open(f"127.0.0.1:{port}", known)


async def test_a_server_that_hangs_up_at_once(pretend, known: KnownPeers) -> None:
    async def script(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        return

    with pytest.raises(ConnectionLost):
        await _open(await pretend(script), known)


# --- the other port


async def test_a_port_that_waits_for_tls_says_nothing_in_clear(pretend, known: KnownPeers) -> None:
    async def script(_: asyncio.StreamReader, __: asyncio.StreamWriter) -> None:
        """Hang up without a word, as who has waited long enough for a handshake."""

    with pytest.raises(ConnectionLost) as caught:
        await _open(await pretend(script), known)
    assert caught.value.direct is True


async def test_a_port_in_clear_answers_the_handshake_with_its_greeting(server: Serving, known: KnownPeers) -> None:
    host, port = server.listen
    with pytest.raises(NotSecure, match="does not begin with TLS") as caught:
        await open_client("alice@a.test", server=f"{host}:{port}", h=H, known=known, direct=True)
    assert caught.value.direct is False


async def test_a_connection_that_was_spoken_on_was_at_the_right_port(pretend, known: KnownPeers) -> None:
    async def script(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(GREETING)

    with pytest.raises(ConnectionLost) as caught:
        await _open(await pretend(script), known)
    assert caught.value.direct is None


@pytest.mark.parametrize("address", ["alice", "alice@a.test/inbox", "/inbox", "alice+x@a.test"])
async def test_an_account_is_name_at_domain(address: str, known: KnownPeers) -> None:
    with pytest.raises(ImidError):
        async with connect(address, known=known):
            pass


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("h", "h", 1025), ("h:7", "h", 7), ("[::1]:7", "::1", 7), ("[::1]", "::1", 1025), ("::1", "::1", 1025)],
)
async def test_how_a_server_is_written(text: str, host: str, port: int) -> None:
    assert Server.parse(text) == Server(host, port)
    assert Server.parse(str(Server.parse(text))) == Server(host, port)


@pytest.mark.parametrize("text", ["", ":7", "h:x", "h:0", "h:70000", "[::1", "[::1]x"])
async def test_what_is_no_server(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT"):
        Server.parse(text)


async def test_the_client_needs_no_server_library() -> None:
    heavy = "uvloop|structlog|dns|apsw|rich|cyclopts|immpd.service|immpd.server"
    code = f"import sys, re, immpd.client; print([m for m in sys.modules if re.fullmatch(r'({heavy})(\\..*)?', m)])"
    done = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", code], capture_output=True, check=True)
    assert done.stdout.strip() == b"[]"


async def test_the_server_may_end_it(server: Serving, account, login: Login) -> None:
    me = await login(await account())
    server.pass_time(3600)
    error = await asyncio.wait_for(me.wait_closed(), 5)
    assert isinstance(error, ConnectionLost)
    assert "Nothing came" in str(error)
    with pytest.raises(ConnectionLost, match="Nothing came"):
        await me.noop()
    assert me.closed

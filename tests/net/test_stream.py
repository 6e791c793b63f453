"""The shell under every session, without a socket: cuts, alerts, and what stays in memory."""

import asyncio
import resource
import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from immpd.net.certificates import CertificateFiles, Certificates, client_context, ensure_self_signed
from immpd.net.stream import RECORD, Stream

STATM = Path("/proc/self/statm")


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closing = self.aborted = False

    def write(self, data: bytes) -> None:
        assert not self.closing, "written after close"
        self.written.append(data)

    def is_closing(self) -> bool:
        return self.closing

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = self.aborted = True

    def take(self) -> bytes:
        taken = b"".join(self.written)
        self.written.clear()
        return taken


class End:
    """One end: a stream, its transport, and what its receiver was told."""

    def __init__(self) -> None:
        self.stream = Stream()
        self.wire = Wire()
        self.told: list[str] = []
        self.octets: list[bytes] = []
        self.greeting = b""
        self.stream.receiver = self
        self.stream.connection_made(self.wire)

    def connected(self) -> None:
        self.told.append("connected")

    def received(self, octets: bytes) -> None:
        self.octets.append(octets)

    def secured(self) -> None:
        self.told.append("secured")
        self.stream.write(self.greeting)

    def lost(self, error: Exception | None) -> None:
        self.told.append("lost")

    def writable(self) -> None:
        self.told.append("writable")

    def feed(self, octets: bytes, cut: int = 1 << 18) -> None:
        for at in range(0, len(octets), cut):
            piece = octets[at : at + cut]
            self.stream.get_buffer(0)[: len(piece)] = piece
            self.stream.buffer_updated(len(piece))

    @property
    def heard(self) -> bytes:
        return b"".join(self.octets)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    folder: Path = tmp_path_factory.mktemp("keys")
    files = CertificateFiles(folder / "tls.crt", folder / "tls.key")
    ensure_self_signed(files, ["a.test"], datetime.now(UTC))
    return Certificates([files])


def shake(server: End, client: End, certificates: Certificates, cut: int = 1 << 18) -> None:
    server.stream.start_tls(certificates.context, server=True)
    client.stream.start_tls(client_context(), server=False, hostname="a.test")
    pass_on(server, client, cut)


def pass_on(server: End, client: End, cut: int = 1 << 18) -> None:
    while server.wire.written or client.wire.written:
        server.feed(client.wire.take(), cut)
        client.feed(server.wire.take(), cut)


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 100, 1000, RECORD - 1, RECORD, RECORD + 1, 1 << 18])
def test_octets_are_the_same_however_they_are_cut(certificates, cut):
    server, client = End(), End()
    server.greeting = b"greeting\n"
    shake(server, client, certificates, cut)
    assert (server.told, client.told) == (["connected", "secured"], ["connected", "secured"])
    assert client.heard == b"greeting\n"
    size = 3 * RECORD + 17 if cut > 3 else 2000
    up, down = bytes(range(256)) * (size // 256 + 1), bytes(range(255)) * (size // 255 + 1)
    client.stream.write(up)
    server.stream.write(down)
    pass_on(server, client, cut)
    assert server.heard == up
    assert client.heard == b"greeting\n" + down


def test_the_greeting_leaves_with_the_end_of_the_handshake(certificates):
    server, client = End(), End()
    server.greeting = b"greeting\n"
    server.stream.start_tls(certificates.context, server=True)
    client.stream.start_tls(client_context(), server=False, hostname="a.test")
    server.feed(client.wire.take())
    client.feed(server.wire.take())
    server.feed(client.wire.take())
    assert len(server.wire.written) == 1


def test_what_arrives_at_once_is_handed_on_at_once(certificates):
    server, client = End(), End()
    shake(server, client, certificates)
    for number in range(100):
        client.stream.write(b"%d\n" % number)
    server.feed(client.wire.take())
    assert server.octets == [b"".join(b"%d\n" % number for number in range(100))]


def test_nothing_is_written_into_a_handshake_and_never_in_clear(certificates):
    server = End()
    server.stream.start_tls(certificates.context, server=True)
    server.stream.write(b"too early\n")
    assert server.wire.take() == b""
    assert not server.stream.closed
    server.stream.close()
    assert server.wire.take() == b""
    assert server.wire.closing


@pytest.mark.parametrize("garbage", [b"QUIT\n" * 10, b"\x16\x03\x01\x00\x05hello", b"\x80" * 100])
def test_garbage_ends_it_with_an_alert_at_most(certificates, garbage):
    server = End()
    server.stream.start_tls(certificates.context, server=True)
    server.feed(garbage)
    assert server.wire.closing
    assert isinstance(server.stream.failure, ssl.SSLError)
    assert server.wire.take()[:1] in (b"", b"\x15")
    assert server.octets == []
    server.feed(b"more")
    assert server.octets == []


def test_a_record_that_was_tampered_with_is_not_handed_on(certificates):
    server, client = End(), End()
    shake(server, client, certificates)
    client.stream.write(b"DELIVER")
    sealed = bytearray(client.wire.take())
    sealed[-1] ^= 1
    server.feed(bytes(sealed))
    assert server.octets == []
    assert server.wire.closing


def test_a_close_notify_is_answered_after_what_came_before_it(certificates):
    server, client = End(), End()
    shake(server, client, certificates)
    client.stream.write(b"last words")
    client.stream.close()
    server.feed(client.wire.take())
    assert server.heard == b"last words"
    assert server.stream.closed
    assert server.wire.closing
    client.stream.write(b"dropped")
    server.stream.write(b"dropped")


def test_a_receiver_that_hangs_up_hears_no_more(certificates):
    server, client = End(), End()
    shake(server, client, certificates)
    server.stream.abort()
    client.stream.write(b"anybody?")
    server.feed(client.wire.take())
    assert server.octets == []
    assert server.wire.aborted


def test_in_clear_octets_pass_as_they_are():
    server = End()
    server.feed(b"UPGRADE TLS\n")
    server.stream.write(b"204\n")
    assert (server.heard, server.wire.take()) == (b"UPGRADE TLS\n", b"204\n")


def test_pausing_is_told(certificates):
    server = End()
    server.stream.pause_writing()
    assert server.stream.paused
    server.stream.resume_writing()
    assert (server.stream.paused, server.told[-1]) == (False, "writable")
    server.stream.close()
    server.stream.pause_writing()
    server.stream.resume_writing()
    assert server.told.count("writable") == 1
    assert server.stream.eof_received() is False
    server.stream.connection_lost(None)
    assert server.told[-1] == "lost"


@pytest.mark.skipif(not STATM.exists(), reason="the system does not tell how much memory a process has")
def test_big_transfers_leave_no_big_buffers(certificates):
    """OpenSSL's memory buffers keep their largest size, so no more than a record goes through at once."""
    pairs = [(End(), End()) for _ in range(64)]
    octets = bytes(1 << 20)
    for server, client in pairs:
        shake(server, client, certificates)
    before = resident()
    for server, client in pairs:
        client.stream.write(octets)
        server.stream.write(octets)
        pass_on(server, client)
        assert len(server.heard) == len(client.heard) == len(octets)
        server.octets.clear()
        client.octets.clear()
    assert resident() - before < len(pairs) * len(octets) // 4


def resident() -> int:
    """Octets of memory that this process has."""
    return int(STATM.read_text().split()[1]) * resource.getpagesize()

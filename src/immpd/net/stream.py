"""A connection's octets, in clear or inside TLS, without a task: the thin shell under every session.

Rules: the stream owns the boundary between clear and TLS, so nothing sent before the handshake is
ever read as sent after it; nothing is written in clear once TLS has begun; all connections of a loop
share one read buffer; an idle stream owns no task, no timer and no buffer larger than a TLS record;
what a server says last arrives, because it takes in what is still under way before it hangs up
(docs/protocol.md, "Transport").
"""

import asyncio
import socket
import ssl
import threading
from typing import Protocol, cast

import msgspec

from .client_hello import NO_APPLICATION_PROTOCOL, offered_protocols

READ_SIZE = 256 * 1024
RECORD = 16 * 1024
"""Octets of a TLS record. OpenSSL's memory buffers never shrink, so no more than this goes through them at once."""
LOW_WATER_UNSENT = 128 * 1024
LINGER_OCTETS = 8 << 20
"""Octets that are thrown away after the last words: what a client may have under way before it hears them."""
_of_thread = threading.local()
_TCP_NOTSENT_LOWAT = getattr(socket, "TCP_NOTSENT_LOWAT", 25)


class Receiver(Protocol):
    """Who a stream talks to."""

    def connected(self) -> None:
        """The transport is there."""

    def received(self, octets: bytes) -> None:
        """Octets came in, decrypted where TLS is up."""

    def secured(self) -> None:
        """The handshake is done."""

    def lost(self, error: Exception | None) -> None:
        """The connection is gone; no call follows."""

    def writable(self) -> None:
        """What was written has drained; more may be written."""


def _read_buffer() -> memoryview:
    """The read buffer of this thread's loop: two loops that shared one would get each other's octets."""
    buffer: memoryview | None = getattr(_of_thread, "buffer", None)
    if buffer is None:
        buffer = _of_thread.buffer = memoryview(bytearray(READ_SIZE))
    return buffer


class Alpn(msgspec.Struct, frozen=True):
    """What a server wants of ALPN (RFC 7301). Python's ssl goes on where nothing matches, so it is looked at before."""

    protocol: str
    required: bool
    """Refuse also who offers none."""

    def refuses(self, offered: tuple[str, ...]) -> bool:
        """Whether a client that offers these is refused."""
        return self.protocol not in offered and (self.required or bool(offered))


class Stream(asyncio.BufferedProtocol):
    """One connection. ``receiver`` is told what happens; ``write`` sends.

    ``linger``: seconds that ``close`` waits at most for the peer to have done, while what it still sends is
    thrown away, up to ``LINGER_OCTETS``. A socket that is closed over unread octets is reset, and the peer loses
    what was said last (RFC 9112, section 9.6).
    """

    __slots__ = (
        "_alpn",
        "_buffer",
        "_discarded",
        "_hello",
        "_incoming",
        "_linger",
        "_lingering",
        "_outgoing",
        "closed",
        "failure",
        "handshaking",
        "paused",
        "receiver",
        "tls",
        "transport",
    )

    def __init__(self, *, linger: float = 0.0) -> None:
        self._linger = linger
        self._lingering: asyncio.TimerHandle | None = None
        self._discarded = 0
        self.receiver: Receiver
        self.transport: asyncio.Transport
        self.tls: ssl.SSLObject | None = None
        self.handshaking = False
        """TLS has begun and is not up: nothing can be said."""
        self._hello: bytearray | None = None
        """What came of the client's first message, until it is complete."""
        self.paused = False
        """More was written than the peer takes; wait for ``writable``."""
        self.closed = False
        self.failure: Exception | None = None
        """The TLS error that ended it."""

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and tune the socket."""
        self._buffer = _read_buffer()
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one without saying so
        raw = transport.get_extra_info("socket")
        if raw is not None and raw.family != getattr(socket, "AF_UNIX", None):
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            try:
                raw.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, LOW_WATER_UNSENT)
            except OSError:
                pass  # not on this system: small replies wait longer behind big ones, nothing else
        self.receiver.connected()

    def get_buffer(self, _: int) -> memoryview:
        """The loop's one read buffer; a bytearray here would lose octets silently."""
        return self._buffer

    def buffer_updated(self, count: int) -> None:
        """Octets arrived."""
        if self.closed:
            self._discarded += count
            if self._discarded > LINGER_OCTETS:
                self.transport.close()
            return
        if self.tls is None:
            self.receiver.received(bytes(self._buffer[:count]))
            return
        if self._hello is not None:
            self._hello += self._buffer[:count]
            offered = offered_protocols(bytes(self._hello))
            if offered is None:
                return
            if self._alpn.refuses(offered):
                self.transport.write(NO_APPLICATION_PROTOCOL)
                self._fail(ssl.SSLError("The client offers no protocol that is spoken here"))
                return
            octets, self._hello = memoryview(bytes(self._hello)), None
        else:
            octets = self._buffer[:count]
        self._unseal(octets)

    def _unseal(self, octets: memoryview) -> None:
        pieces: list[bytes] = []
        going_on = True
        try:
            for at in range(0, len(octets), RECORD):
                self._incoming.write(octets[at : at + RECORD])
                if self.handshaking and not self._shake():
                    continue
                going_on = self._decrypt(pieces)
                if not going_on:
                    break
        except (ssl.SSLError, OSError) as error:
            self._fail(error)
            return
        if pieces:
            self.receiver.received(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if not self.closed:
            self._send_pending()  # the answer to a KeyUpdate, say (RFC 8446, section 4.6.3)
            if not going_on:
                self.close()

    def eof_received(self) -> bool:
        """The peer sends no more: a half-closed connection is a closed one."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the receiver once."""
        self.closed = True
        if self._lingering is not None:
            self._lingering.cancel()
        self.receiver.lost(exc)

    def pause_writing(self) -> None:
        """The transport's buffer is full."""
        self.paused = True

    def resume_writing(self) -> None:
        """The transport's buffer has drained."""
        self.paused = False
        if not self.closed:
            self.receiver.writable()

    # --- our side

    def start_tls(
        self, context: ssl.SSLContext, *, server: bool, hostname: str | None = None, alpn: Alpn | None = None
    ) -> None:
        """Begin the handshake; ``secured`` or ``lost`` follows. Only octets from now on belong to it.

        ``alpn``: whom a server refuses with the alert no_application_protocol.
        """
        if alpn is not None:
            self._alpn = alpn
            self._hello = bytearray()
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=hostname)
        self.handshaking = True
        if not server:
            self._shake()

    def _decrypt(self, pieces: list[bytes]) -> bool:
        """Append what can be read; False at the peer's close_notify."""
        tls = self.tls
        assert tls is not None
        try:
            while self._incoming.pending and not self.closed:
                piece = tls.read(RECORD)
                if not piece:
                    return False
                pieces.append(piece)
        except ssl.SSLWantReadError:
            pass  # the rest of a record is still on its way
        return True

    def _shake(self) -> bool:
        assert self.tls is not None
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_pending()
            return False
        self.handshaking = False
        self.receiver.secured()
        if not self.closed:
            self._send_pending()
        return True

    def _send_pending(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    def _fail(self, error: Exception) -> None:
        """A TLS error: send the alert, then hang up."""
        self._send_pending()
        self.closed = True
        self._hang_up()
        self.failure = error

    def write(self, octets: bytes) -> None:
        """Send octets; never blocks. What is written to a closed stream, or into a handshake, is dropped."""
        if self.closed or self.handshaking or not octets or self.transport.is_closing():
            return
        tls = self.tls
        if tls is None:
            self.transport.write(octets)
            return
        try:
            if len(octets) <= RECORD:
                tls.write(octets)
                sealed = self._outgoing.read()
            else:
                pieces = []
                plain = memoryview(octets)
                for at in range(0, len(octets), RECORD):
                    tls.write(plain[at : at + RECORD])
                    pieces.append(self._outgoing.read())
                sealed = b"".join(pieces)
        except ssl.SSLError as error:
            self._fail(error)
            return
        self.transport.write(sealed)

    def close(self) -> None:
        """Send what is written, then hang up."""
        if self.closed:
            return
        self.closed = True
        if self.tls is not None and not self.handshaking:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass  # the peer's close_notify is not awaited
            self._send_pending()
        self._hang_up()

    def close_at_once(self) -> None:
        """As ``close``, without waiting for the peer to have done."""
        self._linger = 0.0
        self.close()

    def _hang_up(self) -> None:
        """Say no more; hang up when the peer has done so, or has had its time."""
        transport = self.transport
        if not self._linger or transport.is_closing() or not transport.can_write_eof():
            transport.close()
            return
        transport.write_eof()
        transport.resume_reading()
        self._lingering = asyncio.get_running_loop().call_later(self._linger, transport.close)

    def abort(self) -> None:
        """Hang up at once."""
        self.closed = True
        self.transport.abort()

"""A connection's octets, in clear or inside TLS, without a task: the thin shell under every session.

Rules: the stream owns the boundary between clear and TLS, so nothing sent before the handshake is
ever read as sent after it; nothing is written in clear once TLS has begun; all connections of a loop
share one read buffer; an idle stream owns no task and no timer (docs/protocol.md, "Transport").
"""

import asyncio
import socket
import ssl
from typing import Protocol, cast

READ_SIZE = 256 * 1024
LOW_WATER_UNSENT = 128 * 1024
_buffer = memoryview(bytearray(READ_SIZE))
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


class Stream(asyncio.BufferedProtocol):
    """One connection. ``receiver`` is told what happens; ``write`` sends."""

    __slots__ = (
        "_handshaking",
        "_incoming",
        "_outgoing",
        "closed",
        "failure",
        "paused",
        "receiver",
        "tls",
        "transport",
    )

    def __init__(self) -> None:
        self.receiver: Receiver
        self.transport: asyncio.Transport
        self.tls: ssl.SSLObject | None = None
        self.paused = False
        """More was written than the peer takes; wait for ``writable``."""
        self.closed = False
        self.failure: Exception | None = None
        """The TLS error that ended it."""
        self._handshaking = False

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport and tune the socket."""
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
        return _buffer

    def buffer_updated(self, count: int) -> None:
        """Octets arrived."""
        if self.closed:
            return
        if self.tls is None:
            self.receiver.received(bytes(_buffer[:count]))
            return
        self._incoming.write(_buffer[:count])
        self._pump()

    def eof_received(self) -> bool:
        """The peer sends no more: a half-closed connection is a closed one."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the receiver once."""
        self.closed = True
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

    def start_tls(self, context: ssl.SSLContext, *, server: bool, hostname: str | None = None) -> None:
        """Begin the handshake; ``secured`` or ``lost`` follows. Only octets from now on belong to it."""
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=server, server_hostname=hostname)
        self._handshaking = True
        if not server:
            self._pump()

    def _pump(self) -> None:
        assert self.tls is not None
        try:
            if self._handshaking and not self._shake():
                return
            pieces = []
            while self._incoming.pending and not self.closed:
                pieces.append(self.tls.read(READ_SIZE))
                if not pieces[-1]:
                    break
            octets = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        except ssl.SSLWantReadError:
            octets = b"".join(pieces)
        except (ssl.SSLError, OSError) as error:
            self._fail(error)
            return
        if octets:
            self.receiver.received(octets)
        if self.tls is not None and not self.closed and pieces and not pieces[-1]:
            self.close()

    def _shake(self) -> bool:
        assert self.tls is not None
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self._send_pending()
            return False
        self._handshaking = False
        self._send_pending()
        self.receiver.secured()
        return not self.closed

    def _send_pending(self) -> None:
        if self._outgoing.pending:
            self.transport.write(self._outgoing.read())

    def _fail(self, error: Exception) -> None:
        """A TLS error: send the alert, then hang up."""
        self._send_pending()
        self.closed = True
        self.transport.close()
        self.failure = error

    def write(self, octets: bytes) -> None:
        """Send octets; never blocks. Octets written to a closed stream are dropped."""
        if self.closed or self.transport.is_closing():
            return
        if self.tls is None:
            self.transport.write(octets)
            return
        try:
            self.tls.write(octets)
        except ssl.SSLError as error:
            self._fail(error)
            return
        self.transport.write(self._outgoing.read())

    def close(self) -> None:
        """Send what is written, then hang up."""
        if self.closed:
            return
        self.closed = True
        if self.tls is not None and not self._handshaking:
            try:
                self.tls.unwrap()
            except ssl.SSLError:
                pass  # the peer's close_notify is not awaited
            self._send_pending()
        self.transport.close()

    def abort(self) -> None:
        """Hang up at once."""
        self.closed = True
        self.transport.abort()

"""The server: listeners, the conversations they accept, and the one timer that sweeps them.

Rules: conversations own no timer, this sweeps them all once a second; connections before log-in are
bounded by address; a stop finishes what the store has and tells every client (docs/protocol.md,
"Bounds").
"""

import asyncio
import os
import socket
import ssl
import struct
from pathlib import Path
from typing import Any

import msgspec

from immpd.model.network import network_of
from immpd.net.certificates import Certificates
from immpd.net.local_socket import bind_local
from immpd.net.stream import Stream
from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused
from immpd.service.session import Services

from .conversation import Conversation
from .outlet import Outlet
from .settings import Bounds
from .turns import Turns

SWEEP = 1.0
BACKLOG = 1024
LINGER = 2.0
"""Seconds that a client gets to hear the last words, while what it still sends is thrown away."""
_SHUTDOWN = Refused(Code.SHUTDOWN, "SHUTTING-DOWN", "The server is shutting down; come back later", 30)


class Address(msgspec.Struct, frozen=True):
    """Where a listener listens; port 0 takes any free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Server:
    """Listeners and conversations of one process."""

    def __init__(self, services: Services, bounds: Bounds, certificates: Certificates, log: Any) -> None:
        self.services = services
        self.bounds = bounds
        self.certificates = certificates
        self.log = log
        self.now = services.clock.monotonic()
        """Monotonic seconds, as of the last sweep: exact enough for bounds of seconds, and free."""
        self.turns = Turns()
        self.conversations: set[Conversation] = set()
        self._listeners: list[asyncio.Server] = []
        self._by_address: dict[str, int] = {}
        self._dirty: list[Outlet] = []
        self._sweeper: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._empty: asyncio.Event = asyncio.Event()

    async def listen(self, address: Address, *, direct: bool) -> list[Address]:
        """Accept connections at an address; ``direct``: TLS from the first octet. Returns what was bound."""

        def accept() -> Stream:
            stream = Stream(linger=LINGER)
            stream.receiver = Conversation(self, stream, direct=direct)
            return stream

        listener = await self._loop.create_server(accept, address.host or None, address.port, backlog=BACKLOG)
        self._listeners.append(listener)
        self._start_sweeping()
        return [Address(*entry.getsockname()[:2]) for entry in listener.sockets]

    async def listen_operator(self, path: Path) -> None:
        """The operator's socket, for this user and root only."""

        def accept() -> Stream:
            stream = Stream(linger=LINGER)
            stream.receiver = _Operator(self, stream)
            return stream

        listener = await self._loop.create_unix_server(accept, sock=bind_local(path))
        self._listeners.append(listener)
        self._start_sweeping()

    async def stop(self) -> None:
        """Accept nobody, finish what the store has, tell every client 751, wait for the last to go."""
        for listener in self._listeners:
            listener.close()
        for conversation in tuple(self.conversations):
            conversation.leave(_SHUTDOWN)
        try:
            await asyncio.wait_for(self._all_gone(), self.bounds.quit)
        except TimeoutError:
            for conversation in tuple(self.conversations):
                conversation.abort()
            await self._all_gone()
        if self._sweeper is not None:
            self._sweeper.cancel()

    async def _all_gone(self) -> None:
        if self.conversations:
            self._empty.clear()
            await self._empty.wait()

    # --- what conversations ask

    def admit(self, conversation: Conversation) -> Refused | None:
        """Take in a connection, or say why not."""
        peer = conversation.stream.transport.get_extra_info("peername")
        host = peer[0] if isinstance(peer, tuple) else ""
        conversation.peer = host
        if len(self.conversations) >= self.bounds.connections:
            return Refused(Code.BOUND, "TOO-MANY-CONNECTIONS", "The server has as many connections as it takes", 30)
        network = network_of(host)
        count = self._by_address.get(network, 0)
        if count >= self.bounds.per_address:
            text = "Too many connections of your address have not logged in"
            return Refused(Code.BOUND, "TOO-MANY-CONNECTIONS", text, 30)
        self._by_address[network] = count + 1
        conversation.counted_address = network
        conversation.outlet.share = self.turns.share_of(network)  # else many connections would be as many shares
        self.conversations.add(conversation)
        return None

    def logged_in(self, conversation: Conversation) -> None:
        """Its address may have another connection that is not logged in."""
        self._uncount(conversation)
        account = conversation.session.principal.account
        if account is not None:
            conversation.outlet.share = self.turns.share_of(account.address)
            if len(tuple(self.services.sessions.of(account.address))) > self.bounds.per_account:
                text = f"An account has at most {self.bounds.per_account} connections here"
                conversation.end(Refused(Code.BOUND, "TOO-MANY-CONNECTIONS", text, 30))

    def gone(self, conversation: Conversation) -> None:
        """A connection has ended."""
        self._uncount(conversation)
        self.conversations.discard(conversation)
        self.services.sessions.remove(conversation.session)
        if not self.conversations:
            self._empty.set()

    def _uncount(self, conversation: Conversation) -> None:
        network, conversation.counted_address = conversation.counted_address, None
        if network is not None:
            left = self._by_address.get(network, 1) - 1
            if left:
                self._by_address[network] = left
            else:
                self._by_address.pop(network, None)

    def flush_later(self, outlet: Outlet) -> None:
        """Send what was written there, together with all that happens in this tick."""
        self._dirty.append(outlet)
        if len(self._dirty) == 1:
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for outlet in dirty:
            outlet.flush()

    def domain_of(self, tls: ssl.SSLObject) -> str:
        """The served domain that the client asked for, else the first."""
        asked = self.certificates.asked(tls)
        return asked if asked in self.services.domains else min(self.services.domains)

    def sweep(self) -> None:
        """Hold every conversation to its bounds in time, as of the clock's now."""
        self.now = self.services.clock.monotonic()
        for conversation in tuple(self.conversations):
            try:
                conversation.sweep(self.now)
            except Exception as error:
                self.log.error("sweep failed", peer=conversation.peer, exc_info=error)
                conversation.abort()

    def _start_sweeping(self) -> None:
        if self._sweeper is None:
            self._sweep_on()

    def _sweep_on(self) -> None:
        self.sweep()
        self._sweeper = self._loop.call_later(SWEEP, self._sweep_on)


class _Operator(Conversation):
    """A conversation on the operator's socket."""

    __slots__ = ()

    def __init__(self, server: Server, stream: Stream) -> None:
        super().__init__(server, stream, direct=False)

    def connected(self) -> None:
        """Check who it is, and greet."""
        raw: socket.socket = self.stream.transport.get_extra_info("socket")
        if not _is_operator(raw):
            self.stream.abort()
            return
        self.server.conversations.add(self)
        self.begin_operator()


def _is_operator(raw: socket.socket) -> bool:
    """Whether the peer is this server's own user or root, as the kernel says."""
    option = getattr(socket, "SO_PEERCRED", None)
    if option is None:
        return True  # the socket's mode 0600 stands alone where the kernel does not tell
    _, uid, _ = struct.unpack("3i", raw.getsockopt(socket.SOL_SOCKET, option, struct.calcsize("3i")))
    return uid in (0, os.getuid())

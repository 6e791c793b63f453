"""Wires the rooms of a server: store, service, listeners.

Rules: the data folder is locked by one process; nothing listens before everything is open; what is
started is stopped in the opposite order.
"""

import asyncio
import fcntl
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

import immpd.service.about
import immpd.service.accounts
import immpd.service.auth
import immpd.service.delivery
import immpd.service.drafts
import immpd.service.fetching
import immpd.service.mailboxes
import immpd.service.messages
import immpd.service.watching  # noqa: F401 - these imports register the handlers
from immpd.bus import LocalBus
from immpd.net.certificates import CertificateFiles, Certificates, ensure_self_signed
from immpd.protocol.states import State
from immpd.server.server import Address, Server
from immpd.service.auth import AuthDesk
from immpd.service.ids import IdMaker
from immpd.service.sealing import Sealer, load_or_make_key
from immpd.service.session import Services, Session
from immpd.store.bodies import BodyFiles, sweep
from immpd.store.sqlite.engine import open_sqlite

from .configuration import Configuration, read_address

SOCKET = "immpd.sock"
LOCK = "immpd.lock"


class DataFolderInUse(Exception):
    """Another process has the data folder."""


class SystemClock:
    """The machine's time."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds."""
        await asyncio.sleep(seconds)


class Lock:
    """The data folder's lock, held until ``release`` or the end of the process."""

    def __init__(self, folder: Path) -> None:
        self._file = open(folder / LOCK, "a+")  # noqa: SIM115 - the open file is the lock
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise DataFolderInUse(f"{folder} is in use by another immpd") from None

    def release(self) -> None:
        """Let another process have the folder."""
        self._file.close()


async def open_services(folder: Path, configuration: Configuration, clock: Any = None) -> Services:
    """Open the store and all that the service needs of a data folder."""
    clock = clock or SystemClock()
    keys = folder / "keys"
    keys.mkdir(mode=0o700, exist_ok=True)
    random = os.urandom
    desk = AuthDesk(load_or_make_key(keys / "salt.key", random), Sealer(keys, random), clock, random)
    store = await open_sqlite(folder)
    bodies = BodyFiles(folder / "bodies")
    await sweep(store, bodies)
    return Services(
        store=store,
        bodies=bodies,
        bus=LocalBus(),
        clock=clock,
        random=random,
        ids=IdMaker(clock, random),
        domains=frozenset(configuration.domains),
        limits=configuration.limits,
        authentication=configuration.authentication,
        desk=desk,
    )


def open_certificates(folder: Path, configuration: Configuration) -> Certificates:
    """Certificates from the files named, else the self-signed one of the data folder."""
    if configuration.certificates:
        files = [CertificateFiles(folder / one.certificate, folder / one.key) for one in configuration.certificates]
        return Certificates(files)
    own = CertificateFiles(folder / "keys" / "tls.crt", folder / "keys" / "tls.key")
    ensure_self_signed(own, configuration.domains, datetime.now(UTC))
    return Certificates([own])


class Running(msgspec.Struct):
    """A server that serves."""

    server: Server
    services: Services
    lock: Lock
    listen: list[Address]
    listen_tls: list[Address]
    fingerprint: str
    socket: Path

    async def stop(self) -> None:
        """Finish, tell the clients, close the store."""
        await self.server.stop()
        self.socket.unlink(missing_ok=True)
        await self.services.store.close()
        self.lock.release()


async def start(folder: Path, configuration: Configuration, log: Any, clock: Any = None) -> Running:
    """Open everything, then listen. Raises DataFolderInUse, OSError, StoreError, CertificateError."""
    lock = Lock(folder)
    services = await open_services(folder, configuration, clock)
    certificates = open_certificates(folder, configuration)
    server = Server(services, configuration.bounds, certificates, log)
    socket = folder / SOCKET
    await server.listen_operator(socket)
    listen = [
        a for text in configuration.listen for a in await server.listen(Address(*read_address(text)), direct=False)
    ]
    listen_tls = [
        a for text in configuration.listen_tls for a in await server.listen(Address(*read_address(text)), direct=True)
    ]
    fingerprint = certificates.leaves[0].fingerprint
    return Running(server, services, lock, listen, listen_tls, fingerprint, socket)


def operator_session(services: Services) -> Session:
    """A session of the operator without a server, on a store opened here."""
    return Session(services, State.OPERATOR, peer="operator")

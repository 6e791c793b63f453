"""Wires the rooms of a server: store, service, listeners.

Rules: the data folder is locked by one process; nothing listens before everything is open; what is
started is stopped in the opposite order, also where a later step fails.
"""

import asyncio
import errno
import hmac
import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Literal

import msgspec

import immpd.service.handlers  # noqa: F401 - this import registers them
from immpd.bus import Bus, LocalBus
from immpd.net.certificates import CertificateFiles, Certificates, ensure_self_signed
from immpd.protocol.states import State
from immpd.server.server import Address, Server
from immpd.server.watchdog import Watchdog
from immpd.service.accounts.auth import AuthDesk
from immpd.service.accounts.guessing import Guesses
from immpd.service.accounts.open_sessions import OpenSessions
from immpd.service.accounts.sealing import Sealer, load_or_make_key
from immpd.service.bulk import BulkQueue
from immpd.service.feeds.cursors import ItemCursors
from immpd.service.feeds.events import HintEvents
from immpd.service.id_maker import IdMaker
from immpd.service.jobs.keeper import Keeper, clear_leases
from immpd.service.jobs.registry import jobs_of
from immpd.service.mail.fetching import LARGE_AT_ONCE
from immpd.service.pacing import Pace
from immpd.service.ports import Clock, Log
from immpd.service.routing import Routes
from immpd.service.session import Services, Session
from immpd.store.errors import StoreUnavailable
from immpd.store.integrity.damage import Damage
from immpd.store.mail.bodies import BodyFiles, sweep
from immpd.store.room import Room, free_on
from immpd.store.sqlite.engine import open_sqlite

from .clock import SystemClock
from .configuration import Configuration, read_address
from .folder import BODIES, KEYS, SOCKET, Lock
from .housekeeping import keep_room, tell_damage


class CannotListen(Exception):
    """An address to listen at cannot be had; the text says which and why."""


@asynccontextmanager
async def opened(
    folder: Path,
    configuration: Configuration,
    log: Log,
    clock: Clock | None = None,
    free: Callable[[Path], int] = free_on,
    bus: Bus | None = None,
) -> AsyncIterator[Services]:
    """Lock the folder, open the store and all that the service needs; closes them at the end.

    ``free`` says how many octets the disk of a folder has; ``bus`` is by default that of this process alone.
    Raises DataFolderInUse, StoreError, SealError and OSError.
    """
    async with AsyncExitStack() as stack:
        clock = clock or SystemClock()
        stack.callback(Lock(folder).release)
        keys = folder / KEYS
        keys.mkdir(mode=0o700, exist_ok=True)
        random = os.urandom
        guesses = Guesses(clock, configuration.authentication.guesses)
        server_key = load_or_make_key(keys / "salt.key", random)
        desk = AuthDesk(server_key, Sealer(keys, random), random, guesses)
        tell = partial(_tell, log)
        room, damage = Room(folder, configuration.storage, tell, free), Damage(folder, tell)
        bus = bus or LocalBus()
        store = await open_sqlite(folder, room=room, damage=damage, tell=tell, audience=bus)
        bus.on_foreign(store.renew)
        stack.push_async_callback(store.close)
        bodies = BodyFiles(folder / BODIES, room, damage, store)
        stack.callback(bodies.close)
        try:
            await sweep(store, bodies)
        except StoreUnavailable as error:
            log.warning("files that no message names stay until the next start", reason=str(error))
        rendering = ThreadPoolExecutor(1, "rendering")
        stack.callback(rendering.shutdown)
        domains = frozenset(configuration.domains)
        routes = Routes(domains)
        bus.on_ends(routes.told)
        yield Services(
            store=store,
            bodies=bodies,
            room=room,
            damage=damage,
            bus=bus,
            sessions=OpenSessions(bus, store),
            clock=clock,
            random=random,
            ids=IdMaker(clock, random),
            domains=domains,
            routes=routes,
            limits=configuration.limits,
            authentication=configuration.authentication,
            desk=desk,
            pace=Pace(clock),
            bulk=BulkQueue(configuration.limits.bulk_commands),
            large=BulkQueue(LARGE_AT_ONCE),
            writing=Counter(),
            cursors=ItemCursors(hmac.digest(server_key, b"immpd cursor 1", "sha256")),
            hint_events=HintEvents(),
            log=log,
            rendering=rendering,
        )


def _tell(log: Log, level: Literal["info", "warning", "error"], event: str, /, **fields: Any) -> None:
    """What the store says, in the log."""
    getattr(log, level)(event, **fields)


def open_certificates(folder: Path, configuration: Configuration) -> Certificates:
    """Certificates from the files named, else the self-signed one of the data folder; raises CertificateError."""
    if configuration.certificates:
        files = [CertificateFiles(folder / one.certificate, folder / one.key) for one in configuration.certificates]
        return Certificates(files)
    own = CertificateFiles(folder / KEYS / "tls.crt", folder / KEYS / "tls.key")
    ensure_self_signed(own, configuration.domains, datetime.now(UTC))
    return Certificates([own])


class Running(msgspec.Struct):
    """A server that serves."""

    server: Server
    services: Services
    certificates: Certificates
    listen: list[Address]
    """Where connections begin in clear."""
    listen_tls: list[Address]
    """Where they are TLS from the first octet."""
    stack: AsyncExitStack

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the public key that clients see who name no domain."""
        return self.certificates.leaves[0].fingerprint

    async def stop(self) -> None:
        """Finish, tell the clients, close the store."""
        await self.stack.aclose()


async def start(
    folder: Path,
    configuration: Configuration,
    log: Log,
    clock: Clock | None = None,
    free: Callable[[Path], int] = free_on,
    bus: Bus | None = None,
) -> Running:
    """Open everything, then listen; where the disk is full or can only be read, for reading.

    Raises DataFolderInUse, CannotListen, StoreError, SealError, CertificateError and OSError.
    """
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(opened(folder, configuration, log, clock, free, bus))
        certificates = open_certificates(folder, configuration)
        server = Server(services, configuration.bounds, certificates, log)
        stack.push_async_callback(server.stop)
        if configuration.debug.held:
            watchdog = Watchdog(log, configuration.debug.held / 1000)
            stack.callback(watchdog.stop)
            watchdog.start()
        await _listen_operator(server, folder / SOCKET, stack, log)
        listen = await _listen(server, configuration.listen, direct=False)
        listen_tls = await _listen(server, configuration.listen_tls, direct=True)
        await clear_leases(services)  # the folder is ours alone: nobody lives who could have one
        for work in (
            tell_damage(services),
            keep_room(services),
            Keeper(services, jobs_of(services)).run(),
        ):
            stack.push_async_callback(_end, asyncio.create_task(work))
        return Running(server, services, certificates, listen, listen_tls, stack.pop_all())
    raise AssertionError("a stack swallows nothing")


async def _listen_operator(server: Server, socket: Path, stack: AsyncExitStack, log: Log) -> None:
    try:
        await server.listen_operator(socket)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
            raise
        log.error("nobody can operate this server while it runs", reason=error.strerror, socket=str(socket))
    else:
        stack.callback(_remove, socket)


def _remove(socket: Path) -> None:
    try:
        socket.unlink(missing_ok=True)
    except OSError:
        pass  # a disk that can only be read by now; the next start takes its place


async def _listen(server: Server, texts: tuple[str, ...], *, direct: bool) -> list[Address]:
    bound: list[Address] = []
    for text in texts:
        try:
            bound += await server.listen(Address(*read_address(text)), direct=direct)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            raise CannotListen(f"Cannot listen at {text}: {reason}") from error
    return bound


async def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.wait((task,))


def operator_session(services: Services) -> Session:
    """A session of the operator without a connection."""
    return Session(services, State.OPERATOR, peer="operator")

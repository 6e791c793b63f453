"""The process of a server: starts, tells that it serves, obeys signals, stops.

Rules: the ready file is there only while the server serves, and whole; SIGTERM and SIGINT finish
what the store has and end with success, a second one ends at once; SIGHUP reads the certificates again; a service
manager that wants to hear of all this does.
"""

import asyncio
import gc
import os
import signal
import sys
import time
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import msgspec

from immpd import __version__
from immpd.net.certificates import CertificateError
from immpd.net.private_file import write_private_file
from immpd.server.server import Address
from immpd.service.ports import Clock, Log

from . import compose
from .configuration import Configuration
from .log import open_log
from .service_manager import ServiceManager

YOUNG = 50_000
"""Values made and not yet freed after which the youngest are looked through for cycles."""


class Ready(msgspec.Struct, frozen=True):
    """What the ready file holds, as JSON."""

    pid: int
    listen: str
    """HOST:PORT where connections begin in clear; empty: none."""
    listen_tls: str
    """HOST:PORT where they are TLS from the first octet; empty: none."""
    fingerprint: str
    """SHA-256 of the public key that clients see."""


def run(work: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop, or on asyncio's own loop where there is no uvloop."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        from asyncio import new_event_loop  # type: ignore[assignment]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)


async def serve(
    folder: Path, configuration: Configuration, ready_file: Path | None = None, clock: Clock | None = None
) -> None:
    """Serve until a signal; raises what compose.start raises."""
    loop = asyncio.get_running_loop()
    manager = ServiceManager(os.environ, os.getpid())
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop_once, loop, number, stopping)
    log = open_log(configuration.log)
    loop.set_exception_handler(lambda _, context: _log_loop_error(log, context))
    running = await compose.start(folder, configuration, log, clock)
    try:
        loop.add_signal_handler(signal.SIGHUP, _reload, running, log, manager)
        ready = Ready(
            pid=os.getpid(),
            listen=_first(running.listen),
            listen_tls=_first(running.listen_tls),
            fingerprint=running.fingerprint,
        )
        domains = sorted(running.services.domains)
        _calm_collector()
        _announce(ready_file, ready, log)
        log.info(
            "started",
            version=__version__,
            domains=domains,
            listen=[str(one) for one in running.listen],
            listen_tls=[str(one) for one in running.listen_tls],
            fingerprint=ready.fingerprint,
        )
        manager.ready(_status(running))
        await stopping.wait()
        manager.stopping()
        log.info("stopping", conversations=len(running.server.conversations))
    finally:
        _withdraw(ready_file)
        await running.stop()
        manager.leave()
    log.info("stopped")


def _calm_collector() -> None:
    """Look for cycles less often, and not among what stays as long as the process.

    A command makes dozens of short-lived values that reference counts free; the default looked through all
    connections after each few hundred of them, which took a tenth of a busy server's time (docs/why/collector.md).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, 20, 50)


def _announce(ready_file: Path | None, ready: Ready, log: Log) -> None:
    if ready_file is not None:
        try:
            write_private_file(ready_file, msgspec.json.encode(ready) + b"\n", replace=True)
        except OSError as error:
            # It serves all the same; a full disk must not keep people from reading, and from removing.
            log.error("the ready file could not be written", file=str(ready_file), reason=error.strerror)


def _withdraw(ready_file: Path | None) -> None:
    if ready_file is not None:
        ready_file.unlink(missing_ok=True)


def _first(addresses: list[Address]) -> str:
    return str(addresses[0]) if addresses else ""


def _stop_once(loop: asyncio.AbstractEventLoop, number: int, stopping: asyncio.Event) -> None:
    if stopping.is_set():
        # Somebody is in a hurry: what was answered is on disk, so nothing is lost.
        sys.stderr.flush()
        os._exit(128 + number)
    stopping.set()


def _status(running: compose.Running) -> str:
    return f"Serves {', '.join(sorted(running.services.domains))}; SHA-256 {running.fingerprint}"


def _reload(running: compose.Running, log: Log, manager: ServiceManager) -> None:
    manager.reloading(time.monotonic_ns)
    try:
        running.certificates.reload()
    except CertificateError as error:
        log.error("certificates not reloaded, the old ones stay", reason=str(error))
    else:
        log.info("certificates reloaded", fingerprint=running.fingerprint)
    manager.ready(_status(running))


def _log_loop_error(log: Log, context: dict[str, Any]) -> None:
    log.error("unforeseen error", what=context.get("message"), exc_info=context.get("exception"))

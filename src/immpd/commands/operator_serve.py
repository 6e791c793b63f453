"""``immpd init`` and ``immpd serve``."""

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from .operator_common import OK, Data

if TYPE_CHECKING:
    from immpd.app.compose import Running
    from immpd.app.configuration import Logging


def init(
    *, data: Data, domain: Annotated[list[str], Parameter(name="--domain", help="A domain to serve; repeats.")]
) -> int:
    """Make a data folder for the domains to serve."""
    from immpd.app.configuration import FILE, first_configuration
    from immpd.model.imid import parse_domain

    domains = tuple(parse_domain(one) for one in domain)
    if not domains:
        raise ValueError("Name at least one domain with --domain")
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with (data / FILE).open("x") as file:
            file.write(first_configuration(domains))
    except FileExistsError:
        raise ValueError(f"{data / FILE} is there already; nothing was changed") from None
    sys.stdout.write(
        f"Made {data / FILE} for {', '.join(domains)}.\n"
        f"Now: immpd account add NAME@{domains[0]} --data {data}, and immpd serve --data {data}\n"
    )
    return OK


def serve(
    *,
    data: Data,
    listen: Annotated[list[str] | None, Parameter(name="--listen", help="HOST:PORT for UPGRADE; repeats.")] = None,
    listen_tls: Annotated[list[str] | None, Parameter(name="--listen-tls", help="HOST:PORT for TLS; repeats.")] = None,
    ready_file: Annotated[Path | None, Parameter(name="--ready-file", help="Written once it serves.")] = None,
) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the certificates again."""
    import msgspec

    from immpd.app.configuration import FILE, checked, read_configuration

    configuration = read_configuration(data)
    if listen is not None:
        configuration = msgspec.structs.replace(configuration, listen=tuple(listen))
    if listen_tls is not None:
        configuration = msgspec.structs.replace(configuration, listen_tls=tuple(listen_tls))
    checked(configuration, data / FILE)
    log = make_log(configuration.log)

    async def work() -> None:
        import asyncio

        from immpd import __version__
        from immpd.app.compose import start

        running = await start(data, configuration, log)
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        loop.add_signal_handler(signal.SIGHUP, _reload, running, log)
        log.info(
            "started",
            version=__version__,
            domains=list(configuration.domains),
            listen=[str(one) for one in running.listen],
            listen_tls=[str(one) for one in running.listen_tls],
            fingerprint=running.fingerprint,
        )
        if ready_file is not None:
            _write_ready(ready_file, running)
        await stop.wait()
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)
        log.info("stopping", conversations=len(running.server.conversations))
        await running.stop()
        log.info("stopped")

    _runner()(work())
    return OK


def _runner() -> Any:
    try:
        import uvloop
    except ImportError:
        import asyncio

        return asyncio.run
    return uvloop.run


def _reload(running: "Running", log: Any) -> None:
    from immpd.net.certificates import CertificateError

    try:
        running.certificates.reload()
    except (CertificateError, OSError) as error:
        log.error("certificates not reloaded", reason=str(error))
    else:
        log.info("certificates reloaded", fingerprint=running.fingerprint)


def _write_ready(path: Path, running: "Running") -> None:
    """One JSON object, there whole or not at all."""
    import msgspec

    facts = {
        "pid": os.getpid(),
        "listen": str(running.listen[0]) if running.listen else "",
        "listen_tls": str(running.listen_tls[0]) if running.listen_tls else "",
        "fingerprint": running.fingerprint,
    }
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(msgspec.json.encode(facts) + b"\n")
    beside.replace(path)


def make_log(settings: "Logging") -> Any:
    """structlog to standard error: for people on a terminal, JSON otherwise."""
    import logging

    import structlog

    for_people = settings.format == "console" or (settings.format == "auto" and sys.stderr.isatty())
    processors: list[Any] = [structlog.processors.add_log_level, structlog.processors.TimeStamper("iso", utc=True)]
    if for_people:
        processors.append(structlog.dev.ConsoleRenderer())
    else:
        processors += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, settings.level.upper())),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
    )
    return structlog.get_logger()

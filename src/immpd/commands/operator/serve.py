"""``immpd init`` and ``immpd serve``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .common import OK, Data

Listen = Annotated[list[str] | None, Parameter(name="--listen", negative=(), help="HOST:PORT for UPGRADE; repeats.")]
ListenTls = Annotated[list[str] | None, Parameter(name="--listen-tls", negative=(), help="HOST:PORT for TLS; repeats.")]


def init(
    *,
    data: Data,
    domain: Annotated[list[str], Parameter(name="--domain", negative=(), help="A domain to serve; repeats.")],
    listen: Listen = None,
    listen_tls: ListenTls = None,
) -> int:
    """Make a data folder for the domains to serve.

    Without --listen and --listen-tls it will listen on this machine only.
    """
    from immpd.app.configuration import FILE, check_addresses, first_configuration
    from immpd.model.imid import parse_domain
    from immpd.net.private_file import write_private_file

    domains = tuple(parse_domain(one) for one in domain)
    if not domains:
        raise ValueError("Name at least one domain with --domain")
    check_addresses(listen or (), listen_tls or ())
    text = first_configuration(domains, listen or (), listen_tls or ())
    try:
        write_private_file(data / FILE, text.encode(), replace=False)
    except FileExistsError:
        raise ValueError(f"{data / FILE} is there already; nothing was changed") from None
    local = (
        ""
        if listen or listen_tls
        else "It listens on this machine only; listen and listen_tls there open it to others.\n"
    )
    sys.stdout.write(
        f"Made {data / FILE} for {', '.join(domains)}.\n{local}"
        f"Now: immpd account add NAME@{domains[0]} --data {data}, and immpd serve --data {data}\n"
    )
    return OK


def serve(
    *,
    data: Data,
    listen: Listen = None,
    listen_tls: ListenTls = None,
    ready_file: Annotated[Path | None, Parameter(name="--ready-file", help="Written once it serves.")] = None,
) -> int:
    """Serve until SIGTERM or SIGINT; SIGHUP reads the certificates again.

    With --listen or --listen-tls it listens there and nowhere else, whatever is set.
    """
    from immpd.app.configuration import listening, read_configuration

    configuration = listening(read_configuration(data), listen or (), listen_tls or ())
    from immpd.app import process

    process.run(process.serve(data, configuration, ready_file))
    return OK

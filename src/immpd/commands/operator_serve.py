"""``immpd init`` and ``immpd serve``."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from .operator_common import OK, Data


def init(
    *, data: Data, domain: Annotated[list[str], Parameter(name="--domain", help="A domain to serve; repeats.")]
) -> int:
    """Make a data folder for the domains to serve."""
    from immpd.app.configuration import FILE, first_configuration
    from immpd.model.imid import parse_domain
    from immpd.net.private_file import write_private_file

    domains = tuple(parse_domain(one) for one in domain)
    if not domains:
        raise ValueError("Name at least one domain with --domain")
    try:
        write_private_file(data / FILE, first_configuration(domains).encode(), replace=False)
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
    from immpd.app import process

    process.run(process.serve(data, configuration, ready_file))
    return OK

"""``immpd route``: where another domain is found, as this server sees it."""

import random
import sys
import time
from typing import Annotated

from cyclopts import Parameter

from .account import AsJson
from .common import FAILED, OK, TEMPORARY, Data, run, tell


def route(domain: Annotated[str, Parameter(help="The domain to find.")], /, *, data: Data, json: AsJson = False) -> int:
    """Show where a domain is found: addresses and ports in the order in which they are tried."""
    import msgspec

    from immpd.app.configuration import read_configuration
    from immpd.federation.finding import Finder, NotFound
    from immpd.federation.resolving import DnsResolver, Remembering
    from immpd.model.imid import parse_domain

    configuration = read_configuration(data)
    name = parse_domain(domain)
    if name in configuration.domains:
        tell(f"{name} is served here")
        return OK
    federation = configuration.federation

    async def find() -> int:
        resolver = DnsResolver(federation.resolvers, believed=federation.validating)
        finder = Finder(
            Remembering(resolver, time.monotonic),
            federation.hosts,
            allow_private=federation.allow_private,
            random=random.SystemRandom().random,
        )
        try:
            endpoints = await finder.find(name)
        except NotFound as error:
            tell(str(error))
            return FAILED if error.final else TEMPORARY
        for one in endpoints:
            if json:
                sys.stdout.write(msgspec.json.encode(one).decode() + "\n")
            else:
                proofs = [word for word, has in (("DNSSEC", one.validated), ("TLSA", one.associations)) if has]
                address = f"[{one.address}]" if ":" in one.address else one.address
                sys.stdout.write("  ".join([f"{address}:{one.port}", one.host, *proofs]) + "\n")
        return OK

    return run(find)

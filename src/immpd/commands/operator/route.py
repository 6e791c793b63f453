"""``immpd route``: where another domain is found, as this server sees it."""

import random
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from .common import FAILED, OK, TEMPORARY, AsJson, Data, run, tell

if TYPE_CHECKING:
    from immpd.federation.finding import Endpoint


def route(
    domain: Annotated[str, Parameter(help="The domain to find.")],
    /,
    *,
    data: Data,
    call: Annotated[
        bool, Parameter(name="--call", negative=(), help="Connect; show the key that answers and what vouches for it.")
    ] = False,
    json: AsJson = False,
) -> int:
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
        if call:
            return await _call(name, endpoints, json=json)
        for one in endpoints:
            if json:
                sys.stdout.write(msgspec.json.encode(one).decode() + "\n")
            else:
                proofs = [word for word, has in (("DNSSEC", one.validated), ("TLSA", one.associations)) if has]
                sys.stdout.write("  ".join([one.where, one.host, *proofs]) + "\n")
        return OK

    return run(find)


async def _call(domain: str, endpoints: "Sequence[Endpoint]", *, json: bool) -> int:
    import msgspec

    from immpd.client.errors import ClientError
    from immpd.federation.calling import call, vouched_by_authority

    try:
        peer = await call(domain, endpoints)
    except ClientError as error:
        tell(str(error))
        return TEMPORARY
    try:
        shown = peer.shown
        authority = await vouched_by_authority(domain, peer)
    finally:
        peer.hang_up()
    if json:
        found = {"domain": domain, **msgspec.to_builtins(shown), "authority": authority}
        sys.stdout.write(msgspec.json.encode(found).decode() + "\n")
        return OK
    vouches = [word for word, does in (("DNS (DANE)", shown.dane), ("an authority", authority)) if does]
    sys.stdout.write(f"{shown.endpoint.where}  {shown.endpoint.host}\n")
    sys.stdout.write(f"SHA-256 {shown.fingerprint}  vouched for by {' and '.join(vouches) or 'nobody'}\n")
    return OK

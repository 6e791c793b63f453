"""Calling another domain: connect to where it was found, encrypt, and learn what vouches for its key.

Rules: endpoints are tried in their order, the next begins when one fails or is slow (RFC 8305); nothing but UPGRADE
is sent before the caller has judged the key; whether an authority vouches for it is asked with a connection of its
own, and only when the caller wants to know; who contradicts the domain's TLSA records is not talked to.
"""

import asyncio
import contextlib
from collections.abc import Sequence

import msgspec

from immpd.client.caller import Caller
from immpd.client.connecting import Server, greeting, hang_up, secure
from immpd.client.errors import CannotConnect, ClientError, NotSecure
from immpd.client.link import Link
from immpd.net.certificates import CertificateError, client_context, spki_fingerprint
from immpd.protocol.errors import Refused
from immpd.protocol.replies import Capabilities

from .dane import Match, compared
from .finding import Endpoint

NEXT_AFTER = 0.25
"""Seconds after which the next endpoint is tried beside one that is slow (RFC 8305, section 5)."""
SECONDS = 10.0
"""For connection, handshake and greeting of one endpoint (docs/protocol.md, "Calling a domain")."""


class Shown(msgspec.Struct, frozen=True):
    """The key that a domain's server showed, and what DNS says of it."""

    endpoint: Endpoint
    fingerprint: str
    """SHA-256 of the SubjectPublicKeyInfo, 64 lower-case hexadecimal digits."""
    dane: bool
    """The domain names it in DNS, and DNSSEC proves that."""


class Peer(Caller):
    """A connection to another domain's server, encrypted; whether its key is the right one is the caller's question."""

    def __init__(self, link: Link, domain: str, shown: Shown, about: Capabilities) -> None:
        super().__init__(link)
        self.domain = domain
        self.shown = shown
        self.about = about

    def hang_up(self) -> None:
        """End it at once."""
        hang_up(self.link)


async def call(domain: str, endpoints: Sequence[Endpoint], *, next_after: float = NEXT_AFTER) -> Peer:
    """Connect to the first endpoint that answers as it should; whoever calls this hangs up.

    Raises CannotConnect or NotSecure of the first endpoint when none does, and Refused where the server turns us away.
    """
    waiting = list(endpoints)
    trying: dict[asyncio.Task[Peer], int] = {}
    errors: dict[int, ClientError | Refused] = {}
    try:
        while waiting or trying:
            if waiting:
                trying[asyncio.ensure_future(_call_one(domain, waiting.pop(0)))] = len(trying) + len(errors)
            done, _ = await asyncio.wait(
                trying, timeout=next_after if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            for task in done:
                at = trying.pop(task)
                error = task.exception()
                if error is None:
                    return task.result()
                if not isinstance(error, ClientError | Refused):
                    raise error
                errors[at] = error
        raise errors[min(errors)]
    finally:
        await _dropped(list(trying))


async def _dropped(tasks: list["asyncio.Task[Peer]"]) -> None:
    """Nobody wants these connections any more."""
    for task in tasks:
        task.cancel()
    for result in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(result, Peer):
            result.hang_up()


async def _call_one(domain: str, endpoint: Endpoint) -> Peer:
    link = Link(context=client_context(), hostname=domain, direct=False)
    try:
        async with asyncio.timeout(SECONDS):
            certificate = await secure(link, Server(endpoint.address, endpoint.port))
            shown = _judged(endpoint, certificate)
            return Peer(link, domain, shown, await greeting(link))
    except TimeoutError:
        hang_up(link)
        raise CannotConnect(f"{endpoint.host} ({endpoint.address}) did not answer in time") from None
    except BaseException:
        hang_up(link)
        raise


def _judged(endpoint: Endpoint, certificate: bytes) -> Shown:
    try:
        fingerprint = spki_fingerprint(certificate)
    except CertificateError as error:
        raise NotSecure(str(error)) from None
    match = compared(endpoint.associations, certificate)
    if match is Match.CONTRADICTS:
        raise NotSecure(f"{endpoint.host} shows another certificate than its TLSA records name")
    return Shown(endpoint, fingerprint, match is Match.MATCHES)


async def vouched_by_authority(domain: str, peer: Peer) -> bool:
    """Whether an authority that this machine trusts vouches for the key that a peer shows, under the domain's name.

    It connects once more to the same endpoint and compares; the name of the endpoint's host counts as the domain's
    where DNSSEC proves it (RFC 7673, section 3.1).
    """
    endpoint = peer.shown.endpoint
    names = [domain, endpoint.host] if endpoint.validated and endpoint.host != domain else [domain]
    for name in names:
        link = Link(context=client_context(web_pki=True), hostname=name, direct=False)
        with contextlib.suppress(ClientError, Refused, TimeoutError):
            try:
                async with asyncio.timeout(SECONDS):
                    certificate = await secure(link, Server(endpoint.address, endpoint.port))
                if spki_fingerprint(certificate) == peer.shown.fingerprint:
                    return True
            finally:
                hang_up(link)
    return False

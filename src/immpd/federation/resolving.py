"""Asking DNS: one question, its records, how long they hold, and whether they were validated.

Rules: that a name is not there, or has no such record, is an answer and kept like one (RFC 2308); that nobody could
tell is an error and never kept; the same question at the same time is asked once; what is kept is bounded.
"""

import asyncio
import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

import dns.asyncresolver
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.nameserver
import dns.rcode
import dns.resolver
import msgspec

from .settings import DNS_PORT, server_address

Kind = Literal["A", "AAAA", "SRV", "TLSA"]

KEPT = 10_000
"""Answers that are kept; the one that was not used for longest goes first."""
LONGEST = 86_400
"""Seconds for which an answer is kept, whatever it says."""
LONGEST_NEGATIVE = 3600
"""The same for one without records (RFC 2308, section 5)."""
SECONDS = 10.0
"""How long a question may take, over all resolvers."""


class CannotTell(Exception):
    """No resolver gave an answer: a later time may."""


class Service(msgspec.Struct, frozen=True):
    """An SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str
    """Without the dot at its end; empty: there is no such service."""


class Association(msgspec.Struct, frozen=True):
    """A TLSA record (RFC 6698)."""

    usage: int
    selector: int
    matching: int
    data: bytes


class Answer(msgspec.Struct, frozen=True):
    """What DNS says; without records: that there are none."""

    records: tuple[str | Service | Association, ...]
    """Addresses as text, services or associations, as it was asked."""
    seconds: int
    """How long it holds."""
    validated: bool
    """DNSSEC proves it, as far as the resolver is believed."""
    exists: bool = True
    """Whether the name is there at all."""


class Resolver(Protocol):
    """Whoever answers questions about names."""

    async def ask(self, name: str, kind: Kind) -> Answer:
        """The records of this kind; raises CannotTell."""


class DnsResolver:
    """Asks DNS servers: those that are named, else the system's."""

    def __init__(self, servers: Sequence[str] = (), *, believed: bool = False, seconds: float = SECONDS) -> None:
        try:
            self._resolver = dns.asyncresolver.Resolver(configure=not servers)
        except dns.resolver.NoResolverConfiguration as error:
            raise ValueError(f"the system names no DNS servers: {error}") from None
        self._seconds = seconds
        addresses = [server_address(text) for text in servers]
        if addresses:
            self._resolver.nameservers = [dns.nameserver.Do53Nameserver(host, port) for host, port in addresses]
        else:
            addresses = [(str(server), DNS_PORT) for server in self._resolver.nameservers]
        self._resolver.use_edns(0, dns.flags.DO, 1232)
        self._resolver.flags = dns.flags.RD | dns.flags.AD
        self._believed = believed or all(_is_here(host) for host, _ in addresses)

    async def ask(self, name: str, kind: Kind) -> Answer:
        """The records of this kind; raises CannotTell."""
        try:
            asked = dns.name.from_text(name)
            try:
                found = await self._resolver.resolve(asked, kind, raise_on_no_answer=False, lifetime=self._seconds)
            except dns.resolver.NXDOMAIN as error:
                return self._answer(error.kwargs["responses"][asked], kind)
            return self._answer(found.response, kind)
        except (dns.exception.DNSException, OSError, ValueError) as error:
            raise CannotTell(f"no DNS server says what {name} is ({kind}): {error}") from None

    def _answer(self, response: dns.message.QueryMessage, kind: Kind) -> Answer:
        result = response.resolve_chaining()
        records = tuple([_READ[kind](record) for record in result.answer or ()])
        return Answer(
            records,
            max(0, min(result.minimum_ttl, LONGEST if records else LONGEST_NEGATIVE)),
            self._believed and bool(response.flags & dns.flags.AD),
            response.rcode() != dns.rcode.NXDOMAIN,
        )


_READ: dict[Kind, Callable[..., str | Service | Association]] = {
    "A": lambda record: str(record.address),
    "AAAA": lambda record: str(record.address),
    "SRV": lambda record: Service(record.priority, record.weight, record.port, record.target.to_text(True).strip(".")),
    "TLSA": lambda record: Association(record.usage, record.selector, record.mtype, bytes(record.cert)),
}


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Remembering:
    """A resolver that keeps answers as long as they hold."""

    def __init__(self, resolver: Resolver, monotonic: Callable[[], float]) -> None:
        self._resolver = resolver
        self._monotonic = monotonic
        self._kept: OrderedDict[tuple[str, Kind], tuple[float, Answer]] = OrderedDict()
        self._asking: dict[tuple[str, Kind], asyncio.Task[Answer]] = {}

    async def ask(self, name: str, kind: Kind) -> Answer:
        """The records of this kind; raises CannotTell."""
        key = (name.lower(), kind)
        kept = self._kept.get(key)
        if kept is not None and kept[0] > self._monotonic():
            self._kept.move_to_end(key)
            return kept[1]
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.ensure_future(self._ask(key))
            task.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(task)  # who goes away does not take the answer from the others

    async def _ask(self, key: tuple[str, Kind]) -> Answer:
        answer = await self._resolver.ask(*key)
        self._kept[key] = (self._monotonic() + answer.seconds, answer)
        self._kept.move_to_end(key)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return answer

    def _asked(self, key: tuple[str, Kind], task: "asyncio.Task[Answer]") -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # also where everybody who asked went away

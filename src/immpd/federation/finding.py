"""Where a domain is found: the operator's word, else SRV, else the domain's own addresses at port 1025.

Rules (docs/protocol.md, "Finding a domain"): no port comes from anywhere but SRV or the operator; an address that
DNS names is a public one, or it is not gone to; targets stand in the order of RFC 2782, and the addresses of one
alternate between IPv6 and IPv4 (RFC 8305); what one lookup says is bounded.
"""

import asyncio
import ipaddress
from collections.abc import Callable, Iterable
from itertools import chain, groupby, zip_longest

import msgspec

from .resolving import Answer, Association, CannotTell, Kind, Resolver, Service
from .settings import PORT, host_and_port

SERVICE = "_immp._tcp"
LOWEST_PORT = 1024
"""Below it are other services, which DNS must not make a server talk to; but 443, which passes where little does."""
HTTPS = 443
MAX_TARGETS = 16
MAX_ADDRESSES = 8
"""Of one target."""


class NotFound(Exception):
    """The domain cannot be reached, and why; ``final``: asking again later will not help."""

    def __init__(self, text: str, *, final: bool) -> None:
        super().__init__(text)
        self.final = final


class Endpoint(msgspec.Struct, frozen=True):
    """An address and port where a server of the domain should be."""

    address: str
    port: int
    host: str
    """The name that led there: the target of SRV, the domain itself, or what the operator wrote."""
    validated: bool = False
    """DNSSEC proves the way from the domain to this name and address: the host's name may stand in the certificate."""
    associations: tuple[Association, ...] = ()
    """TLSA records of this port, proved likewise (RFC 7673)."""

    @property
    def where(self) -> str:
        """Address and port as people write them."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class Finder:
    """Finds domains."""

    def __init__(
        self, resolver: Resolver, hosts: dict[str, str], *, allow_private: bool, random: Callable[[], float]
    ) -> None:
        """``random`` gives numbers from 0 to 1, for the weights of RFC 2782."""
        self._resolver = resolver
        self._hosts = {domain.lower(): host_and_port(where) for domain, where in hosts.items()}
        self._allow_private = allow_private
        self._random = random

    async def find(self, domain: str) -> tuple[Endpoint, ...]:
        """Endpoints in the order in which they are to be tried, at least one; raises NotFound."""
        try:
            said = self._hosts.get(domain)
            if said is not None:
                return await self._as_said(*said)
            services = await self._resolver.ask(f"{SERVICE}.{domain}", "SRV")
            if services.records:
                return await self._by_services(domain, services)
            return await self._addresses(
                Service(0, 0, PORT, domain), allow_private=self._allow_private, prove=services.validated
            )
        except CannotTell as error:
            raise NotFound(str(error), final=False) from None

    async def _as_said(self, host: str, port: int) -> tuple[Endpoint, ...]:
        """The operator alone may write an address where DNS has names, and a private one."""
        try:
            return (Endpoint(str(ipaddress.ip_address(host)), port, host),)
        except ValueError:
            return await self._addresses(Service(0, 0, port, host), allow_private=True, prove=False)

    async def _by_services(self, domain: str, services: Answer) -> tuple[Endpoint, ...]:
        wanted = [one for one in services.records if isinstance(one, Service) and one.target]
        if not wanted:
            raise NotFound(f"{domain} says that it takes no messages", final=True)
        usable = [one for one in wanted if one.port >= LOWEST_PORT or one.port == HTTPS]
        if not usable:
            raise NotFound(f"{domain} names port {wanted[0].port}, where other services are", final=False)
        ordered = in_order(usable, self._random)[:MAX_TARGETS]
        found = await asyncio.gather(
            *[self._addresses(one, allow_private=self._allow_private, prove=services.validated) for one in ordered],
            return_exceptions=True,
        )
        endpoints = [one for one in found if isinstance(one, tuple)]
        if endpoints:
            return tuple(chain.from_iterable(endpoints))
        errors = [one for one in found if isinstance(one, BaseException)]
        for error in errors:
            if not isinstance(error, NotFound | CannotTell):
                raise error
        raise NotFound(str(errors[0]), final=False)

    async def _addresses(self, target: Service, *, allow_private: bool, prove: bool) -> tuple[Endpoint, ...]:
        """The endpoints of one target; ``prove``: the way to its name was validated."""
        host = target.target
        six, four = await asyncio.gather(
            self._resolver.ask(host, "AAAA"), self._resolver.ask(host, "A"), return_exceptions=True
        )
        answers = [one for one in (six, four) if isinstance(one, Answer)]
        alternating = _alternating(*[[(one, answer.validated) for one in answer.records] for answer in answers])
        known = [(str(address), validated) for address, validated in alternating]
        if not known:
            for failed in (six, four):
                if isinstance(failed, BaseException):
                    raise failed
            gone = not any(answer.exists for answer in answers)
            raise NotFound(f"there is no {host} in DNS" if gone else f"{host} has no address in DNS", final=True)
        usable = [(one, validated) for one, validated in known if allow_private or is_public(one)]
        if not usable:
            raise NotFound(f"{host} has no public address in DNS, only {known[0][0]}", final=False)
        usable = usable[:MAX_ADDRESSES]
        associations: tuple[Association, ...] = ()
        if prove and any(validated for _, validated in usable):
            associations = await self._associations(f"_{target.port}._tcp.{host}")
        return tuple(
            Endpoint(address, target.port, host, prove and validated, associations if validated else ())
            for address, validated in usable
        )

    async def _associations(self, name: str) -> tuple[Association, ...]:
        """TLSA records; raises CannotTell, for who hides them must not get around them (RFC 7672, section 2.1)."""
        kind: Kind = "TLSA"
        answer = await self._resolver.ask(name, kind)
        if not answer.validated:
            return ()
        return tuple([one for one in answer.records if isinstance(one, Association)])


def in_order(services: Iterable[Service], random: Callable[[], float]) -> list[Service]:
    """By priority, and within one by chance, as the weights say (RFC 2782)."""
    ordered: list[Service] = []
    by_priority = sorted(services, key=lambda one: (one.priority, one.weight, one.target, one.port))
    for _, group in groupby(by_priority, key=lambda one: one.priority):
        left = list(group)  # those of weight 0 stand first
        while left:
            chosen = random() * sum(one.weight for one in left)
            running = 0
            for at, one in enumerate(left):
                running += one.weight
                if running >= chosen:
                    ordered.append(left.pop(at))
                    break
    return ordered


def _alternating(*many: Iterable[tuple[object, bool]]) -> list[tuple[object, bool]]:
    return [one for turn in zip_longest(*many) for one in turn if one is not None]


_EMBEDDING = (ipaddress.ip_network("64:ff9b::/96"), ipaddress.ip_network("64:ff9b:1::/48"))
"""IPv6 networks whose addresses lead to the IPv4 address in their last 32 bits (RFC 6052, RFC 8215)."""


_UNICAST = ipaddress.ip_network("2000::/3")
"""All of IPv6 that was ever given out to be reached from anywhere (RFC 4291, section 2.4; IANA's registry)."""


def is_public(text: str) -> bool:
    """Whether an address is one of the Internet at large: none of a private network, of this machine, of many."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if any(address in network for network in _EMBEDDING):
            inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if address not in _UNICAST:
            return False
    return address.is_global and not address.is_multicast

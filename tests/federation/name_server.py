"""A DNS server for tests: it answers over UDP on a loopback address what its zone says, and nothing else."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

MINIMUM = 60
"""Seconds for which it is known that something is not there."""


class NameServer(asyncio.DatagramProtocol):
    """``zone`` maps (name, kind) to (seconds, records as text); what it proves is in ``validated``."""

    def __init__(self) -> None:
        self.zone: dict[tuple[str, str], tuple[int, list[str]]] = {}
        self.validated: set[str] = set()
        self.fails = False
        self.silent: set[str] = set()
        """Names about which every question fails."""
        self.asked: list[tuple[str, str]] = []
        self.address = ""

    def add(self, name: str, kind: str, *records: str, seconds: int = 300) -> None:
        self.zone[name, kind] = (seconds, list(records))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        query = dns.message.from_wire(data)
        assert isinstance(query, dns.message.QueryMessage)
        self._transport.sendto(self.answer(query).to_wire(), address)  # type: ignore[attr-defined]

    def answer(self, query: dns.message.QueryMessage) -> dns.message.Message:
        question = query.question[0]
        name, kind = question.name.to_text(True), dns.rdatatype.to_text(question.rdtype)
        self.asked.append((name, kind))
        response = dns.message.make_response(query)
        response.flags |= dns.flags.RA
        if self.fails or name in self.silent:
            response.set_rcode(dns.rcode.SERVFAIL)
            return response
        if name in self.validated:
            response.flags |= dns.flags.AD
        found = self.zone.get((name, kind))
        if found is not None:
            seconds, records = found
            response.answer.append(dns.rrset.from_text(question.name, seconds, "IN", kind, *records))
            return response
        if not any(known == name or known.endswith(f".{name}") for known, _ in self.zone):
            response.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.test. root.test. 1 3600 600 86400 {MINIMUM}"
        response.authority.append(dns.rrset.from_text("test.", 3600, "IN", "SOA", soa))
        return response


@asynccontextmanager
async def name_server() -> AsyncIterator[NameServer]:
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        NameServer, local_addr=("127.0.0.1", 0)
    )
    server.address = "{}:{}".format(*transport.get_extra_info("sockname"))
    try:
        yield server
    finally:
        transport.close()

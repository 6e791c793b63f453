"""What an operator may set about other domains (docs/reference/settings.md is made from it)."""

import ipaddress
from typing import Annotated

import msgspec

PORT = 1025
"""Where a domain is served when nothing says otherwise."""
DNS_PORT = 53


class Federation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How other domains are found."""

    hosts: Annotated[
        dict[str, str],
        msgspec.Meta(description="domains and the HOST:PORT where each is found, before DNS is asked"),
    ] = {}
    resolvers: Annotated[
        tuple[str, ...], msgspec.Meta(description="addresses (or ADDRESS:PORT) of DNS servers; none: the system's")
    ] = ()
    validating: Annotated[
        bool,
        msgspec.Meta(
            description="the resolvers validate DNSSEC and the way to them is safe; one on this machine is believed"
        ),
    ] = False
    allow_private: Annotated[
        bool, msgspec.Meta(description="go where DNS names an address of a private network or of this machine")
    ] = False


def host_and_port(text: str) -> tuple[str, int]:
    """HOST, HOST:PORT, ADDRESS, [IPv6] or [IPv6]:PORT, as an operator writes it; raises ValueError."""
    host, port = text, PORT
    if text.startswith("["):
        inside, closed, rest = text[1:].partition("]")
        ipaddress.IPv6Address(inside)
        if not closed or (rest and not rest.startswith(":")):
            raise ValueError(f"{text!r} is no HOST:PORT")
        host, said = inside, rest[1:] or str(PORT)
    elif text.count(":") > 1:
        host, said = str(ipaddress.IPv6Address(text)), str(PORT)
    else:
        host, _, said = text.partition(":")
        said = said or str(PORT)
    if not host or not said.isdecimal() or not 0 < int(said) < 65_536:
        raise ValueError(f"{text!r} is no HOST:PORT")
    port = int(said)
    return host, port


def server_address(text: str) -> tuple[str, int]:
    """ADDRESS, ADDRESS:DNS_PORT or [IPv6]:DNS_PORT of a DNS server; raises ValueError."""
    host, port = text, DNS_PORT
    if text.startswith("[") or text.count(":") == 1:
        host, _, said = text.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        if not said.isdecimal() or not 0 < int(said) < 65_536:
            raise ValueError(f"{text!r} is no address of a DNS server")
        port = int(said)
    try:
        ipaddress.ip_address(host)
    except ValueError:
        raise ValueError(f"{text!r} is no address of a DNS server") from None
    return host, port

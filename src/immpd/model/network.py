"""Where somebody connects from, as it is counted and told (docs/protocol.md, "Bounds")."""

import ipaddress


def network_of(host: str) -> str:
    """What is counted as one address: an IPv4 address, or an IPv6 /64."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return host

"""What is said before TLS: the greeting in clear, and the methods that UPGRADE takes.

Rule: old protocols are known by name and refused with the RFC that withdrew them, so that whoever
asks for one learns why (docs/protocol.md, "Transport").
"""

from immpd.protocol.codes import Code
from immpd.protocol.errors import Refused

_TLS_NAMES = frozenset({"TLS", "TLS2", "TLS3"})
_WITHDRAWN = {
    "SSLV2": "SSLv2 was withdrawn by RFC 6176",
    "SSLV3": "SSLv3 was withdrawn by RFC 7568",
    "SSL": "SSL was withdrawn by RFC 7568",
    "TLS1": "TLS 1.0 was withdrawn by RFC 8996",
    "TLSV1": "TLS 1.0 was withdrawn by RFC 8996",
    "TLSV1.0": "TLS 1.0 was withdrawn by RFC 8996",
    "TLS1.0": "TLS 1.0 was withdrawn by RFC 8996",
    "TLSV1.1": "TLS 1.1 was withdrawn by RFC 8996",
    "TLS1.1": "TLS 1.1 was withdrawn by RFC 8996",
}


def clear_greeting(domain: str) -> bytes:
    """The first greeting: who this is and how to go on."""
    return (
        f"100- IMMP/1.0 server at {domain}\n"
        "100- Please upgrade the connection with one of the following:\n"
        "102 TLS\n"
        f"101 p=IMMP v=1.0 d={domain}\n"
    ).encode()


def refusal_of_method(method: str) -> Refused | None:
    """Why a method of encryption is refused; None where it means TLS."""
    name = method.upper()
    if name in _TLS_NAMES:
        return None
    why = _WITHDRAWN.get(name)
    if why is not None:
        return Refused(Code.UPGRADE_REFUSED, "TOO-OLD", f"{why}; use UPGRADE TLS")
    return Refused(Code.UPGRADE_REFUSED, "UNKNOWN-METHOD", f"{method[:40]} is not offered; use UPGRADE TLS")

"""The conversation in clear, from the server's first octet to the TLS handshake, sans-IO.

Rules (docs/protocol.md, "Transport"): the server speaks first; without ``102 TLS`` in its greeting
nothing is sent; any octet after 204 means that somebody put it there, and ends the connection; what
was learnt in clear is forgotten, for anybody could have said it.
"""

from immpd.protocol.codes import Code
from immpd.protocol.lines import Line

from .errors import NotSecure, read_refusal

UPGRADE = b"UPGRADE TLS\n"
MAX_IN_CLEAR = 16_384
"""Octets that a server may say before the handshake; a greeting has about 150."""


class ClearGreeting:
    """Reads the greeting and the answer to UPGRADE, however the octets are cut."""

    __slots__ = ("_asked", "_octets", "_offered", "ready")

    def __init__(self) -> None:
        self._octets = b""
        self._offered = False
        self._asked = False
        self.ready = False
        """204 was read: the handshake is next."""

    def receive_data(self, octets: bytes) -> bytes:
        """What to send now; raises NotSecure, and Refused where the server turns the client away."""
        self._octets += octets
        self._refuse_injected()
        if len(self._octets) > MAX_IN_CLEAR:
            raise NotSecure("The server says too much before encryption; this is no IMMP server")
        answer = b""
        while (feed := self._octets.find(b"\n")) >= 0:
            line, self._octets = self._octets[:feed].rstrip(b"\r"), self._octets[feed + 1 :]
            answer += self._line(line)
            self._refuse_injected()
        return answer

    def _refuse_injected(self) -> None:
        if self.ready and self._octets:
            raise NotSecure("Somebody sent octets between 204 and the TLS handshake; the connection was closed")

    def _line(self, octets: bytes) -> bytes:
        text = octets.decode(errors="replace")
        if not text[:3].isdecimal() or text[3:4] not in (" ", "-", ""):
            raise NotSecure("The server does not speak IMMP")
        code, more, rest = int(text[:3]), text[3:4] == "-", text[4:].lstrip(" ")
        if code == Code.UPGRADE_METHOD:
            self._offered = self._offered or rest.split(" ")[0].upper() == "TLS"
        elif code == Code.CAPABILITIES and not more and not self._asked:
            if not self._offered:
                raise NotSecure("The server, or somebody between, does not offer TLS; nothing was sent")
            self._asked = True
            return UPGRADE
        elif code == Code.UPGRADING and self._asked and not more:
            self.ready = True
        elif code >= 400 and not more:
            raise read_refusal(Line(code, rest))
        elif code != Code.GREETING:
            raise NotSecure(f"The server said {code} before encryption, which belongs behind it")
        return b""

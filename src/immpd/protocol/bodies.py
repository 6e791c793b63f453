"""Octets that follow a command's line: how many are still to come, and how they are decoded.

Rules (docs/protocol.md, "Octets after a line"): LENGTH counts octets on the wire; a body ends once;
bad base64 makes the part bad, never the framing, because the framing does not depend on it.
"""

import binascii

from .errors import Refused, SyntaxFault


class Base64Decoder:
    """Decodes base64 that arrives cut anywhere; line ends and spaces are skipped."""

    __slots__ = ("_ended", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._ended = False

    def feed(self, octets: bytes) -> bytes:
        """What can be decoded so far; raises ValueError on anything that is not base64."""
        text = self._rest + octets.translate(None, b"\r\n \t")
        whole = len(text) - len(text) % 4
        self._rest = text[whole:]
        if not whole:
            return b""
        if self._ended:
            raise ValueError("octets after the end of base64")
        if text.count(b"=", 0, whole) > 2:
            raise ValueError("too many = at the end of base64")
        self._ended = text.endswith(b"=", 0, whole)
        return binascii.a2b_base64(text[:whole], strict_mode=True)

    def finish(self) -> None:
        """Raises ValueError where the last group is incomplete."""
        if self._rest:
            raise ValueError("base64 ends in the middle of a group")


class Body:
    """The octets of one command while they come in."""

    __slots__ = ("chunked", "decoder", "empty_lines", "error", "lines", "pid", "receiver", "remaining")

    def __init__(
        self, pid: str | None, length: int, *, chunked: bool = False, base64: bool = False, lines: bool = False
    ) -> None:
        self.pid = pid
        self.remaining = length
        """Octets on the wire still to come, of the body or of the present chunk."""
        self.chunked = chunked
        self.lines = lines
        """Base64 lines ended by two empty ones."""
        self.decoder = Base64Decoder() if base64 else None
        self.empty_lines = 0
        self.error: Refused | None = None
        self.receiver: object = None
        """Whoever takes the octets; set by the session, None where they are thrown away."""

    def decode(self, octets: bytes, last: bool) -> bytes:
        """The octets as they are kept; after bad base64 nothing more comes out and ``error`` says why."""
        if self.decoder is None:
            return octets
        if self.error is not None:
            return b""
        try:
            decoded = self.decoder.feed(octets)
            if last:
                self.decoder.finish()
        except ValueError as error:
            self.error = SyntaxFault("BASE64", f"The octets are not base64: {error}")
            return b""
        return decoded

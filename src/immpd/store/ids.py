"""UUIDs as the store keeps them: 16 octets, in text only at the edge."""

import re

_TEXT = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}", re.ASCII)


def uuid_text(octets: bytes) -> str:
    """The text of a 16-octet UUID, lower-case with hyphens."""
    h = octets.hex()
    return f"{h[:8]}-{h[8:12]}-{h[12:16]}-{h[16:20]}-{h[20:]}"


def uuid_octets(text: str) -> bytes:
    """The 16 octets of a UUID written with hyphens. Raises ValueError for anything else."""
    if _TEXT.fullmatch(text) is None:
        raise ValueError("not a UUID")
    return bytes.fromhex(text.replace("-", ""))

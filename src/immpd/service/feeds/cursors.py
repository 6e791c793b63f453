"""How far a session has come in the feeds, as its cursors say it (docs/protocol.md, "Feeds").

Rules: items are numbered over the whole server, and how many others publish is nobody's business: a cursor holds the
number as one block under a key of the server, which means nothing to anybody else and stands for one item only.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from functools import lru_cache

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

_LENGTH = 22
"""Characters of a block in base64."""


class ItemCursors:
    """Writes and reads the part of a cursor that stands for an item; ``key`` has 32 octets and never changes."""

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(algorithms.AES(key), modes.ECB())  # noqa: S305 - one block, which is all there is
        self._seal, self._open = cipher.encryptor(), cipher.decryptor()
        self.octets = lru_cache(maxsize=4096)(self._octets)
        """The part for an item's number, as it stands on a line."""

    def _octets(self, number: int) -> bytes:
        return urlsafe_b64encode(self._seal.update(number.to_bytes(16))).rstrip(b"=")

    def number(self, text: str) -> int | None:
        """The number that the part stands for, None where this server never wrote it."""
        if len(text) != _LENGTH or not text.isascii() or not text.replace("-", "").replace("_", "").isalnum():
            return None
        number = int.from_bytes(self._open.update(urlsafe_b64decode(text + "==")))
        return number if number < 1 << 63 else None

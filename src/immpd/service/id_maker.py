"""Version-7 UUIDs (RFC 9562), rising within a process.

Rules: randomness comes in pools, because a call for each id costs more than the id; two ids of one
maker are never equal and never fall, also when the clock stands still or goes back.
"""

import struct
from uuid import UUID

from .ports import Clock, Randomness

_POOL = 4096
_words = struct.Struct(f">{_POOL // 8}Q").unpack
_two_words = struct.Struct(">QQ").pack
_VARIANT = 0x8000_0000_0000_0000
_RANDOM = 0x3FFF_FFFF_FFFF_FFFF


class IdMaker:
    """Makes message ids: 48 bits of milliseconds, 12 of a counter, 62 random (RFC 9562, section 6.2)."""

    def __init__(self, clock: Clock, random: Randomness) -> None:
        self._clock = clock
        self._random = random
        self._pool: list[int] = []
        self._last = 0

    def octets(self) -> bytes:
        """The next id as 16 octets."""
        pool = self._pool
        if not pool:
            pool.extend(_words(self._random(_POOL)))
        stamp = self._clock.now() << 12
        # The counter takes over the 12 bits behind the milliseconds and may run into the next one.
        last = self._last = stamp if stamp > self._last else self._last + 1
        return _two_words((last >> 12) << 16 | 0x7000 | last & 0xFFF, _VARIANT | pool.pop() & _RANDOM)

    def uuid(self) -> UUID:
        """The next id."""
        return UUID(bytes=self.octets())

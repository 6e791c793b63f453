"""Version-7 UUIDs (RFC 9562), rising within a process, and times as text.

Rules: randomness comes in pools, because a call for each id costs more than the id; two ids of one
maker are never equal and never fall, also when the clock stands still or goes back.
"""

from functools import lru_cache
from time import gmtime, strftime
from uuid import UUID

from .ports import Clock, Randomness

_POOL = 4096


class IdMaker:
    """Makes message ids: 48 bits of milliseconds, 12 of a counter, 62 random (RFC 9562, section 6.2)."""

    def __init__(self, clock: Clock, random: Randomness) -> None:
        self._clock = clock
        self._random = random
        self._pool = b""
        self._at = 0
        self._last = 0

    def octets(self) -> bytes:
        """The next id as 16 octets."""
        if self._at >= len(self._pool):
            self._pool = self._random(_POOL)
            self._at = 0
        tail = self._pool[self._at : self._at + 8]
        self._at += 8
        stamp = self._clock.now() << 12
        # The counter takes over the 12 bits behind the milliseconds and may run into the next one.
        self._last = stamp if stamp > self._last else self._last + 1
        high = (self._last >> 12) << 16 | 0x7000 | self._last & 0xFFF
        return high.to_bytes(8) + bytes((0x80 | tail[0] & 0x3F,)) + tail[1:]

    def uuid(self) -> UUID:
        """The next id."""
        return UUID(bytes=self.octets())


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(seconds))


def time_text(milliseconds: int) -> str:
    """RFC 3339 in UTC, to the second."""
    return _second(milliseconds // 1000)

"""All that the service asks of the outside: time, randomness. Filled by app, and by tests."""

from typing import Protocol


class Clock(Protocol):
    """Time, injected so that tests advance it instead of sleeping."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds that only grow, from an arbitrary beginning."""

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds."""


class Randomness(Protocol):
    """Where secrets and ids come from; ``os.urandom`` is one."""

    def __call__(self, size: int, /) -> bytes:
        """So many unpredictable octets."""

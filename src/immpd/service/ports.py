"""All that the service asks of the outside: time, randomness, a log. Filled by app, and by tests."""

import asyncio
from typing import Any, Protocol


class Clock(Protocol):
    """Time, injected so that tests advance it instead of sleeping."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""

    def monotonic(self) -> float:
        """Seconds that only grow, from an arbitrary beginning."""

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds."""

    async def wait(self, future: "asyncio.Future[None]", seconds: float | None) -> None:
        """Come back when the future is done, or after so many seconds; None: only when it is done."""


class Randomness(Protocol):
    """Where secrets and ids come from; ``os.urandom`` is one."""

    def __call__(self, size: int, /) -> bytes:
        """So many unpredictable octets."""


class Log(Protocol):
    """Where events are told to the operator: a name and fields, never a secret, never the octets of mail."""

    def debug(self, event: str, **fields: Any) -> Any:
        """What helps to follow one message or connection."""

    def info(self, event: str, **fields: Any) -> Any:
        """What an operator wants to see of a normal day."""

    def warning(self, event: str, **fields: Any) -> Any:
        """What an operator should look at."""

    def error(self, event: str, **fields: Any) -> Any:
        """What must not happen; ``exc_info`` is the exception."""

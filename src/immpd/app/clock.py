"""The machine's time, for everything that is given a Clock (immpd.service.ports)."""

import asyncio
import time


class SystemClock:
    """The machine's time."""

    def now(self) -> int:
        """Milliseconds since 1970, UTC."""
        return time.time_ns() // 1_000_000

    def monotonic(self) -> float:
        """Seconds that only grow."""
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        """Come back after so many seconds."""
        await asyncio.sleep(seconds)

    async def wait(self, future: "asyncio.Future[None]", seconds: float | None) -> None:
        """Come back when the future is done, or after so many seconds; None: only when it is done."""
        try:
            async with asyncio.timeout(seconds):
                await future
        except TimeoutError:
            pass

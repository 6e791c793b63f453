"""When to look at what is due: whoever has something says so, whoever looks sleeps until then."""

import asyncio

from immpd.service.ports import Clock


class Alarm:
    """One sleeper, who can be woken earlier."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._until: int | None = None
        """The earliest that was said since the last sleep ended."""
        self._earlier: asyncio.Future[None] | None = None
        self._called = False

    def sooner(self, due: int) -> None:
        """Something is due at this time, milliseconds UTC."""
        if self._until is None or due < self._until:
            self._until = due
            if self._earlier is not None and not self._earlier.done():
                self._called = True
                self._earlier.set_result(None)

    async def sleep(self, until: int) -> None:
        """Sleep until this time, milliseconds UTC, or until something is due earlier, also if it was said before.

        Never longer than it is until then now, however the clock is set meanwhile.
        """
        self.sooner(until)
        while self._until is not None and self._until > (now := self._clock.now()):
            self._called = False
            self._earlier = asyncio.get_running_loop().create_future()
            await self._clock.wait(self._earlier, (self._until - now) / 1000)
            if not self._called:
                break
        self._until = None

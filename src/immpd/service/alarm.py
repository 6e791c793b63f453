"""When to look at what is due: units that set a timer tell it, whoever runs them sleeps until then."""

import asyncio
from collections.abc import Sequence

from immpd.model.news import Wake

from .ports import Clock


class Alarm:
    """One sleeper, who can be woken earlier; ``job`` is what they are called by whoever wakes them."""

    def __init__(self, clock: Clock, job: str) -> None:
        self._clock = clock
        self._job = job
        self._until: int | None = None
        """The earliest that was said since the last sleep ended."""
        self._earlier: asyncio.Future[None] | None = None

    def sooner(self, due: int) -> None:
        """Something is due at this time, milliseconds UTC."""
        if self._until is None or due < self._until:
            self._until = due
            if self._earlier is not None and not self._earlier.done():
                self._earlier.set_result(None)

    def told(self, wakes: Sequence[Wake]) -> None:
        """Of the bus: something is due; nothing: something may be."""
        dues = [wake.due for wake in wakes if wake.job == self._job] if wakes else [0]
        if dues:
            self.sooner(min(dues))

    async def sleep(self, until: int | None) -> None:
        """Sleep until this time, milliseconds UTC, or until something is due earlier; None: until something is."""
        if until is not None:
            self.sooner(until)  # never later than what was said while nobody slept: who asked the store did not see it
        while self._until is None or self._until > self._clock.now():
            seconds = None if self._until is None else (self._until - self._clock.now()) / 1000
            self._earlier = asyncio.get_running_loop().create_future()
            await self._clock.wait(self._earlier, seconds)
        self._until = None

"""Units that wait for a batch.

Rules: they go in the order in which they came, but those that must run alone go first; what waits is bounded in
octets: past that nothing more is read from clients until half of it is gone; nobody's failing call-back harms others.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from immpd.store.contract import Done
from immpd.store.errors import StoreError
from immpd.store.units import Unit

One = tuple[Unit[Any], Done]


class Waiting:
    """The queue of one store; a unit counts until it is answered. ``limit``: octets past which it is saturated."""

    def __init__(self, loop: asyncio.AbstractEventLoop, limit: int) -> None:
        self._loop = loop
        self._limit = limit
        self._units: deque[One] = deque()
        self._alone: deque[One] = deque()
        self._weight = 0
        self._on_room: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return bool(self._units or self._alone)

    @property
    def is_saturated(self) -> bool:
        """More than the limit waits."""
        return self._weight > self._limit

    def on_room(self, call: Callable[[], None]) -> None:
        """Call this once when there is room again; at once if there is."""
        if self.is_saturated:
            self._on_room.append(call)
        else:
            call()

    def put(self, unit: Unit[Any], done: Done) -> None:
        """At the end."""
        self._units.append((unit, done))
        self._weight += unit.weight

    def again_alone(self, batch: Iterable[One]) -> None:
        """These were in a batch; they are to run once more, each in one of its own."""
        self._alone.extend(batch)

    def next_batch(self, most: int) -> list[One]:
        """The next ones, of this weight together; one goes whatever it weighs."""
        if self._alone:
            return [self._alone.popleft()]
        batch: list[One] = []
        units = self._units
        while units and most > 0:
            one = units.popleft()
            most -= one[0].weight
            batch.append(one)
        return batch

    def refuse_what_frees_nothing(self, against: StoreError | None) -> None:
        """What waits since before room ran out must not take the last there is."""
        if against is None:
            return
        for queue in (self._alone, self._units):
            refused = [one for one in queue if one[0].work.room != "frees"]
            if not refused:
                continue
            kept = [one for one in queue if one[0].work.room == "frees"]
            queue.clear()
            queue.extend(kept)
            for unit, done in refused:
                self.answer(unit, done, None, against)

    def refuse_all(self, against: BaseException) -> None:
        """Nothing that waits can be done."""
        waiting: Iterator[One] = chain(tuple(self._alone), tuple(self._units))
        self._alone.clear()
        self._units.clear()
        for unit, done in waiting:
            self.answer(unit, done, None, against)
        self.tell_room()

    def answer(self, unit: Unit[Any], done: Done, result: Any, error: BaseException | None) -> None:
        """It counts no longer; its caller is told."""
        self._weight -= unit.weight
        try:
            done(result, error)
        except Exception as failed:
            self._failed(failed)

    def tell_room(self) -> None:
        """Tell who waits for room, if there is."""
        if self._on_room and self._weight <= self._limit // 2:
            calls, self._on_room = self._on_room, []
            for call in calls:
                try:
                    call()
                except Exception as failed:
                    self._failed(failed)

    def _failed(self, failed: Exception) -> None:
        self._loop.call_exception_handler({"message": "a caller of the store failed", "exception": failed})

"""A thread that the loop hands work to: cheaper than an executor, and in order.

Rule: what a thread runs touches nothing that the loop uses meanwhile.
"""

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

_Then = Callable[[Any, BaseException | None], None]


class LoopThread:
    """One thread that runs what it is given, in order, and tells the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, name: str) -> None:
        self._loop = loop
        self.pending = 0
        """What it was given and the loop has not been told of."""
        self._queue: SimpleQueue[tuple[Callable[[], Any], _Then] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def call(self, what: Callable[[], Any], then: _Then) -> None:
        """Run ``what`` on the thread, then ``then(result, error)`` on the loop."""
        self.pending += 1
        self._queue.put((what, then))

    def stop(self) -> None:
        """End the thread after what it was given."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            what, then = item
            try:
                result, error = what(), None
            except Exception as caught:
                result, error = None, caught
            self._loop.call_soon_threadsafe(self._done, then, result, error)

    def _done(self, then: _Then, result: Any, error: BaseException | None) -> None:
        self.pending -= 1
        then(result, error)

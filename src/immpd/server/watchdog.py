"""Names what held the loop too long, for whoever looks for it: off unless ``debug.held`` is set.

Rules: the loop beats, and a thread looks whether it does; only when a beat is missing does the thread look at what
runs, so a loop that is never held pays for a timer and nothing else; what is logged is a command's name and a place
in the program, never a value.
"""

import asyncio
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType

import msgspec

from immpd.service.ports import Log

from .job import Job
from .pipelines import Pipelines

BEATS = 4
"""Beats in the time that nobody may hold the loop."""
_PACKAGE = __name__.partition(".")[0] + "."


class Seen(msgspec.Struct, frozen=True):
    """What ran when a beat was missing."""

    command: str
    """Its name; empty where it was no command's work."""
    place: str
    """The innermost of our functions."""


class Watchdog:
    """Watches one loop. ``most``: seconds that nobody may hold it."""

    def __init__(self, log: Log, most: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._most = most
        self._clock = clock
        self._beat = clock()
        self.seen: Seen | None = None
        """What holds the loop now, if somebody does."""
        self._timer: asyncio.TimerHandle | None = None
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch the running loop, whose thread this is."""
        watched = threading.get_ident()
        self._thread = threading.Thread(target=self._run, args=(watched,), name="watchdog", daemon=True)
        self._thread.start()
        self._tick()

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._thread is not None:
            self._thread.join()

    def _tick(self) -> None:
        self.beat()
        self._timer = asyncio.get_running_loop().call_later(self._most / BEATS, self._tick)

    def beat(self) -> None:
        """The loop goes on; where it was held, say by what."""
        now = self._clock()
        held, self._beat = now - self._beat, now
        seen, self.seen = self.seen, None
        if held > self._most + self._most / BEATS:
            seen = seen or Seen("", "")
            self._log.warning("the loop was held", ms=round(held * 1000), command=seen.command, place=seen.place)

    def look(self, frame: FrameType | None) -> None:
        """Where no beat came for too long, keep what runs in ``frame``; the first look at it counts."""
        if self.seen is None and self._clock() - self._beat > self._most:
            self.seen = Seen(_command_of(frame), _place_of(frame))

    def _run(self, watched: int) -> None:
        while not self._stopped.wait(self._most / BEATS):
            self.look(sys._current_frames().get(watched))


def _command_of(frame: FrameType | None) -> str:
    """The name of the command that runs there."""
    while frame is not None:
        if frame.f_code is Pipelines.begin.__code__:
            return str(frame.f_locals["call"].command.name)
        if frame.f_code in (Job.start.__code__, Job.drive.__code__):
            call = frame.f_locals["self"].call
            return "" if call is None else str(call.command.name)
        frame = frame.f_back
    return ""


def _place_of(frame: FrameType | None) -> str:
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith(_PACKAGE):
            return f"{name}.{frame.f_code.co_qualname}:{frame.f_lineno}"
        frame = frame.f_back
    return ""

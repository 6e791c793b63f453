"""How often somebody may do something, and how often an operator is told of who does not keep to it.

Rules: what is remembered is bounded, and the oldest is forgotten first; who goes on and on is told of once a period,
with how often it was; time is the injected clock's.
"""

from collections import OrderedDict

from .ports import Clock

PERIOD = 600
"""Seconds in which an operator is told of somebody once."""
_REMEMBERED = 10_000


class Pace:
    """Buckets of ``burst`` that fill with ``per_minute``, and what is to be told."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """When it was told last, and how often it was since."""

    def wait(self, name: str, per_minute: int, burst: int) -> float:
        """0.0 where it may be done now, which then counts; else the seconds until it may."""
        now = self._clock.monotonic()
        left, since = self._buckets.pop(name, (float(burst), now))
        left = min(float(burst), left + (now - since) * per_minute / 60)
        allowed = left >= 1
        self._buckets[name] = (left - 1 if allowed else left, now)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / per_minute

    def news(self, what: str) -> int:
        """Something was refused: how often since it was told last, where it is to be told now; else 0."""
        now = self._clock.monotonic()
        told, count = self._told.pop(what, (now - PERIOD, 0))
        count += 1
        is_due = now - told >= PERIOD
        self._told[what] = (now, 0) if is_due else (told, count)
        if len(self._told) > _REMEMBERED:
            self._told.popitem(last=False)
        return count if is_due else 0

"""How often somebody may do something: a bucket a name, filled with time.

Rules: what is remembered is bounded, and the oldest is forgotten first; time is the injected clock's.
"""

from collections import OrderedDict

from .ports import Clock

_REMEMBERED = 10_000


class Pace:
    """Buckets of ``burst`` that fill with ``per_minute``."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float, bool]] = OrderedDict()

    def wait(self, name: str, per_minute: int, burst: int) -> tuple[float, bool]:
        """0.0 where it may be done now, which then counts; else the seconds until it may, and whether that is news."""
        now = self._clock.monotonic()
        left, since, refused = self._buckets.pop(name, (float(burst), now, False))
        left = min(float(burst), left + (now - since) * per_minute / 60)
        allowed = left >= 1
        self._buckets[name] = (left - 1 if allowed else left, now, not allowed)
        if len(self._buckets) > _REMEMBERED:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - left) * 60 / per_minute, not allowed and not refused

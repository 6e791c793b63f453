"""Quiet hours: a span of every day, in a time zone (docs/protocol.md, "Rules of the recipient")."""

import re
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

_SPAN = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)(?: +([A-Za-z0-9_+\-/]{1,64}))?", re.ASCII)


class QuietHours(msgspec.Struct, frozen=True):
    """From ``begin`` to ``end`` of each day, over midnight where ``end`` comes first."""

    begin: time
    end: time
    zone: str = "UTC"

    @classmethod
    def parse(cls, text: str) -> "QuietHours":
        """Read ``22:00-07:00 Europe/Berlin``; raises ValueError that says what is wrong."""
        found = _SPAN.fullmatch(text.strip())
        if found is None:
            raise ValueError("quiet hours are written like 22:00-07:00 Europe/Berlin")
        begin, end = time(int(found[1]), int(found[2])), time(int(found[3]), int(found[4]))
        zone = found[5] or "UTC"
        try:
            ZoneInfo(zone)
        except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
            raise ValueError(f"{zone} is no time zone; write one like Europe/Berlin") from None
        if begin == end:
            raise ValueError("quiet hours begin and end at different times")
        return cls(begin, end, zone)

    def ends(self, now: int) -> int | None:
        """When they end, if it is quiet at ``now``; milliseconds UTC both."""
        here = datetime.fromtimestamp(now / 1000, ZoneInfo(self.zone))
        clock = here.time()
        over_midnight = self.end < self.begin
        quiet = (clock >= self.begin or clock < self.end) if over_midnight else self.begin <= clock < self.end
        if not quiet:
            return None
        day = here.date() + timedelta(days=1 if over_midnight and clock >= self.begin else 0)
        ending = datetime.combine(day, self.end, ZoneInfo(self.zone))
        return max(now + 1, int(ending.astimezone(UTC).timestamp() * 1000))

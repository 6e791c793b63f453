"""How a person writes spans and points of time on the command line."""

import re
from datetime import UTC, datetime, timedelta

from .common import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN = re.compile(r"(?:[0-9]{1,9}[smhdw])+|[0-9]{1,9}")


def seconds_of(text: str) -> int:
    """The seconds of ``90``, ``15m``, ``1h30m``, ``7d``, ``2w``; raises UsageError."""
    written = text.lower()
    if not _SPAN.fullmatch(written):
        raise UsageError(f"{text!r} is no span of time: write 90s, 15m, 1h30m, 7d or 2w")
    if written.isdecimal():
        return int(written)
    return sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([smhdw])", written))


def moment_of(text: str, now: datetime) -> datetime:
    """A point of time: RFC 3339, the same without a zone (then it is local), or ``+2h``; raises UsageError.

    ``now`` has a time zone.
    """
    if text.startswith("+"):
        return now + timedelta(seconds=seconds_of(text[1:]))
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        raise UsageError(f"{text!r} is no time: write 2026-01-31T08:00, 2026-01-31T08:00:00Z or +2h") from None

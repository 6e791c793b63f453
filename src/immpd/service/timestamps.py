"""Times as text: one form of them, on the wire and in messages that the system writes."""

from functools import lru_cache
from time import gmtime, strftime


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(seconds))


def time_text(milliseconds: int) -> str:
    """RFC 3339 in UTC, to the second."""
    return _second(milliseconds // 1000)

"""Spans and points of time as a person writes them."""

from datetime import UTC, datetime

import pytest

from immpd.cli.person.common import UsageError
from immpd.cli.person.time import moment_of, seconds_of

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("90s", 90), ("15m", 900), ("1h30m", 5_400), ("7d", 604_800), ("2W", 1_209_600)],
)
def test_spans(text: str, seconds: int) -> None:
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "m", "1.5h", "-5", "1h 30m", "5y", "1" * 30])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(UsageError):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-02-01T08:00:00Z", "2026-02-01T08:00:00+00:00"),
        ("2026-02-01T08:00+01:00", "2026-02-01T07:00:00+00:00"),
        ("+2h", "2026-01-31T10:00:00+00:00"),
    ],
)
def test_moments(text: str, moment: str) -> None:
    assert moment_of(text, NOW).isoformat() == moment


def test_a_moment_without_a_zone_is_local() -> None:
    assert moment_of("2026-02-01T08:00", NOW) == datetime(2026, 2, 1, 8, 0).astimezone()


@pytest.mark.parametrize("text", ["tomorrow", "08:00", "+", "+soon", "2026-13-01T08:00"])
def test_what_is_no_moment(text: str) -> None:
    with pytest.raises(UsageError):
        moment_of(text, NOW)

"""Times as people and programs read them."""

from tests.serving import NOW

from immpd.service.timestamps import time_text


def test_times_are_utc_to_the_second() -> None:
    assert time_text(NOW) == "2026-01-01T00:00:00Z"
    assert time_text(NOW + 61_999) == "2026-01-01T00:01:01Z"

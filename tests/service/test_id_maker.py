"""UUIDs of version 7."""

from uuid import UUID

from tests.serving import NOW, ManualClock

from immpd.service.id_maker import IdMaker


def maker(clock: ManualClock) -> IdMaker:
    count = iter(range(256))
    return IdMaker(clock, lambda size: bytes([next(count)]) * size)


def test_an_id_says_when_it_was_made_and_of_which_kind_it_is() -> None:
    made = UUID(bytes=maker(ManualClock()).octets())
    assert made.int >> 80 == NOW
    assert (made.version, made.variant) == (7, "specified in RFC 4122")


def test_ids_rise_within_a_millisecond_and_when_the_clock_goes_back() -> None:
    clock = ManualClock()
    ids = maker(clock)
    made = [ids.octets() for _ in range(20)]
    clock.advance(-3600)
    made += [ids.octets() for _ in range(20)]
    clock.advance(7200)
    made.append(ids.octets())
    assert made == sorted(made)
    assert len(set(made)) == 41

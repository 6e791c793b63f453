"""How long one account may hold the loop: shares by an injected clock, and rounds of what was put off."""

import asyncio
from collections.abc import Callable

import pytest

from immpd.server.turns import ROUND, SHARE, Share, Turns


class Ticking:
    """Time that work advances."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
async def turns(clock: Ticking) -> Turns:
    return Turns(clock)


def works(clock: Ticking, seconds: float, said: list[str], name: str) -> Callable[[], None]:
    """Something that takes so long."""

    def work() -> None:
        clock.now += seconds
        said.append(name)

    return work


async def test_a_share_begins_when_it_is_asked_for_and_is_forgotten_by_the_next_go(turns, clock):
    share = Share(turns)
    assert not share.is_spent()
    assert not share.is_over()
    clock.now += SHARE * 1.01
    assert share.is_over()
    assert share.is_spent()
    await asyncio.sleep(0)
    assert not share.is_spent()
    assert not share.is_over()


async def test_connections_of_an_account_have_one_share_and_other_accounts_their_own(turns, clock):
    one, same, other = turns.share_of("a@a.test"), turns.share_of("a@a.test"), turns.share_of("b@a.test")
    assert one is same
    assert not one.is_over()
    clock.now += SHARE * 1.01
    assert same.is_over()
    assert not other.is_over()


async def test_nobody_pays_for_what_others_do_meanwhile(turns, clock):
    one, other = turns.share_of("a@a.test"), turns.share_of("b@a.test")
    assert not one.is_over()
    clock.now += SHARE * 0.6
    assert not other.is_over()
    clock.now += SHARE * 5
    assert not one.is_over()
    assert other.is_over()
    assert not one.is_over()
    clock.now += SHARE * 0.6
    assert one.is_over()


async def test_what_is_put_off_comes_in_turns_by_account_until_the_round_is_over(turns, clock):
    said: list[str] = []
    busy, other = turns.share_of("busy@a.test"), turns.share_of("other@a.test")
    for n in range(4):
        busy.later(works(clock, SHARE * 0.51, said, f"busy {n}"))
    other.later(works(clock, SHARE / 10, said, "other"))
    await asyncio.sleep(0)
    assert said == ["busy 0", "busy 1", "other"]
    await asyncio.sleep(0)
    assert said[3:] == ["busy 2", "busy 3"]
    await asyncio.sleep(0)
    assert not busy.is_spent()


async def test_a_round_ends_in_time_and_whoever_is_left_comes_first(turns, clock):
    said: list[str] = []
    shares = [turns.share_of(f"{n}@a.test") for n in range(4)]
    for n, share in enumerate(shares):
        share.later(works(clock, ROUND * 0.51, said, str(n)))
    await asyncio.sleep(0)
    assert said == ["0", "1"]
    shares[0].later(works(clock, 0, said, "again"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert said == ["0", "1", "2", "3", "again"]


async def test_what_is_put_off_again_waits_for_the_next_round(turns, clock):
    said: list[str] = []
    share = Share(turns)

    def page() -> None:
        said.append("page")
        if len(said) < 3:
            share.later(page)

    share.later(page)
    for count in (1, 2, 3):
        await asyncio.sleep(0)
        assert len(said) == count


async def test_what_fails_holds_up_nobody(turns, clock):
    said: list[str] = []
    failures: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    share, other = Share(turns), Share(turns)
    share.later(lambda: 1 // 0)
    share.later(works(clock, 0, said, "next"))
    other.later(works(clock, 0, said, "other"))
    for _ in range(3):
        await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert sorted(said) == ["next", "other"]
    assert [type(failure) for failure in failures] == [ZeroDivisionError]


async def test_an_account_that_has_gone_is_forgotten(turns):
    share = turns.share_of("a@a.test")
    del share
    assert "a@a.test" not in turns._of

"""How often a password may be guessed, in time that the test advances."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.serving import ManualClock

from immpd.protocol.errors import Refused
from immpd.service.accounts.guessing import (
    ALLOWANCE,
    FREE,
    LATELY,
    LONGEST,
    MEMORY,
    PLACES,
    SHARED,
    WAITING,
    Guesses,
)

ALICE, BOB = "alice@a.test", "bob@a.test"
HERE, THERE = "192.0.2.1", "198.51.100.7"


@pytest.fixture
def guesses(clock: ManualClock) -> Guesses:
    return Guesses(clock)


async def guess(
    guesses: Guesses, account: str = ALICE, block: str = HERE, device: str = "", right: bool = False
) -> str:
    """What becomes of a guess: judged, or the word with which it is refused."""
    try:
        async with guesses.judging(account, block, device) as one:
            one.right = right
    except Refused as error:
        return error.word
    return "judged"


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def waits(guesses: Guesses, clock: ManualClock, *place: str) -> float:
    """How long the next wrong guess waits; it is made."""
    task = asyncio.create_task(guess(guesses, *place))
    await settle()
    sleeping = clock.sleeping()
    if task.done():
        assert task.result() == "judged"
        return 0
    assert len(sleeping) == 1
    clock.advance(sleeping[0])
    assert await task == "judged"
    return sleeping[0]


@pytest.fixture
async def crowd() -> AsyncIterator[list[asyncio.Task[str]]]:
    tasks: list[asyncio.Task[str]] = []
    yield tasks
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_wrong_guesses_wait_longer_and_longer(guesses, clock):
    assert [await waits(guesses, clock) for _ in range(10)] == [0, 0, 0, 1, 2, 4, 8, 16, 30, 30]
    assert await waits(guesses, clock, ALICE, THERE) == 0
    assert await waits(guesses, clock, BOB, HERE) == 0
    clock.advance(MEMORY + 1)
    assert await waits(guesses, clock) == 0


async def test_a_right_guess_waits_as_long_and_ends_the_delays(guesses, clock):
    for _ in range(5):
        await waits(guesses, clock)
    task = asyncio.create_task(guess(guesses, right=True))
    await clock.until_sleeping()
    assert clock.sleeping() == [4]
    clock.advance(4)
    assert await task == "judged"
    assert await waits(guesses, clock) == 0


async def test_a_hundred_connections_guess_no_more_than_one(guesses, clock, crowd):
    crowd += [asyncio.create_task(guess(guesses)) for _ in range(100)]
    judged = []
    for _ in range(60):
        await settle()
        judged.append(sum(task.done() and task.result() == "judged" for task in crowd))
        clock.advance(1)
    # Three at once, then behind 1, 2, 4, 8, … seconds: as many as one connection had made.
    assert judged[0] == FREE
    assert FREE + 4 <= judged[-1] <= FREE + 5
    refused = {task.result() for task in crowd if task.done()} - {"judged"}
    assert refused <= {"TOO-MANY-GUESSES"}


async def test_it_counts_when_it_begins_and_not_when_it_is_answered(guesses, clock, crowd):
    """A connection that is given up while its guess waits has guessed."""
    for _ in range(FREE):
        await waits(guesses, clock)
    for long in (1, 2, 4, 8):
        task = asyncio.create_task(guess(guesses))
        crowd.append(task)
        await settle()
        assert clock.sleeping() == [long]
        task.cancel()
        await settle()


async def test_many_right_ones_at_once_all_get_in(guesses):
    said = await asyncio.gather(*[guess(guesses, right=True) for _ in range(200)])
    assert set(said) == {"judged"}
    assert len(guesses) <= 2


async def test_where_each_is_delayed_few_may_wait(guesses, clock, crowd):
    for _ in range(FREE):
        await waits(guesses, clock)
    crowd += [asyncio.create_task(guess(guesses)) for _ in range(WAITING)]
    await settle()
    assert await guess(guesses) == "TOO-MANY-GUESSES"
    assert await guess(guesses, ALICE, THERE) == "judged"


async def test_a_block_has_an_allowance_over_all_accounts(guesses, clock):
    for number in range(ALLOWANCE):
        assert await guess(guesses, f"name{number}@a.test") == "judged"
    assert await guess(guesses, ALICE) == "TOO-MANY-GUESSES"
    assert await guess(guesses, ALICE, THERE) == "judged"
    clock.advance(60)
    assert await guess(guesses, ALICE) == "judged"
    assert await guess(guesses, BOB) == "TOO-MANY-GUESSES"
    with pytest.raises(Refused) as caught:
        async with guesses.judging(BOB, HERE, ""):
            raise AssertionError
    assert caught.value.retry == 60


async def test_right_ones_cost_no_allowance(guesses):
    for number in range(3 * ALLOWANCE):
        assert await guess(guesses, f"name{number}@a.test", right=True) == "judged"
    assert await guess(guesses, ALICE) == "judged"


async def test_strangers_of_the_block_do_not_hold_up_who_logged_in_from_it_lately(guesses, clock, crowd):
    await guess(guesses, ALICE, HERE, "phone", right=True)
    for number in range(ALLOWANCE):
        await guess(guesses, f"name{number}@a.test")
    assert await guess(guesses, BOB) == "TOO-MANY-GUESSES"
    assert await guess(guesses, ALICE, HERE, "another", right=True) == "judged"
    for _ in range(8):
        await waits(guesses, clock, ALICE, HERE)
    crowd += [asyncio.create_task(guess(guesses)) for _ in range(WAITING)]
    await settle()
    assert await guess(guesses, ALICE, HERE, "phone", right=True) == "judged"


async def test_a_known_device_is_slowed_down_too_and_is_known_for_a_while(guesses, clock):
    await guess(guesses, ALICE, HERE, "phone", right=True)
    assert [await waits(guesses, clock, ALICE, HERE, "phone") for _ in range(5)] == [0, 0, 0, 1, 2]
    assert await waits(guesses, clock, ALICE, HERE) == 0
    clock.advance(LATELY + 1)
    for _ in range(4):
        await waits(guesses, clock, ALICE, HERE)
    assert await waits(guesses, clock, ALICE, HERE, "phone") == 2


async def test_invented_names_reset_no_delay_and_memory_is_bounded(clock, crowd):
    guesses = Guesses(clock, room=100)
    for _ in range(9):
        await waits(guesses, clock, BOB, HERE)
    crowd += [
        asyncio.create_task(guess(guesses, f"n{number}@a.test", f"2001:db8:0:{number:x}::/64"))
        for number in range(2000)
    ]
    await settle()
    for task in crowd:
        task.cancel()  # those that share what is there for whom there is no room wait by now
    await settle()
    assert len(guesses) <= 2 * (100 + SHARED)
    assert await waits(guesses, clock, BOB, HERE) == LONGEST
    clock.advance(MEMORY + 60 * ALLOWANCE)
    await guess(guesses, ALICE, "203.0.113.9")
    assert len(guesses) <= 2 * SHARED + 4


async def test_who_finds_no_room_is_slowed_down_with_others(clock):
    """More blocks than are remembered: a guess counts all the same."""
    guesses = Guesses(clock, room=100)
    for number in range(100):
        await guess(guesses, f"n{number}@a.test", f"2001:db8:0:{number:x}::/64")
    assert [await waits(guesses, clock, ALICE, THERE) for _ in range(5)] == [0, 0, 0, 1, 2]


async def test_who_logged_in_lately_shares_with_nobody_however_many_names_are_invented(clock, crowd):
    guesses = Guesses(clock, room=10)
    assert await guess(guesses, BOB, HERE, "laptop", right=True) == "judged"
    for number in range(10):
        assert await guess(guesses, f"n{number}@a.test", f"2001:db8:0:{number:x}::/64") == "judged"
    crowd += [
        asyncio.create_task(guess(guesses, f"m{number}@a.test", f"2001:db8:1:{number:x}::/64"))
        for number in range(SHARED * 40)
    ]
    await settle()
    assert await asyncio.wait_for(guess(guesses, BOB, HERE, "laptop", right=True), 10) == "judged"


async def test_of_an_account_the_latest_devices_are_known(guesses):
    for number in range(PLACES + 5):
        await guess(guesses, ALICE, THERE, f"device{number}", right=True)
    assert len(guesses._known[ALICE]) == PLACES


async def test_those_who_may_log_in_anywhere_forget_no_delay_either(clock):
    guesses = Guesses(clock, room=100)
    for _ in range(9):
        await waits(guesses, clock, BOB, HERE)
    for number in range(500):
        await guess(guesses, f"n{number}@a.test", f"2001:db8:0:{number:x}::/64", right=True)
    assert len(guesses) <= 102
    assert await waits(guesses, clock, BOB, HERE) == LONGEST

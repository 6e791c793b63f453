"""Who sleeps until something is due is woken for what is due earlier, whenever that was said."""

import asyncio

from tests.serving import NOW, ManualClock

from immpd.service.jobs.alarm import Alarm


async def asleep(alarm: Alarm, until: int) -> "asyncio.Task[None]":
    task = asyncio.create_task(alarm.sleep(until))
    await asyncio.sleep(0)
    return task


async def test_what_was_said_before_the_sleep_is_not_forgotten() -> None:
    clock = ManualClock()
    alarm = Alarm(clock)
    alarm.sooner(NOW + 2_000)
    alarm.sooner(NOW + 1_000)
    alarm.sooner(NOW + 3_000)
    task = await asleep(alarm, NOW + 60_000)
    clock.advance(1)
    await task
    # It has rung: the next sleep knows nothing of it.
    task = await asleep(alarm, NOW + 4_000)
    clock.advance(2)
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(1)
    await task


async def test_what_is_said_meanwhile_wakes_and_what_is_later_does_not() -> None:
    clock = ManualClock()
    alarm = Alarm(clock)
    task = await asleep(alarm, NOW + 60_000)
    alarm.sooner(NOW + 5_000)
    alarm.sooner(NOW + 9_000)
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(5)
    await task


async def test_a_clock_that_is_set_back_makes_no_sleep_longer() -> None:
    clock = ManualClock()
    alarm = Alarm(clock)
    task = await asleep(alarm, NOW + 60_000)
    clock.set(NOW - 86_400_000)
    clock.advance(60)
    await task

"""Who sleeps until something is due is woken for what is due earlier, whenever that was said."""

import asyncio

from tests.serving import NOW, ManualClock

from immpd.model.news import Wake
from immpd.service.alarm import Alarm


async def asleep(alarm: Alarm, until: int | None) -> "asyncio.Task[None]":
    task = asyncio.create_task(alarm.sleep(until))
    await asyncio.sleep(0)
    return task


async def test_what_was_said_before_the_sleep_is_not_forgotten() -> None:
    clock = ManualClock()
    alarm = Alarm(clock, "timers")
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
    alarm = Alarm(clock, "timers")
    task = await asleep(alarm, None)
    alarm.sooner(NOW + 5_000)
    alarm.sooner(NOW + 9_000)
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(5)
    await task


async def test_of_the_bus_it_hears_what_is_due_of_its_job_and_that_it_may_have_missed_something() -> None:
    clock = ManualClock()
    alarm = Alarm(clock, "timers")
    task = await asleep(alarm, None)
    alarm.told([Wake("fan-out"), Wake("timers", NOW + 5_000), Wake("timers", NOW + 2_000)])
    await asyncio.sleep(0)
    assert not task.done()
    clock.advance(2)
    await task
    task = await asleep(alarm, None)
    alarm.told([Wake("fan-out")])
    await asyncio.sleep(0)
    assert not task.done()
    alarm.told(())
    await task

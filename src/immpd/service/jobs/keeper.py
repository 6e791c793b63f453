"""The keeper of jobs: does what is due, job beside job, under leases, and sleeps until the next is due.

Rules: a lease is taken only where there is something to do, kept for what comes next and renewed when half of it is
over: who has nothing to do writes nothing; a job is looked at when it is due, when it is woken, when a lease of
another ends, and anyway now and then; one that fails is put off, longer each time, and the others go on.
"""

import asyncio
import math
from collections.abc import Iterable, Sequence

from immpd.model.news import Wake
from immpd.service.session import Services
from immpd.store.errors import StoreError, StoreUnavailable
from immpd.store.jobs.leases import (
    LEASE,
    AskLease,
    Holder,
    Lease,
    any_lease,
    drop_leases,
    give_leases,
    lease_of_others,
    take_lease,
)

from .alarm import Alarm
from .job import Found, Job, later


async def clear_leases(services: Services) -> None:
    """Where no other process lives: whatever was killed has no lease any more."""
    try:
        if await services.store.read(any_lease(None)):
            await services.store.write(drop_leases(None))
    except StoreUnavailable as error:
        services.log.warning("leases of jobs stay until they end", reason=str(error))


class Leases:
    """The leases of this process."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._holder = services.random(16)
        self._until: dict[Lease, int] = {}

    async def hold(self, lease: Lease) -> int | None:
        """Have it for half of its time at least; returns until when another has it, None: it is ours."""
        now = self._services.clock.now()
        if self._until.get(lease, 0) - now > LEASE // 2:
            return None
        store, ask = self._services.store, AskLease(lease, now)
        theirs = await store.read(lease_of_others(ask))
        if theirs is not None:
            return theirs
        if not await store.write(take_lease(ask)):
            return now + LEASE
        self._until = {one: until for one, until in self._until.items() if until > now}
        self._until[lease] = now + LEASE
        return None

    def of(self, job: str, subject: str) -> Lease:
        """The lease of a subject, as this process has it or would."""
        return Lease(job, subject, self._holder)

    async def give(self) -> None:
        """Let others have them."""
        now = self._services.clock.now()
        if any(until > now for until in self._until.values()):
            try:
                await self._services.store.write(give_leases(Holder(self._holder)))
            except StoreError:
                pass  # they end by themselves
            self._until.clear()


class Keeper:
    """Does jobs; ``run`` is its task."""

    def __init__(self, services: Services, jobs: Iterable[Job]) -> None:
        self._services = services
        self._leases = Leases(services)
        self._rows = {job.name: _Row(services, job, self._leases) for job in jobs}

    async def run(self) -> None:
        """Do what is due when it is, until cancelled."""
        stop = self._services.bus.on_wakes(self._wake)
        try:
            async with asyncio.TaskGroup() as group:
                for row in self._rows.values():
                    group.create_task(row.keep())
        finally:
            stop()
            await self._leases.give()

    def _wake(self, wakes: Sequence[Wake]) -> None:
        if not wakes:
            wakes = [Wake(name) for name in self._rows]
        for wake in wakes:
            row = self._rows.get(wake.job)
            if row is not None:
                row.alarm.sooner(wake.due)


class _Row:
    """One job: when it is looked at, and what is being done of it."""

    def __init__(self, services: Services, job: Job, leases: Leases) -> None:
        self._services = services
        self._job = job
        self._leases = leases
        self.alarm = Alarm(services.clock)
        self._busy: dict[str, asyncio.Task[None]] = {}
        """By subject, the steps that are being done beside each other."""
        self._failed = 0
        """How often in a row, where it was not one subject's fault."""
        self._rests = 0.0
        """Until then, by the clock's monotonic seconds, it is not looked at."""

    async def keep(self) -> None:
        try:
            while True:
                try:
                    until = await self._begin()
                except Exception as error:
                    self._fail(error)
                    continue
                await self.alarm.sleep(until)
        finally:
            steps = list(self._busy.values())
            for step in steps:
                step.cancel()
            if steps:
                await asyncio.wait(steps)

    async def _begin(self) -> int:
        """Begin what may begin; returns when to look again, milliseconds UTC."""
        clock, job = self._services.clock, self._job
        again = clock.now() + int(job.every * 1000)
        others: set[str] = set()
        while len(self._busy) < job.beside:
            now = clock.now()
            rests = self._rests - clock.monotonic()
            if rests > 0:
                return now + math.ceil(rests * 1000)
            taken = others.union(self._busy)
            found = await job.look(now, taken)
            if found is None or found.subject in taken:
                break
            if found.due > now:
                return min(found.due, again)
            lease = self._leases.of(job.name, found.subject)
            theirs = await self._leases.hold(lease)
            if theirs is not None:
                others.add(found.subject)
                again = min(again, theirs)
            elif job.beside == 1:
                await self._step(found, lease)
            else:
                self._busy[found.subject] = asyncio.create_task(self._step_beside(found, lease))
        return again

    async def _step_beside(self, found: Found, lease: Lease) -> None:
        try:
            await self._step(found, lease)
        finally:
            del self._busy[found.subject]
            self.alarm.sooner(0)

    async def _step(self, found: Found, lease: Lease) -> None:
        try:
            await self._job.step(found, lease)
            self._failed = 0
        except StoreUnavailable as error:  # for all of them alike
            self._fail(error)
        except Exception as error:
            if not await self._put_off(found, error):
                self._fail(error)

    async def _put_off(self, found: Found, error: Exception) -> bool:
        try:
            if not await self._job.put_off(found):
                return False
        except Exception as failed:
            self._services.log.error("job could not be put off", job=self._job.name, exc_info=failed)
            return False
        self._services.log.error("job failed", job=self._job.name, of=found.about, exc_info=error)
        return True

    def _fail(self, error: Exception) -> None:
        """All of the job rests for a while."""
        clock, log = self._services.clock, self._services.log
        now = clock.now()
        self._rests = clock.monotonic() + (later(now, self._failed) - now) / 1000
        self._failed += 1
        if isinstance(error, StoreUnavailable):
            log.warning("job put off", job=self._job.name, reason=str(error))
        else:
            log.error("job failed", job=self._job.name, exc_info=error)

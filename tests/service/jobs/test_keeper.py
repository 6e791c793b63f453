"""The keeper: whoever has something due is done, beside others and by one process at a time."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from tests.serving import DOMAIN, PATIENCE, ManualClock, RecordingLog

from immpd.app.compose import opened
from immpd.app.configuration import Configuration
from immpd.bus import LocalBus
from immpd.model.news import Wake
from immpd.service.jobs.chores import CHORES
from immpd.service.jobs.job import AGAIN, Found, Job
from immpd.service.jobs.keeper import Keeper
from immpd.service.jobs.registry import jobs_of
from immpd.service.session import Services
from immpd.store.errors import StoreUnavailable
from immpd.store.jobs.leases import LEASE, Lease
from immpd.store.settings import Storage
from immpd.store.sqlite.engine import open_sqlite
from immpd.store.units import Tx, read_unit, write_unit

CONFIGURATION = Configuration(domains=(DOMAIN,), storage=Storage(keep_free=0, reserve=0))


@write_unit
def make_work(tx: Tx, _: None) -> None:
    tx.execute("CREATE TABLE work (subject TEXT PRIMARY KEY, left_over INTEGER NOT NULL, due INTEGER NOT NULL)")


class Work(msgspec.Struct, frozen=True):
    subject: str
    steps: int
    due: int = 0


@write_unit
def add_work(tx: Tx, work: Work) -> None:
    tx.execute("INSERT INTO work VALUES (?, ?, ?)", (work.subject, work.steps, work.due))
    tx.tell(Wake(Plain.name, work.due))


@write_unit
def do_work(tx: Tx, subject: str) -> None:
    tx.execute("UPDATE work SET left_over = left_over - 1 WHERE subject = ? AND left_over > 0", (subject,))
    tx.execute("DELETE FROM work WHERE subject = ? AND left_over = 0", (subject,))


@write_unit
def put_off_work(tx: Tx, work: Work) -> None:
    tx.execute("UPDATE work SET due = ? WHERE subject = ?", (work.due, work.subject))


@read_unit
def work_left(tx: Tx, _: None) -> list[Work]:
    return [Work(*row) for row in tx.rows("SELECT subject, left_over, due FROM work ORDER BY due, subject")]


@read_unit
def leased(tx: Tx, _: None) -> set[tuple[str, str]]:
    return {(row[0], row[1]) for row in tx.rows("SELECT job, subject FROM job_lease")}


class Plain(Job):
    """Works on the subjects in turn; whoever fails or hangs is said by the test."""

    name = "work"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.done: asyncio.Queue[str] = asyncio.Queue()
        self.began: asyncio.Queue[str] = asyncio.Queue()
        self.looked = asyncio.Event()
        self.failing: dict[str, Exception] = {}
        self.hanging: set[str] = set()
        self.last = ""

    async def look(self, now: int, taken: Collection[str]) -> Found | None:
        self.looked.set()
        left = await self.services.store.read(work_left(None))
        due = sorted(one.subject for one in left if one.due <= now)
        if not due:
            return Found(left[0].due) if left else None
        return Found(what=next((one for one in due if one > self.last), due[0]))

    async def step(self, found: Found, lease: Lease) -> None:
        subject = self.last = found.what
        await self.began.put(subject)
        if subject in self.failing:
            raise self.failing[subject]
        if subject in self.hanging:
            await asyncio.get_running_loop().create_future()
        await self.services.store.write(do_work(subject))
        await self.done.put(subject)

    async def take(self, count: int) -> list[str]:
        """The subjects of the next steps that are done."""
        async with asyncio.timeout(PATIENCE):
            return [await self.done.get() for _ in range(count)]

    async def begun(self, count: int) -> list[str]:
        """The subjects of the next steps that begin."""
        async with asyncio.timeout(PATIENCE):
            return [await self.began.get() for _ in range(count)]


class Divided(Plain):
    """As a queue to other places: a step of each beside the others, but not too many."""

    beside = 2

    async def look(self, now: int, taken: Collection[str]) -> Found | None:
        left = [one for one in await self.services.store.read(work_left(None)) if one.subject not in taken]
        return Found(left[0].due, left[0].subject, left[0].subject) if left else None

    async def put_off(self, found: Found) -> bool:
        await self.services.store.write(put_off_work(Work(found.what, 0, self.services.clock.now() + 60_000)))
        return True


class World:
    """Processes that share a store and a clock."""

    def __init__(self, first: Services, folder: Path) -> None:
        self.first = first
        self.folder = folder
        self.clock: ManualClock = first.clock  # type: ignore[assignment]
        self.began = self.clock.now()
        self.log: RecordingLog = first.log  # type: ignore[assignment]

    @asynccontextmanager
    async def another(self) -> AsyncIterator[Services]:
        """What another process has of them; it hears nothing of the first."""
        bus = LocalBus()
        store = await open_sqlite(self.folder, audience=bus)
        try:
            yield msgspec.structs.replace(self.first, store=store, bus=bus)
        finally:
            await store.close()

    @asynccontextmanager
    async def apart(self, folder: Path) -> AsyncIterator[Services]:
        """A server of its own, when the world began."""
        self.clock.set(self.began)
        async with opened(folder, CONFIGURATION, self.log, self.clock) as services:
            yield services

    async def all_done(self) -> None:
        """Until nothing is left; the store has been written by then."""
        async with asyncio.timeout(PATIENCE):
            while await self.first.store.read(work_left(None)):
                await asyncio.sleep(0)
                self.first.store.renew()


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    log = RecordingLog()
    async with opened(tmp_path, CONFIGURATION, log, ManualClock()) as services:
        await services.store.write(make_work(None))
        yield World(services, tmp_path)
    assert log.errors == []


@asynccontextmanager
async def kept(services: Services, jobs: Iterable[Job]) -> AsyncIterator["asyncio.Task[None]"]:
    """A keeper of these jobs, which leaves in the end."""
    task = asyncio.create_task(Keeper(services, jobs).run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_what_is_due_is_done_at_once_and_what_comes_when_it_says_so(world: World) -> None:
    store, job = world.first.store, Plain(world.first)
    await store.write(add_work(Work("a", 2)))
    await store.write(add_work(Work("later", 1, world.clock.now() + 5_000)))
    async with kept(world.first, [job]):
        assert await job.take(2) == ["a", "a"]
        await store.write(add_work(Work("b", 1)))
        assert await job.take(1) == ["b"]
        await world.clock.until_sleeping()
        world.clock.advance(5)
        assert await job.take(1) == ["later"]


async def test_what_nobody_said_is_found_all_the_same(world: World) -> None:
    job = Plain(world.first)
    async with world.another() as other, kept(world.first, [job]):
        async with asyncio.timeout(PATIENCE):
            await job.looked.wait()
        await world.clock.until_sleeping(at_most=job.every)
        await other.store.write(add_work(Work("a", 1)))
        assert job.done.empty()
        world.first.store.renew()
        world.clock.advance(job.every)
        assert await job.take(1) == ["a"]


async def test_a_gap_has_everybody_look(world: World) -> None:
    job = Plain(world.first)
    async with world.another() as other, kept(world.first, [job]):
        await world.clock.until_sleeping(at_most=job.every)
        await other.store.write(add_work(Work("a", 1)))
        world.first.store.renew()
        world.first.bus.gap()
        assert await job.take(1) == ["a"]


async def test_one_that_fails_is_put_off_longer_each_time_and_other_jobs_go_on(world: World) -> None:
    class Other(Plain):
        name = "other"

    job, other = Plain(world.first), Other(world.first)
    await world.first.store.write(add_work(Work("a", 3)))
    job.failing["a"] = RuntimeError("no")
    other.hanging.add("a")
    async with kept(world.first, [job, other]):
        assert await other.begun(1) == ["a"]
        for times in (1, 2, 4):
            assert await job.begun(1) == ["a"]
            await world.clock.until_sleeping(at_most=times * AGAIN)
            assert AGAIN * times in world.clock.sleeping(at_most=1000)
            world.clock.advance(times * AGAIN)
        assert await job.begun(1) == ["a"]
        job.failing.clear()
        await world.clock.until_sleeping(at_most=8 * AGAIN)
        world.clock.advance(8 * AGAIN)
        assert await job.take(2) == ["a", "a"]
    assert all(error.startswith("job failed {'job': 'work'") for error in world.log.take_errors())


async def test_a_store_that_cannot_be_used_is_no_error_of_the_job(world: World) -> None:
    job = Plain(world.first)
    await world.first.store.write(add_work(Work("a", 1)))
    job.failing["a"] = StoreUnavailable("for now")
    async with kept(world.first, [job]):
        await world.clock.until_sleeping(at_most=AGAIN)
        job.failing.clear()
        world.clock.advance(AGAIN)
        assert await job.take(1) == ["a"]
    assert world.log.events("job put off") == [{"job": "work", "reason": "for now"}]


async def test_of_a_divided_job_a_bounded_number_is_done_beside_each_other(world: World) -> None:
    job = Divided(world.first)
    job.hanging |= {"a", "b"}
    for subject in "abc":
        await world.first.store.write(add_work(Work(subject, 1)))
    async with kept(world.first, [job]):
        assert await job.begun(2) == ["a", "b"]
        assert await world.first.store.read(leased(None)) == {("work", "a"), ("work", "b")}
        await world.clock.until_sleeping(at_most=job.every)
        assert job.began.empty()
    assert await world.first.store.read(leased(None)) == set()


async def test_a_subject_that_fails_holds_up_no_other(world: World) -> None:
    job = Divided(world.first)
    job.failing["a"] = RuntimeError("no")
    for subject in "abc":
        await world.first.store.write(add_work(Work(subject, 2)))
    async with kept(world.first, [job]):
        assert sorted(await job.take(4)) == ["b", "b", "c", "c"]
        job.failing.clear()
        world.clock.advance(60)
        assert await job.take(2) == ["a", "a"]
    assert len(world.log.take_errors()) == 1


async def test_of_two_processes_one_does_a_job_and_the_other_when_it_leaves(world: World) -> None:
    async with world.another() as there:
        mine, theirs = Plain(world.first), Plain(there)
        await world.first.store.write(add_work(Work("a", 2)))
        async with kept(world.first, [mine]):
            assert await mine.take(2) == ["a", "a"]
            async with kept(there, [theirs]):
                await there.store.write(add_work(Work("b", 1)))
                async with asyncio.timeout(PATIENCE):
                    await theirs.looked.wait()
                await world.clock.until_sleeping(at_most=LEASE / 1000)
                assert theirs.began.empty()
                # The first never heard of it, so it lets its lease end.
                world.clock.advance(LEASE / 1000)
                assert await theirs.take(1) == ["b"]


async def test_what_a_killed_process_left_is_done_when_its_lease_ends_and_nothing_twice(world: World) -> None:
    async with world.another() as there:
        killed, other = Plain(there), Plain(world.first)
        killed.hanging.add("b")
        for subject in "abc":
            await there.store.write(add_work(Work(subject, 1)))
        async with kept(there, [killed]):
            assert await killed.begun(2) == ["a", "b"]  # and there it hangs
            async with kept(world.first, [other]):
                await world.clock.until_sleeping(at_most=LEASE / 1000)
                assert other.began.empty()
                world.clock.advance(LEASE / 1000)
                assert await other.take(2) == ["b", "c"]
                await world.all_done()


@pytest.mark.parametrize("job", ["work", "divided"])
async def test_two_processes_share_the_work_and_do_nothing_twice(world: World, job: str) -> None:
    kind = Plain if job == "work" else Divided
    async with world.another() as there:
        mine, theirs = kind(world.first), kind(there)
        for number in range(10):
            await world.first.store.write(add_work(Work(f"{number}", 3)))
        theirs.done = mine.done
        async with kept(world.first, [mine]), kept(there, [theirs]):
            await mine.take(30)
            await world.all_done()
        assert mine.done.empty()


async def test_who_has_nothing_to_do_writes_nothing(world: World) -> None:
    """A day of a server without mail: a lease and the end of a round for each that goes by rounds."""
    written: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(world.first.store, name)

        async def write(self, unit: object) -> object:
            written.append(unit.work.name.rpartition(".")[2])  # type: ignore[attr-defined]
            return await world.first.store.write(unit)  # type: ignore[arg-type]

    services = msgspec.structs.replace(world.first, store=Watched())
    jobs = jobs_of(services)
    rounds = len([chore for chore in CHORES if chore.outstanding is None])

    async with kept(services, jobs):
        await world.clock.until_sleeping(len(jobs), at_most=86_400)
        written.clear()
        for _ in range(20):
            world.clock.advance(3600)
            await world.clock.until_sleeping(len(jobs), at_most=86_400)
        assert written == []
        world.clock.advance(4 * 3600)
        await world.clock.until_sleeping(len(jobs), at_most=86_400)
        looking = [name for name in written if name.startswith("forget_")]  # they commit nothing
        assert sorted({*looking}) == sorted(looking)
        assert sorted(written) == sorted(["end_round"] * rounds + ["take_lease"] * rounds + looking)

"""What holds of every job: a step that runs twice does no more, one that fails keeps nobody waiting, a killed one is
gone on with."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection

import pytest
from tests.service.jobs.test_keeper import World, kept, world
from tests.serving import PATIENCE
from tests.store.feeds.test_nodes import join, mails, make_node, put_item
from tests.store.integrity.test_verify import Damage, damage
from tests.store.making import Box, make_box, put
from tests.store.notifying import a_token, by, pushed, said, with_token

from immpd.service.feeds.digests import Digests
from immpd.service.feeds.fanout import FanOut
from immpd.service.jobs.chores import DAY, ChoreJob
from immpd.service.jobs.job import AGAIN, Found, Job
from immpd.service.jobs.keeper import Leases
from immpd.service.jobs.registry import jobs_of
from immpd.service.push.timers import BATCH, Timers
from immpd.service.session import Services
from immpd.store.accounts.removal import RemoveAccount, remove_account
from immpd.store.contract import Store
from immpd.store.feeds.nodes import RemoveNode, remove_node
from immpd.store.jobs.leases import LEASE, Lease
from immpd.store.mail.filing import DeleteMessages, delete
from immpd.store.push.consent import SetSetting, set_setting
from immpd.store.units import Tx, read_unit

__all__ = ["world"]
HOUR = 3_600_000


@read_unit
def rows(tx: Tx, _: None) -> Counter[str]:
    """How many rows each table has, but those of the jobs themselves."""
    tables = tx.rows("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
    counts = {name: tx.rows(f"SELECT count(*) FROM {name}")[0][0] for (name,) in tables}
    return Counter({name: count for name, count in counts.items() if not name.startswith("job_")})


@read_unit
def notified(tx: Tx, _: None) -> list[int]:
    """How often each notification was shown."""
    return [row[0] for row in tx.rows("SELECT count(*) FROM change WHERE kind = 'notified' GROUP BY id")]


async def a_feed(store: Store, readers: int, form: str, items: int = 3) -> list[Box]:
    """A feed with items, and who gets them in this form."""
    owner = await make_box(store, "news@a.example")
    await make_node(store, owner)
    boxes = [await make_box(store, f"reader-{number}@a.example") for number in range(2, 2 + readers)]
    for box in boxes:
        await join(store, box, form=form)
    for _ in range(items):
        await put_item(store, owner)
    return boxes


async def everything(store: Store) -> None:
    """Something of all that there may be to do, in a month."""
    alice, *_ = await a_feed(store, 2, "message")
    bob, gone = await make_box(store, "bob@a.example"), await make_box(store, "gone@a.example")
    await join(store, bob, form="hourly")
    other = await make_node(store, bob, "bob/old@a.example")
    await put_item(store, bob, other.imid)
    await store.write(remove_node(RemoveNode(other.imid, bob.account.id, alice.account.created)))
    await store.write(set_setting(SetSetting(alice.id, "push.promote", "60")))
    token = await a_token(store, alice, every=60)
    await pushed(store, with_token(alice, token), alice, token=token)
    for number in range(3):
        await pushed(store, by(bob), alice, after=number * HOUR)
        await put(store, gone)
    ids = tuple([await put(store, alice) for _ in range(3)])
    await store.write(delete(DeleteMessages(alice.id, alice.inbox, ids, alice.account.created)))
    await store.write(remove_account(RemoveAccount(gone.account.address, alice.account.created)))


async def do(services: Services, job: Job, times: int) -> int:
    """Do all of a job that is due, each step so many times; how many steps."""
    leases = Leases(services)
    for count in range(200):
        now = services.clock.now()
        before = await services.store.read(rows(None))
        found = await job.look(now, ())
        assert await services.store.read(rows(None)) == before
        if found is None or found.due > now:
            return count
        lease = leases.of(job.name, found.subject)
        assert await leases.hold(lease) is None
        for _ in range(times):
            await job.step(found, lease)
    raise AssertionError(f"{job.name} never comes to its end")


async def test_names_are_given_once(world: World) -> None:
    names = [job.name for job in jobs_of(world.first)]
    assert len(set(names)) == len(names)


async def test_a_step_that_runs_twice_does_no_more(world: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    results = []
    for times in (1, 2):
        async with world.apart(tmp_path_factory.mktemp("apart")) as services:
            await everything(services.store)
            before = await services.store.read(rows(None))
            world.clock.set(world.began + 31 * DAY * 1000)
            for job in jobs_of(services):
                steps = await do(services, job, times)
                assert steps or isinstance(job, ChoreJob), f"{job.name} had nothing to do"
                if job.name != "timers":  # a promotion is tried again in a minute, if it did not come about
                    assert await do(services, job, 1) == 0
            after = await services.store.read(rows(None))
            gone = before - after
            assert {"fan_out", "trashed", "removal", "retry", "node"} <= gone.keys()
            results.append(after)
    assert results[0] == results[1]


class Killed(Job):
    """A job whose process is killed after so many steps."""

    def __init__(self, job: Job, after: int) -> None:
        super().__init__(job.services)
        self.name, self.every = job.name, job.every
        self._job, self._left = job, after
        self.gone = asyncio.Event()

    async def look(self, now: int, taken: Collection[str]) -> Found | None:
        return await self._job.look(now, taken)

    async def step(self, found: Found, lease: Lease) -> None:
        await self._job.step(found, lease)
        self._left -= 1
        if not self._left:
            self.gone.set()
            await asyncio.get_running_loop().create_future()


async def until_nothing_is_due(job: Job, world: World) -> None:
    async with asyncio.timeout(PATIENCE):
        while True:
            job.services.store.renew()
            now = world.clock.now()
            found = await job.look(now, ())
            if found is None or found.due > now:
                return
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [FanOut, Digests, Timers])
async def test_what_a_killed_process_began_another_ends(world: World, kind: Callable[[Services], Job]) -> None:
    store = world.first.store
    boxes = []
    if kind is Timers:
        boxes = [await make_box(store, "alice@a.example")]
        await asyncio.gather(*[pushed(store, by(boxes[0]), boxes[0], after=HOUR) for _ in range(BATCH + 20)])
    else:
        boxes = await a_feed(store, 3, "message" if kind is FanOut else "hourly")
    world.clock.advance(3601)
    async with world.another() as there:
        killed, job = Killed(kind(there), 1), kind(world.first)
        async with kept(there, [killed]):
            async with asyncio.timeout(PATIENCE):
                await killed.gone.wait()
            async with kept(world.first, [job]):
                await world.clock.until_sleeping(at_most=LEASE / 1000)
                found = await job.look(world.clock.now(), ())
                assert found is not None
                assert found.due <= world.clock.now()
                world.clock.advance(LEASE / 1000)
                await until_nothing_is_due(job, world)
    if kind is Timers:
        assert await store.read(notified(None)) == [1] * (BATCH + 20)
    else:
        assert [await mails(store, box) for box in boxes] == [3 if kind is FanOut else 1] * 3


async def test_a_timer_that_fails_holds_up_no_other(world: World) -> None:
    store, job = world.first.store, Timers(world.first)
    alice = await make_box(store, "alice@a.example")
    for number in range(5):
        await pushed(store, by(alice), alice, after=HOUR, body=b"%d" % number)
    no = "WHEN NEW.body = x'32' AND NEW.status = 'shown' BEGIN SELECT RAISE(ABORT, 'broken'); END"
    await store.write(damage(Damage(f"CREATE TRIGGER broken BEFORE UPDATE ON notification {no}")))
    world.clock.advance(3600)
    async with kept(world.first, [job]):
        await world.clock.until_sleeping()
        assert sorted(await said(store, alice)) == ["0", "1", "3", "4"]
        await store.write(damage(Damage("DROP TRIGGER broken")))
        world.clock.advance(AGAIN)
        await world.clock.until_sleeping(at_most=60)
        assert sorted(await said(store, alice)) == ["0", "1", "2", "3", "4"]
    assert len(world.log.take_errors()) == 1


async def test_a_digest_that_fails_holds_up_no_other(world: World) -> None:
    store, job = world.first.store, Digests(world.first)
    one, two, three = await a_feed(store, 3, "hourly")
    no = f"WHEN NEW.mailbox = {one.id} AND NEW.digested > 0 BEGIN SELECT RAISE(ABORT, 'broken'); END"
    await store.write(damage(Damage(f"CREATE TRIGGER broken BEFORE UPDATE ON subscription {no}")))
    world.clock.advance(3600)
    async with kept(world.first, [job]):
        await world.clock.until_sleeping()
        assert [await mails(store, box) for box in (one, two, three)] == [0, 1, 1]
        await store.write(damage(Damage("DROP TRIGGER broken")))
        world.clock.advance(AGAIN)
        await world.clock.until_sleeping(at_most=60)
        assert [await mails(store, box) for box in (one, two, three)] == [1, 1, 1]
    assert len(world.log.take_errors()) == 1

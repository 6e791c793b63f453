"""Changes of many messages over several connections: turns, CANCEL, and who hangs up."""

from contextlib import closing

import apsw
import pytest
from tests.server.quiet import until
from tests.service.filling import fill

from immpd.service.settings import Limits
from immpd.store.sqlite.files import FILE_NAME

FLAG = "MBOX FLAG /inbox::* +todo"


@pytest.fixture
async def one_at_a_time(serve):
    return await serve(limits=Limits(bulk_commands=1))


async def test_the_second_waits_can_be_cancelled_and_runs_when_the_first_is_gone(one_at_a_time, talk):
    server = one_at_a_time
    alice = await server.add_account("alice")
    box = await fill(server.services, str(alice), 500)
    bulk = server.services.bulk
    first, second, third = [await talk(alice, on=server) for _ in range(3)]
    with closing(apsw.Connection(str(server.folder / FILE_NAME))) as stranger:
        stranger.execute("BEGIN IMMEDIATE")  # the store can begin nothing
        first.send(FLAG)
        await until(lambda: bulk.running(box.id) == 1)
        second.send(f"AS a {FLAG}\nAS b NOOP\nAS c CANCEL a")
        assert [(await second.reply(pid)).code for pid in "bca"] == [200, 206, 420]
        second.send(FLAG)
        await until(lambda: bulk.waiting(box.id) == 1)
        third.send(f"{FLAG}\n{FLAG}")
        await until(lambda: bulk.waiting(box.id) == 2)
        await third.close()  # while it waits
        await until(lambda: bulk.waiting(box.id) == 1)
        stranger.execute("ROLLBACK")
    answer = await first.reply()
    assert answer.fields["n"] == "500"
    assert (await second.reply()).fields["n"] == "0"
    assert bulk.running(box.id) == bulk.waiting(box.id) == 0
    with closing(apsw.Connection(str(server.folder / FILE_NAME))) as stranger:
        stranger.execute("BEGIN IMMEDIATE")
        first.send("MBOX FLAG /inbox::* -todo")
        await until(lambda: server.services.store._running)
        await first.close()  # while the store has a step of it
        await until(lambda: len(server.server.conversations) == 1)
        stranger.execute("ROLLBACK")
    await until(lambda: bulk.running(box.id) == 0)
    assert (await second.ask("MBOX FLAG /inbox::* +other")).fields["n"] == "500"

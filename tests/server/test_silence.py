"""Who says nothing for long, whose watch stands, who takes nothing that it is sent; test_memory.py: who gives way."""

import pytest
from tests.server.quiet import conversation_of, nothing_left, until

from immpd.server.settings import Bounds

pytestmark = pytest.mark.usefixtures("server")


async def test_idle_for_thirty_minutes(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    idle, busy = await talk(alice, on=server), await talk(alice, on=server)
    for _ in range(30):
        server.pass_time(60)
        assert (await busy.ask("NOOP")).code == 200
    server.pass_time(1)
    assert [line[:10] for line in await idle.rest()] == ["721 [IDLE]"]
    assert (await busy.ask("NOOP")).code == 200


async def test_a_part_that_never_comes_keeps_nobody_from_being_idle(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    async with nothing_left(server):
        stuck = await talk(alice, on=server)
        stuck.send(f"DELIVER TO {alice}\nDATA a LENGTH 10\n")
        assert [await stuck.line() for _ in range(2)][1].startswith("271")
        server.pass_time(1801)
        assert "721 [IDLE]" in "".join(await stuck.rest())


async def test_a_watch_shows_that_it_stands_every_five_minutes(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    watching = await talk(alice, on=server)
    watching.send("AS a WATCH\nAS b WATCH /inbox\n")
    standing = await watching.row("a")
    await watching.row("b")
    for _ in range(10):
        server.pass_time(299)
        server.pass_time(2)
        assert await watching.row("a") == standing.replace("watching", "alive")
        assert '"alive"' in await watching.row("b")
    assert (await watching.ask("NOOP")).code == 200


async def test_whoever_does_not_take_the_last_words_is_hung_up(serve, talk):
    server = await serve(bounds=Bounds(quit=30))
    alice = await server.add_account("alice")
    async with nothing_left(server):
        deaf = await talk(alice, on=server)
        deaf.send(b"HELP\n" * 20_000)
        await until(lambda: conversation_of(server, deaf).stream.paused)
        deaf.writer.transport.pause_reading()
        server.pass_time(1801)
        assert conversation_of(server, deaf).stream.closed
        (told,) = server.log.events("a client does not read")
        assert (told["account"], told["seconds"]) == ("alice@a.test", 1801)
        assert 0 < told["octets"] < 2 << 20
        server.pass_time(31)
        await until(lambda: not server.server.conversations)
        deaf.reset()

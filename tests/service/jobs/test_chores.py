"""What a running server puts in order by itself."""

import asyncio
from typing import Any

from tests.service.jobs.doing import do_chore
from tests.serving import PATIENCE, RecordingLog, serving

from immpd.model.imid import parse_imid
from immpd.protocol.commands import AccountRemove, StoreCheck
from immpd.service.jobs.chores import DAY, KEPT_CHANGES, REMOVED_DAYS

MESSAGE_ID = "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"


async def test_trash_is_purged_after_30_days_and_watchers_hear_of_it(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    reader = await talk(alice, on=server)
    await reader.deliver(alice)
    assert (await reader.ask("MBOX DELETE /inbox::*")).code == 200
    server.clock.advance(30 * DAY - 1)
    await do_chore(server.services, "empty trash")
    assert " t=1 " in (await reader.ask("MBOX CHECK /trash")).text
    reader.send("AS w WATCH")
    assert '"watching"' in await reader.row("w")
    server.clock.advance(2)
    await do_chore(server.services, "empty trash")
    assert '"event":"gone"' in await reader.row("w")
    assert " t=0 " in (await reader.ask("MBOX CHECK /trash")).text


async def test_files_of_purged_messages_are_unlinked(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    reader = await talk(alice, on=server)
    assert (await reader.deliver(alice, body=b"x" * 600_000)).code == 273
    bodies = server.folder / "bodies"
    assert len(list(bodies.iterdir())) == 1
    for folder in ("inbox", "sent"):
        assert (await reader.ask(f"MBOX DELETE /{folder}::* +PURGE")).code == 200
    await do_chore(server.services, "unlink files")
    assert list(bodies.iterdir()) == []


async def test_a_retry_key_is_forgotten_after_30_days(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    writer = await talk(alice, on=server)

    async def sent_again() -> str:
        await writer.deliver(alice, more=f"ID {MESSAGE_ID}")
        return (await writer.ask("MBOX CHECK /inbox")).fields["t"]

    assert [await sent_again() for _ in range(2)] == ["1", "1"]
    server.clock.advance(30 * DAY)
    await do_chore(server.services, "drop retry keys")
    assert await sent_again() == "1"
    server.clock.advance(DAY)
    await do_chore(server.services, "drop retry keys")
    assert await sent_again() == "2"


async def test_few_changes_are_all_kept(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    reader = await talk(alice, on=server)
    state = (await reader.ask("MBOX CHECK /inbox")).fields["s"]
    await reader.deliver(alice)
    await do_chore(server.services, "drop changes")
    assert KEPT_CHANGES > 1000
    reader.send(f"AS w WATCH SINCE {state}")
    rows = [await reader.row("w") for _ in range(2)]
    assert any('"mail"' in row for row in rows)


async def test_feeds_forget_what_they_need_not_keep(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    writer = await talk(alice, on=server)
    for name in ("old", "new", "gone"):
        await writer.ask(f"PUBLISH CREATE alice/{name}@a.test AGE {5 if name == 'old' else 50}")
        await writer.ask(f"SUBSCRIBE TO alice/{name}@a.test")
        for _ in range(3):
            assert (await writer.ask(f"PUBLISH alice/{name}@a.test LENGTH 1\nx")).code == 273
    assert (await writer.ask("PUBLISH REMOVE alice/gone@a.test")).code == 200
    server.clock.advance(6 * DAY)
    await do_chore(server.services, "drop items")
    answer = await writer.ask("SUBSCRIBE SINCE")
    assert {row.partition('"node":"')[2].partition('"')[0] for row in answer.rows} == {
        "alice/new@a.test",
        "alice/gone@a.test",
    }
    server.clock.advance((REMOVED_DAYS - 6) * DAY + 1)
    await do_chore(server.services, "sweep removed nodes")
    answer = await writer.ask("SUBSCRIBE SINCE")
    assert len(answer.rows) == 3
    assert all("alice/new@a.test" in row for row in answer.rows)
    await do_chore(server.services, "drop items")
    assert (await server.operator.call(StoreCheck())).rows == ()


class Finished(RecordingLog):
    """A log that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.finished = asyncio.Event()

    def info(self, event: str, **fields: Any) -> None:
        super().info(event, **fields)
        if event == "nothing is left of a removed account":
            self.finished.set()


async def test_what_a_removed_account_had_goes_also_after_a_restart(tmp_path, talk):
    bodies = tmp_path / "bodies"
    async with serving(tmp_path) as server:
        alice, bob = await server.add_account("alice"), await server.add_account("bob")
        reader, other = await talk(alice, on=server), await talk(bob, on=server)
        for number in range(3):
            await other.deliver(alice, body=b"x" * 600_000, subject=str(number))
        assert (await other.ask("MBOX DELETE /sent::* +PURGE")).code == 200
        assert (await reader.deliver(bob, body=b"y" * 600_000)).code == 273
        assert len(list(bodies.iterdir())) == 4
        await server.operator.call(AccountRemove(address=parse_imid(alice.address)))
        assert (await reader.rest())[-1].startswith("751 [REMOVED]")
        assert (await other.ask(f"DELIVER TO {alice}")).word == "NO-RECIPIENT"
        assert (await server.operator.call(StoreCheck())).rows == ()
        assert len(list(bodies.iterdir())) == 4
    log = Finished()
    async with serving(tmp_path, log=log) as server:
        async with asyncio.timeout(PATIENCE):
            await log.finished.wait()
        await do_chore(server.services, "unlink files")
        assert len(list(bodies.iterdir())) == 1
        other = await talk(bob, on=server)
        assert (await other.ask("MBOX CHECK /inbox")).fields["t"] == "1"
        assert (await server.operator.call(StoreCheck())).rows == ()
        await other.close()
    assert log.errors == []


async def test_a_removal_waits_for_the_next_minute_where_the_server_runs(serve, talk):
    log = Finished()
    server = await serve(log=log)
    alice = await server.add_account("alice")
    await (await talk(alice, on=server)).deliver(alice)
    await server.operator.call(AccountRemove(address=parse_imid(alice.address)))
    server.clock.advance(60)
    async with asyncio.timeout(PATIENCE):
        await log.finished.wait()
    assert log.events("nothing is left of a removed account") == [{"account": alice.address}]
    assert (await server.operator.call(StoreCheck())).rows == ()

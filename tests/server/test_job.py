"""One command on its way: what fails, what is cancelled in the middle, and what is said of it.

Every fault comes from outside: the disk under the store, a stranger's change of its file, the clock.
"""

import asyncio
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from tests.server.quiet import conversation_of, nothing_left, until
from tests.serving import Account, ManualClock, Serving, Talk
from tests.store.unsynced_vfs import UnsyncedVFS

from immpd.store.push.correspondents import ForgetAnswers, forget_answers
from immpd.store.sqlite.files import FILE_NAME

pytestmark = pytest.mark.usefixtures("server")


async def change_behind_its_back(server: Serving, sql: str) -> None:
    """A stranger's hand on the store's file, while nothing is being written."""
    await until(lambda: not server.services.store._running)
    with closing(apsw.Connection(str(server.folder / FILE_NAME))) as stranger:
        stranger.execute(sql).fetchall()


def file_of_the_only_part(server: Serving) -> Path:
    (path,) = (server.folder / "bodies").iterdir()
    return path


# --- failures


class BreakingClock(ManualClock):
    """While ``broken``, the wall clock fails, and so does the first look at the other one right after it.

    Commands run in calls of the loop, and see that; what goes on beside them has tasks, and does not.
    """

    broken = False
    _then = False

    def now(self) -> int:
        if self.broken and asyncio.current_task() is None:
            self._then = True
            raise ZeroDivisionError
        return super().now()

    def monotonic(self) -> float:
        if self._then and asyncio.current_task() is None:
            self._then = False
            raise ZeroDivisionError
        return super().monotonic()


def assert_failed_and_logged(server: Serving, *commands: str) -> None:
    logged = [entry for entry in server.log.take_errors() if not entry.startswith("the store is damaged")]
    assert len(logged) == len(commands)
    for entry, command in zip(logged, commands, strict=True):
        assert "command failed" in entry
        assert command in entry


async def others_go_on(watching: Talk, alice: Account) -> None:
    """What stood goes on, and what comes is done."""
    assert (await watching.ask("AS x NOOP", "x")).code == 200
    assert (await watching.deliver(alice)).code == 273
    assert '"mail"' in await watching.row("w")


async def watch(one: Talk) -> None:
    one.send("AS w WATCH")
    assert '"watching"' in await one.row("w")


async def test_what_nobody_foresaw_is_750_and_logged_and_the_others_go_on(serve, talk):
    clock = BreakingClock()
    server = await serve(clock=clock)
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    await watch(one)
    assert (await one.deliver(alice)).code == 273
    assert '"mail"' in await one.row("w")
    clock.broken = True
    # Where the command begins, after what it asked of the store, and in the end of a message.
    for command in ("MBOX REMOVE /x", "MBOX DELETE /inbox::*"):
        one.send(f"AS x {command}\nAS x NOOP\nNOOP\n")
        answer = await one.reply("x")
        assert (answer.code, answer.word) == (750, "INTERNAL")
        assert [(await one.reply("x")).code, (await one.reply()).code] == [200, 200]
    clock._then = False
    assert (await one.deliver(alice)).code == 750
    clock._then = clock.broken = False
    assert_failed_and_logged(server, "MBOX REMOVE", "MBOX DELETE", "DONE")
    await others_go_on(one, alice)


async def test_what_fails_when_a_line_is_read_is_750_too(serve, talk):
    clock = BreakingClock()
    server = await serve(clock=clock)
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    clock.broken = True
    one.send(b"MBOX REMOVE /x\nDELIVER TO a@a.test\nDATA x LENGTH 5\nQUIT\nNOOP\n")
    assert [answer.code for answer in await one.replies(4)] == [750, 750, 404, 200]
    clock.broken = False
    assert_failed_and_logged(server, "MBOX REMOVE", "DELIVER")
    assert (await one.deliver(alice)).code == 273


async def test_a_store_that_somebody_changed_is_750_and_the_others_go_on(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    assert (await one.ask("MBOX CREATE /x")).code == 200
    await change_behind_its_back(server, "ALTER TABLE folder RENAME TO elsewhere")
    await server.services.store.write(forget_answers(ForgetAnswers(0)))  # a commit: what is read now is what there is
    one.send("MBOX LIST\nMBOX REMOVE /x\nNOOP\n")
    assert [answer.code for answer in await one.replies(3)] == [750, 750, 200]
    assert_failed_and_logged(server, "MBOX LIST", "MBOX REMOVE")
    await change_behind_its_back(server, "ALTER TABLE elsewhere RENAME TO folder")
    assert (await one.ask("MBOX REMOVE /x")).code == 200  # a commit of the server's own: it sees what others did
    await watch(one)
    await others_go_on(one, alice)


@pytest.mark.parametrize("kept", [None, 100_000])
async def test_a_file_that_is_gone_or_cut_short_is_750_and_the_others_go_on(serve, talk, kept):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    assert (await one.deliver(alice, body=bytes(400_000))).code == 273
    await watch(one)
    path = file_of_the_only_part(server)
    if kept is None:
        path.unlink()
    else:
        with path.open("r+b") as file:
            file.truncate(kept)
    answer = await one.ask("FETCH /inbox::* +RAW")
    assert (answer.code, answer.word) == (750, "STORE-DAMAGED")
    assert answer.octets() == bytes(kept or 0)
    assert all(block.more for block in answer.blocks)  # nobody takes the half for the whole
    assert_failed_and_logged(server, "MBOX FETCH")
    await others_go_on(one, alice)


def assert_said_why(server: Serving) -> None:
    """The cause, the command, and a job, which may have met the broken disk too."""
    errors = server.log.take_errors()
    assert any(entry.startswith("the store is opened again {'cause': 'IOError: the disk has gone'") for entry in errors)
    # It may be opened while the disk still fails: then it is only read, or not opened, and that is said too.
    of_the_store = ("the store is opened again", "the store can only be read", "the store cannot be opened")
    assert all(entry.startswith((*of_the_store, "command failed", "job failed")) for entry in errors), errors


async def test_an_unknown_outcome_is_no_answer(serve, talk):
    """The sync that makes a commit durable fails: perhaps it is on disk, so neither yes nor no is true."""
    with UnsyncedVFS(default=True) as vfs:
        server = await serve()
        alice = await server.add_account("alice")
        one, other = await talk(alice, on=server), await talk(alice, on=server)

        def fails(what: str, _: str) -> None:
            if what == "sync":
                raise apsw.IOError("the disk has gone")

        vfs.disk.fault = fails
        one.send("AS a NOOP\nMBOX CREATE /x\nNOOP\n")
        done, last = await one.rest()
        assert (done, last[:22]) == ("a: 200 Done", "752 [UNKNOWN-OUTCOME] ")
        vfs.disk.fault = lambda what, name: None
        while (answer := await other.ask("MBOX CREATE /y")).code == 450:
            assert answer.word == "STORE-UNAVAILABLE"
        assert answer.code == 200
        assert_said_why(server)
        await server.running.stop()


async def test_a_delivery_that_failed_lets_go_of_its_parts(server, account, talk):
    """Refused at the end: memory and files of its parts are given back at once."""
    alice = await account()
    one = await talk(alice)
    async with nothing_left(server):
        one.send(f"DELIVER TO {alice}\n".encode() + b"DATA a LENGTH 400000\n" + bytes(400_000) + b"DONE\n")
        assert [answer.code for answer in await one.replies(3)] == [270, 272, 400]  # no part with +CONTENT
    assert conversation_of(server, one).session.drafts.memory == 0


async def test_a_watch_that_is_refused_listens_to_nothing(server, account, talk):
    one = await talk(await account())
    async with nothing_left(server):
        assert (await one.ask("WATCH SINCE nonsense")).code == 400
        assert (await one.ask("WATCH SINCE 00000000.1")).code == 409


# --- cancelling between two links of a chain


async def test_a_change_of_many_messages_stops_where_it_is_cancelled(server, account, talk):
    alice = await account()
    one = await talk(alice)
    for _ in range(500):
        one.send(f"DELIVER TO {alice}\nDATA body LENGTH 1 +CONTENT\nxDONE\n")
    await one.replies(1500)
    one.send("AS p MBOX FLAG /inbox::* +FLAGGED\nCANCEL p\nAS p WHO\n")
    assert [(await one.reply("p")).code for _ in range(2)] == [420, 200]
    assert (await one.reply()).code == 206
    assert (await one.ask("MBOX INDEX /inbox::flagged")).fields["n"] == "200"  # the step that the store had


async def test_cancelled_octets_leave_neither_file_nor_task(server, account, talk):
    alice = await account()
    one = await talk(alice)
    async with nothing_left(server):
        one.send(f"AS p DELIVER TO {alice}\n".encode() + b"AS p DATA x LENGTH 900000 +CONTENT\n" + bytes(800_000))
        await until(lambda: any((server.folder / "bodies").iterdir()))
        one.send(bytes(100_000) + b"CANCEL p\nAS p ABORT\n")
        codes = [(await one.reply("p")).code for _ in range(3)]
        assert codes in ([270, 420, 200], [270, 272, 200])
        assert (await one.reply()).code in (206, 406)


async def test_a_page_is_cut_into_turns(account, talk, no_time_passes):
    alice = await account()
    one = await talk(alice)
    subject = "x" * 900
    for _ in range(300):
        one.send(f"DELIVER TO {alice} SUBJECT {subject}\nDATA body LENGTH 1 +CONTENT\nxDONE\n")
    await one.replies(900)
    one.send("AS long MBOX INDEX /inbox +JSON\nAS short WHO\n")
    lines = [await one.line()]
    while not lines[-1].startswith("short: "):
        lines.append(await one.line())
    assert 0 < sum(map(len, lines)) <= 2 * 64 * 1024
    while not lines[-1].startswith("long: 250 "):
        lines.append(await one.line())
    rows = [line for line in lines if line.startswith("long: 250- ")]
    assert len(set(rows)) == len(rows) == 300

"""One command on its way: what fails, what is cancelled in the middle, and what is said of it."""

import asyncio
from typing import Any

import msgspec
import pytest
from tests.server.quiet import conversation_of, nothing_left, until
from tests.serving import Serving

from immpd.protocol import replies
from immpd.protocol.commands import MboxList
from immpd.service.outcome import Outcome, Page, Step
from immpd.service.session import HANDLERS, Session
from immpd.store.errors import StoreFull, StoreUnavailable, UnknownOutcome
from immpd.store.units import Tx, read_unit, write_unit

pytestmark = pytest.mark.usefixtures("server")


class Fails(msgspec.Struct, frozen=True):
    """Arguments of units that fail."""

    error: Any


@write_unit
def fail_to_write(tx: Tx, args: Fails) -> None:
    raise args.error


@read_unit
def fail_to_read(tx: Tx, args: Fails) -> None:
    raise args.error


@read_unit
def read_nothing(tx: Tx, args: Fails) -> int:
    return tx.one("SELECT 1")[0]


@write_unit
def write_nothing(tx: Tx, args: Fails) -> int:
    return 1


def answers_with(monkeypatch: pytest.MonkeyPatch, handler: Any) -> None:
    """MBOX LIST does this now: a handler of a feature that is still to be written."""
    monkeypatch.setitem(HANDLERS, MboxList, handler)


# --- failures


async def fails_in_a_task(_: Session, __: MboxList, ___: Any) -> Outcome:
    await asyncio.sleep(0)
    raise ZeroDivisionError


def fails_later(_: Session, __: MboxList, ___: Any) -> Outcome:
    return Page([b"241- half\n"], lambda: Step(read_nothing(Fails(None)), lambda _: 1 // 0))  # type: ignore[arg-type,return-value]


@pytest.mark.parametrize(
    "handler",
    [
        lambda *_: 1 // 0,
        fails_in_a_task,
        fails_later,
        lambda *_: Step(fail_to_read(Fails(ZeroDivisionError())), lambda _: replies.Ok()),
        lambda *_: Step(fail_to_write(Fails(ZeroDivisionError())), lambda _: replies.Ok()),
        lambda *_: Page([b"241- half\n"], None),
    ],
)
async def test_what_nobody_foresaw_is_750_and_logged_and_the_others_go_on(server, account, talk, monkeypatch, handler):
    alice = await account()
    answers_with(monkeypatch, handler)
    one = await talk(alice)
    one.send("AS w WATCH\nAS x MBOX LIST\nAS x NOOP\nMBOX LIST\nNOOP\n")
    assert [(answer.code, answer.word) for answer in [await one.reply("x"), *await one.replies(1)]] == [
        (750, "INTERNAL"),
        (750, "INTERNAL"),
    ]
    assert [(await one.reply("x")).code, (await one.reply()).code] == [200, 200]
    assert '"watching"' in await one.row("w")
    assert (await one.deliver(alice)).code == 273
    assert '"mail"' in await one.row("w")
    logged = server.log.take_errors()
    assert len(logged) == 2
    assert all("command failed" in entry and "MBOX LIST" in entry for entry in logged)


async def test_what_fails_when_a_line_is_read_is_750_too(server, account, talk, monkeypatch):
    one = await talk(await account())
    monkeypatch.setattr(Session, "arrive", lambda *_: 1 // 0)
    one.send(b"DELIVER TO a@a.test\nDATA x LENGTH 5\nQUIT\nNOOP\n")
    assert [answer.code for answer in await one.replies(3)] == [750, 750, 750]
    assert len(server.log.take_errors()) == 3


@pytest.mark.parametrize("error", [StoreFull("no room"), StoreUnavailable("away")])
@pytest.mark.parametrize("unit", [fail_to_read, fail_to_write])
async def test_a_store_that_cannot_says_when_to_come_back(account, talk, monkeypatch, error, unit):
    one = await talk(await account())
    answers_with(monkeypatch, lambda *_: Step(unit(Fails(error)), lambda _: replies.Ok()))
    answer = await one.ask("MBOX LIST")
    assert answer.code == 450
    assert int(answer.fields["retry"]) > 0
    assert (await one.ask("NOOP")).code == 200


def assert_only_chores_failed(server: Serving) -> None:
    """Housekeeping may have met the broken disk too, and says so to the operator."""
    assert all(entry.startswith("chore failed") for entry in server.log.take_errors())


async def test_a_full_disk_refuses_and_loses_nothing_and_recovers(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    writer = server.services.store._writer
    (pages,) = writer.execute("PRAGMA page_count").fetchone()
    (bound,) = writer.execute("PRAGMA max_page_count").fetchone()
    writer.execute(f"PRAGMA max_page_count = {pages}").fetchall()
    async with nothing_left(server):
        accepted = 0
        for size in (20_000, 1):
            while (answer := await one.deliver(alice, body=b"x" * size)).code == 273:
                accepted += 1
            assert (answer.code, answer.word) == (450, "STORE-FULL")
        assert answer.fields["retry"] == "60"
        assert (await one.deliver(alice, body=b"x" * 400_000)).code == 450  # its file goes too
    assert f"t={accepted}" in (await one.ask("MBOX CHECK /inbox")).text
    assert conversation_of(server, one).session.drafts.memory == 0
    writer.execute(f"PRAGMA max_page_count = {bound}").fetchall()
    assert (await one.deliver(alice, body=b"x" * 20_000)).code == 273
    assert_only_chores_failed(server)


async def test_a_disk_that_can_only_be_read_refuses(serve, talk):
    server = await serve()
    alice = await server.add_account("alice")
    one = await talk(alice, on=server)
    server.services.store._writer.execute("PRAGMA query_only = 1").fetchall()
    answer = await one.deliver(alice)
    assert (answer.code, answer.word) == (450, "STORE-READ-ONLY")
    assert (await one.ask("MBOX LIST")).code == 241
    server.services.store._writer.execute("PRAGMA query_only = 0").fetchall()
    assert (await one.deliver(alice)).code == 273
    assert_only_chores_failed(server)


async def test_an_unknown_outcome_is_never_answered(server, account, talk, monkeypatch):
    alice = await account()
    answers_with(
        monkeypatch, lambda *_: Step(fail_to_write(Fails(UnknownOutcome("who knows"))), lambda _: replies.Ok())
    )
    async with nothing_left(server):
        one = await talk(alice)
        one.send("AS a NOOP\nMBOX LIST\nNOOP\n")
        assert await one.rest() == ["a: 200 Done"]


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


def several_writes(done: list[int]) -> Any:
    def handler(_: Session, __: MboxList, ___: Any) -> Outcome:
        def then(_: int) -> Outcome:
            done.append(1)
            return Step(write_nothing(Fails(None)), then) if len(done) < 50 else replies.Ok()

        return Step(write_nothing(Fails(None)), then)

    return handler


async def test_a_chain_of_writes_stops_where_it_is_cancelled(account, talk, monkeypatch):
    done: list[int] = []
    one = await talk(await account())
    answers_with(monkeypatch, several_writes(done))
    one.send("AS p MBOX LIST\nCANCEL p\nAS p WHO\n")
    assert [(await one.reply("p")).code for _ in range(2)] == [420, 200]
    assert (await one.reply()).code == 200
    assert len(done) == 1


async def test_what_only_has_to_be_told_is_told(account, talk, monkeypatch):
    """One write, then a read for the reply: cancelled meanwhile, the true reply comes."""

    def handler(*_: Any) -> Outcome:
        tell = Step(read_nothing(Fails(None)), lambda _: replies.Ok(text="It is true"))
        return Step(write_nothing(Fails(None)), lambda _: tell)

    one = await talk(await account())
    answers_with(monkeypatch, handler)
    one.send("AS p MBOX LIST\nCANCEL p\n")
    assert (await one.reply("p")).text == "It is true"
    assert (await one.reply()).code == 200


async def test_a_cancelled_task_is_gone(server, account, talk, monkeypatch):
    begun, ended = asyncio.Event(), asyncio.Event()

    async def waits(*_: Any) -> Outcome:
        begun.set()
        try:
            return await asyncio.get_running_loop().create_future()
        finally:
            ended.set()

    one = await talk(await account())
    answers_with(monkeypatch, waits)
    async with nothing_left(server):
        one.send("AS p MBOX LIST")
        await asyncio.wait_for(begun.wait(), 10)
        one.send("CANCEL p")
        assert (await one.reply("p")).code == 420
        await asyncio.wait_for(ended.wait(), 10)


async def test_a_task_that_ends_as_its_connection_does_is_dropped_in_silence(server, account, talk, monkeypatch):
    go_on = asyncio.Event()

    async def later() -> Outcome:
        return replies.Ok()

    async def waits(*_: Any) -> Outcome:
        await go_on.wait()
        return later()

    alice = await account()
    async with nothing_left(server):
        one = await talk(alice)
        answers_with(monkeypatch, waits)
        one.send("MBOX LIST")
        conversation = conversation_of(server, one)
        await until(lambda: conversation.pipelines)
        job = conversation.pipelines[None][0]
        go_on.set()
        await until(lambda: job._task is None or job._task.done())
        job.done = True  # as when the connection is lost between the two
        await until(lambda: job._task is None)
        one.reset()


async def test_a_page_is_cut_into_turns(account, talk, monkeypatch):
    pieces = [b"241- %06d %s\n" % (number, b"x" * 1000) for number in range(1000)]
    answers_with(monkeypatch, lambda *_: Page(pieces, lambda: replies.Ok(text="End")))
    one = await talk(await account())
    one.send("AS long MBOX LIST\nAS short WHO\n")
    lines = [await one.line()]
    while not lines[-1].startswith("short: "):
        lines.append(await one.line())
    assert len(lines) <= 66
    while not lines[-1].startswith("long: 200"):
        lines.append(await one.line())
    rows = [line for line in lines if line.startswith("long: 241")]
    assert rows == [f"long: {piece.decode()[:-1]}" for piece in pieces]

"""The friendly methods, each against the real server."""

import asyncio
from collections.abc import Awaitable, Callable
from uuid import UUID

import pytest
from tests.serving import Serving

from immpd.client import Client, ConnectionLost, Refused, at, blocking_source
from immpd.client.client import PAGE
from immpd.protocol.codes import Code
from immpd.protocol.registry import COMMANDS
from immpd.protocol.scram import ScramError
from immpd.protocol.states import State

pytestmark = pytest.mark.asyncio(loop_scope="module")
Login = Callable[..., Awaitable[Client]]


async def _ids(me: Client, path: str = "/inbox") -> list[str]:
    return [row.id async for row in me.index(path)]


async def test_about_the_session(account, login: Login) -> None:
    me = await login(await account())
    assert (await me.caps()).d == me.about.d == "a.test"
    assert any("MBOX LIST" in line for line in await me.help())
    assert any("DELIVER" in line for line in await me.help("DELIVER"))
    assert (await me.noop()).text == "Done"


async def test_folders(account, login: Login) -> None:
    me = await login(await account())
    await me.create("/Writing/Plans")
    assert "/Writing/Plans" in [row.path for row in await me.folders()]
    await me.rename("/writing", "/Play")
    assert [row.path for row in await me.check("/play", recursive=True)] == ["/Play", "/Play/Plans"]
    with pytest.raises(Refused) as caught:
        await me.remove("/writing")
    assert caught.value.code is Code.NOT_FOUND
    await me.remove("/play", recursive=True)
    assert [row for row in await me.folders() if row.path.startswith("/Play")] == []


async def test_an_index_comes_in_pages_as_it_is_taken(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    count = 2 * PAGE + 10
    for first in range(0, count, 100):
        numbers = range(first, min(first + 100, count))
        await asyncio.gather(*(me.send(alice.address, f"n{number}", "x") for number in numbers))
    rows = [row async for row in me.index("/inbox")]
    assert {row.subject for row in rows} == {f"n{number}" for number in range(count)}
    assert [row async for row in me.index("/inbox", limit=PAGE + 6)] == rows[: PAGE + 6]
    assert [row async for row in me.index("/inbox", after=rows[2].id, limit=3)] == rows[3:6]
    assert [row async for row in me.index("/inbox", reverse=True)] == rows[::-1]
    page = await me.index_page("/inbox", limit=3)
    assert (page.rows, page.more) == (tuple(rows[:3]), "yes")
    await me.flag(at("/inbox", rows[5].id), add=["FLAGGED"])
    assert [row.id async for row in me.index("/inbox", since=page.s)] == [rows[5].id]
    # Each row is deleted as it is shown, and none is missed.
    assert len([await me.delete(at("/inbox", row.id)) async for row in me.index("/inbox")]) == count


async def test_reading_marks_as_read_unless_it_should_not(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    await me.send(alice.address, "Hi", "Hello\nthere")
    (message,) = [one async for one in me.fetch("/inbox::*", keep_unread=True)]
    assert (message.envelope.subject, message.parts[0].data, message.flags) == ("Hi", "Hello\nthere", ())
    lines = [line async for line in me.fetch_text("/inbox::unread")]
    assert "there" in lines
    assert [one async for one in me.fetch("/inbox::unread")] == []
    assert [one.flags async for one in me.fetch("/inbox::*", limit=1)] == [("READ",)]


async def test_octets_of_parts(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    data = bytes(range(256)) * 1200
    await me.send(alice.address, "Hi", "Hello", attachments=[data])
    path = at("/inbox", *await _ids(me))
    assert b"".join([octets async for octets in me.fetch_part(path, 2)]) == data
    assert b"".join([octets async for octets in me.fetch_part(path, 2, (256, 511))]) == data[256:512]
    assert b"".join([octets async for octets in me.fetch_part(path, 2, (307_000, None))]) == data[307_000:]
    blocks = [block async for block in me.raw(path, keep_unread=True)]
    assert blocks[0].part == "1"
    assert b"".join(block.octets for block in blocks if block.part == "2") == data
    mail = b"".join([block.octets async for block in me.fetch_mime(path)])
    assert mail.startswith(b"From: ")
    # A message whose JSON is longer than a line comes in a block.
    await me.send(alice.address, "Long", "x" * 50_000)
    (long,) = [one async for one in me.fetch(at("/inbox", (await _ids(me))[0]))]
    assert len(long.parts[0].data) == 50_000


async def test_changes_of_messages(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    await me.send(alice.address, "Hi", "Hello")
    (message,) = await _ids(me)
    changed = await me.flag(at("/inbox", message), add=["FLAGGED", "todo"], clear=["READ"])
    assert changed.n == 1
    (row,) = [row async for row in me.index("/inbox::flagged")]
    assert row.flags == ("FLAGGED", "todo")
    copied = await me.copy(at("/inbox", message), "/archive")
    assert [row.old for row in copied.rows] == [message]
    assert (await me.move(at("/inbox", message), "/junk")).n == 1
    assert await _ids(me) == []
    assert (await me.delete("/junk::*")).n == 1
    assert (await me.delete("/trash::*", purge=True)).n == 1
    assert await _ids(me, "/trash") == []


async def test_put(account, login: Login) -> None:
    me = await login(await account())
    stored = await me.put("/drafts", "Later", "Not yet", to="bob@a.test", flags=["DRAFT", "idea"])
    (row,) = [row async for row in me.index("/drafts")]
    assert stored.place.endswith(row.id)
    assert (row.subject, row.to, row.flags) == ("Later", ("bob@a.test",), ("DRAFT", "idea"))


async def test_watch_and_ack(account, login: Login) -> None:
    alice = await account()
    me = await login(alice, device="laptop")
    watch = me.watch(name="test")
    first = await anext(watch)
    assert first.event == "watching"
    await me.send(alice.address, "Hi", "Hello")
    sent = await anext(watch)
    mail = sent if sent.folder == "/INBOX" else await anext(watch)
    assert (mail.event, mail.subject) == ("mail", "Hi")
    assert mail.row is not None
    await me.ack(first.cursor, name="test")
    await watch.aclose()
    again = me.watch(name="test", acknowledge=True)
    assert [(await anext(again)).event for _ in range(3)] == ["watching", "mail", "mail"]
    await again.aclose()
    since = me.watch("/inbox", since=first.cursor)
    assert [(await anext(since)).event for _ in range(2)] == ["watching", "mail"]


async def test_many_acks(account, login: Login) -> None:
    me = await login(await account(), device="laptop")
    async for event in me.watch():
        await asyncio.gather(*(me.ack(event.cursor) for _ in range(200)))
        with pytest.raises(Refused):
            await me.ack("nonsense")
        break


async def test_a_new_password(server: Serving, account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    with pytest.raises(ScramError):
        await me.change_password("\x07")
    other = await login(alice)
    await me.add_push_token("nas")
    changed = await me.change_password("another one")
    assert (changed.ended, changed.tokens) == (1, ("nas",))
    secret = me.secret
    with pytest.raises((ConnectionLost, Refused)):
        await other.noop()
    with pytest.raises(Refused) as caught:
        await login(alice)
    assert caught.value.code is Code.AUTH_FAILED
    assert (await (await login(alice, h=secret)).who()).account == alice.address


async def test_sessions_are_listed_and_ended(account, login: Login) -> None:
    alice = await account()
    me, other, third = await login(alice), await login(alice), await login(alice)
    rows = [row async for row in me.sessions()]
    assert [row.own for row in rows] == [True, False, False]
    assert (await me.end_session(rows[1].id)).ended == 1
    assert (await me.end_other_sessions()).ended == 1
    for ended in (other, third):
        with pytest.raises((ConnectionLost, Refused)):
            await ended.noop()
    assert [row.id async for row in me.sessions()] == [rows[0].id]


async def test_ids_are_named_with_their_folder() -> None:
    one = UUID(int=7)
    assert str(at("/inbox::unread", one, str(one))) == f"/inbox#{one}"
    with pytest.raises(ValueError, match="UUID"):
        at("/inbox", "7")


async def test_every_command_that_a_person_may_use_has_a_method() -> None:
    """The names of commands stand in the words of the methods."""
    by_others = {"UPGRADE", "AUTH SCRAM-SHA-256", "AUTH SCRAM-SHA-256-PLUS", "AUTH SECRET", "AUTH RESPONSE"}
    text = blocking_source.source(blocking_source.FOLDER)
    for command in COMMANDS:
        if command.states == {State.OPERATOR} or command.name in by_others:
            continue
        assert command.name in text or command.name == "ABORT", f"{command.name} has no method"

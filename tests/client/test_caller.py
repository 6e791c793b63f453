"""Many calls on one connection, streams, cancelling, losing."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from tests.serving import Serving

from immpd.client import Client, ConnectionLost, Refused, link, pending
from immpd.client.errors import ProtocolFault, TooSlow
from immpd.model.imid import parse_imid
from immpd.protocol import replies
from immpd.protocol.codes import Code
from immpd.protocol.commands import (
    AuthPassword,
    Data,
    Deliver,
    Done,
    MboxFetch,
    MboxIndex,
    MboxList,
    Noop,
    Upgrade,
    Watch,
    Who,
)

pytestmark = pytest.mark.asyncio(loop_scope="module")
Login = Callable[..., Awaitable[Client]]
INBOX = parse_imid("/inbox")


async def test_replies_are_typed_by_their_requests(account, login: Login) -> None:
    me = await login(await account(), device="laptop")
    who = await me.call(Who())
    assert who.device == "laptop"
    folders: replies.Folders = await me.call(MboxList())
    assert [row.role for row in folders.rows if row.path == "/INBOX"] == ["inbox"]


async def test_more_calls_than_pipelines_run_at_once(account, login: Login) -> None:
    me = await login(await account())
    answers = await asyncio.gather(*(me.call(Noop()) for _ in range(1000)))
    assert len(answers) == 1000


async def test_a_refusal_is_the_callers_alone(account, login: Login) -> None:
    me = await login(await account())
    bad = me.call(MboxIndex(path=parse_imid("/nowhere"), json=True))
    refused, fine = await asyncio.gather(bad, me.noop(), return_exceptions=True)
    assert isinstance(refused, Refused)
    assert (refused.code, refused.word) == (Code.NOT_FOUND, "NO-FOLDER")
    assert isinstance(fine, replies.Ok)


async def test_a_pipeline_keeps_an_open_message(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    async with me.pipeline() as pipeline:
        await pipeline.call(Deliver(to=(parse_imid(alice.address),)))
        part = await pipeline.call(Data(name="body", content=True), b"Hello")
        delivered = await pipeline.call(Done())
    assert (part.n, part.length) == (1, 5)
    assert [row.outcome for row in delivered.rows] == ["delivered"]


async def test_what_cannot_stand_on_a_line_is_refused_here(account, login: Login) -> None:
    me = await login(await account())
    with pytest.raises(Refused) as caught:
        await me.call(Deliver(subject="a\nQUIT"))
    assert caught.value.word == "CONTROL-CHARACTER"
    with pytest.raises(Refused) as caught:
        await me.call(Deliver(subject="x" * 20_000))
    assert caught.value.word == "LINE-TOO-LONG"
    with pytest.raises(Refused) as caught:
        await me.call(Deliver(subject="\udc80"))
    assert caught.value.word == "UTF-8"
    assert (await me.noop()).text == "Done"


async def test_commands_that_stand_alone_queue_up(account, login: Login) -> None:
    me = await login(await account())
    calls = [me.call(Upgrade(method="TLS")) for _ in range(3)]
    answers = await asyncio.gather(*calls, me.noop(), return_exceptions=True)
    assert [type(answer) for answer in answers] == [Refused, Refused, Refused, replies.Ok]


async def test_what_call_and_stream_do_not_take(account, login: Login) -> None:
    me = await login(await account())
    with pytest.raises(TypeError, match="stream"):
        await me.call(MboxFetch(path=INBOX))
    with pytest.raises(TypeError, match="stream"):
        await me.call(Watch())
    with pytest.raises(TypeError, match="alone"):
        me.stream(AuthPassword(stored=b"", server=b"", i=1))
    with pytest.raises(TypeError, match="no octets follow"):
        await me.call(Noop(), b"octets")


async def test_an_answer_that_is_not_the_commands_is_a_fault(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    await me.send(alice.address, text="Hi")
    with pytest.raises(ProtocolFault, match="MBOX INDEX"):
        await me.call(MboxIndex(path=INBOX))  # rows for people are no JSON


# --- streams


async def test_a_stream_ends_with_its_reply(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    for _ in range(3):
        await me.send(alice.address, text="Hi")
    stream = me.stream(MboxIndex(path=INBOX, json=True))
    with pytest.raises(RuntimeError):
        _ = stream.reply
    assert len([row async for row in stream]) == 3
    assert stream.reply.n == 3


async def test_leaving_a_stream_ends_it_on_the_server(account, login: Login) -> None:
    me = await login(await account())
    for _ in range(2 * link.PIPELINES):
        async with me.stream(Watch()) as events:
            assert await anext(events)
        with pytest.raises(StopAsyncIteration):
            await anext(events)
    assert (await me.noop()).text == "Done"


async def test_a_stream_can_be_cancelled_by_its_pipeline(account, login: Login) -> None:
    me = await login(await account())
    events = me.stream(Watch())
    await anext(events)
    assert events.pipeline is not None
    await me.cancel(events.pipeline)
    with pytest.raises(Refused) as caught:
        await anext(events)
    assert caught.value.code is Code.CANCELLED


async def test_a_call_that_nobody_waits_for_frees_its_pipeline(account, login: Login) -> None:
    me = await login(await account())
    for _ in range(2 * link.PIPELINES):
        task = asyncio.ensure_future(me.folders())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(await me.folders()) >= 6


async def test_waiting_for_a_pipeline_can_be_given_up(account, login: Login) -> None:
    me = await login(await account())
    watches = [me.stream(Watch()) for _ in range(link.PIPELINES)]
    for watch in watches:
        await anext(watch)
    waiting = asyncio.ensure_future(me.noop())
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    waiting = asyncio.ensure_future(me.noop())
    await asyncio.sleep(0)
    await watches[0].aclose()
    assert (await waiting).text == "Done"


# --- back-pressure


async def _large(me: Client, address: str, size: int) -> str:
    await me.send(address, text="see there", attachments=[bytes(size)])
    page = await me.index_page("/inbox", limit=1)
    return page.rows[0].id


async def test_reading_stops_while_a_consumer_is_behind(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    size = 16 << 20
    message = await _large(me, alice.address, size)
    blocks = me.fetch_part(f"/inbox#{message}", 2)
    taken = len(await anext(blocks))
    while not me.link._reading_stopped:
        await me.who()
    (behind,) = me.link.full
    assert behind.held < 2 * pending.HELD_HIGH
    assert (await me.noop()).text == "Done"  # others are not held up
    async for block in blocks:
        taken += len(block)
    assert taken == size
    assert not me.link._reading_stopped


async def test_what_cannot_wait_any_more_is_an_error(account, login: Login) -> None:
    alice = await account()
    me = await login(alice)
    blocks = me.fetch_part(f"/inbox#{await _large(me, alice.address, pending.HELD_MOST + (8 << 20))}", 2)
    await anext(blocks)
    (behind,) = [one for pipeline in me.link._by_name.values() for one in pipeline.queue if one.streaming]
    watch = me.stream(Watch())
    await anext(watch)
    waiting = asyncio.ensure_future(anext(watch))  # somebody waits, so reading goes on
    while not behind.abandoned:
        await me.noop()
    with pytest.raises(TooSlow):
        await anext(blocks)
    waiting.cancel()


# --- losing the connection


async def test_all_who_wait_hear_of_the_loss(server: Serving, account, login: Login, serve) -> None:
    other = await serve(domains=("b.test",))
    bob = await other.add_account("bob")
    host, port = other.listen
    me = await login(bob, server=f"{host}:{port}")
    watch = me.stream(Watch())
    await anext(watch)
    waiting = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    await other.server.stop()
    with pytest.raises((ConnectionLost, StopAsyncIteration)):
        await waiting
    assert isinstance(await me.wait_closed(), ConnectionLost)
    with pytest.raises(ConnectionLost, match="shutting down"):
        await me.noop()
    with pytest.raises(ConnectionLost):
        await me.send(bob.address, text="too late")

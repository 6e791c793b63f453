"""Feeds from the library: publish, subscribe, watch, catch up, leave."""

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest
from tests.serving import Account

from immpd.client import Client, NodeOptions, Refused
from immpd.protocol.codes import Code

Login = Callable[..., Awaitable[Client]]


def feed_of(owner: Account, name: str = "news") -> str:
    local, _, domain = owner.address.partition("@")
    return f"{local}/{name}@{domain}"


async def test_a_feed_and_a_subscriber(account, login: Login) -> None:
    owner, reader = await account("news"), await account("reader")
    me, you = await login(owner), await login(reader)
    node = feed_of(owner)
    await me.create_node(node, NodeOptions(title="News", language="en", keep=10))
    done = await you.subscribe(f"immp://{node}?subscribe")
    assert (UUID(done.id).version, done.text, done.state) == (4, "News", "")
    watch = you.watch()
    start = await anext(watch)
    item = uuid4()
    published = await me.publish(node, "One", "hello", id=item, important=True)
    assert (published.id, published.rows[0].accepted) == (str(item), 1)
    event = await anext(watch)
    assert (event.event, event.id, event.node, event.title) == ("item", str(item), node, "One")
    assert (event.level, event.body, event.verified, event.row) == ("high", "hello", True, None)
    await watch.aclose()
    body = bytes(range(256)) * 600
    await me.publish(node, "Two", body, type="application/octet-stream")
    found = [one async for one in you.items(start.cursor)]
    assert [(one.title, one.octets) for one in found] == [("One", b"hello"), ("Two", body)]
    assert [one.title async for one in you.items(found[0].cursor, node=node, limit=5)] == ["Two"]
    (row,) = await you.subscriptions()
    assert (row.id, row.origin, row.items) == (done.id, "a.test", 2)
    assert (await you.subscription(node)).language == "en"
    await you.set_subscription(done.id, form="message", folder="/archive", muted=True)
    row = await you.subscription(done.id)
    assert (row.form, row.folder, row.muted) == ("message", "/ARCHIVE", True)
    assert (await you.unsubscribe(done.id)).text == "News"
    assert await you.subscriptions() == ()
    await me.retract_item(node, item)
    shown = await me.node(node)
    assert [(one.state, one.accepted) for one in shown.rows] == [("published", 1), ("retracted", 1)]
    assert (shown.node, shown.text, shown.keep, shown.subscribers) == (node, "News", 10, 0)
    await me.remove_node(node)
    assert await me.nodes() == ()


async def test_a_moderated_list(account, login: Login) -> None:
    owner, reader = await account("club"), await account("reader")
    me, you = await login(owner), await login(reader)
    node = feed_of(owner)
    await me.create_node(node, NodeOptions(access="approve", list=True, moderated=True, form="notification"))
    assert (await you.subscribe(node)).state == "waiting"
    with pytest.raises(Refused) as caught:
        await you.publish(node, "Too early", "x")
    assert (caught.value.code, caught.value.word) == (Code.DENIED, "NOT-PUBLISHER")
    await me.accept_member(node, reader.address)
    waits = await you.publish(node, "Hello", "x")
    assert waits.rows[0].outcome == "queued"
    assert (await me.accept_item(node, waits.id)).rows[0].accepted == 1
    await me.set_node(node, NodeOptions(title="The club", moderated=False))
    await me.add_member(node, "carol@a.test", publisher=True)
    assert [(one.address, one.role) async for one in me.members(node)] == [
        ("carol@a.test", "publisher"),
        (reader.address, "subscriber"),
    ]
    await me.remove_member(node, "carol@a.test")
    assert (await you.publish(node, "Again", "x")).rows[0].accepted == 1


async def test_items_need_a_stream(account, login: Login) -> None:
    from immpd.protocol.commands import SubscribeSince

    me: Client = await login(await account())
    with pytest.raises(TypeError, match="use stream"):
        await me.call(SubscribeSince())

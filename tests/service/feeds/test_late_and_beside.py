"""Feeds where something comes late, or from the side: rights that ended, hints that lag, numbers used before."""

import asyncio
import json
from uuid import UUID

import pytest
from tests.service.feeds.test_watching import a_node, event, publish, subscribe, watching
from tests.service.jobs.doing import do_chore
from tests.service.push.test_consent import pushed
from tests.serving import serving

from immpd.model.feed import ItemHint
from immpd.server.settings import Bounds
from immpd.store.feeds.items import PublishItem
from immpd.store.feeds.items import publish as publish_unit
from immpd.store.feeds.nodes import ByNode, node_by_imid


async def test_a_watch_hears_nothing_of_a_node_that_has_the_number_of_one_that_was_swept(tmp_path, talk):
    """The items of a node for members alone, shown to somebody who does not subscribe to it."""
    async with serving(tmp_path, bounds=Bounds(idle=10**8, alive=10**8)) as server:
        owner, other, eve = [await server.unique_account(name) for name in ("news", "board", "eve")]
        one, two, watch = [await talk(who, on=server) for who in (owner, other, eve)]
        node = await a_node(one, owner)
        await subscribe(watch, node)
        await watching(watch)
        assert (await one.ask(f"PUBLISH REMOVE {node}")).code == 200
        assert (await event(watch))["status"] == "removed"
        server.clock.advance(31 * 86_400)
        await do_chore(server.services, "sweep removed nodes")
        secret = await a_node(two, other, "secret", "ACCESS members")
        for title in ("Warm up", "Nobody but members"):
            assert (await two.ask(publish(secret, title))).code == 273
        await two.deliver(eve, subject="The end")
        shown = await event(watch)
        assert shown["event"] == "mail", shown


@pytest.fixture
async def stage(serve, talk):
    server = await serve(domains=("a.test", "site.test"))
    owner = await talk(await server.add_account("news@site.test"), on=server)
    alice = await talk(await server.add_account("alice@a.test"), on=server)
    assert (await owner.ask("PUBLISH CREATE news/updates@site.test")).code == 200
    return server, owner, alice


async def test_who_is_no_publisher_any_more_does_not_speak_for_the_node(stage, talk):
    """The right is looked at when PUSH begins, and not when the notification is stored."""
    server, owner, alice = stage
    node = "news/updates@site.test"
    await alice.ask(f"SUBSCRIBE TO {node}")
    eve = await talk(await server.add_account("eve@site.test"), on=server)
    assert (await owner.ask(f"PUBLISH MEMBERS ADD {node} eve@site.test +PUBLISHER")).code == 200
    assert (await eve.ask(f"PUSH TO alice@a.test FROM {node} TITLE Hello")).code == 270
    assert (await owner.ask(f"PUBLISH MEMBERS REMOVE {node} eve@site.test")).code == 200
    eve.send(b"DATA x LENGTH 1 +CONTENT\n.DONE\n")
    assert [answer.code for answer in await eve.replies(2)] == [272, 403]


async def test_nodes_do_not_multiply_how_often_one_may_notify(serve, talk):
    from immpd.service.settings import Limits

    server = await serve(domains=("a.test",), limits=Limits(pushes_per_minute=30))
    owner = await talk(await server.add_account("news@a.test"), on=server)
    alice = await talk(await server.add_account("alice@a.test"), on=server)
    codes = []
    for number in range(4):
        node = f"news/n{number}@a.test"
        await owner.ask(f"PUBLISH CREATE {node}")
        await alice.ask(f"SUBSCRIBE TO {node}")
        codes += [(await owner.ask(pushed(f"TO alice@a.test FROM {node}"))).code for _ in range(10)]
    assert codes.count(273) <= 10, codes.count(273)


async def test_a_domain_that_was_approved_does_not_raise_what_its_nodes_may_do(stage):
    """The document says: up to high, or up to the level that the node was approved for."""
    _, owner, alice = stage
    node = "news/updates@site.test"
    await alice.ask(f"SUBSCRIBE TO {node}")
    assert (await alice.ask("PUSH ALLOW site.test LEVEL critical")).code == 200
    alice.send("AS w WATCH")
    await alice.row("w")
    assert (await owner.ask(pushed(f"TO alice@a.test FROM {node} LEVEL critical"))).code == 273
    assert json.loads(await alice.row("w"))["level"] == "high"


async def test_another_publisher_does_not_take_over_what_somebody_sent(stage, talk):
    """PUBLISH refuses an ID that somebody else used; here the answer goes to who came last."""
    server, owner, alice = stage
    node = "news/updates@site.test"
    await alice.ask(f"SUBSCRIBE TO {node}")
    eve = await talk(await server.add_account("eve@site.test"), on=server)
    await owner.ask(f"PUBLISH MEMBERS ADD {node} eve@site.test +PUBLISHER")
    identity = (await owner.ask(pushed(f"TO alice@a.test FROM {node}"))).text.split()[-1]
    await eve.ask(pushed(f"TO alice@a.test FROM {node} ID {identity}", b"Changed"))
    assert (await owner.ask(f"PUSH STATUS {identity}")).code != 404


async def test_the_wake_of_a_watch_does_not_hang_on_somebody_elses(serve, talk):
    """One listener that raises ends the round, and no round begins ever again: every feed of the process is deaf."""
    server = await serve(domains=("a.test",))
    owner, alice = await server.add_account("news"), await server.add_account("alice")
    one, reader = await talk(owner, on=server), await talk(alice, on=server)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    found = await server.services.store.read(node_by_imid(ByNode(node)))

    def broken(_):
        raise RuntimeError("a listener failed")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)
    stop = server.services.bus.on_items(found.id, broken)
    await watching(reader)
    await one.ask(publish(node, "One"))
    stop()
    await one.ask(publish(node, "Two"))
    try:
        assert (await asyncio.wait_for(event(reader), 2))["event"] == "item"
    finally:
        loop.set_exception_handler(None)


async def test_what_was_cleared_before_its_hint_came_is_not_shown_afterwards(server, account, talk):
    owner, alice = await account("news"), await account()
    one, commands, laptop = await talk(owner), await talk(alice), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(commands, node)
    await watching(laptop)
    found = await server.services.store.read(node_by_imid(ByNode(node)))
    unit = PublishItem(
        node, found.owner, str(owner), "a.test", b"i" * 16, False, "One", "text/plain", "normal", b"x", found.created
    )
    hints: list[ItemHint] = []
    stop = server.services.bus.on_items(found.id, hints.extend)
    await server.services.store.write(publish_unit(unit))
    await event(laptop)
    assert (await commands.ask(f"SUBSCRIBE DISMISS {node}#{UUID(bytes=b'i' * 16)}")).code == 200
    assert (await event(laptop))["event"] == "item-cleared"
    stop()
    server.services.bus.publish(hints)  # once more, and late
    await one.ask(publish(node, "Two"))
    assert (await event(laptop))["title"] == "Two"

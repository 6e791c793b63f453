"""Subscriptions over real TLS: where what they bring goes, what is told of them, what takes a place."""

import itertools
from functools import partial

import pytest
from tests.service.feeds.test_watching import a_node, event, publish, subscribe, titles, watching

from immpd.server.settings import Bounds
from immpd.service.settings import Limits

pytestmark = pytest.mark.usefixtures("server")


async def test_no_folder_of_somebody_else_is_ever_shown(account, talk):
    """Numbers of folders that were removed are given away again, also to other mailboxes."""
    owner, alice, bob = await account("news"), await account(), await account("bob")
    one, reader, other = await talk(owner), await talk(alice), await talk(bob)
    node = await a_node(one, owner)
    await reader.ask("MBOX CREATE /feeds")
    await subscribe(reader, node, "+MAIL FOLDER /feeds")
    assert (await reader.ask("MBOX REMOVE /feeds")).code == 200
    await other.ask("MBOX CREATE /divorce")
    assert "divorce" not in str(await reader.ask("SUBSCRIBE LIST"))


async def test_a_subscription_whose_folder_is_gone_goes_to_inbox(account, talk):
    """And not to the next folder that is made."""
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await reader.ask("MBOX CREATE /feeds")
    await subscribe(reader, node, "+MAIL FOLDER /feeds")
    await reader.ask("MBOX REMOVE /feeds")
    await reader.ask("MBOX CREATE /other")
    watch = await talk(alice)
    await watching(watch)
    await one.ask(publish(node, "One"))
    assert (await event(watch))["folder"] == "/INBOX"


async def test_who_catches_up_in_many_feeds_does_not_hold_up_others(serve, talk):
    """What is short is answered before the long answer, and not after it."""
    server = await serve(limits=Limits(max_nodes=200, items_per_minute=10_000))
    owner, alice = await server.unique_account("news"), await server.unique_account()
    one, reader = await talk(owner, on=server), await talk(alice, on=server)
    nodes = [str(owner).replace("@", f"/n{number}@") for number in range(200)]
    one.send("".join(f"PUBLISH CREATE {node}\n" for node in nodes))
    assert {answer.code for answer in await one.replies(200)} == {200}
    reader.send("".join(f"SUBSCRIBE TO {node}\n" for node in nodes))
    assert {answer.code for answer in await reader.replies(200)} == {280}
    for _ in range(2):
        one.send(b"".join(publish(node, "x") for node in nodes))
        assert {answer.code for answer in await one.replies(200)} == {273}
    server.server.turns.clock = partial(next, itertools.count(1.0, 0.001))  # each look at it takes a millisecond
    for command, code, most in (("SUBSCRIBE LIST", 282, 150), ("SUBSCRIBE SINCE", 286, 300)):
        reader.send(f"AS long {command}\nAS short NOOP\n")
        lines = [await reader.line()]
        while not lines[-1].startswith("short: "):
            lines.append(await reader.line())
        assert lines[-1] == "short: 200 Done"
        assert len(lines) <= most + 1
        assert (await reader.reply("long")).code == code


async def test_a_watch_comes_past_much_that_it_need_not_show(serve, talk):
    server = await serve(limits=Limits(items_per_minute=10_000))
    talk = partial(talk, on=server)
    owner, alice = await server.unique_account("news"), await server.unique_account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner, more="KEEP 1000")
    before = await talk(alice)
    cursor = await watching(before)
    await before.close()
    await subscribe(reader, node, "+MAIL")
    for _ in range(6):
        one.send(b"".join(publish(node, "x") for _ in range(100)))
        assert {answer.code for answer in await one.replies(100)} == {273}
    assert (await one.ask(f"PUBLISH REMOVE {node}")).code == 200
    await watching(reader, f"WATCH SINCE {cursor}")
    assert (await event(reader))["status"] == "active"
    while (shown := await event(reader))["event"] == "mail":
        pass
    assert (shown["event"], shown["status"]) == ("subscription", "removed")


async def test_what_came_as_a_notification_is_not_lost_when_the_form_changes_twice(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node, "+PUSH")
    cursor = await watching(await talk(alice))
    assert " accepted=1 " in (await one.ask(publish(node, "One"))).rows[0]
    for form in ("+MAIL", "+PUSH"):
        assert (await reader.ask(f"SUBSCRIBE SET {node} {form}")).code == 200
    await one.ask(publish(node, "Two"))
    phone = await talk(alice)
    await watching(phone, f"WATCH SINCE {cursor}")
    shown = [await event(phone) for _ in range(3)]  # two changes of the subscription, then items
    assert [one["title"] for one in shown if one["event"] == "item"] == ["One"]
    assert await titles(phone, 1) == ["Two"]


async def test_who_muted_a_node_learns_that_it_is_gone(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    await reader.ask(f"SUBSCRIBE SET {node} +MUTED")
    await watching(reader)
    await one.ask(f"PUBLISH REMOVE {node}")
    await one.deliver(alice, subject="Mail")
    shown = await event(reader)
    assert (shown["event"], shown.get("status")) == ("subscription", "removed")


async def test_a_folder_of_a_subscription_is_a_folder(account, talk):
    """As everywhere: a filter or ids name messages."""
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    answer = await reader.ask(f"SUBSCRIBE TO {node} +MAIL FOLDER /inbox::unread")
    assert answer.word == "BAD-PATH", answer


async def test_who_muted_a_node_and_was_away_learns_that_it_is_gone_and_nothing_else(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    await reader.ask(f"SUBSCRIBE SET {node} +MUTED")
    cursor = await watching(reader)
    await one.ask(publish(node, "One"))
    await one.ask(f"PUBLISH REMOVE {node}")
    again = await talk(alice)
    await watching(again, f"WATCH SINCE {cursor}")
    shown = await event(again)
    assert (shown["event"], shown["node"], shown.get("status")) == ("subscription", node, "removed")


async def test_a_node_that_is_gone_can_be_left(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    assert (await one.ask(f"PUBLISH REMOVE {node}")).code == 200
    assert (await reader.ask(f"UNSUBSCRIBE {node}")).code == 283
    assert (await reader.ask(f"UNSUBSCRIBE {node}")).word == "NO-SUBSCRIPTION"
    # One of the same name is another: it is subscribed to and left for itself.
    again = await a_node(one, owner)
    assert again == node
    await subscribe(reader, node)
    assert (await reader.ask(f"UNSUBSCRIBE {node}")).code == 283
    assert (await reader.ask(f"UNSUBSCRIBE {node}")).word == "NO-SUBSCRIPTION"


async def test_a_digest_names_also_what_the_node_keeps_no_longer(serve, talk):
    """Each was acknowledged with accepted=1."""
    server = await serve(bounds=Bounds(idle=10**6, alive=10**6))
    owner, alice = await server.unique_account("news"), await server.unique_account()
    one, reader = await talk(owner, on=server), await talk(alice, on=server)
    node = await a_node(one, owner, more="KEEP 1 TITLE News")
    await subscribe(reader, node, "DIGEST hourly")
    await watching(reader)
    for title in ("One", "Two", "Three"):
        assert " accepted=1 " in (await one.ask(publish(node, title))).rows[0]
    server.pass_time(3601)
    shown = await event(reader)
    assert (shown["event"], shown["subject"]) == ("mail", "News: 3 new items")


async def test_an_item_that_is_a_mail_of_somebody_else_does_not_pass_for_proven(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node, "+MAIL")
    await watching(reader)
    for kind in ("message/rfc822", "Message/RFC822"):
        await one.ask(publish(node, "One", b"From: eve@x.test\n\nx", f"TYPE {kind}"))
        told = await event(reader)
        assert (told["from"], told["author"], told["verified"]) == (str(owner), "eve@x.test", False)
    await one.ask(publish(node, "One", f"From: {owner}\n\nx".encode(), "TYPE message/rfc822"))
    told = await event(reader)
    assert ("author" in told, told["verified"]) == (False, True)

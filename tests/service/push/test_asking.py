"""A node's publisher notifies subscribers in its name, and nobody else; and what senders learn of being seen."""

import json

import pytest
from tests.service.push.test_consent import CARD, NOTIFICATION, event, pushed

NODE = "news/updates@site.test"


@pytest.fixture
async def stage(serve, talk):
    """A server of two domains: a node of one, and alice of the other who watches."""
    server = await serve(domains=("a.test", "site.test"))
    owner, watch = await talk(await server.add_account("news@site.test"), on=server), None
    alice = await server.add_account("alice@a.test")
    watch = await talk(alice, on=server)
    assert (await owner.ask(f"PUBLISH CREATE {NODE}")).code == 200
    return server, owner, watch


async def watching(talk) -> None:
    talk.send("AS w WATCH")
    await talk.row("w")


async def test_a_node_reaches_who_subscribes_and_nobody_else(stage):
    server, owner, alice = stage
    refused = await owner.ask(pushed(f"TO alice@a.test FROM {NODE}"))
    assert (refused.code, refused.word) == (404, "NO-SUBSCRIPTION")
    assert (await alice.ask("REQUEST LIST")).rows == ()  # it is no stranger's request either
    assert (await alice.ask(f"SUBSCRIBE TO {NODE}")).code == 280
    await watching(alice)
    sent = await owner.ask(pushed(f"TO alice@a.test FROM news@site.test/updates LEVEL critical {NOTIFICATION}", CARD))
    seen = await event(alice)
    assert (seen["from"], seen["why"], seen["level"], seen["verified"]) == (NODE, "subscribed", "high", True)
    assert (await alice.ask(f"PUSH ANSWER {seen['id']} ok")).code == 200
    status = await owner.ask(f"PUSH STATUS {sent.text.split()[-1]}")
    assert status.rows[0].startswith("alice@a.test answered answer=ok")
    assert (await alice.ask(f"UNSUBSCRIBE {NODE}")).code == 283
    assert (await owner.ask(pushed(f"TO alice@a.test FROM {NODE}"))).word == "NO-SUBSCRIPTION"
    (told,) = server.log.events("pushes without a subscription")
    assert (told["sender"], told["origin"]) == (NODE, "site.test")


async def test_only_its_own_publishers_speak_for_a_node(stage, talk):
    server, owner, alice = stage
    await alice.ask(f"SUBSCRIBE TO {NODE}")
    eve = await talk(await server.add_account("eve@site.test"), on=server)
    assert (await eve.ask(pushed(f"TO alice@a.test FROM {NODE}"))).word == "NOT-PUBLISHER"
    assert (await eve.ask(pushed("TO alice@a.test FROM news/nothing@site.test"))).word == "NO-NODE"
    assert (await eve.ask(pushed("TO alice@a.test FROM news/updates@elsewhere.test"))).word == "NO-ROUTE"
    assert (await eve.ask(pushed("TO alice@a.test FROM news@site.test"))).word == "NOT-YOURS"
    assert [one["word"] for one in server.log.events("push refused")] == ["NOT-PUBLISHER", "NO-NODE"]
    assert (await owner.ask(f"PUBLISH MEMBERS ADD {NODE} eve@site.test +PUBLISHER")).code == 200
    opened = await eve.ask(f"PUSH TO alice@a.test FROM {NODE} TITLE Hello")
    assert opened.code == 270
    eve.send(b"DATA x LENGTH 1 +CONTENT\n.DONE\n")
    assert [answer.code for answer in await eve.replies(2)] == [272, 273]


async def test_who_may_write_to_a_list_may_not_notify_in_its_name(stage, talk):
    server, owner, alice = stage
    bob = await talk(await server.add_account("bob@a.test"), on=server)
    await owner.ask(f"PUBLISH SET {NODE} +LIST")
    for one in (alice, bob):
        await one.ask(f"SUBSCRIBE TO {NODE} +PUSH")
    assert (await bob.ask(pushed(f"TO alice@a.test FROM {NODE}"))).word == "NOT-PUBLISHER"


async def test_who_wants_no_notifications_of_a_node_is_not_disturbed(stage):
    _, owner, alice = stage
    await alice.ask(f"SUBSCRIBE TO {NODE}")
    await watching(alice)
    for change, level in ((" +MUTED", "silent"), (" -MUTED", "high"), (" +MAIL", "silent"), (" +PUSH", "high")):
        assert (await alice.ask(f"SUBSCRIBE SET {NODE}{change}")).code == 200
        assert (await event(alice))["event"] == "subscription"
        assert (await owner.ask(pushed(f"TO alice@a.test FROM {NODE} +IMPORTANT"))).code == 273
        assert (await event(alice))["level"] == level
    assert (await alice.ask(f"PUSH ALLOW {NODE} LEVEL low")).code == 200
    await owner.ask(pushed(f"TO alice@a.test FROM {NODE}"))
    assert (await event(alice))["level"] == "low"
    assert (await alice.ask(f"PUSH DENY {NODE}")).code == 200
    assert (await owner.ask(pushed(f"TO alice@a.test FROM {NODE}"))).word == "DECLINED"


async def test_being_seen_is_told_only_where_it_may_be(stage):
    _, owner, alice = stage
    await alice.ask("PUSH ALLOW site.test")
    await watching(alice)
    for setting, told in (
        ("", "alice@a.test delivered"),
        ("yes", "alice@a.test seen"),
        ("no", "alice@a.test delivered"),
    ):
        assert (await alice.ask(f"SET GLOBAL push.seen={setting}")).code == 267
        sent = (await owner.ask(pushed("TO alice@a.test"))).text.split()[-1]
        assert (await alice.ask(f"PUSH DISMISS {(await event(alice))['id']}")).code == 200
        assert json.loads(await alice.row("w"))["event"] == "notification-cleared"
        status = await owner.ask(f"PUSH STATUS {sent}")
        assert status.rows[0].startswith(told)
        assert ("at=" in status.rows[0]) == (setting == "yes")


async def test_consent_to_be_seen_begins_when_it_is_given(stage):
    _, owner, alice = stage
    await alice.ask("PUSH ALLOW site.test")
    await watching(alice)
    sent = (await owner.ask(pushed("TO alice@a.test"))).text.split()[-1]
    assert (await alice.ask(f"PUSH DISMISS {(await event(alice))['id']}")).code == 200
    await alice.ask("SET GLOBAL push.seen=yes")
    assert (await owner.ask(f"PUSH STATUS {sent}")).rows == ("alice@a.test delivered",)

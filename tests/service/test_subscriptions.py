"""Subscriptions over real TLS: where what they bring goes, what is told of them, what takes a place."""

import pytest
from tests.service.test_feeds import a_node, event, publish, subscribe, watching

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

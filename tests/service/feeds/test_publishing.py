"""Items over real TLS: none is lost, none breaks a client, each has its own ID, and all are counted rightly."""

import json

import pytest
from tests.service.feeds.test_watching import a_node, event, publish, subscribe, titles, watching
from tests.serving import Talk

from immpd.store.feeds.items import PublishItem
from immpd.store.feeds.items import publish as publish_unit
from immpd.store.feeds.nodes import ByNode, node_by_imid

pytestmark = pytest.mark.usefixtures("server")
MAX_LINE = 16_384
ID = "0197a2b4-7c3e-7d4a-8f00-1b2c3d4e5f60"


async def list_of(talk: Talk, node: str) -> list[str]:
    """Titles that SUBSCRIBE SINCE has of a node."""
    answer = await talk.ask(f"SUBSCRIBE SINCE NODE {node}")
    rows = [json.loads(row) for row in answer.rows]
    return [row["title"] for row in rows if row["event"] == "item"]


async def test_no_body_makes_a_line_too_long_for_a_subscriber(account, talk):
    """Delete characters are one octet in JSON but six after they are made safe."""
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    cursor = await watching(reader)
    await one.ask(publish(node, "x", b"\x7f" * 4096))
    line = await reader.line()
    answer = await (await talk(alice)).ask(f"SUBSCRIBE SINCE {cursor}")
    assert max(map(len, (line, *answer.lines))) <= MAX_LINE


async def test_no_title_and_type_make_a_line_too_long_for_a_subscriber(account, talk):
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    await watching(reader)
    title, kind = '\\"' * 2000, "text/plain; x" + '\\"' * 120
    answer = await one.ask(f'PUBLISH {node} TITLE "{title}" TYPE "{kind}" LENGTH 1999\n'.encode() + b"\x01" * 1999)
    assert answer.code == 273, answer
    assert len(await reader.line()) <= MAX_LINE


async def test_one_lost_hint_does_not_cost_an_item_of_another_node(server, account, talk):
    """The bus says that a lost hint costs time, never an item."""
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    first, second = await a_node(one, owner, "first"), await a_node(one, owner, "second")
    for node in (first, second):
        await subscribe(reader, node)
    await watching(reader)
    row = await server.services.store.read(node_by_imid(ByNode(first)))
    # Committed, and no hint: as after a commit of which nobody knew whether it came about.
    unit = PublishItem(
        first, row.owner, str(owner), "a.test", b"i" * 16, False, "One", "text/plain", "normal", b"x", row.created
    )
    await server.services.store.write(publish_unit(unit))
    await one.ask(publish(second, "Two"))
    assert await titles(reader, 1) == ["One"]
    assert await titles(reader, 1) == ["Two"]


async def test_taking_an_item_back_does_not_push_out_another(account, talk):
    """KEEP counts items, not the rows that say that something was taken back."""
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner, more="KEEP 2")
    await subscribe(reader, node)
    await one.ask(publish(node, "One"))
    await one.ask(publish(node, "Two", more=f"ID {ID}"))
    assert (await one.ask(f"PUBLISH RETRACT {node}#{ID}")).code == 200
    assert await list_of(reader, node) == ["One"]


async def test_an_item_with_the_id_of_anothers_can_be_taken_back(account, talk):
    """A subscriber of a list sees the ids of others; with one of them an item must not become untouchable."""
    owner, mallory = await account("club"), await account("mallory")
    one, other = await talk(owner), await talk(mallory)
    node = await a_node(one, owner, "list", "+LIST FORM notification")
    await subscribe(other, node)
    await one.ask(publish(node, "Good", more=f"ID {ID}"))
    await other.ask(publish(node, "Spam", more=f"ID {ID}"))
    for _ in range(2):
        await one.ask(f"PUBLISH RETRACT {node}#{ID}")
    assert "Spam" not in await list_of(other, node)


async def test_no_item_that_waits_is_dropped_for_one_with_the_same_id(account, talk):
    """Both are told that theirs waits for the owner."""
    owner, bob, mallory = await account("club"), await account("bob"), await account("mallory")
    one, good, bad = await talk(owner), await talk(bob), await talk(mallory)
    node = await a_node(one, owner, "list", "+LIST +MODERATED")
    for reader in (good, bad):
        await subscribe(reader, node)
    await bad.ask(publish(node, "Spam", more=f"ID {ID}"))
    answer = await good.ask(publish(node, "Good", more=f"ID {ID}"))
    assert answer.code != 273 or any("Good" in row for row in (await one.ask(f"PUBLISH SHOW {node}")).rows)


async def test_what_waits_and_is_sent_again_still_waits(account, talk):
    owner, bob = await account("club"), await account("bob")
    one, other = await talk(owner), await talk(bob)
    node = await a_node(one, owner, "list", "+LIST +MODERATED")
    await subscribe(other, node)
    answers = [await other.ask(publish(node, "Hello", more=f"ID {ID}")) for _ in range(2)]
    assert [answer.rows[0].split()[1] for answer in answers] == ["queued", "queued"]


async def test_no_title_is_taken_for_the_name_of_a_node(account, talk):
    """Who was away reads what a node published before it was removed, and still from that node."""
    owner, alice = await account("news"), await account()
    one, reader = await talk(owner), await talk(alice)
    node = await a_node(one, owner)
    await subscribe(reader, node)
    cursor = await watching(reader)
    await one.ask(publish(node, "alerts/security@bank.example"))
    assert (await one.ask(f"PUBLISH REMOVE {node}")).code == 200
    again = await talk(alice)
    await watching(again, f"WATCH SINCE {cursor}")
    assert (await event(again))["node"] == node


async def test_what_was_taken_back_is_not_counted_as_kept(account, talk):
    owner = await account("news")
    one = await talk(owner)
    node = await a_node(one, owner)
    await one.ask(publish(node, "One", more=f"ID {ID}"))
    await one.ask(f"PUBLISH RETRACT {node}#{ID}")
    assert (await one.ask(f"PUBLISH SHOW {node}")).fields["items"] == "0"

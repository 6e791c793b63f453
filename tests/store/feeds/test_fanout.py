"""Items on their way as messages, on every backend: nobody is forgotten, and nobody has to wait for somebody else."""

from tests.store.feeds.test_nodes import NODE, fan_out, join, mails, make_node, put_item
from tests.store.making import NOW, make_box

from immpd.model.feed import Accounting
from immpd.store.contract import Store
from immpd.store.feeds.fanout import PutOff, Turn, next_due, next_outstanding, put_off
from immpd.store.feeds.item_pages import ItemsSince, NodeItems, items_since, node_items
from immpd.store.feeds.nodes import DAY, RemoveNode, SweepNodes, remove_node, sweep_nodes
from immpd.store.integrity.verify_feeds import verify_nodes


async def test_an_acknowledged_item_comes_as_a_message_also_if_its_node_is_removed_right_after(store: Store) -> None:
    """273 said that everybody gets it; those who get notifications do."""
    owner, alice, bob, eve = [await make_box(store, f"{name}@a.example") for name in ("news", "alice", "bob", "eve")]
    node = await make_node(store, owner)
    await join(store, alice, form="notification")
    for box in (bob, eve):
        await join(store, box, form="message")
    await put_item(store, owner, title="One")
    await store.write(remove_node(RemoveNode(NODE, owner.account.id, NOW)))
    page = await store.read(items_since(ItemsSince(alice.id, 0)))
    assert [item.kind for item in page.items] == ["item", "removed"]
    # What is still on its way is not swept, whenever that comes about, and says from which node it is.
    assert not await store.write(sweep_nodes(SweepNodes(NOW + DAY)))
    found = await store.read(next_outstanding(Turn(NOW)))
    assert found is not None
    assert (found.node, found.title) == (NODE, "One")
    assert await fan_out(store, 1)
    assert not await store.write(sweep_nodes(SweepNodes(NOW + DAY)))
    while await fan_out(store, 1):
        pass
    assert [await mails(store, box) for box in (alice, bob, eve)] == [0, 1, 1]
    (row,) = await store.read(node_items(NodeItems(node.id)))
    assert row.accounting == Accounting(accepted=3)
    assert await verify_nodes(store) == []
    assert await store.write(sweep_nodes(SweepNodes(NOW + DAY)))
    while await store.write(sweep_nodes(SweepNodes(NOW + DAY))):
        assert await verify_nodes(store) == []
    assert [await mails(store, box) for box in (bob, eve)] == [1, 1]


async def turns(store: Store, count: int, now: int = NOW, per_step: int = 1) -> list[str]:
    """Take so many turns, as the job does; the titles of the items, in order."""
    taken = []
    owner, nodes = 0, dict[int, int]()
    for _ in range(count):
        turn = Turn(now, owner, nodes)
        found = await store.read(next_outstanding(turn))
        if found is None:
            break
        taken.append(found.title)
        await fan_out(store, per_step, turn)
        owner, nodes[found.owner] = found.owner, found.node_id
    return taken


async def test_owners_take_turns_and_so_do_the_nodes_of_each(store: Store) -> None:
    busy, other, alice, bob = [await make_box(store, f"{name}@a.example") for name in ("news", "x", "alice", "bob")]
    for owner, imid in ((busy, NODE), (busy, "news/quiet@a.example"), (other, "x/y@a.example")):
        await make_node(store, owner, imid, form="message")
        await join(store, alice, imid)
        await join(store, bob, imid)
    for number in range(3):
        await put_item(store, busy, title=f"Busy {number}")
    await put_item(store, busy, "news/quiet@a.example", title="Quiet")
    await put_item(store, other, "x/y@a.example", title="Other")
    # Each takes three steps, one for each subscriber and one that finds that there is none left.
    assert await turns(store, 9) == ["Busy 0", "Other", "Quiet", "Other", "Busy 0", "Other", "Quiet", "Busy 0", "Quiet"]
    assert await turns(store, 9) == ["Busy 1"] * 3 + ["Busy 2"] * 3
    assert await store.read(next_due(None)) is None
    assert [await mails(store, box) for box in (alice, bob)] == [5, 5]
    assert await verify_nodes(store) == []


async def test_what_is_put_off_holds_up_nobody(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner, form="message")
    await join(store, alice)
    bad = await put_item(store, owner, title="Bad")
    await put_item(store, owner, title="Good")
    for failed in range(2):
        found = await store.read(next_outstanding(Turn(NOW)))
        assert found is not None
        assert (found.item, found.failed) == (bad.seq, failed)
        await store.write(put_off(PutOff(bad.seq, NOW + failed)))
    assert await store.read(next_due(None)) == 0
    assert await turns(store, 9) == ["Good"] * 2
    assert await store.read(next_due(None)) == NOW + 1
    assert await turns(store, 9, NOW + 1) == ["Bad"] * 2
    assert await mails(store, alice) == 2

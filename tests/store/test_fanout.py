"""Items on their way as messages, on every backend: nobody is forgotten, and nobody has to wait for somebody else."""

from tests.store.making import NOW, make_box
from tests.store.test_feeds import NODE, fan_out, join, mails, make_node, put_item

from immpd.model.feed import Accounting
from immpd.store.contract import Store
from immpd.store.fanout import next_outstanding
from immpd.store.feeds import DAY, RemoveNode, SweepNodes, remove_node, sweep_nodes
from immpd.store.item_pages import ItemsSince, NodeItems, items_since, node_items
from immpd.store.verify_feeds import verify_nodes


async def test_an_acknowledged_item_comes_as_a_message_also_if_its_node_is_removed_right_after(store: Store) -> None:
    """273 said that everybody gets it; those who get notifications do."""
    owner, alice, bob, eve = [await make_box(store, f"{name}@a.example") for name in ("news", "alice", "bob", "eve")]
    await make_node(store, owner)
    await join(store, alice, form="notification")
    for box in (bob, eve):
        await join(store, box, form="message")
    done = await put_item(store, owner, title="One")
    await store.write(remove_node(RemoveNode(NODE, owner.account.id, NOW)))
    page = await store.read(items_since(ItemsSince(alice.id, 0)))
    assert [item.kind for item in page.items] == ["item", "removed"]
    # What is still on its way is not swept, whenever that comes about, and says from which node it is.
    assert not await store.write(sweep_nodes(SweepNodes(NOW + DAY)))
    found = await store.read(next_outstanding(None))
    assert found is not None
    assert (found.node, found.title) == (NODE, "One")
    assert (await fan_out(store, 1)).more
    assert not await store.write(sweep_nodes(SweepNodes(NOW + DAY)))
    while (await fan_out(store, 1)).more:
        pass
    assert [await mails(store, box) for box in (alice, bob, eve)] == [0, 1, 1]
    (row,) = await store.read(node_items(NodeItems(done.node)))
    assert row.accounting == Accounting(accepted=3)
    assert await verify_nodes(store) == []
    assert await store.write(sweep_nodes(SweepNodes(NOW + DAY)))
    while await store.write(sweep_nodes(SweepNodes(NOW + DAY))):
        assert await verify_nodes(store) == []
    assert [await mails(store, box) for box in (bob, eve)] == [1, 1]

"""Digests on every backend: what they name, whatever becomes of the subscription and the node meanwhile."""

import msgspec
import pytest
from tests.store.feeds.test_nodes import NODE, an_item, join, make_node, named, put_item, titles
from tests.store.making import NOW, a_delivery, make_box, new_id

from immpd.service.mail.system_messages import delivery_of_system, digest_message
from immpd.store.contract import Store
from immpd.store.errors import NoItem
from immpd.store.feeds.digests import DueDigests, SendDigest, due_digests, send_digest
from immpd.store.feeds.item_pages import ItemsSince, items_since
from immpd.store.feeds.items import NameItem, publish, retract
from immpd.store.feeds.nodes import DAY, RemoveNode, remove_node
from immpd.store.feeds.subscriptions import SetSubscription, set_subscription


async def titles_of_digests(store: Store, now: int) -> list[str]:
    """What all digests that are due name; they are sent."""
    named_: list[str] = []
    while found := await store.read(due_digests(DueDigests(now))):
        for digest in found:
            named_ += [title for _, title in digest.items]
            message = a_delivery() if digest.items else None
            await store.write(send_digest(SendDigest(digest, message, new_id(), now)))
    return named_


async def test_a_digest_that_is_ended_and_begun_again_at_once_loses_nothing(store: Store) -> None:
    """The last one is sent within a minute; who changes their mind before that still gets what it had to name."""
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice, form="hourly")
    await put_item(store, owner, title="One")
    for form in ("notification", "hourly"):
        await store.write(set_subscription(SetSubscription(named(alice), form, None, None)))
    assert await titles_of_digests(store, NOW + DAY) == ["One"]


async def test_the_last_digest_ends_also_where_nothing_was_ever_published(store: Store) -> None:
    """Number 0 is an end as good as any: what comes afterwards as a notification is not named, too."""
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice, form="hourly")
    await store.write(set_subscription(SetSubscription(named(alice), "notification", None, None)))
    await put_item(store, owner, title="One")
    page = await store.read(items_since(ItemsSince(alice.id, 0)))
    assert [item.title for item in page.items] == ["One"]
    assert await titles_of_digests(store, NOW + DAY) == []


async def test_the_last_digest_of_a_node_that_is_gone_still_says_which_it_was(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice, form="hourly")
    await put_item(store, owner, title="One")
    await store.write(remove_node(RemoveNode(NODE, owner.account.id, NOW)))
    (due,) = await store.read(due_digests(DueDigests(NOW + DAY)))
    envelope = msgspec.json.decode(delivery_of_system(digest_message(due, NOW + DAY, "x"), NOW + DAY).envelope)
    assert envelope["headers"]["list-id"] == NODE


async def test_what_came_as_a_notification_between_two_digests_is_in_none(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice, form="hourly")
    for form, title in (("hourly", "One"), ("notification", "Two"), ("hourly", "Three")):
        await store.write(set_subscription(SetSubscription(named(alice), form, None, None)))  # type: ignore[arg-type]
        await put_item(store, owner, title=title)
    assert await titles(store, alice) == ["Two"]
    assert await titles_of_digests(store, NOW + DAY) == ["One", "Three"]
    await put_item(store, owner, title="Four")
    assert await titles_of_digests(store, NOW + 2 * DAY) == ["Four"]


async def test_no_digest_comes_of_a_node_that_is_gone_after_the_last_one(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice, form="hourly")
    await put_item(store, owner, title="One")
    await store.write(remove_node(RemoveNode(NODE, owner.account.id, NOW)))
    assert await titles_of_digests(store, NOW + DAY) == ["One"]
    assert await store.read(due_digests(DueDigests(NOW + 10 * DAY))) == []


async def test_what_a_digest_is_still_to_name_is_shown_nowhere_else_and_bounded(store: Store) -> None:
    owner, alice, bob = [await make_box(store, f"{name}@a.example") for name in ("news", "alice", "bob")]
    await make_node(store, owner, keep=2)
    await join(store, alice, form="hourly")
    await join(store, bob)
    for number in range(1100):
        await put_item(store, owner, title=f"{number}", keyed=False)
    assert await titles(store, bob, pull=True) == await titles(store, bob) == ["1098", "1099"]
    (due,) = await store.read(due_digests(DueDigests(NOW + DAY)))
    assert (due.count, due.items[0], len(due.items)) == (1002, (NOW, "98"), 100)


async def test_what_was_retracted_is_in_no_digest_also_where_it_was_kept_no_longer(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner, keep=1)
    await join(store, alice, form="hourly")
    items = [an_item(owner, title=title) for title in ("One", "Two", "Three")]
    for item in items:
        await store.write(publish(item))
    for item in items[1:]:
        await store.write(retract(NameItem(NODE, owner.account.id, owner.account.address, item.uuid, NOW)))
    with pytest.raises(NoItem):
        await store.write(retract(NameItem(NODE, owner.account.id, owner.account.address, items[1].uuid, NOW)))
    assert await titles_of_digests(store, NOW + DAY) == ["One"]

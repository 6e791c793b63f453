"""Nodes, items and subscriptions on every backend."""

import itertools
from typing import Any
from uuid import uuid4

import msgspec
import pytest
from tests.store.hearing import Heard
from tests.store.making import NOW, Box, a_delivery, make_box, new_account, new_id

from immpd.model.feed import Accounting, ItemHint, Node, NodeOptions
from immpd.model.news import Wake
from immpd.store.accounts.directory import SetDisabled, add_account, set_disabled
from immpd.store.contract import Store
from immpd.store.errors import (
    AccountExists,
    FanOutRunning,
    FeedsFull,
    IdReused,
    NodeExists,
    NodeOfAnother,
    NodesUnderName,
    NoItem,
    NoNode,
    NoSubscription,
    NotOwner,
    NotPublisher,
)
from immpd.store.feeds.digests import DueDigests, SendDigest, due_digests, send_digest
from immpd.store.feeds.dismissals import DismissItem, dismiss_item
from immpd.store.feeds.fanout import FanOutStep, Turn, fan_out_step, next_outstanding
from immpd.store.feeds.item_pages import ItemsSince, NodeItems, items_since, node_items
from immpd.store.feeds.items import (
    FAN_OUT,
    MOST_WAITING_OF_ONE,
    NameItem,
    Published,
    PublishItem,
    accept_item,
    publish,
    retract,
)
from immpd.store.feeds.keeping import ForgetItems, forget_items
from immpd.store.feeds.members import RemoveMember, SetMember, add_member, remove_member
from immpd.store.feeds.nodes import (
    DAY,
    ByNode,
    MyNodes,
    NewNode,
    RemoveNode,
    SetNode,
    SweepNodes,
    create_node,
    my_nodes,
    node_by_imid,
    remove_node,
    set_node,
    sweep_nodes,
)
from immpd.store.feeds.subscriptions import (
    AcceptSubscriber,
    NameSubscription,
    SetSubscription,
    Subscribe,
    Subscription,
    accept_subscriber,
    set_subscription,
    subscribe,
    unsubscribe,
)
from immpd.store.mail.changes import ChangesSince, changes_since
from immpd.store.mail.mailboxes import FolderAt, folder_at

NODE = "news/updates@a.example"
FIRST = Turn(NOW)
NEWS_OF_BOB = "team/bob/news@a.example"
_numbers = itertools.count(1)


async def make_node(store: Store, owner: Box, imid: str = NODE, most: int = 10, **options: Any) -> Node:
    return await store.write(create_node(NewNode(imid, owner.account.id, NOW, NodeOptions(**options), most)))


def an_item(box: Box, imid: str = NODE, **more: Any) -> PublishItem:
    values: dict[str, Any] = {
        "imid": imid,
        "account": box.account.id,
        "address": box.account.address,
        "origin": "a.example",
        "uuid": new_id(),
        "keyed": True,
        "title": f"Number {next(_numbers)}",
        "type": "text/plain",
        "level": "normal",
        "body": b"hello",
        "now": NOW,
    }
    return PublishItem(**{**values, **more})


async def put_item(store: Store, box: Box, imid: str = NODE, **more: Any) -> Published:
    return await store.write(publish(an_item(box, imid, **more)))


async def join(store: Store, box: Box, imid: str = NODE, form: Any = None, **more: Any) -> Subscription:
    values: dict[str, Any] = {"folder": 0, "now": NOW, "most": 10, **more}
    args = Subscribe(imid, box.id, box.account.address, uuid4().bytes, form, **values)
    return await store.write(subscribe(args))


def named(box: Box, imid: str = NODE) -> NameSubscription:
    return NameSubscription(box.id, b"", imid, NOW)


async def titles(store: Store, box: Box, since: int = 0, **more: Any) -> list[str]:
    """What a watch from ``since`` shows, read in small pages."""
    shown: list[str] = []
    while True:
        page = await store.read(items_since(ItemsSince(box.id, since, 2, **more)))
        shown += [item.title if item.kind == "item" else f"({item.kind})" for item in page.items]
        assert page.cursor > since or not page.more
        since = page.cursor
        if not page.more:
            return shown


async def fan_out(store: Store, per_step: int = 2, turn: Turn = FIRST) -> bool:
    """One step of the item whose turn it is; whether anybody is left."""
    found = await store.read(next_outstanding(turn))
    assert found is not None
    message = a_delivery(sender=found.publisher, body=found.body)
    ids = tuple(new_id() for _ in range(per_step))
    return await store.write(fan_out_step(FanOutStep(found.item, message, 0, ids)))


async def mails(store: Store, box: Box, path: str = "/INBOX") -> int:
    folder = await store.read(folder_at(FolderAt(box.id, path)))
    assert folder is not None
    return folder.total


async def test_a_subscriber_gets_what_is_published_since(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await put_item(store, owner, title="Before")
    await join(store, alice)
    done = await put_item(store, owner, title="One")
    assert done.accounting == Accounting(accepted=1)
    await put_item(store, owner, title="Two")
    assert await titles(store, alice) == ["One", "Two"]
    assert await titles(store, alice, done.seq) == ["Two"]
    assert await titles(store, owner) == []
    node = await store.read(node_by_imid(ByNode(NODE)))
    assert node is not None
    assert (node.subscribers, node.items, node.last_item) == (1, 3, done.seq + 1)


async def test_items_of_several_nodes_come_in_the_order_of_their_commits(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    for name in ("x", "y", "z"):
        await make_node(store, owner, f"news/{name}@a.example")
    for name in ("x", "y"):
        await join(store, alice, f"news/{name}@a.example")
    for number in range(9):
        name = "xyz"[number % 3]
        await put_item(store, owner, f"news/{name}@a.example", title=f"{name}{number}")
    assert await titles(store, alice) == ["x0", "y1", "x3", "y4", "x6", "y7"]
    assert await titles(store, alice, node="news/y@a.example") == ["y1", "y4", "y7"]


async def test_a_node_and_an_account_of_one_name_exclude_each_other(store: Store) -> None:
    owner = await make_box(store, "news@a.example")
    await make_node(store, owner)
    with pytest.raises(NodeExists):
        await make_node(store, owner)
    with pytest.raises(AccountExists):
        await store.write(add_account(new_account(NODE)))
    await make_box(store, "news/team@a.example")
    with pytest.raises(NodeExists):
        await make_node(store, owner, "news/team@a.example")
    with pytest.raises(FeedsFull):
        await make_node(store, owner, "news/more@a.example", most=1)


async def test_what_lies_under_the_name_of_an_account_is_its_own(store: Store) -> None:
    team, alice = await make_box(store, "team@a.example"), await make_box(store, "team/alice@a.example")
    await make_box(store, "team/bob@b.example")
    with pytest.raises(NodeOfAnother):
        await make_node(store, team, "team/alice/news@a.example")
    for owner, imid in ((alice, "team/alice/news@a.example"), (team, "team/alices@a.example"), (team, NEWS_OF_BOB)):
        await make_node(store, owner, imid)
    # The other way round: an account does not come between an owner and its nodes, but above others it may be.
    with pytest.raises(NodesUnderName):
        await make_box(store, "team/bob@a.example")
    for address in ("team/al@a.example", "team/alices/x@a.example", "team/bob/news/x@a.example"):
        await make_box(store, address)
    await make_node(store, await make_box(store, "x/y/z@a.example"), "x/y/z/news@a.example")
    await make_box(store, "x/y@a.example")
    await store.write(remove_node(RemoveNode(NEWS_OF_BOB, team.account.id, NOW)))
    await make_box(store, "team/bob@a.example")


async def test_the_same_id_publishes_once(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice)
    item = an_item(owner)
    first, again = await store.write(publish(item)), await store.write(publish(item))
    assert again == msgspec.structs.replace(first, new=False)
    with pytest.raises(IdReused):
        await store.write(publish(msgspec.structs.replace(item, body=b"other", renews=False)))
    assert len(await titles(store, alice)) == 1


async def test_other_content_under_the_same_id_is_a_new_edition(store: Store) -> None:
    owner, alice, bob = [await make_box(store, f"{name}@a.example") for name in ("news", "alice", "bob")]
    node = await make_node(store, owner)
    await join(store, alice)
    await join(store, bob, form="message")
    item = an_item(owner, title="Frist")
    first = await store.write(publish(item))
    while await fan_out(store):
        pass
    assert await mails(store, bob) == 1
    await put_item(store, owner, title="Other")
    mended = msgspec.structs.replace(item, title="First", body=b"mended")
    second, again = await store.write(publish(mended)), await store.write(publish(mended))
    assert (second.new, second.edition, second.seq) == (True, 2, first.seq + 2)
    assert again == msgspec.structs.replace(second, new=False)
    assert await titles(store, alice) == ["Other", "First"]
    assert await titles(store, alice, second.seq - 1) == ["First"]
    while await store.read(next_outstanding(FIRST)) is not None:
        await fan_out(store)
    assert await mails(store, bob) == 3
    shown = await store.read(node_items(NodeItems(node.id)))
    assert [(one.title, one.accounting) for one in shown] == [
        ("First", Accounting(accepted=2)),
        ("Other", Accounting(accepted=2)),
    ]
    await store.write(retract(NameItem(NODE, owner.account.id, owner.account.address, item.uuid, NOW)))
    assert await titles(store, alice) == ["Other", "(retracted)"]
    with pytest.raises(NoItem):
        await store.write(retract(NameItem(NODE, owner.account.id, owner.account.address, item.uuid, NOW)))


async def test_what_is_dismissed_is_shown_no_more(store: Store, heard: Heard) -> None:
    owner, alice, bob = [await make_box(store, f"{name}@a.example") for name in ("news", "alice", "bob")]
    node = await make_node(store, owner, keep=2)
    item = an_item(owner, title="One")
    await store.write(publish(item))
    for box in (alice, bob):
        await join(store, box)
    with pytest.raises(NoItem):  # published before they subscribed
        await store.write(dismiss_item(DismissItem(alice.id, NODE, item.uuid)))
    item = an_item(owner, title="Two")
    await store.write(publish(item))
    await store.write(set_subscription(SetSubscription(named(bob), None, None, None, tells=True)))
    for box in (alice, bob):
        heard.changes()
        for _ in range(2):
            await store.write(dismiss_item(DismissItem(box.id, NODE, item.uuid)))
        (change,) = heard.changes()
        assert (change.kind, change.id, change.path) == ("dismissed", item.uuid, NODE)
        assert (await store.read(changes_since(ChangesSince(box.id, change.state - 1, 9)))).changes == [change]
        assert await titles(store, box) == []
        assert await titles(store, box, pull=True) == ["Two"]
    assert [one.seen for one in await store.read(node_items(NodeItems(node.id)))] == [1, 0]
    await store.write(publish(msgspec.structs.replace(item, title="Two, mended")))
    assert await titles(store, alice) == ["Two, mended"]
    with pytest.raises(NoSubscription):
        await store.write(dismiss_item(DismissItem(owner.id, NODE, item.uuid)))


async def test_an_id_belongs_to_who_used_it(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await store.write(add_member(SetMember(NODE, owner.account.id, alice.account.address, True, NOW, 10)))
    item = an_item(owner)
    await store.write(publish(item))
    with pytest.raises(IdReused):
        await store.write(
            publish(msgspec.structs.replace(item, account=alice.account.id, address=alice.account.address))
        )


async def test_who_may_publish(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice)
    with pytest.raises(NotPublisher):
        await put_item(store, alice)
    with pytest.raises(NoNode):
        await put_item(store, owner, "news/none@a.example")
    with pytest.raises(NotOwner):
        await store.write(set_node(SetNode(NODE, alice.account.id, NodeOptions(title="Mine"), NOW)))
    add = SetMember(NODE, owner.account.id, "alice@a.example", True, NOW, 10)
    with pytest.raises(NotOwner):
        await store.write(add_member(msgspec.structs.replace(add, account=alice.account.id)))
    await store.write(add_member(add))
    assert (await put_item(store, alice)).new
    assert [one.imid for one in await store.read(my_nodes(MyNodes(alice.account.id, "alice@a.example")))] == [NODE]
    with pytest.raises(FeedsFull):
        await store.write(add_member(msgspec.structs.replace(add, address="bob@a.example", most=1)))


async def test_what_subscribers_of_a_moderated_list_publish_waits(store: Store, heard: Heard) -> None:
    owner, alice = await make_box(store, "club@a.example"), await make_box(store, "alice@a.example")
    imid = "club/list@a.example"
    node = await make_node(store, owner, imid, list=True, moderated=True, form="notification")
    with pytest.raises(NotPublisher):
        await put_item(store, alice, imid)
    await join(store, alice, imid)
    one, two = an_item(alice, imid, title="One"), an_item(alice, imid, title="Two")
    assert [(await store.write(publish(item))).seq for item in (one, two, one)] == [0, 0, 0]
    assert await titles(store, alice) == []
    states = [item.state for item in await store.read(node_items(NodeItems(node.id)))]
    assert states == ["waiting", "waiting"]
    accept = NameItem(imid, owner.account.id, owner.account.address, one.uuid, NOW)
    assert heard.take(ItemHint) == []
    assert (await store.write(accept_item(accept))).accounting == Accounting(accepted=1)
    (hint,) = heard.take(ItemHint)
    assert hint.item is not None
    assert (hint.node, hint.item.title, hint.item.publisher) == (node.id, "One", "alice@a.example")
    with pytest.raises(NoItem):
        await store.write(accept_item(accept))
    await store.write(retract(NameItem(imid, alice.account.id, alice.account.address, two.uuid, NOW)))
    assert await titles(store, alice) == ["One"]
    assert [one.state for one in await store.read(node_items(NodeItems(node.id)))] == ["published"]


async def test_a_retracted_item_is_gone_for_those_who_had_not_seen_it(store: Store, heard: Heard) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    node = await make_node(store, owner)
    await join(store, alice)
    item = an_item(owner, title="Wrong")
    done = await store.write(publish(item))
    take_back = NameItem(NODE, owner.account.id, owner.account.address, item.uuid, NOW)
    with pytest.raises(NotPublisher):
        await store.write(
            retract(msgspec.structs.replace(take_back, account=alice.account.id, address="alice@a.example"))
        )
    assert await store.write(retract(take_back))
    told = [(hint.seq, hint.prev, hint.item and hint.item.kind) for hint in heard.take(ItemHint)]
    assert told == [(done.seq, 0, "item"), (done.seq + 1, done.seq, "retracted")]
    with pytest.raises(NoItem):
        await store.write(retract(take_back))
    assert await titles(store, alice) == ["(retracted)"]
    (row,) = await store.read(node_items(NodeItems(node.id)))
    assert (row.state, row.title, row.length) == ("retracted", "", 0)


async def test_approval_and_members_only(store: Store, heard: Heard) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    bob = await make_box(store, "bob@a.example")
    await make_node(store, owner, access="approve")
    assert (await join(store, alice)).state == "waiting"
    await put_item(store, owner, title="Before")
    heard.changes()
    await store.write(accept_subscriber(AcceptSubscriber(NODE, owner.account.id, "alice@a.example")))
    (change,) = heard.changes()
    assert (change.kind, change.mailbox, change.path, change.keywords) == ("subscription", alice.id, NODE, ("active",))
    with pytest.raises(NoSubscription):
        await store.write(accept_subscriber(AcceptSubscriber(NODE, owner.account.id, "bob@a.example")))
    await put_item(store, owner, title="After")
    assert await titles(store, alice) == ["After"]
    await store.write(set_node(SetNode(NODE, owner.account.id, NodeOptions(access="members"), NOW)))
    with pytest.raises(NoNode):
        await join(store, bob)
    await store.write(add_member(SetMember(NODE, owner.account.id, "bob@a.example", False, NOW, 10)))
    assert (await join(store, bob)).state == "active"
    heard.changes()
    assert await store.write(remove_member(RemoveMember(NODE, owner.account.id, "bob@a.example")))
    assert [(change.mailbox, change.keywords) for change in heard.changes()] == [(bob.id, ("removed",))]
    with pytest.raises(NoSubscription):
        await store.write(unsubscribe(named(bob)))


async def test_leaving_is_at_once_and_coming_back_begins_anew(store: Store, heard: Heard) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    one = await join(store, alice)
    assert (await join(store, alice)).uuid == one.uuid
    await put_item(store, owner, title="One")
    heard.changes()
    left = await store.write(unsubscribe(NameSubscription(alice.id, one.uuid, "", NOW)))
    assert left.uuid == one.uuid
    assert [change.keywords for change in heard.changes()] == [("left",)]
    assert (await put_item(store, owner, title="Two")).accounting == Accounting()
    assert await titles(store, alice) == []
    again = await join(store, alice)
    assert again.uuid != one.uuid
    await put_item(store, owner, title="Three")
    assert await titles(store, alice) == ["Three"]
    with pytest.raises(NoSubscription):
        await store.write(unsubscribe(NameSubscription(alice.id, one.uuid, "", NOW)))
    await make_node(store, owner, "news/more@a.example")
    with pytest.raises(FeedsFull):
        await join(store, alice, "news/more@a.example", most=1)


async def test_muting_hides_events_and_not_what_is_asked_for(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice)
    await store.write(set_subscription(SetSubscription(named(alice), None, None, True)))
    await put_item(store, owner, title="One")
    assert await titles(store, alice) == []
    assert await titles(store, alice, pull=True) == ["One"]


async def test_messages_are_delivered_step_by_step_and_once(store: Store, heard: Heard) -> None:
    owner = await make_box(store, "news@a.example")
    node = await make_node(store, owner)
    boxes = [await make_box(store, f"reader{'abcdefg'[n]}@a.example") for n in range(7)]
    for box in boxes:
        await join(store, box, form="message")
    await join(store, owner)
    heard.take(Wake)
    assert (await put_item(store, owner)).accounting == Accounting(accepted=1, pending=7)
    assert heard.take(Wake) == [Wake(FAN_OUT)]
    assert await fan_out(store)
    await store.write(set_disabled(SetDisabled(boxes[2].account.address, True)))
    await store.write(unsubscribe(named(boxes[3])))
    late = await make_box(store, "late@a.example")
    await join(store, late, form="message")
    with pytest.raises(FanOutRunning):
        await store.write(set_subscription(SetSubscription(named(boxes[5]), "notification", None, None)))
    await store.write(set_subscription(SetSubscription(named(boxes[0]), "notification", None, None)))
    while await fan_out(store):
        pass
    assert await store.read(next_outstanding(FIRST)) is None
    assert [await mails(store, box) for box in (*boxes, late)] == [1, 1, 0, 0, 1, 1, 1, 0]
    (row,) = await store.read(node_items(NodeItems(node.id)))
    assert row.accounting == Accounting(accepted=6, left=1, blocked=1)


async def test_messages_go_where_the_subscriber_wants_them(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner, form="message")
    archive = await store.read(folder_at(FolderAt(alice.id, "/ARCHIVE")))
    assert archive is not None
    one = await join(store, alice, folder=archive.id)
    assert (one.form, one.folder) == ("message", "/ARCHIVE")
    await put_item(store, owner)
    assert not await fan_out(store)
    assert await mails(store, alice, "/ARCHIVE") == 1
    # What came as a message is no event; what is a notification from now on is.
    assert await titles(store, alice) == []
    await store.write(set_subscription(SetSubscription(named(alice), "notification", None, None)))
    await put_item(store, owner, title="Two")
    assert await titles(store, alice, await seq_of(store)) == []
    assert await titles(store, alice) == ["Two"]
    await store.write(set_subscription(SetSubscription(named(alice), "message", None, None)))
    await put_item(store, owner, title="Three")
    # Who was away still learns of what was a notification when it was published.
    assert await titles(store, alice) == ["Two"]
    assert not await fan_out(store)
    assert await mails(store, alice, "/ARCHIVE") == 2


async def seq_of(store: Store) -> int:
    node = await store.read(node_by_imid(ByNode(NODE)))
    assert node is not None
    return node.last_item


async def test_a_node_keeps_what_it_says(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner, keep=3, age=10)
    await join(store, alice)
    for number in range(5):
        await put_item(store, owner, title=str(number), now=NOW + number * DAY)
    assert await titles(store, alice) == ["2", "3", "4"]
    assert await store.write(forget_items(ForgetItems(NOW + 13 * DAY))) == (1, False)
    assert await titles(store, alice) == ["3", "4"]
    assert await store.write(forget_items(ForgetItems(NOW, after=1))) == (0, False)


async def test_a_removed_node_tells_its_subscribers_and_is_swept(store: Store, heard: Heard) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice)
    await put_item(store, owner, title="One")
    heard.take(ItemHint)
    await store.write(remove_node(RemoveNode(NODE, owner.account.id, NOW)))
    (gone,) = heard.take(ItemHint)
    assert gone.gone
    page = await store.read(items_since(ItemsSince(alice.id, gone.prev)))
    assert [(item.kind, item.node) for item in page.items] == [("removed", NODE)]
    with pytest.raises(NoNode):
        await put_item(store, owner)
    assert (await make_node(store, owner)).id != gone.node
    assert not await store.write(sweep_nodes(SweepNodes(NOW)))
    steps = 0
    while await store.write(sweep_nodes(SweepNodes(NOW + 1, limit=1))):
        steps += 1
    assert steps == 4  # a subscription, two items, the node
    assert await titles(store, alice) == []


async def test_a_digest_is_sent_once_and_loses_nothing(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    one = await join(store, alice, form="daily")
    assert one.form == "daily"
    await put_item(store, owner, title="One")
    assert await store.read(due_digests(DueDigests(NOW))) == []
    later = NOW + DAY
    (due,) = await store.read(due_digests(DueDigests(later)))
    assert (due.subscriber, due.count, due.items) == ("alice@a.example", 1, [(NOW, "One")])
    await put_item(store, owner, title="Two")
    send = SendDigest(due, a_delivery(), new_id(), later)
    for _ in range(2):
        await store.write(send_digest(send))
    assert await mails(store, alice) == 1
    assert await store.read(due_digests(DueDigests(later))) == []
    # From daily to hourly what waits goes on waiting; to notifications it goes out at once, with an end.
    for form, due_at in (("hourly", later + DAY // 24), ("notification", later)):
        name = msgspec.structs.replace(named(alice), now=later)
        await store.write(set_subscription(SetSubscription(name, form, None, None)))  # type: ignore[arg-type]
        (due,) = await store.read(due_digests(DueDigests(due_at)))
        assert due.items == [(NOW, "Two")]
    assert await titles(store, alice, due.upto) == []
    await put_item(store, owner, title="Three")
    assert await titles(store, alice, due.upto) == ["Three"]
    (due,) = await store.read(due_digests(DueDigests(later)))
    assert due.items == [(NOW, "Two")]
    await store.write(send_digest(SendDigest(due, a_delivery(), new_id(), later)))
    assert await mails(store, alice) == 2
    assert await store.read(due_digests(DueDigests(later + 10 * DAY))) == []
    # Who leaves gets no more.
    await store.write(set_subscription(SetSubscription(named(alice), "hourly", None, None)))
    await put_item(store, owner, title="Four")
    await store.write(unsubscribe(named(alice)))
    assert await store.read(due_digests(DueDigests(later + 10 * DAY))) == []


async def test_a_subscription_to_a_node_that_is_gone_takes_no_place(store: Store) -> None:
    """It is not listed and cannot be left, so it must not count."""
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner)
    await join(store, alice, most=1)
    await store.write(remove_node(RemoveNode(NODE, owner.account.id, NOW)))
    await make_node(store, owner, "news/other@a.example")
    await join(store, alice, "news/other@a.example", most=1)


async def test_a_member_becomes_a_publisher_also_where_the_list_is_full(store: Store) -> None:
    owner = await make_box(store, "news@a.example")
    await make_node(store, owner)
    for publisher in (False, True):
        await store.write(add_member(SetMember(NODE, owner.account.id, "bob@a.example", publisher, NOW, 1)))


async def test_what_waits_for_an_owner_is_bounded_for_each_publisher_and_in_time(store: Store) -> None:
    """One subscriber does not fill the room of all, and what nobody decided on goes with the node's age."""
    owner, bob, eve = [await make_box(store, f"{name}@a.example") for name in ("news", "bob", "eve")]
    node = await make_node(store, owner, list=True, moderated=True, age=10)
    for box in (bob, eve):
        await join(store, box)
    items = [an_item(eve) for _ in range(MOST_WAITING_OF_ONE)]
    for item in items:
        assert (await store.write(publish(item))).new
    with pytest.raises(FeedsFull):
        await put_item(store, eve)
    # Another edition of what waits takes no room, and others have theirs.
    await store.write(publish(msgspec.structs.replace(items[0], body=b"better")))
    await put_item(store, bob, title="Hello", now=NOW + 5 * DAY)
    assert len(await store.read(node_items(NodeItems(node.id, 1000)))) == MOST_WAITING_OF_ONE + 1
    forget = ForgetItems(NOW + 11 * DAY, limit=60)
    assert [(await store.write(forget_items(forget)))[1] for _ in range(2)] == [True, False]
    assert [item.title for item in await store.read(node_items(NodeItems(node.id)))] == ["Hello"]
    await put_item(store, eve)


async def test_a_node_keeps_the_right_count_where_items_were_dismissed(store: Store) -> None:
    owner, alice = await make_box(store, "news@a.example"), await make_box(store, "alice@a.example")
    await make_node(store, owner, keep=2)
    await join(store, alice)
    for number in range(5):
        item = an_item(owner, title=f"{number}")
        await store.write(publish(item))
        await store.write(dismiss_item(DismissItem(alice.id, NODE, item.uuid)))
    assert await titles(store, alice, pull=True) == ["3", "4"]

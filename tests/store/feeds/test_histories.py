"""Whatever happens in whatever order: everybody gets what was published while they subscribed, and it all adds up.

The model is who subscribed when an item was published, and how. The store must show each of them exactly these
items, as events or as messages, and count every item's subscribers without one too many or too few.
"""

import random
from typing import Any

import pytest
from tests.store.feeds.test_nodes import (
    NODE,
    an_item,
    fan_out,
    join,
    mails,
    make_node,
    named,
    titles,
)
from tests.store.making import NOW, Box, a_delivery, make_box, new_id

from immpd.model.feed import Accounting
from immpd.store.contract import Store
from immpd.store.errors import FanOutRunning, NoSubscription
from immpd.store.feeds.digests import DueDigests, SendDigest, due_digests, send_digest
from immpd.store.feeds.fanout import Turn, next_outstanding
from immpd.store.feeds.item_pages import NodeItems, node_items
from immpd.store.feeds.items import NameItem, publish, retract
from immpd.store.feeds.nodes import DAY
from immpd.store.feeds.subscriptions import SetSubscription, set_subscription, unsubscribe
from immpd.store.integrity.verify_feeds import verify_nodes

STEPS = 120
READERS = 5


class History:
    """A node and its readers, with what each of them must have in the end."""

    def __init__(self, store: Store, chosen: random.Random, owner: Box, boxes: list[Box], node: int) -> None:
        self.store = store
        self.chosen = chosen
        self.owner = owner
        self.boxes = boxes
        self.node = node
        self.forms: dict[int, str] = {}
        """By reader: how they get what is published now."""
        self.due: list[tuple[str, dict[int, str], bytes]] = []
        """Every item: its title, who subscribed then and how, its id."""
        self.mailed: dict[int, int] = {}
        """By reader: messages that have come."""
        self.joined: dict[int, int] = {}
        """By reader: how many items there were when they last joined."""
        self.retracted: set[str] = set()
        self.replaced: set[str] = set()
        self.delivered: dict[str, set[int]] = {}

    async def step(self) -> None:
        """One of the things that may happen."""
        happen = self.chosen.choice((self.join, self.join, self.leave, self.change, self.publish, self.publish))
        await happen(self.chosen.randrange(READERS))
        if self.chosen.random() < 0.4:
            await self.deliver()
        if self.chosen.random() < 0.05 and self.due:
            await self.retract()
        if self.chosen.random() < 0.05 and self.due:
            await self.renew()

    async def join(self, reader: int) -> None:
        form = self.chosen.choice(("notification", "message"))
        await join(self.store, self.boxes[reader], form=form)
        if reader not in self.forms:
            self.forms[reader] = form
            self.joined[reader] = len(self.due)

    async def leave(self, reader: int) -> None:
        if reader in self.forms:
            await self.store.write(unsubscribe(named(self.boxes[reader])))
            del self.forms[reader]
        else:
            with pytest.raises(NoSubscription):
                await self.store.write(unsubscribe(named(self.boxes[reader])))

    async def change(self, reader: int) -> None:
        if reader not in self.forms:
            return
        form: Any = self.chosen.choice(("notification", "message", "hourly"))
        try:
            await self.store.write(set_subscription(SetSubscription(named(self.boxes[reader]), form, None, None)))
        except FanOutRunning:
            assert await self.store.read(next_outstanding(Turn(0))) is not None
        else:
            self.forms[reader] = form

    async def publish(self, _: int) -> None:
        item = an_item(self.owner, title=f"Item {len(self.due)}")
        done = await self.store.write(publish(item))
        by_mail = list(self.forms.values()).count("message")
        assert done.accounting == Accounting(accepted=len(self.forms) - by_mail, pending=by_mail)
        self.due.append((item.title, dict(self.forms), item.uuid))
        self.delivered[item.title] = set()

    async def renew(self) -> None:
        """A new edition in the place of an item."""
        title, _, uuid = self.chosen.choice(self.due)
        if title in self.replaced:
            return
        before = [title for title, _, one in self.due if one == uuid]
        item = an_item(self.owner, title=f"Item {len(self.due)}", uuid=uuid)
        done = await self.store.write(publish(item))
        assert done.edition == len(before) + 1
        self.replaced.update(before)
        self.due.append((item.title, dict(self.forms), uuid))
        self.delivered[item.title] = set()

    async def deliver(self) -> None:
        """One step of a fan-out; whoever still subscribes since before the item gets a message."""
        found = await self.store.read(next_outstanding(Turn(0)))
        if found is None:
            return
        before = [await mails(self.store, box) for box in self.boxes]
        await fan_out(self.store)
        for reader, box in enumerate(self.boxes):
            new = await mails(self.store, box) - before[reader]
            assert new in (0, 1)
            if new:
                assert reader not in self.delivered[found.title], "the same item twice"
                self.delivered[found.title].add(reader)

    async def retract(self) -> None:
        title, _, uuid = self.chosen.choice(self.due)
        if title in self.retracted | self.replaced:
            return
        address = self.owner.account.address
        await self.store.write(retract(NameItem(NODE, self.owner.account.id, address, uuid, 0)))
        self.retracted.add(title)

    async def check(self) -> None:
        """In the end everybody has what they were to get."""
        while await self.store.read(next_outstanding(Turn(0))) is not None:
            await self.deliver()
        assert await verify_nodes(self.store) == []
        rows = await self.store.read(node_items(NodeItems(self.node, 1000)))
        last = [one for one in reversed(self.due) if one[0] not in self.replaced]
        for row, (title, forms, uuid) in zip(rows, last, strict=True):
            assert row.uuid == uuid
            told = row.accounting
            assert told.pending == 0
            assert told.accepted + told.left + told.blocked + told.over_quota == len(forms)
            by_mail = {reader for reader, form in forms.items() if form == "message"}
            assert self.delivered[title] <= by_mail
            assert told.accepted == len(forms) - len(by_mail) + len(self.delivered[title])
            if title not in self.retracted:
                number = int(title.removeprefix("Item "))
                stayed = {one for one in by_mail if one in self.forms and self.joined[one] <= number}
                assert stayed <= self.delivered[title]
        for reader, box in enumerate(self.boxes):
            shown = [title for title in await titles(self.store, box, pull=True) if not title.startswith("(")]
            since = self.due[self.joined[reader] :] if reader in self.forms else []
            assert shown == [title for title, _, _ in since if title not in self.retracted | self.replaced]
            # Whatever became of the form since: what was published as a notification is an event.
            events = [title for title in await titles(self.store, box) if not title.startswith("(")]
            pushed = {title for title, forms, _ in since if forms.get(reader) == "notification"}
            assert events == [title for title in shown if title in pushed]
        digests = await self.digests()
        for reader, box in enumerate(self.boxes):
            since = self.due[self.joined[reader] :] if reader in self.forms else []
            left = [(title, forms.get(reader)) for title, forms, _ in since]
            left = [(title, form) for title, form in left if title not in self.retracted | self.replaced]
            told = digests.get(box.account.address, [])
            assert len(set(told)) == len(told)
            assert {title for title, form in left if form == "hourly"} <= set(told)
            assert not {title for title, form in left if form == "notification"} & set(told)

    async def digests(self) -> dict[str, list[str]]:
        """By subscriber: what their digests name, sent now."""
        told: dict[str, list[str]] = {}
        while found := await self.store.read(due_digests(DueDigests(NOW + DAY))):
            for digest in found:
                told.setdefault(digest.subscriber, []).extend([title for _, title in digest.items])
                message = a_delivery() if digest.items else None
                await self.store.write(send_digest(SendDigest(digest, message, new_id(), NOW + DAY)))
        return told


@pytest.mark.parametrize("seed", range(12))
async def test_everything_adds_up(store: Store, seed: int) -> None:
    owner = await make_box(store, "news@a.example")
    boxes = [await make_box(store, f"{'abcdefgh'[n] * 3}@a.example") for n in range(READERS)]
    node = await make_node(store, owner, keep=1000)
    history = History(store, random.Random(seed), owner, boxes, node.id)
    for _ in range(STEPS):
        await history.step()
    await history.check()

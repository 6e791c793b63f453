"""A server that is killed at random moments while a feed is published, and what its readers then have.

Rules: an item that was acknowledged reaches every reader, once and whole, in the order of publishing, whatever form
the reader chose; an item that was not acknowledged is published or not, and publishing it again with its ID makes it
happen once.
"""

import asyncio
import random
from collections.abc import Iterable
from contextlib import AsyncExitStack
from uuid import UUID

from tests.process import ServerProcess

from immpd.client import Client, ClientError, NodeOptions, Secret, new_id

OWNER = "news@demo.test"
READERS = {"push@demo.test": "notification", "mail@demo.test": "message", "post@demo.test": "message"}
WATCHER = "push@demo.test"
PUBLISHERS = 4
KEPT = 1000
"""Items that a node keeps: all of one call of ``kill_while_publishing``."""
AT_LOAD = 0.12
"""Seconds after which the server is killed at the latest."""


def _body(title: str) -> str:
    return title * 50


class Feed:
    """One node: what was published there, what was acknowledged, and what a watch has shown."""

    def __init__(self, server: ServerProcess, node: str, secrets: dict[str, Secret]) -> None:
        self.server = server
        self.node = node
        self.secrets = secrets
        self.answered: list[str] = []
        self.seen: list[str] = []
        self._unanswered: dict[str, UUID] = {}

    async def client(self, stack: AsyncExitStack, address: str) -> Client:
        """A client that is logged in, until ``stack`` ends."""
        me = await stack.enter_async_context(self.server.client(address, device="kill", h=self.secrets.get(address)))
        assert me.secret is not None
        self.secrets[address] = me.secret
        return me

    async def open(self) -> None:
        """Make the node and let everybody subscribe."""
        async with AsyncExitStack() as stack:
            await (await self.client(stack, OWNER)).create_node(self.node, NodeOptions(keep=KEPT))
            for address, form in READERS.items():
                you = await self.client(stack, address)
                await you.subscribe(self.node, form=form)
                await you.ack((await anext(you.watch())).cursor)

    async def round(self, number: int, most: int, seconds: float) -> None:
        """Publish again what was not answered, then go on until the server is killed after so many seconds."""
        async with AsyncExitStack() as stack:
            me, you = await self.client(stack, OWNER), await self.client(stack, WATCHER)
            for title in list(self._unanswered):
                await self._publish(me, title)
            tasks = [
                asyncio.create_task(self._publish_all(me, [f"{number}.{one}.{item}" for item in range(most)]))
                for one in range(PUBLISHERS)
            ]
            tasks.append(asyncio.create_task(self._watch(you)))
            await asyncio.wait(tasks, timeout=seconds)
            await self.server.kill()
            await asyncio.gather(*tasks)

    async def _publish_all(self, me: Client, titles: list[str]) -> None:
        try:
            for title in titles:
                await self._publish(me, title)
        except ClientError:
            return

    async def _publish(self, me: Client, title: str) -> None:
        await me.publish(self.node, title, _body(title), id=self._unanswered.setdefault(title, new_id()))
        del self._unanswered[title]
        self.answered.append(title)

    async def _watch(self, you: Client) -> None:
        try:
            async for event in you.watch(acknowledge=True, reconnect=False):
                if event.event == "item" and event.node == self.node:
                    assert event.body == _body(event.title)
                    self.seen.append(event.title)
        except ClientError:
            return

    async def settle(self) -> None:
        """After a last start: compare what everybody has, and leave the node."""
        async with AsyncExitStack() as stack:
            me = await self.client(stack, OWNER)
            published = [row.text for row in reversed((await me.node(self.node, limit=KEPT)).rows)]
            assert len(set(published)) == len(published), "an item is there twice"
            assert set(self.answered) <= set(published), f"lost: {set(self.answered) - set(published)}"
            for address, form in READERS.items():
                you = await self.client(stack, address)
                await (self._compare_mails if form == "message" else self._compare_events)(you, published)
            rows = (await me.node(self.node, limit=KEPT)).rows
            assert {(row.accepted, row.pending) for row in rows} <= {(len(READERS), 0)}
            await me.remove_node(self.node)

    async def _compare_mails(self, you: Client, published: list[str]) -> None:
        """Wait until everything was delivered; nothing comes twice."""
        async for event in you.watch():
            if event.event in ("watching", "mail"):
                rows = [row async for row in you.index("/INBOX") if self.node in row.to]
                if len(rows) >= len(published):
                    break
        assert sorted(row.subject for row in rows) == sorted(published), str(you.account)
        for row in rows:
            octets = b"".join([piece async for piece in you.fetch_part(f"/INBOX#{row.id}", 1)])
            assert octets == _body(row.subject).encode(), f"{row.subject} is not what was published"

    async def _compare_events(self, you: Client, published: list[str]) -> None:
        assert [event.title async for event in you.items(node=self.node)] == published, "not in order, or not all"
        left = set(published) - set(self.seen)
        async for event in you.watch():
            left.discard(event.title)
            if not left:
                break
        shown = set(self.seen)
        assert sorted(shown, key=published.index) == sorted(shown, key=self.seen.index), "not shown in order"


async def kill_while_publishing(
    server: ServerProcess, rounds: Iterable[int], seed: int, *, in_a_feed: int = 6
) -> tuple[int, int]:
    """Kill a server once a round while a feed is published; returns how often, and how much it had acknowledged.

    Each feed lives for ``in_a_feed`` rounds, then everybody's items are compared. Raises AssertionError where what was
    acknowledged does not hold.
    """
    chosen = random.Random(seed)
    server.set_up(OWNER, *READERS)
    secrets: dict[str, Secret] = {}
    most = KEPT // (2 * in_a_feed * PUBLISHERS)
    feed: Feed | None = None
    number = acknowledged = 0

    async def compared(feed: Feed) -> int:
        assert "sound" in server.command("check")
        await server.start()
        await feed.settle()
        return len(feed.answered)

    for number in rounds:
        if feed is not None and number % in_a_feed == 1:
            acknowledged += await compared(feed)
            feed = None
        else:
            await server.start()
        if feed is None:
            feed = Feed(server, f"news/updates{number}@demo.test", secrets)
            await feed.open()
        await feed.round(number, most, chosen.uniform(0.02, AT_LOAD))
    if feed is not None:
        acknowledged += await compared(feed)
        assert await server.stop() == 0
    return number, acknowledged

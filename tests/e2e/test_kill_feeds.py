"""kill -9 while feeds publish: an item that was answered reaches everybody who subscribed, once, and none is half."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from tests.e2e.test_kill import Killed

from immpd.client import Client, ClientError, connect, new_id
from immpd.net.fingerprints import KnownPeers

KILLS = int(os.environ.get("KILLS", "6"))
PUBLISHERS = 4
NODE = "news/updates@demo.test"
READERS = {"push": "notification", "mail": "message", "post": "message"}
ITEMS_KEPT = 1000
IN_A_ROUND = max(1, 900 // (KILLS * PUBLISHERS))
"""Items of one publisher: the node keeps them all."""


class Feeds(Killed):
    """A server with a feed and its readers."""

    def client_of(self, name: str):
        return connect(
            f"{name}@demo.test", server=self.listen, password="secret", device="kill", known=KnownPeers(self.folder)
        )


def body(title: str) -> str:
    return title * 50


async def publish_until_killed(
    me: Client, name: str, ids: dict[str, UUID], answered: list[str], again: list[str]
) -> None:
    """One after the other. What was not answered may be there or not: it is published again with the same ID."""
    for number in range(IN_A_ROUND):
        title = f"{name}-{number}"
        again.append(title)
        try:
            await me.publish(NODE, title, body(title), id=ids.setdefault(title, new_id()))
        except ClientError:
            return
        again.remove(title)
        answered.append(title)


async def watch_until_killed(me: Client, seen: list[str]) -> None:
    try:
        async for event in me.watch(acknowledge=True):
            if event.event == "item":
                assert event.body == body(event.title)
                seen.append(event.title)
    except ClientError:
        pass


async def mails_of(me: Client) -> AsyncIterator[tuple[str, bytes]]:
    async for row in me.index("/INBOX"):
        yield row.subject, b"".join([piece async for piece in me.fetch_part(f"/INBOX#{row.id}", 1)])


@pytest.mark.timeout(90 + 10 * KILLS)
async def test_no_item_is_lost_or_comes_twice(tmp_path: Path) -> None:
    seed = int(os.environ.get("KILL_SEED", random.SystemRandom().randrange(1 << 32)))
    chosen = random.Random(seed)
    server = Feeds(tmp_path)
    server.command("init", "--domain", "demo.test")
    for name in ("news", *READERS):
        server.command("account", "add", f"{name}@demo.test", "--password-stdin", given=b"secret\n")
    await server.start()
    async with server.client_of("news") as me:
        await me.create_node(NODE, keep=ITEMS_KEPT)
    for name, form in READERS.items():
        async with server.client_of(name) as you:
            await you.subscribe(NODE, form=form)
            await you.ack((await anext(you.watch())).cursor)
    ids: dict[str, UUID] = {}
    answered: list[str] = []
    unanswered: list[str] = []
    seen: list[str] = []
    for round_ in range(KILLS):
        if round_:
            await server.start()
        async with server.client_of("news") as me, server.client_of("push") as you:
            for title in unanswered:
                await me.publish(NODE, title, body(title), id=ids[title])
            answered += unanswered
            unanswered.clear()
            tasks = [
                asyncio.create_task(publish_until_killed(me, f"{round_}.{one}", ids, answered, unanswered))
                for one in range(PUBLISHERS)
            ]
            tasks.append(asyncio.create_task(watch_until_killed(you, seen)))
            await asyncio.wait(tasks, timeout=chosen.uniform(0.02, 0.12))
            await server.kill()
            await asyncio.gather(*tasks)
    found = server.command("check")
    assert b"sound" in found, f"seed {seed}: {found.decode()}"
    await server.start()
    try:
        async with server.client_of("news") as me:
            shown = await me.node(NODE, limit=ITEMS_KEPT)
            while any([row.pending for row in shown.rows]):
                await asyncio.sleep(0.02)  # another process delivers, and tells nobody but the readers
                shown = await me.node(NODE, limit=ITEMS_KEPT)
            assert {row.accepted for row in shown.rows} == {len(READERS)}, f"seed {seed}"
            published = [row.text for row in reversed(shown.rows)]
        assert len(set(published)) == len(published), f"seed {seed}: an item is there twice"
        assert answered, "nothing was answered between start and kill"
        assert set(answered) <= set(published), f"seed {seed}: {set(answered) - set(published)}"
        for name in ("mail", "post"):
            async with server.client_of(name) as you:
                there = [(subject, octets) async for subject, octets in mails_of(you)]
            assert sorted(subject for subject, _ in there) == sorted(published), f"seed {seed}: {name}"
            assert all(octets == body(subject).encode() for subject, octets in there), f"seed {seed}"
        async with server.client_of("push") as you:
            assert [event.title async for event in you.items()] == published, f"seed {seed}"
            left = set(published) - set(seen)
            async for event in you.watch():
                left.discard(event.title)
                if not left:
                    break
        assert sorted(set(seen), key=published.index) == sorted(set(seen), key=seen.index), f"seed {seed}: not in order"
    finally:
        await server.kill()

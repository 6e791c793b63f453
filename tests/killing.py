"""A server that is killed at random moments, and a ledger of what it had acknowledged.

Rules: what was answered must be there, once and whole, in the folder and with the flag it was given; what was
not answered happened whole or not at all, and sending it again with its ID makes it happen once; nothing else is
there. Tests kill it some times, fuzz/kills.py by the hundred.
"""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from uuid import UUID

import msgspec
from tests.process import ServerProcess

from immpd.client import Client, ClientError, Secret, at

ADDRESSES = ("ann@demo.test", "ben@demo.test", "cleo@demo.test")
FOLDERS = ("/INBOX", "/ARCHIVE", "/TRASH")
GONE = ""
OUTSTANDING = 6
"""Commands on their way on each connection at once."""
KEPT = 100
"""Messages that a mailbox keeps from round to round; the oldest are purged."""
LARGE = 300_000, 600_000
"""Octets of an attachment that lies in a file."""
AT_LOAD = 0.6
"""Seconds after which the server is killed under load at the latest."""
AT_START = 0.5
"""The same, where it is killed while it starts."""


class Message(msgspec.Struct, frozen=True):
    """What was sent; its octets follow from the subject."""

    subject: str
    id: UUID
    sender: str
    """Who must send it again: another's ID is another ID."""
    to: tuple[str, ...]
    sizes: tuple[int, ...]

    @property
    def parts(self) -> list[bytes]:
        """The octets of its parts."""
        words = f"{self.subject} "
        return [(words * (size // len(words) + 1))[:size].encode() for size in self.sizes]


class Copy(msgspec.Struct):
    """A message in a mailbox, where and how it may be: several possibilities until the server has said which."""

    message: Message
    folders: set[str]
    flagged: set[bool]
    id: str = ""
    busy: bool = False
    whole: bool = False
    """Its octets were read and are right."""


class Ledger:
    """What clients asked for and what was acknowledged, kept over kills."""

    def __init__(self, chosen: random.Random) -> None:
        self.chosen = chosen
        self.copies: dict[str, dict[str, Copy]] = {address: {} for address in ADDRESSES}
        """By mailbox and subject."""
        self.acknowledged = 0
        self._unanswered: dict[str, Message] = {}
        self._numbers = itertools.count(1)

    async def work(self, me: Client) -> None:
        """Send and change, one after the other, until the connection is lost."""
        mine = self.copies[str(me.account)]
        try:
            while True:
                free = [copy for copy in mine.values() if copy.id and not copy.busy]
                if free and self.chosen.random() < 0.4:
                    await self._change(me, self.chosen.choice(free))
                else:
                    await self._send(me, self._new_message(str(me.account)))
        except ClientError:
            return

    def _new_message(self, sender: str) -> Message:
        several = self.chosen.choice((1, 1, 1, 2, 3))
        sizes = (self.chosen.randrange(3000), *([self.chosen.randint(*LARGE)] if self.chosen.random() < 0.05 else []))
        return Message(
            f"message {next(self._numbers)}",
            UUID(int=self.chosen.getrandbits(128), version=4),
            sender,
            tuple(self.chosen.sample(ADDRESSES, several)),
            sizes,
        )

    async def _send(self, me: Client, message: Message) -> None:
        self._unanswered[message.subject] = message
        text, *attached = message.parts
        done = await me.send(message.to, message.subject, text.decode(), attachments=attached, id=message.id)
        assert [row.outcome for row in done.rows] == ["delivered"] * len(message.to), done
        self.acknowledged += 1
        del self._unanswered[message.subject]
        for address in message.to:
            self.copies[address][message.subject] = Copy(message, {"/INBOX"}, {False})

    async def _change(self, me: Client, copy: Copy) -> None:
        copy.busy = True
        (folder,), (flagged,) = copy.folders, copy.flagged
        what = self.chosen.choice(("flag", "flag", "move", "delete", "purge"))
        path = at(folder, copy.id)
        if what == "flag":
            copy.flagged = {True, False}
            await (me.flag(path, clear=["FLAGGED"]) if flagged else me.flag(path, add=["FLAGGED"]))
            copy.flagged = {not flagged}
        else:
            to = {"delete": "/TRASH", "purge": GONE}.get(what) or self.chosen.choice(FOLDERS)
            if what == "purge" or (what == "delete" and folder == "/TRASH"):
                to = GONE
            if to == folder:
                copy.busy = False
                return
            copy.folders = {folder, to}
            await (me.move(path, to) if what == "move" else me.delete(path, purge=to == GONE))
            copy.folders = {to}
        self.acknowledged += 1
        copy.busy = copy.folders == {GONE}

    async def settle(self, clients: list[Client]) -> None:
        """After a new start: send again what was not answered, and compare every mailbox with the ledger."""
        of = {str(me.account): me for me in clients}
        async with asyncio.TaskGroup() as group:
            for message in list(self._unanswered.values()):
                group.create_task(self._send(of[message.sender], message))
        for me in clients:
            await self._compare(me)

    async def _compare(self, me: Client) -> None:
        mine = self.copies[str(me.account)]
        seen: set[str] = set()
        for folder in FOLDERS:
            async for row in me.index(folder):
                what = f"{me.account}{folder} {row.subject}"
                copy = mine.get(row.subject)
                assert row.subject not in seen, f"{what} is there twice"
                assert copy is not None, f"{what} was purged, or sent to somebody else"
                assert folder in copy.folders, f"{what} should be in {copy.folders}"
                assert ("FLAGGED" in row.flags) in copy.flagged, f"{what} has the flags {row.flags}"
                assert copy.id in ("", row.id), f"{what} has another id"
                assert row.size == sum(copy.message.sizes), f"{what} has {row.size} octets"
                seen.add(row.subject)
                copy.folders, copy.flagged, copy.id, copy.busy = {folder}, {"FLAGGED" in row.flags}, row.id, False
        lost = [subject for subject, copy in mine.items() if subject not in seen and GONE not in copy.folders]
        assert not lost, f"{me.account}: acknowledged and lost: {lost[:10]}"
        for subject in mine.keys() - seen:
            del mine[subject]
        async with asyncio.TaskGroup() as group:
            for copy in mine.values():
                if not copy.whole:
                    group.create_task(self._compare_octets(me, copy))
        async with asyncio.TaskGroup() as group:
            for subject in list(mine)[:-KEPT]:
                (folder,) = mine[subject].folders
                group.create_task(me.delete(at(folder, mine.pop(subject).id), purge=True))

    async def _compare_octets(self, me: Client, copy: Copy) -> None:
        (folder,) = copy.folders
        for number, expected in enumerate(copy.message.parts, 1):
            octets = b"".join([piece async for piece in me.fetch_part(at(folder, copy.id), number)])
            assert octets == expected, f"{me.account} {copy.message.subject}: part {number} is not what was sent"
        copy.whole = True


async def kill_often(
    server: ServerProcess,
    rounds: Iterable[int],
    seed: int,
    *,
    check_every: int,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[int, int]:
    """Kill a server once a round, under load or while it starts; returns how often, and how much it had acknowledged.

    Raises AssertionError where what it acknowledged does not hold. ``rounds`` counts from 1; ``check_every`` so many of
    them ``immpd check`` reads the whole store.
    """
    chosen = random.Random(seed)
    ledger = Ledger(chosen)
    server.set_up(*ADDRESSES)
    secrets: dict[str, Secret] = {}

    async def connected(stack: AsyncExitStack, address: str) -> Client:
        me = await stack.enter_async_context(server.client(address, h=secrets.get(address)))
        assert me.secret is not None
        secrets[address] = me.secret
        return me

    number = 0
    for number in rounds:
        if number > 1 and chosen.random() < 0.1:
            await server.launch()
            await asyncio.sleep(chosen.uniform(0, AT_START))  # a moment by chance; nothing is waited for
            await server.kill()
        else:
            await server.start()
            async with AsyncExitStack() as stack:
                clients = [await connected(stack, address) for address in ADDRESSES]
                await ledger.settle(clients)
                clients.append(await connected(stack, chosen.choice(ADDRESSES)))
                working = [asyncio.create_task(ledger.work(me)) for me in clients for _ in range(OUTSTANDING)]
                await asyncio.wait(working, timeout=chosen.uniform(0.02, AT_LOAD))
                await server.kill()
                await asyncio.gather(*working)
        if number % check_every == 0:
            assert "sound" in server.command("check")
            report(f"{number} kills, {ledger.acknowledged} acknowledged")
    assert "sound" in server.command("check")
    await server.start()
    async with AsyncExitStack() as stack:
        for copies in ledger.copies.values():
            for copy in copies.values():
                copy.whole = False
        await ledger.settle([await connected(stack, address) for address in ADDRESSES])
    assert await server.stop() == 0
    return number, ledger.acknowledged

"""A server that is killed while it shows, repeats, ends and promotes notifications, and a ledger of what it said.

Rules: a push that was acknowledged has one row a recipient in PUSH STATUS, and sent again it is the same one; a
watcher that goes on from its last cursor is shown each notification once and each repetition once; what was
answered, dismissed or taken back, and acknowledged, is so for ever; each answer reaches its sender's watch once; a
promise that is kept is not called silence. Tests kill it some times, fuzz/kills.py by the hundred.
"""

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
from tests import hurried
from tests.process import ServerProcess

from immpd.client import Client, ClientError, Refused, Secret
from immpd.client.events import Event
from immpd.model.notification import Action

ANN, BEN, CLEO = ADDRESSES = ("ann@demo.test", "ben@demo.test", "cleo@demo.test")
"""Ann has what is urgent repeated, Ben has what he does not answer made a message, Cleo's token made a promise."""
MINUTE = 60_000
OUTSTANDING = 4
"""Commands on their way on each connection at once."""
MOST_OPEN = 40
"""Notifications that wait for an answer in each mailbox before somebody sends it more."""
KEPT = 60
"""Pushes that have ended and whose status is looked at again after each kill."""
AT_LOAD = 0.6
AT_START = 0.4
"""Seconds after which the server is killed at the latest, under load and while it starts."""
PATIENCE = 30.0
"""Seconds of real time after which what is due has not come."""
_ENDED_AS = {"answered": "answered", "dismissed": "seen"}
_FINAL = ("answered", "seen", "expired", "retracted")


class Copy(msgspec.Struct):
    """A push at one recipient: what was tried, what was acknowledged, and what was last told of it."""

    id: str = ""
    tried: set[str] = msgspec.field(default_factory=set)
    done: str = ""
    taken_back: bool = False
    status: str = ""
    ended: str = ""
    """Why the recipient's watch was told that it ended."""
    busy: bool = False


class Push(msgspec.Struct):
    """What was sent; times are those of the server's clock."""

    id: UUID
    sender: str
    title: str
    level: str
    begun: int
    ttl: int
    token: str
    after: int
    copies: dict[str, Copy]
    acknowledged: int = 0

    @property
    def at(self) -> datetime | None:
        """When it is to be shown."""
        return datetime.fromtimestamp((self.begun + self.after) // 1000, UTC) if self.after else None


class Ledger:
    """What clients asked for, what was acknowledged and what they were shown, kept over kills."""

    def __init__(self, chosen: random.Random, now: Callable[[], int]) -> None:
        self.chosen = chosen
        self.now = now
        self.tokens: dict[str, str] = {}
        self.devices: dict[str, Client] = {}
        """Who push with these tokens, without log-in."""
        self.pushes: dict[UUID, Push] = {}
        self.cursors: dict[str, str] = {}
        self.shown: set[tuple[str, str, int]] = set()
        """(recipient, notification, how often it was shown before)"""
        self.cleared: set[tuple[str, str]] = set()
        self.answers: set[tuple[str, str]] = set()
        """(push, by whom)"""
        self.silences: list[int] = []
        self.uses: list[tuple[int, int]] = []
        """Of Cleo's token: when it was shown, and when that was acknowledged or the server was dead."""
        self.speaks = True
        """Whether Cleo's token is used in this round."""
        self.acknowledged = 0
        self.heard_something = asyncio.Event()
        self._numbers = itertools.count(1)

    # ---------------------------------------------------------------- what is shown

    async def follow(self, me: Client, standing: asyncio.Event) -> None:
        """Watch from where the last watch was lost, until the connection is."""
        address = str(me.account)
        try:
            async for event in me.watch(since=self.cursors.get(address), reconnect=False):
                self._hear(address, event)
                self.cursors[address] = event.cursor
                standing.set()
                self.heard_something.set()
        except Refused:
            raise
        except ClientError:
            return

    def _hear(self, address: str, event: Event) -> None:
        what = f"{address}: {event}"
        assert event.event != "resync", what
        if event.event == "notification":
            key = (address, event.id, event.again)
            assert key not in self.shown, f"shown twice: {what}"
            assert (address, event.id) not in self.cleared, f"shown after its end: {what}"
            self.shown.add(key)
            push = self.pushes.get(UUID(event.push))
            if push is None:
                assert "has said nothing" in event.title, f"nobody sent this: {what}"
                self._hear_silence(event)
            else:
                copy = push.copies[address]
                assert copy.id in ("", event.id), f"delivered twice: {what}"
                assert self.now() >= push.begun + push.after - 1000, f"shown too early: {what}"
                copy.id = event.id
        elif event.event == "notification-cleared":
            assert (address, event.id) not in self.cleared, f"ended twice: {what}"
            self.cleared.add((address, event.id))
            for push in self.pushes.values():
                if address in push.copies and push.copies[address].id == event.id:
                    push.copies[address].ended = event.why
        elif event.event == "answer":
            assert (event.push, event.by) not in self.answers, f"answered twice: {what}"
            self.answers.add((event.push, event.by))

    def _hear_silence(self, event: Event) -> None:
        at = int(datetime.fromisoformat(event.created).timestamp() * 1000)
        if self.silences:
            spoke = [use for use in self.uses if use[0] <= at and use[1] >= self.silences[-1] - 1000]
            assert spoke, f"told twice that it is silent, at {self.silences[-1]} and {at}: {self.uses[-3:]}"
        self.silences.append(at)

    # ---------------------------------------------------------------- what is done

    async def work(self, me: Client) -> None:
        """Push, answer, dismiss and take back, one after the other, until the connection is lost."""
        address = str(me.account)
        try:
            while True:
                mine = [(push, push.copies[address]) for push in self.pushes.values() if address in push.copies]
                waiting = [one for one in mine if one[1].id and not (one[1].busy or one[1].ended or one[1].done)]
                sent = [push for push in self.pushes.values() if push.sender == address and push.acknowledged]
                what = self.chosen.random()
                if waiting and (what < 0.4 or len(waiting) > MOST_OPEN):
                    await self._clear(me, *self.chosen.choice(waiting))
                elif sent and what < 0.45:
                    await self._take_back(me, self.chosen.choice(sent))
                else:
                    await self._send(me, self._new_push(address))
        except ClientError as error:
            if isinstance(error, Refused):
                raise

    def _new_push(self, sender: str) -> Push:
        token = self.tokens[sender] if self.chosen.random() < 0.3 and (sender != CLEO or self.speaks) else ""
        room = [one for one in ADDRESSES if self._open(one) < MOST_OPEN] or [sender]
        to = (sender,) if token else tuple(self.chosen.sample(room, min(len(room), self.chosen.choice((1, 1, 2)))))
        return Push(
            id=UUID(int=self.chosen.getrandbits(128), version=4),
            sender=sender,
            title=f"notification {next(self._numbers)}",
            level=self.chosen.choice(("low", "normal", "high")),
            begun=self.now(),
            ttl=self.chosen.choice((5, 30, 90, 7200)),
            token=token,
            after=self.chosen.choice((0, 0, 0, 1000, 10_000, 60_000)),
            copies={one: Copy() for one in to},
        )

    def _open(self, address: str) -> int:
        copies = [push.copies[address] for push in self.pushes.values() if address in push.copies]
        return sum(not (copy.ended or copy.done) for copy in copies)

    async def _send(self, me: Client, push: Push) -> None:
        self.pushes[push.id] = push
        began = self.now()
        if push.token == self.tokens[CLEO]:
            self.uses.append((began, 1 << 62))  # until more is known it may act at any later time
            use = len(self.uses) - 1
        via = self.devices[push.sender] if push.token else me
        done = await via.push(
            tuple(push.copies), push.title, "text", id=push.id, level=push.level, ttl=push.ttl, at=push.at,
            token=push.token or None, actions=(Action("yes", "Yes"),),
        )  # fmt: skip
        assert [row.outcome for row in done.rows] == ["delivered"] * len(push.copies), done
        if push.token == self.tokens[CLEO]:
            self.uses[use] = (began, self.now())
        push.acknowledged = self.now()
        self.acknowledged += 1

    async def _clear(self, me: Client, push: Push, copy: Copy) -> None:
        copy.busy = True
        what = self.chosen.choice(("answered", "dismissed"))
        copy.tried.add(what)
        try:
            await (me.answer(copy.id, "yes") if what == "answered" else me.dismiss(copy.id))
        except Refused as error:
            if error.word != "ENDED":  # it was over, taken back or promoted meanwhile
                raise
        else:
            assert not copy.done, f"{push.title} was {copy.done} and {what}"
            copy.done = what
            self.acknowledged += 1
        copy.busy = False

    async def _take_back(self, me: Client, push: Push) -> None:
        for copy in push.copies.values():
            copy.tried.add("retracted")
        await me.retract(push.id)
        for copy in push.copies.values():
            copy.taken_back = True
        self.acknowledged += 1

    # ---------------------------------------------------------------- what must hold

    def server_died(self) -> None:
        """What was not answered until now will do nothing any more."""
        now = self.now()
        self.uses = [(begun, min(ended, now)) for begun, ended in self.uses]

    async def settle(self, of: dict[str, Client]) -> None:
        """After a new start: send again what was not answered, and ask what became of everything."""
        async with asyncio.TaskGroup() as group:
            for push in [one for one in self.pushes.values() if not one.acknowledged]:
                group.create_task(self._send(of[push.sender], push))
        for push in list(self.pushes.values()):
            for copy in push.copies.values():
                copy.busy = False
            await self._compare(of[push.sender], push)
        for push in [one for one in self.pushes.values() if self._is_over(one)][:-KEPT]:
            del self.pushes[push.id]

    def _is_over(self, push: Push) -> bool:
        """It has ended at each recipient, and its sender has heard of each answer."""
        return all(
            (copy.ended or copy.status in _FINAL)
            and (copy.status != "answered" or (str(push.id), address) in self.answers)
            for address, copy in push.copies.items()
        )

    async def _compare(self, me: Client, push: Push) -> None:
        rows = await me.push_status(push.id)
        now = self.now()
        assert sorted(row.imid for row in rows) == sorted(push.copies), f"{push.title}: {rows}"
        for row in rows:
            copy, status = push.copies[row.imid], row.status
            what = f"{push.title} for {row.imid} is {status}: {copy}, {push}, now {now}"
            assert status == _ENDED_AS.get(copy.done, status), what
            for tried, ended in (*_ENDED_AS.items(), ("retracted", "retracted")):
                assert status != ended or tried in copy.tried, what
            if copy.taken_back:
                assert status not in ("waiting", "delivered") or copy.ended == "promoted" or row.imid == BEN, what
            if status == "expired":
                assert now >= push.begun + push.after + push.ttl * 1000 - 1000, what
            if status == "delivered":
                assert now >= push.begun + push.after - 1000, what
            if copy.status in _FINAL:
                assert status == copy.status, what
            assert (status == "answered") == (row.answer == "yes"), what
            copy.status = status

    async def end(self, of: dict[str, Client]) -> None:
        """Nothing is sent any more: wait until all that is due has come, and compare what is left."""
        await self.settle(of)
        soon = [
            (address, push, copy)
            for push in self.pushes.values()
            for address, copy in push.copies.items()
            if copy.status == "waiting" or (copy.status == "delivered" and push.ttl < 7200 and not copy.ended)
        ]
        last_use = max((use[1] for use in self.uses), default=0)
        async with asyncio.timeout(PATIENCE):
            while (
                any(not copy.ended and copy.id and push.ttl < 7200 for _, push, copy in soon)
                or any(
                    sum(not copy.ended and not copy.id for to, _, copy in soon if to == address)
                    > len(self._over_unseen(address))
                    for address in of
                )
                or not self.silences
                or self.silences[-1] < last_use
            ):
                self.heard_something.clear()
                await self.heard_something.wait()
        for address, me in of.items():
            await self._hear_all(me, address)
        await self.settle(of)
        answered = {
            (str(push.id), address)
            for push in self.pushes.values()
            for address, copy in push.copies.items()
            if copy.status == "answered"
        }
        known = {one for one in self.answers if UUID(one[0]) in self.pushes}
        assert known == answered, (
            f"answers that the sender's watch did not bring, or brought wrongly: {known ^ answered}"
        )
        for address, me in of.items():
            await self._compare_list(me, address)
        subjects = [row.subject async for row in of[BEN].index("/INBOX")]
        assert len(subjects) == len(set(subjects)), f"promoted twice: {subjects}"
        promoted = [
            one.title for one in self.pushes.values() if BEN in one.copies and one.copies[BEN].ended == "promoted"
        ]
        assert set(promoted) <= set(subjects), f"promoted and not there: {set(promoted) - set(subjects)}"

    async def _hear_all(self, me: Client, address: str) -> None:
        """Until the watch has brought all that there is now: something new comes last."""
        mark = Push(UUID(int=self.chosen.getrandbits(128), version=4), address, "mark", "low", 0, 7200, "", 0, {})
        mark.copies[address] = Copy()
        await self._send(me, mark)
        async with asyncio.timeout(PATIENCE):
            while not mark.copies[address].id:
                self.heard_something.clear()
                await self.heard_something.wait()

    async def _compare_list(self, me: Client, address: str) -> None:
        """What is listed is what is open, each once."""
        listed: list[str] = []
        after = None
        while True:
            page = await me.notifications(after=after)
            listed += [row.push for row in page.rows if "has said nothing" not in row.title]
            if not page.more:
                break
            after = page.rows[-1].id
        expected = [
            str(push.id)
            for push in self.pushes.values()
            if address in push.copies and push.copies[address].status == "delivered" and not push.copies[address].ended
        ]
        assert len(listed) == len(set(listed)), f"listed twice: {listed}"
        assert set(listed) <= set(expected), f"{address}: listed, and not open: {set(listed) - set(expected)}"
        missing = set(expected) - set(listed)
        unseen = {one for one in missing if not self.pushes[UUID(one)].copies[address].id}
        assert missing == unseen, f"{address}: open, and not listed: {missing - unseen}"
        assert len(unseen) <= len(self._over_unseen(address)), f"{address}: open, and not listed: {unseen}"

    def _over_unseen(self, address: str) -> set[str]:
        """Ids of what ended between a kill and the return of the watch, which then is told of the end alone."""
        shown = {id_ for to, id_, _ in self.shown if to == address}
        return {id_ for to, id_ in self.cleared if to == address} - shown


def hurried_server(folder: Path) -> tuple[ServerProcess, Callable[[], int]]:
    """A server in which a minute is a second, and what time it is there, milliseconds UTC."""
    begin = time.time_ns() // 1_000_000
    words = (sys.executable, str(Path(hurried.__file__)), "--begin", str(begin))
    return ServerProcess(folder, serve=words), lambda: hurried.hurried_now(begin)


async def kill_often(
    server: ServerProcess,
    now: Callable[[], int],
    rounds: Iterable[int],
    seed: int,
    *,
    report: Callable[[str], None] = lambda text: None,
) -> tuple[int, Ledger]:
    """Kill a server once a round, while notifications come, go and are answered, or while it starts.

    Returns how often, and the ledger. Raises AssertionError where what it acknowledged does not hold.
    """
    chosen = random.Random(seed)
    ledger = Ledger(chosen, now)
    server.set_up(*ADDRESSES)
    secrets: dict[str, Secret] = {}

    async def connected(stack: AsyncExitStack) -> dict[str, Client]:
        of = {}
        for address in ADDRESSES:
            me = of[address] = await stack.enter_async_context(server.client(address, h=secrets.get(address)))
            assert me.secret is not None
            secrets[address] = me.secret
            ledger.devices[address] = await stack.enter_async_context(server.device(address))
        return of

    async def watched(group: asyncio.TaskGroup, of: dict[str, Client]) -> list["asyncio.Task[None]"]:
        standing = [asyncio.Event() for _ in of]
        tasks = [group.create_task(ledger.follow(me, one)) for me, one in zip(of.values(), standing, strict=True)]
        for one in standing:
            await one.wait()
        return tasks

    number = 0
    for number in rounds:
        if number > 1 and chosen.random() < 0.2:
            await server.launch()
            await asyncio.sleep(chosen.uniform(0, AT_START))  # a moment by chance; nothing is waited for
            await server.kill()
            continue
        await server.start()
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            of = await connected(stack)
            if number == 1:
                await of[ANN].set_setting("push.repeat", "60")
                await of[BEN].set_setting("push.promote", "60")
                for address, me in of.items():
                    await me.set_setting("push.seen", "yes")
                    ledger.tokens[address] = await me.add_push_token("pulse", every=60 if address == CLEO else None)
            await watched(group, of)
            await ledger.settle(of)
            ledger.speaks = chosen.random() < 0.3
            working = [group.create_task(ledger.work(me)) for me in of.values() for _ in range(OUTSTANDING)]
            await asyncio.wait(working, timeout=chosen.uniform(0.02, AT_LOAD))
            await server.kill()
        ledger.server_died()
        report(f"{number} kills, {ledger.acknowledged} acknowledged")
    await server.start()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        of = await connected(stack)
        watching = await watched(group, of)
        await ledger.end(of)
        for task in watching:
            task.cancel()
    assert await server.stop() == 0
    assert "sound" in server.command("check")
    return number, ledger

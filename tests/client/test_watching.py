"""A watch goes on over lost connections: none missed, none twice, and never a quiet end."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from tests.serving import Account, ManualClock, Serving, serving
from tests.way import Way

from immpd.client import (
    CannotConnect,
    Client,
    ConnectionLost,
    FingerprintMismatch,
    PasswordNeeded,
    Reconnecting,
    Refused,
    blocking,
    connect,
)
from immpd.client.watching import Outage, is_passing
from immpd.model.imid import parse_imid
from immpd.net.fingerprints import KnownPeers
from immpd.protocol.codes import Code
from immpd.protocol.commands import AccountDisable

AT_ONCE = Reconnecting(first=0.0)


class House:
    """A server over one folder that stops and starts again, always to be reached at ``way``."""

    def __init__(self, folder: Path, known: KnownPeers) -> None:
        self.folder = folder
        self.known = known
        self.way = Way()
        self.server: Serving
        self._running = AsyncExitStack()
        self._clients = AsyncExitStack()

    async def start(self) -> None:
        self.server = self.way.server = await self._running.enter_async_context(serving(self.folder))

    async def stop(self) -> None:
        await self._running.aclose()

    async def client(self, account: Account, where: str = "") -> Client:
        settings = {"server": where or self.way.address, "h": account.h, "device": "laptop", "known": self.known}
        return await self._clients.enter_async_context(connect(account.address, **settings))

    async def close(self) -> None:
        await self._clients.aclose()
        await self.stop()
        await self.way.close()


@pytest.fixture
async def house(tmp_path: Path, known: KnownPeers) -> AsyncIterator[House]:
    made = House(tmp_path, known)
    await made.start()
    await made.way.open()
    yield made
    await made.close()


@pytest.fixture
def how(clock: ManualClock) -> Reconnecting:
    """The shortest pauses that chance can give, in the test's own time."""
    return Reconnecting(sleep=clock.sleep, monotonic=clock.monotonic, random=lambda: 0.0)


async def subjects(watch: AsyncIterator, count: int) -> list[str]:
    """Of the next events, as many as there are mails among them."""
    found: list[str] = []
    while len(found) < count:
        event = await anext(watch)
        found.append(event.subject if event.event == "mail" else f"({event.event})")
        count += event.event != "mail"
    return found


async def test_it_goes_on_over_a_restart_and_says_so_once(house: House, how: Reconnecting, clock: ManualClock) -> None:
    told: list[Exception] = []
    alice = await house.server.unique_account()
    me = await house.client(alice)
    watch = me.watch(reconnect=Reconnecting(**{**_fields(how), "on_lost": told.append}))
    await me.put("/inbox", "zero", "before the watch")
    assert (await anext(watch)).event == "watching"
    await me.put("/inbox", "one", "")
    assert await subjects(watch, 1) == ["one"]
    waiting = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    await house.stop()
    await clock.until_sleeping()
    assert clock.sleeping() == [0.5]
    assert [type(error) for error in told] == [ConnectionLost]
    assert "shutting down" in str(told[0])
    clock.advance(0.5)
    await clock.until_sleeping()
    assert clock.sleeping() == [1.0]  # nobody was there
    await house.start()
    other = await house.client(alice)
    await other.put("/inbox", "two", "while nobody watched")
    clock.advance(1.0)
    assert (await waiting).event == "watching"
    assert await subjects(watch, 1) == ["two"]
    await me.put("/inbox", "three", "the session itself is back")
    assert await subjects(watch, 1) == ["three"]
    assert len(told) == 1
    await watch.aclose()


def _fields(how: Reconnecting) -> dict:
    return {name: getattr(how, name) for name in how.__struct_fields__}


async def test_none_is_missed_and_none_comes_twice_wherever_it_breaks(house: House) -> None:
    alice = await house.server.unique_account()
    host, port = house.server.listen
    writer, me = await house.client(alice, f"{host}:{port}"), await house.client(alice)
    watch = me.watch("/inbox", reconnect=AT_ONCE, acknowledge=True)
    await anext(watch)
    seen = []
    for number in range(30):
        await writer.put("/inbox", f"{number}", "x" * number)
        if number % 3 == 0:
            house.way.break_all()
        if number % 2 == 0:
            seen += [one for one in await subjects(watch, 1) if one != "(watching)"]
    seen += [one for one in await subjects(watch, 30 - len(seen)) if one != "(watching)"]
    assert seen == [f"{number}" for number in range(30)]
    await watch.aclose()


async def test_without_reconnecting_it_ends_with_the_reason(house: House) -> None:
    me = await house.client(await house.server.unique_account())
    watch = me.watch(reconnect=False)
    await anext(watch)
    waiting = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    await house.stop()
    with pytest.raises(ConnectionLost, match="shutting down"):
        await waiting


async def test_two_watches_of_a_session_come_back_over_one_connection(house: House) -> None:
    alice = await house.server.unique_account()
    me = await house.client(alice)
    watches = [me.watch(reconnect=AT_ONCE), me.watch("/inbox", reconnect=AT_ONCE)]
    for watch in watches:
        assert (await anext(watch)).event == "watching"
    before = house.way.taken
    house.way.break_all()
    for watch in watches:
        assert (await anext(watch)).event == "watching"
    assert house.way.taken == before + 1
    await me.put("/inbox", "both", "")
    assert [await subjects(watch, 1) for watch in watches] == [["both"], ["both"]]
    for watch in watches:
        await watch.aclose()


async def test_what_was_shown_before_the_break_is_confirmed_after_it(house: House) -> None:
    alice = await house.server.unique_account()
    me = await house.client(alice)
    watch = me.watch(name="t", reconnect=AT_ONCE, acknowledge=True)
    await anext(watch)
    await me.put("/inbox", "one", "")
    assert await subjects(watch, 1) == ["one"]
    house.way.break_all()
    assert (await anext(watch)).event == "watching"
    await me.put("/inbox", "two", "")
    assert await subjects(watch, 1) == ["two"]
    await watch.aclose()
    again = (await house.client(alice)).watch(name="t")
    assert await subjects(again, 1) == ["(watching)", "two"]
    await again.aclose()


async def _disabled(house: House, alice: Account) -> None:
    await house.server.operator.call(AccountDisable(address=parse_imid(alice.address), disabled=True))


async def _another_key(house: House, _: Account) -> None:
    await house.stop()
    for path in house.folder.glob("*/tls.*"):
        path.unlink()
    await house.start()


async def _another_password(house: House, alice: Account) -> None:
    host, port = house.server.listen
    other = await house.client(alice, f"{host}:{port}")
    await house.way.close()
    await other.change_password("something else")
    await house.way.open()


@pytest.mark.parametrize(
    ("change", "error"),
    [(_disabled, Refused), (_another_key, FingerprintMismatch), (_another_password, (Refused, PasswordNeeded))],
)
async def test_what_time_cannot_mend_ends_it(
    change: Callable[[House, Account], Awaitable[None]], error: type[Exception], house: House
) -> None:
    alice = await house.server.unique_account()
    me = await house.client(alice)
    watch = me.watch(reconnect=AT_ONCE)
    await anext(watch)
    waiting = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    await change(house, alice)
    with pytest.raises(error):
        await waiting
    with pytest.raises(ConnectionLost):
        await me.noop()


async def _ended_by_another(_: House, other: Client) -> None:
    await other.end_other_sessions()


async def _new_password(_: House, other: Client) -> None:
    await other.change_password("something else")


@pytest.mark.parametrize(
    ("change", "word"), [(_ended_by_another, "SESSION-ENDED"), (_new_password, "PASSWORD-CHANGED")]
)
async def test_who_was_sent_away_does_not_come_back(
    change: Callable[[House, Client], Awaitable[None]], word: str, house: House
) -> None:
    alice = await house.server.unique_account()
    me, other = await house.client(alice), await house.client(alice)
    told: list[Exception] = []
    watch = me.watch(reconnect=Reconnecting(first=0.0, on_lost=told.append))
    await anext(watch)
    waiting = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    before = house.way.taken
    await change(house, other)
    with pytest.raises(Refused) as caught:
        await waiting
    assert (caught.value.word, told, house.way.taken) == (word, [], before)


async def test_a_session_that_its_program_closes_stays_closed(house: House) -> None:
    me = await house.client(await house.server.unique_account())
    watch = me.watch(reconnect=AT_ONCE)
    await anext(watch)
    waiting = asyncio.create_task(anext(watch))
    await asyncio.sleep(0)
    before = house.way.taken
    await me.abort()
    with pytest.raises(ConnectionLost):
        await waiting
    with pytest.raises(ConnectionLost):
        await me.reconnect()
    assert house.way.taken == before


def _watch_blocking(house: House, alice: Account, broken: Callable[[], None]) -> list[str]:
    seen = []
    where = {"server": house.way.address, "h": alice.h, "known": house.known}
    with blocking.connect(alice.address, **where) as me:
        for event in me.watch(reconnect=AT_ONCE):
            seen.append(event.subject or event.event)
            if len(seen) == 1:
                broken()
            elif len(seen) == 2:
                me.put("/inbox", "after", "")
            else:
                break
    return seen


async def test_a_blocking_watch_comes_back(house: House) -> None:
    alice = await house.server.unique_account()
    loop = asyncio.get_running_loop()
    seen = await asyncio.to_thread(
        _watch_blocking, house, alice, lambda: loop.call_soon_threadsafe(house.way.break_all)
    )
    assert seen == ["watching", "watching", "after"]


# --- how long it waits


def test_pauses_grow_and_differ(clock: ManualClock) -> None:
    chance = iter([0.0, 0.5, 0.0, 0.0, 1.0, 0.0, 0.0])
    outage = Outage(Reconnecting(first=1, most=8, random=lambda: next(chance), monotonic=clock.monotonic))
    lost = ConnectionLost("gone")
    assert [outage.lost(lost) for _ in range(6)] == [0.5, 1.5, 2.0, 4.0, 8.0, 4.0]
    assert outage.lost(Refused(Code.BOUND, "TOO-MANY-CONNECTIONS", "Later", 30)) == 34.0


def test_only_a_connection_that_lasted_makes_the_pauses_short_again(clock: ManualClock) -> None:
    told: list[Exception] = []
    outage = Outage(Reconnecting(first=1, most=8, random=lambda: 0.0, monotonic=clock.monotonic, on_lost=told.append))
    lost = [ConnectionLost(f"{number}") for number in range(5)]
    assert [outage.lost(error) for error in lost[:3]] == [0.5, 1.0, 2.0]
    assert told == lost[:1]
    outage.stands()
    clock.advance(7)
    outage.stands()
    assert outage.lost(lost[3]) == 4.0
    outage.stands()
    clock.advance(8)
    assert outage.lost(lost[4]) == 0.5
    assert told == [lost[0], lost[3], lost[4]]


@pytest.mark.parametrize(
    ("error", "passes"),
    [
        (ConnectionLost("x"), True),
        (CannotConnect("x"), True),
        (Refused(Code.SHUTDOWN, "SHUTTING-DOWN", "x", 30), True),
        (Refused(Code.SHUTDOWN, "SESSION-ENDED", "x"), False),
        (Refused(Code.TEMPORARY, "STORE-FULL", "x"), True),
        (Refused(Code.AUTH_FAILED, "AUTH-FAILED", "x", 5), True),
        (Refused(Code.AUTH_FAILED, "AUTH-FAILED", "x"), False),
        (PasswordNeeded("x"), False),
        (FingerprintMismatch("a.test", ("a" * 64,), "b" * 64), False),
    ],
)
def test_what_may_pass_by_itself(error: Exception, passes: bool) -> None:
    assert is_passing(error) is passes

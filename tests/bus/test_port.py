"""What every Bus promises: one process, and several with a bad wire between them."""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

import pytest
from tests.bus.uncertain import UncertainBus

from immpd.bus import Bus, LocalBus
from immpd.model.change import Change
from immpd.model.feed import ItemHint
from immpd.model.news import News, SessionsEnd, Wake

MAKERS = [pytest.param(LocalBus, id="local")] + [
    pytest.param(lambda seed=seed: UncertainBus(Random(seed)), id=f"uncertain-{seed}") for seed in range(8)
]


@pytest.fixture(params=MAKERS)
async def bus(request: pytest.FixtureRequest) -> Bus:
    made: Bus = request.param()
    return made


async def quiet(bus: Bus) -> None:
    """Until nothing is under way."""
    for _ in range(2000):
        await asyncio.sleep(0)


def change(mailbox: int, state: int) -> Change:
    return Change("flags", mailbox, state, 1)


class Store:
    """The truth: numbers of mailboxes, of items of nodes, ended accounts, due jobs; what it commits it tells."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.states: dict[int, int] = {}
        self.items: list[int] = []
        """Of each item its node."""
        self.ended: set[str] = set()
        self.due: set[str] = set()

    def commit(self, chance: Random) -> None:
        news: list[News] = []
        for _ in range(chance.randint(1, 4)):
            number = chance.randrange(3)
            match chance.randrange(4):
                case 0:
                    self.states[number] = self.states.get(number, 0) + 1
                    news.append(change(number, self.states[number]))
                case 1:
                    before = [seq for seq, node in enumerate(self.items, 1) if node == number]
                    self.items.append(number)
                    news.append(ItemHint(number, len(self.items), before[-1] if before else 0, None))
                case 2:
                    account = f"{number}@a.example"
                    self.ended.add(account)
                    news.append(SessionsEnd(account, "disabled"))
                case _:
                    self.due.add(str(number))
                    news.append(Wake(str(number)))
        self.bus.publish(news)


async def test_whoever_looks_at_the_store_when_told_to_misses_nothing(bus: Bus) -> None:
    store, chance = Store(bus), Random(7)
    states: dict[int, list[int]] = {0: [], 1: [], 2: []}
    items: dict[int, list[int]] = {0: [], 1: [], 2: []}
    ended: set[str] = set()
    done: set[str] = set()

    def changes_of(mailbox: int) -> Callable[[Sequence[Change]], None]:
        def told(changes: Sequence[Change]) -> None:
            seen = states[mailbox]
            following = len(seen) + 1
            if len(changes) == 1 and changes[0].state == following:
                seen.append(following)
            else:
                seen.extend(range(following, store.states.get(mailbox, 0) + 1))

        return told

    def items_of(node: int) -> Callable[[Sequence[ItemHint]], None]:
        def told(hints: Sequence[ItemHint]) -> None:
            seen = items[node]
            cursor = seen[-1] if seen else 0
            seen.extend(seq for seq, one in enumerate(store.items, 1) if one == node and seq > cursor)

        return told

    def ends(told: Sequence[SessionsEnd]) -> None:
        ended.update([one.account for one in told] or store.ended)

    def wakes(told: Sequence[Wake]) -> None:
        done.update([one.job for one in told] or store.due)

    for number in range(3):
        bus.on_changes(number, changes_of(number))
        bus.on_items(number, items_of(number))
    bus.on_ends(ends)
    bus.on_wakes(wakes)
    for _ in range(60):
        store.commit(chance)
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
    await quiet(bus)
    assert {mailbox: seen[-1] for mailbox, seen in states.items()} == store.states
    assert all(seen == list(range(1, len(seen) + 1)) for seen in states.values())
    for node, numbers in items.items():
        assert numbers == [seq for seq, one in enumerate(store.items, 1) if one == node]
    assert (ended, done) == (store.ended, store.due)


async def test_a_gap_is_told_to_every_listener_as_nothing(bus: Bus) -> None:
    told: list[tuple[str, Sequence[object]]] = []
    stops = [
        bus.on_changes(1, lambda changes: told.append(("changes", changes))),
        bus.on_items(1, lambda hints: told.append(("items", hints))),
        bus.on_ends(lambda ends: told.append(("ends", ends))),
        bus.on_wakes(lambda wakes: told.append(("wakes", wakes))),
    ]
    bus.gap()
    await quiet(bus)
    assert {kind for kind, _ in told} == {"changes", "items", "ends", "wakes"}
    assert all(not news for _, news in told)
    for stop in stops:
        stop()
        stop()
    told.clear()
    bus.gap()
    bus.publish([change(1, 1), Wake("any")])
    await quiet(bus)
    assert told == []


async def test_a_listener_that_fails_deafens_nobody(bus: Bus) -> None:
    loop = asyncio.get_running_loop()
    failures: list[object] = []
    loop.set_exception_handler(lambda _, context: failures.append(context["exception"]))
    told: list[Sequence[Change]] = []

    def broken(_: Sequence[Change]) -> None:
        raise RuntimeError("a listener failed")

    try:
        bus.on_changes(1, broken)
        bus.on_changes(1, told.append)
        bus.publish([change(1, 1)])
        bus.gap()
        await quiet(bus)
    finally:
        loop.set_exception_handler(None)
    assert told
    assert all(isinstance(failure, RuntimeError) for failure in failures)
    assert failures


@pytest.mark.parametrize("seed", range(8))
async def test_before_news_of_another_process_the_store_is_told_to_look(seed: int) -> None:
    bus, order = UncertainBus(Random(seed)), list[str]()
    bus.on_foreign(lambda: order.append("renew"))
    bus.on_changes(1, lambda _: order.append("told"))
    for state in range(1, 20):
        bus.publish([change(1, state)])
    await quiet(bus)
    assert "told" in order
    assert all(order[at - 1] == "renew" for at, what in enumerate(order) if what == "told")

"""Telling who watches a node: everybody everything, in order, with turns for others."""

import asyncio

from immpd.bus import ItemBus
from immpd.bus.items import AT_ONCE, MOST, TOGETHER
from immpd.model.feed import ItemHint


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rounds: list[tuple[ItemHint, ...]] = []

    def __call__(self, hints: tuple[ItemHint, ...]) -> None:
        self.rounds.append(hints)

    @property
    def numbers(self) -> list[int]:
        return [hint.seq for hints in self.rounds for hint in hints]


def hint(seq: int, node: int = 1, octets: bytes = b"x") -> ItemHint:
    return ItemHint(node, seq, seq - 1, octets)


async def turns(count: int = 100) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_listens_to_several_nodes_is_told_in_the_order_of_the_numbers() -> None:
    bus, both, one = ItemBus(), Listener(), Listener()
    bus.listen(1, both)
    bus.listen(2, both)
    bus.listen(2, one)
    for seq, node in enumerate((1, 1, 2, 1, 2, 2), 1):
        bus.publish(hint(seq, node))
    assert both.rounds == []
    await turns()
    assert both.numbers == [1, 2, 3, 4, 5, 6]
    assert [len(hints) for hints in both.rounds] == [2, 1, 1, 2]
    assert one.numbers == [3, 5, 6]


async def test_a_round_is_bounded_and_others_have_their_turn() -> None:
    bus, listeners = ItemBus(), [Listener() for _ in range(3 * AT_ONCE)]
    for listener in listeners:
        bus.listen(1, listener)
    for seq in range(1, 5):
        bus.publish(hint(seq, octets=b"x" * (TOGETHER // 2)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    told = sum(1 for listener in listeners if listener.rounds)
    assert 0 < told < len(listeners)
    # What is published meanwhile comes after what is being told.
    bus.publish(hint(5))
    await turns()
    assert all(listener.numbers == [1, 2, 3, 4, 5] for listener in listeners)
    assert [len(hints) for hints in listeners[0].rounds] == [2, 2, 1]


async def test_too_many_that_wait_lose_their_octets_and_nothing_else() -> None:
    bus, listener = ItemBus(), Listener()
    bus.listen(1, listener)
    large = MOST // 4
    for seq in range(1, 7):
        bus.publish(hint(seq, octets=b"x" * large))
    await turns()
    bus.publish(hint(7))
    await turns()
    assert listener.numbers == [1, 2, 3, 4, 5, 6, 7]
    assert [one.seq for hints in listener.rounds for one in hints if not one.octets] == [5, 6]


async def test_who_stops_is_not_told_any_more_and_nobody_is_nobody() -> None:
    bus, listener = ItemBus(), Listener()
    stop = bus.listen(1, listener)
    assert bus.listening == 1
    stop()
    stop()
    assert bus.listening == 0
    bus.publish(hint(1))
    await turns()
    assert listener.rounds == []

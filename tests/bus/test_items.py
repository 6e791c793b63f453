"""Telling who watches a node: everybody everything, in order, with turns for others."""

import asyncio
from collections.abc import Sequence

from immpd.bus.items import MOST, TOGETHER, ItemRounds
from immpd.bus.listeners import AT_ONCE
from immpd.model.feed import Item, ItemHint


class Listener:
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.rounds: list[Sequence[ItemHint]] = []

    def __call__(self, hints: Sequence[ItemHint]) -> None:
        self.rounds.append(hints)

    @property
    def numbers(self) -> list[int]:
        return [hint.seq for hints in self.rounds for hint in hints]


def hint(seq: int, node: int = 1, body: bytes = b"x") -> ItemHint:
    item = Item(seq, "item", b"", "a/b@a.example", "", "text/plain", "normal", "a@a.example", 0, len(body), body)
    return ItemHint(node, seq, seq - 1, item)


async def turns(count: int = 100) -> None:
    """Let the loop turn."""
    for _ in range(count):
        await asyncio.sleep(0)


async def test_who_listens_to_several_nodes_is_told_in_the_order_of_the_numbers() -> None:
    bus, both, one = ItemRounds(), Listener(), Listener()
    bus.listeners.add(1, both)
    bus.listeners.add(2, both)
    bus.listeners.add(2, one)
    for seq, node in enumerate((1, 1, 2, 1, 2, 2), 1):
        bus.publish(hint(seq, node))
    assert both.rounds == []
    await turns()
    assert both.numbers == [1, 2, 3, 4, 5, 6]
    assert [len(hints) for hints in both.rounds] == [2, 1, 1, 2]
    assert one.numbers == [3, 5, 6]


async def test_a_round_is_bounded_and_others_have_their_turn() -> None:
    bus, listeners = ItemRounds(), [Listener() for _ in range(3 * AT_ONCE)]
    for listener in listeners:
        bus.listeners.add(1, listener)
    for seq in range(1, 5):
        bus.publish(hint(seq, body=b"x" * (TOGETHER // 2 - 300)))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    told = sum(1 for listener in listeners if listener.rounds)
    assert 0 < told < len(listeners)
    # What is published meanwhile comes after what is being told.
    bus.publish(hint(5))
    await turns()
    assert all(listener.numbers == [1, 2, 3, 4, 5] for listener in listeners)
    assert [len(hints) for hints in listeners[0].rounds] == [2, 2, 1]


async def test_too_many_that_wait_lose_their_item_and_nothing_else() -> None:
    bus, listener = ItemRounds(), Listener()
    bus.listeners.add(1, listener)
    large = MOST // 4
    for seq in range(1, 7):
        bus.publish(hint(seq, body=b"x" * large))
    await turns()
    bus.publish(hint(7))
    await turns()
    assert listener.numbers == [1, 2, 3, 4, 5, 6, 7]
    assert [one.seq for hints in listener.rounds for one in hints if one.item is None] == [5, 6]


async def test_who_stops_is_not_told_any_more_and_nobody_is_nobody() -> None:
    bus, listener = ItemRounds(), Listener()
    stop = bus.listeners.add(1, listener)
    assert len(bus.listeners) == 1
    stop()
    stop()
    assert len(bus.listeners) == 0
    bus.publish(hint(1))
    await turns()
    assert listener.rounds == []


async def test_where_a_number_is_missing_all_look_at_the_store_before_anything_else() -> None:
    bus, one, other = ItemRounds(), Listener(), Listener()
    bus.listeners.add(1, one)
    bus.listeners.add(2, other)
    bus.publish(hint(1))
    await turns()
    bus.publish(hint(3))  # the second may be of any node
    bus.publish(hint(4))
    await turns()
    assert [[two.seq for two in hints] for hints in one.rounds] == [[1], [], [4]]
    assert other.rounds == [()]
    # What comes late or again only says that there is something: who has heard of later ones must not go back.
    bus.publish(hint(2, node=2))
    bus.publish(hint(4))
    await turns()
    assert [(two.seq, two.item) for hints in (*other.rounds[1:], *one.rounds[3:]) for two in hints] == [
        (2, None),
        (4, None),
    ]


async def test_a_gap_takes_the_place_of_what_waits() -> None:
    bus, listener = ItemRounds(), Listener()
    bus.listeners.add(1, listener)
    for seq in (1, 2, 3):
        bus.publish(hint(seq))
    bus.gap()
    bus.gap()
    bus.publish(hint(4))
    await turns()
    assert [[one.seq for one in hints] for hints in listener.rounds] == [[], [4]]

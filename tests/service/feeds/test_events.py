"""Events of items: encoded once, whoever is told."""

from immpd.model.feed import Item, ItemHint
from immpd.service.feeds.events import HintEvents


def hint(seq: int) -> ItemHint:
    item = Item(seq, "item", bytes(16), "a/b@a.example", "Hi", "text/plain", "normal", "a@a.example", 0, 1, b"x")
    return ItemHint(1, seq, seq - 1, item)


def test_a_round_of_hints_is_encoded_once_for_all_who_are_told_it() -> None:
    events = HintEvents()
    one, other = (hint(1), hint(2)), (hint(3), ItemHint(1, 4, 3, None))
    first = events.of(one)
    assert [(seq, prev, octets[-1:]) for seq, prev, octets in first] == [(1, 0, b"\n"), (2, 1, b"\n")]
    assert all(events.of(one) is first for _ in range(3))
    assert events.of(other)[1] == (4, 3, b"")  # the store is asked for it
    assert events.of(one) == first

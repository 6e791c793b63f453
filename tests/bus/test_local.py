"""Telling who watches a mailbox: once for all that was committed together."""

from collections.abc import Sequence

from immpd.bus import LocalBus
from immpd.model.change import Change


def change(mailbox: int, state: int) -> Change:
    return Change("flags", mailbox, state, 1)


def test_each_is_told_once_of_what_was_committed_together_and_only_of_its_mailbox() -> None:
    bus = LocalBus()
    told: dict[str, list[list[tuple[int, int]]]] = {"a": [], "b": [], "c": []}

    def listener(name: str):
        def listen(changes: Sequence[Change]) -> None:
            told[name].append([(one.mailbox, one.state) for one in changes])

        return listen

    bus.on_changes(1, listener("a"))
    stop = bus.on_changes(1, listener("b"))
    bus.on_changes(2, listener("c"))
    bus.publish((change(1, 1),))
    bus.publish([change(1, 2), change(2, 7), change(1, 3), change(3, 1)])
    stop()
    bus.publish((change(1, 4),))
    bus.publish(())
    assert told == {"a": [[(1, 1)], [(1, 2), (1, 3)], [(1, 4)]], "b": [[(1, 1)], [(1, 2), (1, 3)]], "c": [[(2, 7)]]}

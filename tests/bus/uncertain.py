"""A bus with a wire in it: what is told comes late, in another order, twice, or never, and then the loss is told.

It stands for every way to other processes: each process numbers what it tells, so that whoever receives it knows
when something is missing; and when all is quiet, each says how far it has come.
"""

import asyncio
from collections.abc import Callable, Sequence
from random import Random

from immpd.bus import LocalBus
from immpd.bus.port import ChangeListener, EndListener, ItemListener, Stop, WakeListener
from immpd.model.news import News

FATES = ("arrives", "arrives", "lost", "doubled", "late", "waits")
"""What may become of news on the wire, as often as it stands there."""


class UncertainBus:
    """The Bus at both ends of a bad wire."""

    def __init__(self, chance: Random, fates: Sequence[str] = FATES) -> None:
        self._chance = chance
        self._fates = fates
        self._here = LocalBus()
        self._wire: list[tuple[int, Sequence[News]]] = []
        self._sent = self._seen = 0
        self._foreign: list[Callable[[], None]] = []
        self._running = False
        self.lost = self.doubled = self.late = 0

    def on_changes(self, mailbox: int, listener: ChangeListener) -> Stop:
        return self._here.on_changes(mailbox, listener)

    def on_items(self, node: int, listener: ItemListener) -> Stop:
        return self._here.on_items(node, listener)

    def on_ends(self, listener: EndListener) -> Stop:
        return self._here.on_ends(listener)

    def on_wakes(self, listener: WakeListener) -> Stop:
        return self._here.on_wakes(listener)

    def on_foreign(self, call: Callable[[], None]) -> None:
        self._foreign.append(call)

    @property
    def listening(self) -> tuple[int, int]:
        return self._here.listening

    def publish(self, news: Sequence[News]) -> None:
        self._sent += 1
        self._wire.append((self._sent, list(news)))
        self._run()

    def gap(self) -> None:
        self.publish(())
        self._missed()

    def _run(self) -> None:
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._carry)

    def _carry(self) -> None:
        """One step of the wire."""
        chance = self._chance
        if not self._wire:
            self._running = False
            if self._seen < self._sent:  # all is quiet: how far the other end has come
                self._seen = self._sent
                self._missed()
            return
        fate = chance.choice(self._fates)
        if fate == "lost":
            self._wire.pop(0)
            self.lost += 1
        elif fate == "late" and len(self._wire) > 1:
            self._arrive(*self._wire.pop(chance.randrange(1, len(self._wire))))
            self.late += 1
        elif fate == "doubled":
            self._arrive(*self._wire[0])
            self.doubled += 1
        elif fate != "waits":
            self._arrive(*self._wire.pop(0))
        asyncio.get_running_loop().call_soon(self._carry)

    def _arrive(self, number: int, news: Sequence[News]) -> None:
        if number > self._seen + 1:
            self._missed()
        self._seen = max(self._seen, number)
        self._renew()
        self._here.publish(news)

    def _missed(self) -> None:
        self._renew()
        self._here.gap()

    def _renew(self) -> None:
        for call in self._foreign:
            call()

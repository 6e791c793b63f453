"""Items of nodes, to those who watch them in this process, by rounds.

Rules: everybody is told in the order of the items' numbers; what is published while a round of telling runs goes out
together in the next one; a round gives others their turn after some listeners; a lost hint may cost a listener time,
never an item: numbers are the server's, so where one is missing all listeners are told to look at the store, and of
what comes late those of its node are only told that there is something.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from immpd.model.feed import ItemHint

from .listeners import Listeners, tell_in_turns

TOGETHER = 48 * 1024
"""Octets of the items of one round; one item goes whatever it has."""
MOST = 8 << 20
"""Octets of items that wait; those behind them are only told of, and read from the store."""


class ItemRounds:
    """Hints by node."""

    def __init__(self) -> None:
        self.listeners: Listeners[Sequence[ItemHint]] = Listeners()
        self._waiting: deque[ItemHint] = deque()
        self._gap = False
        """Before what waits, all are told to look at the store."""
        self._octets = 0
        """Octets of what waits."""
        self._newest = 0
        """The highest number that was published."""
        self._running = False

    def publish(self, hint: ItemHint) -> None:
        """Tell the listeners of the hint's node, soon."""
        newest = self._newest
        if hint.seq > newest:
            self._newest = hint.seq
            if hint.seq > newest + 1:
                self.gap()
                return
        if hint.node not in self.listeners:
            return
        if hint.seq <= newest or self._octets >= MOST:
            hint = ItemHint(hint.node, hint.seq, hint.prev, None, hint.gone)
        self._octets += hint.weight
        self._waiting.append(hint)
        self._run()

    def gap(self) -> None:
        """Have all listeners look at the store, soon; which tells them of all that waits, too."""
        self._waiting.clear()
        self._octets = 0
        if self.listeners:
            self._gap = True
            self._run()

    def _run(self) -> None:
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """The next round: a gap, or what waits of one node, up to where another's begins."""
        if self._gap:
            self._gap = False
            tell_in_turns(self.listeners.all(), (), self._begin)
            return
        waiting = self._waiting
        if not waiting:
            self._running = False
            return
        node = waiting[0].node
        together = [waiting.popleft()]
        room = TOGETHER - together[0].weight
        while waiting and waiting[0].node == node and waiting[0].weight <= room:
            room -= waiting[0].weight
            together.append(waiting.popleft())
        self._octets -= sum([hint.weight for hint in together])
        tell_in_turns(self.listeners.of(node), tuple(together), self._begin)

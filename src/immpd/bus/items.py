"""Items of nodes, to those who watch them in this process.

Rules: publish after the commit and in the order of the items' numbers: everybody is told in that order; what
is published while a round of telling runs goes out together in the next one; a round gives others their turn
after some listeners; a lost hint may cost a listener time, never an item: what does not follow the last number
is only told of, so that whoever listens reads the store.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from itertools import islice

from immpd.model.feed import ItemHint

ItemListener = Callable[[tuple[ItemHint, ...]], None]
"""Told the next items of one node, in order; must not raise and must not publish."""

AT_ONCE = 128
"""Listeners that are told before others have their turn."""
TOGETHER = 60 * 1024
"""Octets of the items of one round; one item goes whatever it has."""
MOST = 8 << 20
"""Octets of items that wait; those behind them are only told of, and read from the store."""


class ItemBus:
    """Hints by node."""

    def __init__(self) -> None:
        self._listeners: dict[int, dict[int, ItemListener]] = {}
        self._next = 0
        self._waiting: deque[ItemHint] = deque()
        self._octets = 0
        """Octets of what waits."""
        self._newest = 0
        """The highest number that was published."""
        self._running = False

    def listen(self, node: int, listener: ItemListener) -> Callable[[], None]:
        """Call ``listener`` with what the node publishes; returns the function that ends it."""
        self._next += 1
        token = self._next
        self._listeners.setdefault(node, {})[token] = listener

        def stop() -> None:
            listeners = self._listeners.get(node)
            if listeners is not None and listeners.pop(token, None) is not None and not listeners:
                del self._listeners[node]

        return stop

    @property
    def listening(self) -> int:
        """How many listeners there are."""
        return sum(map(len, self._listeners.values()))

    def publish(self, hint: ItemHint) -> None:
        """Tell the listeners of the hint's node, soon."""
        follows = hint.seq == self._newest + 1
        self._newest = max(self._newest, hint.seq)
        if hint.node not in self._listeners:
            return
        if not follows or self._octets >= MOST:
            hint = ItemHint(hint.node, hint.seq, hint.prev, b"", hint.gone)
        self._octets += len(hint.octets)
        self._waiting.append(hint)
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """The next round: what waits of one node, up to where another's begins."""
        waiting = self._waiting
        if not waiting:
            self._running = False
            return
        node = waiting[0].node
        together = [waiting.popleft()]
        room = TOGETHER - len(together[0].octets)
        while waiting and waiting[0].node == node and len(waiting[0].octets) <= room:
            room -= len(waiting[0].octets)
            together.append(waiting.popleft())
        self._octets -= sum([len(hint.octets) for hint in together])
        listeners = tuple(self._listeners.get(node, {}).values())
        self._tell(tuple(together), listeners, 0)

    def _tell(self, hints: tuple[ItemHint, ...], listeners: tuple[ItemListener, ...], at: int) -> None:
        loop = asyncio.get_running_loop()
        for listener in islice(listeners, at, at + AT_ONCE):
            try:
                listener(hints)
            except Exception as failed:  # nobody's failure may deafen the others
                loop.call_exception_handler({"message": "a listener failed", "exception": failed})
        at += AT_ONCE
        if at < len(listeners):
            loop.call_soon(self._tell, hints, listeners, at)
        else:
            loop.call_soon(self._begin)

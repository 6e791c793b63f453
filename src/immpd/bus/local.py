"""The bus inside one process (port.py).

Rules: changes, ends and wake-ups are told before ``publish`` returns, items by rounds (items.py), a gap by turns;
a listener is told of everything of a call together.
"""

from collections.abc import Callable, Sequence

from immpd.model.change import Change
from immpd.model.feed import ItemHint
from immpd.model.news import News, SessionsEnd, Wake

from .items import ItemRounds
from .listeners import Listeners, tell_in_turns
from .port import ChangeListener, EndListener, ItemListener, Stop, WakeListener

_ALL = 0
"""The number of what is not listened to by number."""


class LocalBus:
    """The Bus where there is one process; what carries news between several hands them on through one."""

    def __init__(self) -> None:
        self._changes: Listeners[Sequence[Change]] = Listeners()
        self._items = ItemRounds()
        self._ends: Listeners[Sequence[SessionsEnd]] = Listeners()
        self._wakes: Listeners[Sequence[Wake]] = Listeners()

    def on_changes(self, mailbox: int, listener: ChangeListener) -> Stop:
        """Call ``listener`` with the changes of a mailbox."""
        return self._changes.add(mailbox, listener)

    def on_items(self, node: int, listener: ItemListener) -> Stop:
        """Call ``listener`` with what a node publishes."""
        return self._items.listeners.add(node, listener)

    def on_ends(self, listener: EndListener) -> Stop:
        """Call ``listener`` with ends of sessions, of all accounts."""
        return self._ends.add(_ALL, listener)

    def on_wakes(self, listener: WakeListener) -> Stop:
        """Call ``listener`` with wake-ups, of all jobs."""
        return self._wakes.add(_ALL, listener)

    def on_foreign(self, call: Callable[[], None]) -> None:
        """Nothing: there is no other process."""

    @property
    def listening(self) -> tuple[int, int]:
        """How many listen to changes of mailboxes, and how many to items of nodes."""
        return len(self._changes), len(self._items.listeners)

    def publish(self, news: Sequence[News]) -> None:
        """Tell whom it concerns."""
        listened = self._changes
        changes: dict[int, list[Change]] = {}
        ends: list[SessionsEnd] = []
        wakes: list[Wake] = []
        for one in news:
            if isinstance(one, Change):
                if one.mailbox in listened:
                    changes.setdefault(one.mailbox, []).append(one)
            elif isinstance(one, ItemHint):
                self._items.publish(one)
            elif isinstance(one, Wake):
                wakes.append(one)
            else:
                ends.append(one)
        for mailbox, those in changes.items():
            listened.tell(mailbox, those)
        if wakes:
            self._wakes.tell(_ALL, wakes)
        if ends:
            self._ends.tell(_ALL, ends)

    def gap(self) -> None:
        """Have everybody look at the store."""
        self._items.gap()
        tell_in_turns(self._changes.all(), ())
        self._wakes.tell(_ALL, ())
        self._ends.tell(_ALL, ())

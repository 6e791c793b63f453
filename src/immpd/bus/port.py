"""The port of the bus: what whoever tells and whoever listens may rely on, whatever carries the news.

Rules: news are handed on after their commit, never before; what one process tells of one mailbox, or of items,
comes in the order of its commits, unless it is late; news may be late, doubled or lost. Whoever carries them knows
when it lost some (what a process tells is numbered, or the process is gone), and then says so, before it hands on
anything that the same process told later: every listener is called with nothing, and looks at the store. A listener
is a plain function that must not raise and must not publish (docs/why/bus.md).
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from immpd.model.change import Change
from immpd.model.feed import ItemHint
from immpd.model.news import News, SessionsEnd, Wake

Stop = Callable[[], None]
"""Ends a listening; calling it again does nothing."""
ChangeListener = Callable[[Sequence[Change]], None]
"""Told changes of one mailbox, in order; nothing: some may have been lost."""
ItemListener = Callable[[Sequence[ItemHint]], None]
"""Told the next items of one node, in order, all listeners of a round the same value; nothing: some may be lost."""
EndListener = Callable[[Sequence[SessionsEnd]], None]
"""Told which sessions end; nothing: some that were to end may not have been named."""
WakeListener = Callable[[Sequence[Wake]], None]
"""Told which jobs have something to do; nothing: any may have."""


class Bus(Protocol):
    """Who listens to what, and the news. All methods belong to the event loop's thread."""

    def on_changes(self, mailbox: int, listener: ChangeListener) -> Stop:
        """Call ``listener`` with the changes of a mailbox."""

    def on_items(self, node: int, listener: ItemListener) -> Stop:
        """Call ``listener`` with what a node publishes."""

    def on_ends(self, listener: EndListener) -> Stop:
        """Call ``listener`` with ends of sessions, of all accounts."""

    def on_wakes(self, listener: WakeListener) -> Stop:
        """Call ``listener`` with wake-ups, of all jobs."""

    def on_foreign(self, call: Callable[[], None]) -> None:
        """Before news of another process are handed on, call this: a store then reads what that one committed."""

    def publish(self, news: Sequence[News]) -> None:
        """Tell whom it concerns, here and in other processes; soon, where many listen."""

    def gap(self) -> None:
        """Something may have been lost: have everybody look at the store."""

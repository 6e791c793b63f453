"""The feeds' part of a WATCH: items as events, in order, none missed (docs/protocol.md, "WATCH").

Rules: as in watching.py, the store is the truth and nothing is queued; a hint is said at once, with the watch
going on waiting, only where nothing lies between it and the cursor; listen first, then catch up.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from immpd.model.feed import Heard, ItemHint
from immpd.service.outcome import Outcome, Page, Step
from immpd.store.feeds.item_pages import Items, ItemsSince, items_since
from immpd.store.feeds.subscriptions import OfMailbox, watched_nodes

from .events import EVENT, item_event

if TYPE_CHECKING:
    from immpd.service.mail.watching import Watcher

PAGE = 50
MOST_AT_ONCE = 64 * 1024
"""Octets of hints that are said at once; more is read from the store, a page at a time."""
ENDED_AT_ONCE = 50
"""Nodes that are no longer listened to until others have their turn: many watches may end together."""


class FeedCursor:
    """How far a watch has shown the feeds of its mailbox, and which it listens to."""

    __slots__ = ("_head", "_head_of", "_nodes", "behind", "cursor", "watcher")

    def __init__(self, watcher: "Watcher") -> None:
        self.watcher = watcher
        self.cursor = 0
        """All items up to it were looked at, and shown where they are wanted."""
        self.behind = False
        """Something was published since the store was last asked."""
        self._nodes: dict[int, tuple[Callable[[], None], Heard]] = {}
        """What it listens to, how each is ended, and what of it are events."""
        self._head = b""
        self._head_of = -1

    def stop(self) -> None:
        """Listen no longer."""
        _end_some([stop for stop, _ in self._nodes.values()])
        self._nodes.clear()
        self.behind = False

    def renew(self, then: Callable[[], Outcome]) -> Outcome:
        """Listen to the nodes that the mailbox is subscribed to now."""

        def found(nodes: dict[int, Heard]) -> Outcome:
            bus = self.watcher.session.services.bus
            listeners = {"all": self.told, "some": self.stirred, "end": self.ended}
            for node in [node for node, (_, heard) in self._nodes.items() if nodes.get(node) != heard]:
                self._nodes.pop(node)[0]()
            for node, heard in nodes.items():
                if node not in self._nodes:
                    self._nodes[node] = bus.on_items(node, listeners[heard]), heard
            self.behind = True
            return then()

        return Step(watched_nodes(OfMailbox(self.watcher.mailbox)), found)

    def following(self, after_items: Callable[[], Outcome], wait: Callable[[], Outcome]) -> Outcome:
        """The next items, where there may be some; then go on."""
        if not self.behind:
            return wait()
        self.behind = False
        unit = items_since(ItemsSince(self.watcher.mailbox, self.cursor, PAGE))

        def show(found: Items) -> Outcome:
            head, octets = self._event_head(), self.watcher.session.services.cursors.octets
            pieces = [head + octets(item.seq) + item_event(item) for item in found.items]
            self.cursor = max(self.cursor, found.cursor)
            self.behind = self.behind or found.more
            return Page(pieces, after_items) if pieces else self.following(after_items, wait)

        return Step(unit, show)

    def told(self, hints: Sequence[ItemHint]) -> None:
        """A node published: say it at once, or wake whoever waits to ask the store; so if anything may be lost."""
        watcher = self.watcher
        waker = watcher.waker
        if waker is None or not hints:
            self.stirred(hints)
            return
        services = watcher.session.services
        cursor, head, octets = self.cursor, self._event_head(), services.cursors.octets
        pieces = []
        size = 0
        for seq, prev, event in services.hint_events.of(hints):
            if seq <= cursor:
                continue
            size += len(event)
            if prev > cursor or not event or size > MOST_AT_ONCE:
                break
            pieces.append(head + octets(seq) + event)
            cursor = seq
        else:
            if not pieces or waker.say(pieces[0] if len(pieces) == 1 else b"".join(pieces)):
                self.cursor = cursor
                return
        self.stirred(hints)

    def stirred(self, _: Sequence[ItemHint]) -> None:
        """A node did something: whoever waits asks the store whether it is an event here."""
        self.behind = True
        waker, self.watcher.waker = self.watcher.waker, None
        if waker is not None:
            waker.wake()

    def ended(self, hints: Sequence[ItemHint]) -> None:
        """A node that is muted did something: only its end is an event here."""
        if not hints or any([hint.gone for hint in hints]):
            self.stirred(hints)

    def _event_head(self) -> bytes:
        """What an event begins with, up to the number of its item."""
        state = self.watcher.cursor
        if state != self._head_of:
            self._head_of = state
            self._head = EVENT + f"{self.watcher.session.services.store.epoch}.{state}.".encode()
        return self._head


def _end_some(left: list[Callable[[], None]]) -> None:
    for stop in left[:ENDED_AT_ONCE]:
        stop()
    if len(left) > ENDED_AT_ONCE:
        asyncio.get_running_loop().call_soon(_end_some, left[ENDED_AT_ONCE:])

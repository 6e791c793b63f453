"""How long one account may hold the loop before everybody else has their turn.

Rules: between two looks at the network an account (before log-in: an address) has a share of time, over all its
connections, for what it asks of the store and for what it sends in one go; time counts for whoever asked last whether
theirs is over, so that nobody pays for what others did meanwhile; what is over goes on later, in rounds that give each
account a turn and end after some milliseconds; a loop that has nothing put off pays nothing for this.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from weakref import WeakValueDictionary

SHARE = 0.003
"""Seconds that one account may hold the loop."""
ROUND = 0.006
"""Seconds after which a round of what was put off ends."""


class Share:
    """What one account (before log-in: one address) has of the loop."""

    __slots__ = ("__weakref__", "_is_queued", "_turns", "_waiting", "used")

    def __init__(self, turns: "Turns") -> None:
        self._turns = turns
        self.used = -1.0
        """Seconds since the loop looked at the network; negative: it has not begun."""
        self._waiting: deque[Callable[[], None]] | None = None
        """What was put off; an account that does nothing owns no deque."""
        self._is_queued = False

    def is_over(self) -> bool:
        """Whether others come first; the first who asks begins the share."""
        turns = self._turns
        now = turns.clock()
        present = turns.present
        if present is not None:
            present.used += now - turns.since
        turns.present = self
        turns.since = now
        if self.used < 0:
            self._begin()
            return False
        return self.used >= SHARE

    def is_spent(self) -> bool:
        """The same for who does something small: it does not begin the share."""
        return self.used >= 0 and self.is_over()

    def later(self, call: Callable[[], None]) -> None:
        """Call this when it is this account's turn again."""
        if self._waiting is None:
            self._waiting = deque()
        self._waiting.append(call)
        if not self._is_queued:
            self._is_queued = True
            self._turns.wait(self)

    def go_on(self) -> None:
        """Its turn: what was put off until now, as far as the share goes; Turns calls it."""
        waiting = self._waiting
        assert waiting is not None
        self.is_over()
        self._begin()
        try:
            for _ in range(len(waiting)):
                waiting.popleft()()
                if self.is_over():
                    break
        finally:
            if waiting:
                self._turns.wait(self)
            else:
                self._is_queued = False
                self._waiting = None

    def _begin(self) -> None:
        if self.used < 0:
            self._turns.begun(self)
        self.used = 0.0

    def forget(self) -> None:
        """The loop has looked at the network."""
        self.used = -1.0


class Turns:
    """The shares of all accounts, and whose turn comes next."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self.clock = clock
        self._loop = asyncio.get_running_loop()
        self._of: WeakValueDictionary[str, Share] = WeakValueDictionary()
        self._begun: list[Share] = []
        self.present: Share | None = None
        """Whose the time is, from ``since`` on; who asks whether its share is over gives the last its due."""
        self.since = 0.0
        self._queue: deque[Share] = deque()
        self._is_running = False

    def share_of(self, whose: str) -> Share:
        """That of an account or an address, which no account is named as, the same for all its connections."""
        share = self._of.get(whose)
        if share is None:
            share = self._of[whose] = Share(self)
        return share

    def begun(self, share: Share) -> None:
        """A share has begun: it is forgotten when the loop has looked at the network."""
        self._begun.append(share)
        if len(self._begun) == 1:
            self._loop.call_soon(self._forget)

    def _forget(self) -> None:
        self.present = None
        begun, self._begun = self._begun, []
        for share in begun:
            share.forget()

    def wait(self, share: Share) -> None:
        """A share has something that was put off."""
        self._queue.append(share)
        if not self._is_running:
            self._is_running = True
            self._loop.call_soon(self._run)

    def _run(self) -> None:
        """One round: a turn for each account that waits, until the time is over."""
        queue = self._queue
        end = self.clock() + ROUND
        try:
            for _ in range(len(queue)):
                queue.popleft().go_on()
                if self.clock() >= end:
                    break
        finally:
            self._is_running = bool(queue)
            if queue:
                self._loop.call_soon(self._run)

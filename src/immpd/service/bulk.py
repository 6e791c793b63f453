"""What takes much at once: how many such commands of an account run beside each other, and in which order.

Rules: a command has its turn from its beginning to its answer, whatever that is, and keeps it while the
store has something of it; the others of the account wait, in the order they began, whichever connections
they came by; what names its messages one by one is small and waits for nobody (docs/protocol.md, "Bounds").
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from .outcome import Outcome, Wait, Waker

if TYPE_CHECKING:
    from .session import Session


class BulkQueue:
    """Who has a turn now, and who waits for one, by mailbox; one queue a kind of work."""

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._running: dict[int, set[BulkTurn]] = {}
        self._waiting: dict[int, deque[BulkTurn]] = {}

    def running(self, mailbox: int) -> int:
        """How many run now."""
        return len(self._running.get(mailbox, ()))

    def waiting(self, mailbox: int) -> int:
        """How many wait."""
        return len(self._waiting.get(mailbox, ()))

    def enter(self, turn: "BulkTurn", mailbox: int) -> bool:
        """Whether it may run; otherwise it waits, and is told."""
        if self.running(mailbox) < self._at_once:
            self._running.setdefault(mailbox, set()).add(turn)
            return True
        self._waiting.setdefault(mailbox, deque()).append(turn)
        return False

    def leave(self, turn: "BulkTurn", mailbox: int) -> None:
        """One that ran is over: the next of the mailbox runs."""
        running, waiting = self._running[mailbox], self._waiting.get(mailbox)
        running.remove(turn)
        if waiting:
            following = waiting.popleft()
            if not waiting:
                del self._waiting[mailbox]
            running.add(following)
            following.granted()
        elif not running:
            del self._running[mailbox]

    def keeps_waiting(self, session: "Session", mailbox: int) -> bool:
        """Whether the session has a turn that another session of the mailbox waits for."""
        return any(turn.session is session for turn in self._running.get(mailbox, ())) and any(
            turn.session is not session for turn in self._waiting.get(mailbox, ())
        )

    def forget(self, turn: "BulkTurn", mailbox: int) -> None:
        """It waits no longer."""
        waiting = self._waiting[mailbox]
        waiting.remove(turn)
        if not waiting:
            del self._waiting[mailbox]


class BulkTurn:
    """What a bulk command has besides its request: its turn among those of its account."""

    __slots__ = ("_has", "_mailbox", "_queue", "_waker", "session")

    def __init__(self, session: "Session", queue: BulkQueue) -> None:
        self.session = session
        self._queue = queue
        self._mailbox = 0
        """0: it does not want a turn (yet)."""
        self._has = False
        self._waker: Waker | None = None

    def wait(self, mailbox: int, then: Callable[[], Outcome]) -> Outcome:
        """Go on with ``then`` when it is this command's turn."""
        self._mailbox = mailbox
        self._has = self._queue.enter(self, mailbox)
        return then() if self._has else Wait(self._arm, then)

    def _arm(self, waker: Waker) -> None:
        if self._has:
            waker.wake()
        else:
            self._waker = waker

    def granted(self) -> None:
        """It is its turn; whoever left goes on first."""
        self._has = True
        if self._waker is not None:
            asyncio.get_running_loop().call_soon(self._wake)

    def _wake(self) -> None:
        waker, self._waker = self._waker, None
        if waker is not None:
            waker.wake()

    def stored(self) -> None:
        """The store has done a step; where the connection was lost meanwhile, it was the last."""
        if self.session.closed:
            self.leave()

    def leave(self) -> None:
        """Its work is done, or will not be done; saying so once is enough."""
        mailbox, self._mailbox = self._mailbox, 0
        if not mailbox:
            return
        self._waker = None
        if self._has:
            self._has = False
            self._queue.leave(self, mailbox)
        else:
            self._queue.forget(self, mailbox)

    def cancelled(self) -> None:
        """It will not run, or not go on."""
        self.leave()

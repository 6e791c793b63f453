"""The bus inside one process.

Rules: publish after the commit, never before; a listener is a plain function that must not raise
and must not publish, and that is told of a whole step at once; a lost hint may cost a listener time,
never an event.
"""

from collections.abc import Callable, Sequence

from immpd.model.change import Change

Listener = Callable[[Sequence[Change]], None]
"""Told the changes of one mailbox that were committed together, in order."""


class LocalBus:
    """Changes by mailbox, to listeners of this process."""

    def __init__(self) -> None:
        self._listeners: dict[int, dict[int, Listener]] = {}
        self._next = 0

    def listen(self, mailbox: int, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with the changes of the mailbox; returns the function that ends it."""
        self._next += 1
        token = self._next
        self._listeners.setdefault(mailbox, {})[token] = listener

        def stop() -> None:
            listeners = self._listeners.get(mailbox)
            if listeners is not None and listeners.pop(token, None) is not None and not listeners:
                del self._listeners[mailbox]

        return stop

    def publish(self, changes: Sequence[Change]) -> None:
        """Tell the listeners of each change's mailbox, each once."""
        listeners = self._listeners
        if not listeners or not changes:
            return
        if len(changes) == 1:
            self._tell(changes[0].mailbox, changes)
            return
        by_mailbox: dict[int, list[Change]] = {}
        for change in changes:
            if change.mailbox in listeners:
                by_mailbox.setdefault(change.mailbox, []).append(change)
        for mailbox, those in by_mailbox.items():
            self._tell(mailbox, those)

    def _tell(self, mailbox: int, changes: Sequence[Change]) -> None:
        waiting = self._listeners.get(mailbox)
        if waiting:
            for listener in tuple(waiting.values()):
                listener(changes)

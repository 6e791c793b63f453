"""The bus inside one process.

Rules: publish after the commit, never before; a listener is a plain function that must not raise
and must not publish; a lost hint may cost a listener time, never an event.
"""

from collections.abc import Callable, Iterable

from immpd.model.change import Change

Listener = Callable[[Change], None]


class LocalBus:
    """Changes by mailbox, to listeners of this process."""

    def __init__(self) -> None:
        self._listeners: dict[int, dict[int, Listener]] = {}
        self._next = 0

    def listen(self, mailbox: int, listener: Listener) -> Callable[[], None]:
        """Call ``listener`` with every change of the mailbox; returns the function that ends it."""
        self._next += 1
        token = self._next
        self._listeners.setdefault(mailbox, {})[token] = listener

        def stop() -> None:
            listeners = self._listeners.get(mailbox)
            if listeners is not None and listeners.pop(token, None) is not None and not listeners:
                del self._listeners[mailbox]

        return stop

    def publish(self, changes: Iterable[Change]) -> None:
        """Tell the listeners of each change's mailbox, in order."""
        listeners = self._listeners
        if not listeners:
            return
        for change in changes:
            waiting = listeners.get(change.mailbox)
            if waiting:
                for listener in tuple(waiting.values()):
                    listener(change)
